"""The caches of a profile: sets of lines of 128 bytes, of which each sector of 32 bytes is present or not.

The L1 cache is that of one block. It is empty when the block begins, and only loads fill it. The L2 cache is that of
the GPU. Blocks find in it what earlier blocks have left, one block after another, while a GPU runs many at once. A
store makes its sectors present and dirty without reading them, because the L2 cache keeps which bytes were written.
The memory gets dirty sectors when their line makes room for another one, or at the end. The line that was used the
longest time ago makes room.

Sources: NVIDIA Nsight Compute documentation, "Memory Tables", for lines and sectors; the configurations of GPGPU-Sim
for an RTX 2060 and an RTX 3070, for 16 ways of the L2 cache and for stores that read nothing.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from convbench.emulator.counting.rules import LINE_BYTES, SECTOR_BYTES

SECTORS_OF_LINE = LINE_BYTES // SECTOR_BYTES
WAYS = 16
L1_FIELDS = 3  # the number of a line, its sectors, and when it was used last
LINE, PRESENT, USED, DIRTY, WRITER = range(5)  # WRITER: the access that wrote last
L2_FIELDS = 5


def empty(size: int, fields: int) -> npt.NDArray[np.int64]:
    """A cache of `size` bytes."""
    return np.full((size // (LINE_BYTES * WAYS), WAYS, fields), -1, np.int64)


@njit(error_model="numpy", forceinline=True)
def _set_of(line, sets):
    """Caches of GPUs mix the bits of an address, so that rows of a matrix do not all fall into one set."""
    return (line ^ line >> 5 ^ line >> 10 ^ line >> 15) % sets


@njit(error_model="numpy", forceinline=True)
def _way_of(row, line):
    """The way that has a line, or the one to make room."""
    oldest, way = row[0, USED], 0
    for number in range(WAYS):
        if row[number, LINE] == line:
            return number
        if row[number, USED] < oldest:
            oldest, way = row[number, USED], number
    return way


@njit(error_model="numpy")
def look_up_l1(cache, sizes, missing):
    """How many of the sectors `missing` the L1 cache has; it has all of them afterwards. Only others stay `missing`."""
    sizes[3] += 1
    left = 0
    count = missing[0]
    for place in range(1, count + 1):
        sector = missing[place]
        line, part = sector // SECTORS_OF_LINE, 1 << (sector % SECTORS_OF_LINE)
        row = cache[_set_of(line, cache.shape[0])]
        way = _way_of(row, line)
        if row[way, LINE] != line:
            row[way, LINE], row[way, PRESENT] = line, 0
        if not row[way, PRESENT] & part:
            left += 1
            missing[left] = sector
        row[way, PRESENT] |= part
        row[way, USED] = sizes[3]
    missing[0] = left
    return count - left


@njit(error_model="numpy")
def look_up_l2(cache, missing, is_store, is_atomic, number, written):
    """The sectors that the L2 cache has, and those that the memory reads. `written` gets the dirty ones it drops."""
    hits = reads = 0
    now = cache[0, 0, 0] + 1  # the first row is the clock
    cache[0, 0, 0] = now
    for place in range(1, missing[0] + 1):
        sector = missing[place]
        line, part = sector // SECTORS_OF_LINE, 1 << (sector % SECTORS_OF_LINE)
        row = cache[1 + _set_of(line, cache.shape[0] - 1)]
        way = _way_of(row, line)
        if row[way, LINE] != line:
            if row[way, LINE] >= 0:
                written[row[way, WRITER]] += _count(row[way, DIRTY])
            row[way, LINE], row[way, PRESENT], row[way, DIRTY] = line, 0, 0
        if row[way, PRESENT] & part:
            hits += 1
        elif is_atomic or not is_store:
            reads += 1
        row[way, PRESENT] |= part
        if is_store or is_atomic:
            row[way, DIRTY] |= part
            row[way, WRITER] = number
        row[way, USED] = now
    return hits, reads


@njit(error_model="numpy", forceinline=True)
def _count(mask):
    return (mask & 1) + (mask >> 1 & 1) + (mask >> 2 & 1) + (mask >> 3 & 1)


@njit(error_model="numpy")
def flush(cache, written):
    """Write all dirty sectors at the end of a launch."""
    for index in range(1, cache.shape[0]):
        for way in range(WAYS):
            if cache[index, way, LINE] >= 0 and cache[index, way, DIRTY] > 0:
                written[cache[index, way, WRITER]] += _count(cache[index, way, DIRTY])
                cache[index, way, DIRTY] = 0
