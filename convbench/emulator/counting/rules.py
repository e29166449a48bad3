"""The rules of counting: the addresses of a warp's lanes enter; wavefronts, sectors and lines leave.

Shared memory has 32 banks of 4 bytes. One *wavefront* is one pass over the banks, in which each bank serves one word of
32 bits to all lanes that ask for it.

- Up to 32 bits for each lane: all lanes share one pass. The wavefronts are the most different words of one bank.
- 64 bits: each half of the warp has a pass of its own. Both halves share one pass if every active lane i has a partner
  i ^ 1 that is inactive or has the same address, or if this holds for i ^ 2.
- 128 bits: each quarter of the warp has a pass. Under the same condition the two quarters of a half share one.
- ldmatrix and stmatrix: eight lanes bring the addresses of eight rows of 16 bytes, which share one pass.

A pass without active lanes takes no wavefront. *Ideal* is the number of passes with active lanes.

Global memory moves *sectors* of 32 bytes; four of them are a *line*. Ideal sectors are those that the bytes used would
fill if they lay side by side, from the beginning of a sector on.

Sources: CUDA C++ Programming Guide, "Shared Memory"; NVIDIA developer forum, thread 77228; GTC 2019, session S9593;
NVIDIA Nsight Compute documentation, "Memory Tables".
"""

import numpy as np
from numba import njit

BANKS, WORD_BYTES = 32, 4
SECTOR_BYTES, LINE_BYTES = 32, 128
TAG_SETS = 4
LANES = 32
INACTIVE = -1  # the address of a lane that takes no part


@njit(error_model="numpy", forceinline=True)
def _is_paired(addresses, distance):
    """Whether every active lane i has a partner i ^ distance that is inactive or has the same address."""
    for lane in range(LANES):
        other = addresses[lane ^ distance]
        if addresses[lane] >= 0 and other >= 0 and other != addresses[lane]:
            return False
    return True


@njit(error_model="numpy")
def _pass(addresses, first, last, words, found, counts):
    """The wavefronts of one pass of the lanes from `first` to `last`; 0 if none of them is active."""
    counts[:] = 0
    most = 0
    for lane in range(first, last):
        address = addresses[lane]
        if address < 0:
            continue
        for number in range(words):
            word = address // WORD_BYTES + number
            bank = word % BANKS
            is_new = True
            for place in range(counts[bank]):
                if found[bank, place] == word:
                    is_new = False
                    break
            if is_new:
                found[bank, counts[bank]] = word
                counts[bank] += 1
                most = max(most, counts[bank])
    return most


@njit(error_model="numpy")
def shared_wavefronts(addresses, width, is_matrix):
    """The wavefronts of an access to shared memory, the ideal ones, and the most lanes-worth of words of one bank.

    Parameters
    ----------
    addresses : int64, one for each of 32 lanes, from the beginning of shared memory; negative for inactive lanes
    width : bytes for each lane
    is_matrix : whether it is ldmatrix or stmatrix, whose lanes bring the addresses of rows
    """
    found = np.empty((BANKS, LANES), np.int64)
    counts = np.empty(BANKS, np.int64)
    words = max(width // WORD_BYTES, 1)
    lanes = LANES // words if words > 1 else LANES
    if words > 1 and not is_matrix and (_is_paired(addresses, 1) or _is_paired(addresses, 2)):
        lanes *= 2
    total = ideal = way = 0
    for first in range(0, LANES, lanes):
        most = _pass(addresses, first, first + lanes, words, found, counts)
        total += most
        ideal += most > 0
        way = max(way, most)
    return total, ideal, way


@njit(error_model="numpy")
def global_sectors(addresses, width, found):
    """The sectors of an access to global memory, the ideal ones, its lines, and the different bytes that it uses.

    `found` is a buffer of int64 that gets the numbers of the sectors; it has 32 · (width // 32 + 2) places. Lanes are
    aligned to their width, as the PTX ISA demands, so that two of them have the same bytes or none in common.
    """
    sectors = lines = distinct = 0
    active = 0
    last = -1
    for lane in range(LANES):
        address = addresses[lane]
        if address < 0:
            continue
        active += 1
        if address != last:
            is_new = True
            for before in range(lane):
                if addresses[before] == address:
                    is_new = False
                    break
            distinct += is_new
        last = address
        for sector in range(address // SECTOR_BYTES, (address + width - 1) // SECTOR_BYTES + 1):
            is_new = True
            is_new_line = True
            for place in range(sectors - 1, -1, -1):
                if found[place] == sector:
                    is_new = is_new_line = False
                    break
                if found[place] * SECTOR_BYTES // LINE_BYTES == sector * SECTOR_BYTES // LINE_BYTES:
                    is_new_line = False
            if is_new:
                found[sectors] = sector
                sectors += 1
                lines += is_new_line
    used = distinct * width
    return sectors, -(-used // SECTOR_BYTES), lines, used


@njit(error_model="numpy")
def tag_passes(found, sectors):
    """The clocks in which the L1 cache finds the lines of a request, whose sectors are the first of `found`.

    Its tags are in four sets, by the number of the line. In a clock, each set finds one line (developer forum, 312884).
    """
    counts = np.zeros(TAG_SETS, np.int64)
    for place in range(sectors):
        line = found[place] * SECTOR_BYTES // LINE_BYTES
        is_new = True
        for before in range(place):
            if found[before] * SECTOR_BYTES // LINE_BYTES == line:
                is_new = False
                break
        counts[line % TAG_SETS] += is_new
    return counts.max()


@njit(error_model="numpy")
def contention(addresses):
    """The most lanes that have the same address: how often an atomic must be done one after another."""
    most = 0
    for lane in range(LANES):
        if addresses[lane] >= 0:
            same = 0
            for other in range(LANES):
                same += addresses[other] == addresses[lane]
            most = max(most, same)
    return most


@njit(error_model="numpy")
def local_addresses(addresses, width, spread):
    """Spread the offsets of local memory as hardware does: word by word, the words of all lanes side by side.

    Writes to `spread` the address of the first word of each lane. Words of one lane are 128 bytes apart.
    """
    for lane in range(LANES):
        offset = addresses[lane]
        spread[lane] = -1 if offset < 0 else offset // WORD_BYTES * LINE_BYTES + lane * WORD_BYTES
    return max(width // WORD_BYTES, 1)
