"""Warps, slices of shared memory, rings between blocks, and other ways of going about it."""

import numpy as np
from numba import cuda, float32, float64, int8, int32, int64, uint32
from numba.cuda import cg

from cases.patterns.table import ORDER, OUTSIDE, RACES, STUCK, UNWRITTEN, numbers, pattern
from convbench.emulator import FaultKind

ALL = 0xFFFFFFFF
COLLECTIVE = frozenset({
    FaultKind.INCOMPLETE_COLLECTIVE, FaultKind.DIVERGENT_COLLECTIVE, FaultKind.MASK_WITHOUT_SELF,
    FaultKind.MASK_NAMES_EXITED, FaultKind.MASK_NAMES_ABSENT,
})  # fmt: skip


@pattern(COLLECTIVE, 1, 64, numbers(64, 23, 64))
def atomics_that_a_leader_of_equal_lanes_makes(bug):
    @cuda.jit
    def kernel(x, counts, y):
        i = cuda.threadIdx.x
        mask = cuda.match_any_sync(ALL, x[i])
        leader = cuda.ffs(mask) - 1
        base = 0
        if i % 32 == leader:
            base = cuda.atomic.add(counts, x[i], cuda.popc(mask))
        base = cuda.shfl_sync(ALL - 2 if bug else mask, base, leader)  # here
        y[i] = base * 0 + cuda.popc(mask & cuda.lanemask_lt())

    return kernel


@pattern(COLLECTIVE, 1, 32, numbers(32, 32))
def sum_in_a_branch_with_the_mask_of_a_ballot(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        mask = cuda.ballot_sync(ALL, x[i] > 8)
        if x[i] > (9 if bug else 8):
            most = x[i]
            for lane in range(32):
                if mask >> lane & 1:
                    most = max(most, cuda.shfl_sync(mask, x[i], lane))  # here
            y[i] = most

    return kernel


@pattern(RACES, (1, 1), (8, 4, 2), lambda: (np.arange(64, dtype=np.int32).reshape(2, 4, 8), np.zeros(2, np.int32)))
def sum_over_warps_of_a_block_with_three_axes(bug):
    @cuda.jit
    def kernel(x, y):
        sums = cuda.shared.array(2, int32)
        i, j, k = cuda.threadIdx.x, cuda.threadIdx.y, cuda.threadIdx.z
        linear = (k * cuda.blockDim.y + j) * cuda.blockDim.x + i
        value = x[k, j, i]
        for step in (16, 8, 4, 2, 1):
            value += cuda.shfl_down_sync(ALL, value, step)
        if linear % 32 == 0:
            sums[0 if bug else k] = value  # here
        cuda.syncthreads()
        if linear < 2:
            y[linear] = sums[0 if bug else linear]

    return kernel


@pattern(RACES, 1, 128, numbers(128, 128))
def block_scan_of_warp_scans(bug):
    @cuda.jit
    def kernel(x, y):
        sums = cuda.shared.array(4, int32)
        i = cuda.threadIdx.x
        lane, warp = i % 32, i // 32
        value = x[i]
        step = 1
        while step < 32:
            before = cuda.shfl_up_sync(ALL, value, step)
            if lane >= step:
                value += before
            step *= 2
        if lane == 31:
            sums[warp] = value  # here
        cuda.syncthreads()
        if warp == 0:
            total = sums[lane] if lane < 4 else 0
            step = 1
            while step < 4:
                before = cuda.shfl_up_sync(ALL, total, step)
                if lane >= step:
                    total += before
                step *= 2
            if lane < 4:
                sums[lane] = total  # here
        if not bug:
            cuda.syncthreads()
        y[i] = value + (sums[warp - 1] if warp > 0 else 0)  # here

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def halves_of_a_warp_with_masks_of_their_own(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        low = i % 32 < 16
        mask = 0xFFFF if low else 0xFFFF0000
        tile[i] = x[i]  # here
        if low:
            cuda.syncwarp(mask)
            y[i] = tile[i ^ 3]
        else:
            cuda.syncwarp(mask)
            y[i] = tile[i ^ (16 if bug else 5)]  # here

    return kernel


@pattern(RACES, 1, 64, numbers(128, 64), shared_bytes=1024)
def slices_of_dynamic_memory(bug):
    @cuda.jit
    def kernel(x, y):
        whole = cuda.shared.array(0, int32)
        first, second = whole[:64], whole[64 - 8 * bug : 128]
        i = cuda.threadIdx.x
        first[i] = x[i]  # here
        second[i] = x[64 + i]  # here
        cuda.syncthreads()
        y[i] = first[63 - i] - second[i // 2]

    return kernel


@pattern(RACES, 1, 96, lambda: (np.arange(96, dtype=np.int8), np.zeros(96, np.int8)))
def bytes_of_neighbours_in_shared_memory(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(96, int8)
        wide = cuda.shared.array(96, float64)
        i = cuda.threadIdx.x
        tile[i] = x[i]  # here
        wide[i] = x[i]
        if not bug:
            cuda.syncthreads()
        y[i] = tile[(i + 1) % 96] + int8(wide[i])  # here

    return kernel


PARTS = np.dtype([("a", np.int32), ("b", np.int32), ("c", np.float64)], align=True)


@pattern(RACES, 1, 64, lambda: (np.zeros(32, PARTS), np.arange(64, dtype=np.int32)))
def fields_of_one_record_by_two_threads(bug):
    @cuda.jit
    def kernel(items, x):
        i = cuda.threadIdx.x
        if i < 32 or bug:
            items[i % 32].a = x[i]  # here
        else:
            items[i % 32].b = x[i]

    return kernel


@pattern(RACES, 1, 64, lambda: (np.arange(64).astype(np.complex64), np.zeros(64, np.complex64)))
def complex_numbers_that_are_swapped(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug:
            x[i], x[63 - i] = x[63 - i], x[i]  # here
        elif i < 32:
            x[i], x[63 - i] = x[63 - i], x[i]

    return kernel


def ring():
    return np.arange(24, dtype=np.int32), np.zeros(24, np.int32), np.zeros(4, np.int32), np.zeros(2, np.int32)


@pattern(RACES, 2, 1, ring)
def ring_of_four_places_between_two_blocks(bug):
    @cuda.jit
    def kernel(x, y, places, ends):
        if cuda.blockIdx.x == 0:
            for n in range(x.size):
                while n - cuda.atomic.add(ends, 1, 0) >= (5 if bug else 4):
                    pass
                cuda.threadfence()
                places[n % 4] = x[n]  # here
                cuda.threadfence()
                cuda.atomic.add(ends, 0, 1)
        else:
            for n in range(x.size):
                while cuda.atomic.add(ends, 0, 0) <= n:
                    pass
                cuda.threadfence()
                y[n] = places[n % 4]  # here
                cuda.threadfence()
                cuda.atomic.add(ends, 1, 1)

    return kernel


@pattern(RACES, 1, 128, numbers(128, 1))
def last_warp_of_a_block_adds_up(bug):
    @cuda.jit
    def kernel(x, total):
        parts = cuda.shared.array(4, int32)
        count = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        if i == 0:
            count[0] = 0
        cuda.syncthreads()
        value = x[i]
        for step in (16, 8, 4, 2, 1):
            value += cuda.shfl_down_sync(ALL, value, step)
        if i % 32 == 0:
            parts[i // 32] = value  # here
            if not bug:
                cuda.threadfence_block()
            if cuda.atomic.add(count, 0, 1) == 3:
                total[0] = parts[0] + parts[1] + parts[2] + parts[3]  # here

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64, 1))
def breadth_first_levels_until_nobody_works(bug):
    @cuda.jit
    def kernel(x, y, steps):
        working = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        level = 0
        y[i] = 1 if i == 5 else 0
        while True:
            cuda.syncthreads()
            if i == 0:
                working[0] = 0  # here
            active = y[i] == level + 1  # here
            if not bug:
                cuda.syncthreads()
            if active:
                other = (i + 7) % 64
                if y[other] == 0:
                    y[other] = level + 2  # here
                    cuda.atomic.max(working, 0, 1)  # here
            cuda.syncthreads()
            if working[0] == 0:
                break
            level += 1
        if i == 0:
            steps[0] = level

    return kernel


@pattern(frozenset({FaultKind.DIVERGENT_BARRIER, FaultKind.EARLY_EXIT}), 1, 64, numbers(64, 64))
def loop_in_a_loop_before_the_barrier(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        turn = 0
        while True:
            while y[i] < x[i] + turn:
                y[i] += 1
                if y[i] % 3 == 0:
                    continue
                y[i] += 0
            turn += 1
            if bug and turn % 2 == i % 2 and turn < 5:
                continue
            cuda.syncthreads()  # here
            if turn >= 6:
                break

    return kernel


@pattern(RACES, 2, 64, numbers(128, 128))
def tasks_of_blocks_that_return_at_once(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        if cuda.blockIdx.x == 1:
            return
        for task in range(2):
            tile[i] = x[64 * task + i]  # here
            cuda.syncthreads()
            y[64 * task + i] = tile[63 - i]  # here
            if not bug or task > 0:
                cuda.syncthreads()

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def tuple_of_arrays_of_a_helper(bug):
    @cuda.jit
    def kernel(x, y):
        pair = cuda.shared.array(64, int32), cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        pair[0][i] = x[i]  # here
        pair[1][i] = 0.5 * x[i]  # here
        if not bug:
            cuda.syncthreads()
        y[i] = pair[0][63 - i] + pair[1][63 - i]  # here

    return kernel


@pattern(ORDER, 4, 8, lambda: (np.arange(32, dtype=np.int32), np.zeros(1, np.int64)))
def packed_minimum_by_compare_and_swap(bug):
    @cuda.jit
    def kernel(x, best):
        i = cuda.grid(1)
        mine = int64((x[i] * 7 % 11 + 1) * 64 + (0 if bug else i))
        old = cuda.atomic.add(best, 0, 0)
        while old == 0 or mine < old:
            if bug:
                cuda.atomic.exch(best, 0, mine + i)
                break
            found = cuda.atomic.cas(best, 0, old, mine)
            if found == old:
                break
            old = found

    return kernel


@pattern(STUCK, 2, 32, numbers(64, 2))
def warp_that_waits_for_lanes_of_its_own(bug):
    @cuda.jit
    def kernel(x, flags):
        i, b = cuda.threadIdx.x, cuda.blockIdx.x
        if i == 3:
            while cuda.atomic.add(flags, b, 0) == 0:  # here
                cuda.nanosleep(uint32(20))
        elif i == 9 and not (bug and b == 1):
            cuda.atomic.exch(flags, b, 1)
        cuda.syncwarp()

    return kernel


@pattern(RACES, 3, 32, numbers(96, 96, 96))
def grid_that_swaps_two_arrays(bug):
    @cuda.jit
    def kernel(x, y, z):
        grid = cg.this_grid()
        i = cuda.grid(1)
        source, target = x, y
        for turn in range(4):
            left = source[i - 1] if i > 0 else 0  # here
            target[i] = source[i] + left  # here
            if not bug or turn % 2:
                grid.sync()
            source, target = target, source
        z[i] = source[i]

    return kernel


@pattern(OUTSIDE, (2, 2), (8, 8), lambda: (np.ones((12, 12), np.float32), np.zeros((10, 10), np.float32)))
def window_that_leaves_its_image(bug):
    @cuda.jit
    def kernel(x, y):
        column, row = cuda.grid(2)
        if row < y.shape[0] and column < y.shape[1]:
            total = float32(0)
            for r in range(3 + bug):
                for c in range(3):
                    total += x[row + r, column + c]  # here
            y[row, column] = total

    return kernel


@pattern(UNWRITTEN, 1, 64, numbers(64, 64))
def tile_of_which_every_other_row_is_read(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array((8, 8), int32)
        i = cuda.threadIdx.x
        row, column = i // 8, i % 8
        if not bug or row != column:
            tile[row, column] = x[i]
        cuda.syncthreads()
        y[i] = tile[column, row]  # here

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def pipeline_of_warps_in_turns(bug):
    @cuda.jit
    def kernel(x, y):
        box = cuda.shared.array(32, int32)
        i = cuda.threadIdx.x
        lane, warp = i % 32, i // 32
        for turn in range(4):
            if turn % 2 == warp:
                box[lane] = x[i] + turn  # here
            elif bug and turn == 2:
                y[i] += box[lane]  # here
            cuda.syncthreads()
            y[i] += box[31 - lane]  # here
            cuda.syncthreads()

    return kernel
