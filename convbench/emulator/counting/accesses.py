"""Count one access of a group of lanes, and keep its pattern: most accesses repeat the one before.

The distances of the lanes from the first active one, and its place in a line of 128 bytes, tell all that is counted. So
an access whose pattern is the last one of its instruction is not counted anew.
"""

import numpy as np
from numba import njit

from convbench.emulator.counting.caches import look_up_l1, look_up_l2
from convbench.emulator.counting.rules import (
    INACTIVE,
    LANES,
    SECTOR_BYTES,
    contention,
    global_sectors,
    local_addresses,
    shared_wavefronts,
    tag_passes,
)
from convbench.emulator.counting.tables import Space

SHARED, GLOBAL, LOCAL, GENERIC, MATRIX = map(int, Space)
# what is counted of an access
(
    A_EXECUTED, A_LANES, A_WAVEFRONTS, A_IDEAL, A_WAY, A_SECTORS, A_IDEAL_SECTORS, A_LINES, A_USED, A_CONTENTION,
    A_LOWEST, A_HIGHEST, A_SHARED, A_GLOBAL, A_LOCAL, A_L1_HITS, A_TAGS, A_L2_HITS, A_DRAM_READS, A_DRAM_WRITES,
) = range(20)  # fmt: skip
ACCESS_FIELDS = 20
MOST_SECTORS = 2 * LANES  # of a request: a lane has at most two, of 32 bytes
SECTORS = LANES + 8  # where the sectors of a pattern begin
# of the last pattern of an access: the addresses, where they begin in a line, what was counted, and the sectors
KEPT = SECTORS + MOST_SECTORS
NEVER = 1 << 62


@njit(error_model="numpy")
def count_access(addresses, access, number, traces, header):
    """Count one access of a group. `addresses` has -1 for lanes that take no part."""
    counts, kept, ranges = traces[5], traces[7], traces[8]
    space, width, is_atomic, row = access[0], access[1], access[2], access[3]
    active = 0
    lowest, highest = NEVER, -1
    for lane in range(LANES):
        address = addresses[lane]
        if address < INACTIVE:  # local memory, told by the kernel itself
            space = LOCAL
            address = -2 - address
            addresses[lane] = address
        if address >= 0:
            active += 1
            lowest = min(lowest, address)
            highest = max(highest, address)
    if active == 0:
        return
    mine = counts[number]
    if space == GENERIC:
        space = GLOBAL
        if header.shared <= lowest < header.shared + header.shared_bytes:
            space = SHARED
            for lane in range(LANES):
                if addresses[lane] >= 0:
                    addresses[lane] -= header.shared
            lowest -= header.shared
            highest -= header.shared
    mine[A_LOWEST] = min(mine[A_LOWEST], lowest) if mine[A_EXECUTED] else lowest
    mine[A_HIGHEST] = max(mine[A_HIGHEST], highest + width)
    mine[A_EXECUTED] += 1
    mine[A_LANES] += active
    if space == GLOBAL:
        _rebase(addresses, lowest, row, ranges)
    first = 0
    for lane in range(LANES):
        if addresses[lane] >= 0:
            first = addresses[lane]
            break
    pattern = kept[number]
    is_known = pattern[LANES] == (first & 127) + (space << 8)
    if is_known:
        for lane in range(LANES):
            distance = addresses[lane] - first if addresses[lane] >= 0 else NEVER
            if pattern[lane] != distance:
                is_known = False
                break
    if not is_known:
        _count_pattern(addresses, first, space, width, is_atomic, pattern)
    if space in (SHARED, MATRIX):
        mine[A_SHARED] += 1
        mine[A_WAVEFRONTS] += pattern[LANES + 1]
        mine[A_IDEAL] += pattern[LANES + 2]
        mine[A_WAY] = max(mine[A_WAY], pattern[LANES + 3])
    else:
        mine[A_GLOBAL if space == GLOBAL else A_LOCAL] += 1
        mine[A_SECTORS] += pattern[LANES + 1]
        mine[A_IDEAL_SECTORS] += pattern[LANES + 2]
        mine[A_LINES] += pattern[LANES + 3]
        mine[A_USED] += pattern[LANES + 4]
        mine[A_TAGS] += pattern[LANES + 6]
        if space == GLOBAL:
            missing = traces[12]
            missing[0] = min(pattern[LANES + 1], MOST_SECTORS)
            for place in range(missing[0]):
                missing[1 + place] = first // SECTOR_BYTES + pattern[SECTORS + place]
            if access[4]:
                mine[A_L1_HITS] += look_up_l1(traces[10], traces[6], missing)
            if traces[11].shape[0]:
                hits, reads = look_up_l2(traces[11], missing, access[5], is_atomic, number, counts[:, A_DRAM_WRITES])
                mine[A_L2_HITS] += hits
                mine[A_DRAM_READS] += reads
    mine[A_CONTENTION] += pattern[LANES + 5]


@njit(error_model="numpy")
def _rebase(addresses, lowest, row, ranges):
    """Let arrays begin where an allocation of the device begins, and not where the host has put them."""
    if row < 0 or not 0 <= lowest - ranges[row, 0] < ranges[row, 1]:
        row = -1
        for number in range(ranges.shape[0]):
            if 0 <= lowest - ranges[number, 0] < ranges[number, 1]:
                row = number
    if row >= 0:
        for lane in range(LANES):
            if addresses[lane] >= 0:
                addresses[lane] += ranges[row, 2] - ranges[row, 0]


@njit(error_model="numpy")
def _count_pattern(addresses, first, space, width, is_atomic, pattern):
    """Count the accesses of lanes anew, and keep the pattern."""
    for lane in range(LANES):
        pattern[lane] = addresses[lane] - first if addresses[lane] >= 0 else NEVER
    pattern[LANES] = (first & 127) + (space << 8)
    if space in (SHARED, MATRIX):
        wavefronts, ideal, way = shared_wavefronts(addresses, width, space == MATRIX)
        pattern[LANES + 1], pattern[LANES + 2], pattern[LANES + 3] = wavefronts, ideal, way
    else:
        found = np.empty(LANES * (width // 32 + 2), np.int64)
        words = 1
        if space == LOCAL:
            spread = np.empty(LANES, np.int64)
            pattern[LANES + 6] = 1
            words = local_addresses(addresses, width, spread)
            sectors, ideal, lines, used = global_sectors(spread, 4, found)
        else:
            sectors, ideal, lines, used = global_sectors(addresses, width, found)
            pattern[LANES + 6] = tag_passes(found, sectors)
            for place in range(min(sectors, MOST_SECTORS)):
                pattern[SECTORS + place] = found[place] - first // SECTOR_BYTES
        pattern[LANES + 1], pattern[LANES + 2] = sectors * words, ideal * words
        pattern[LANES + 3], pattern[LANES + 4] = lines * words, used * words
    pattern[LANES + 5] = contention(addresses) if is_atomic else 0
