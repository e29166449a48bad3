"""Variables, barriers, collectives and indices that are used in a wrong way."""

import numpy as np
from numba import cuda, float32, int32

from cases.patterns.table import OUTSIDE, RACES, STUCK, UNWRITTEN, numbers, pattern
from convbench.emulator import FaultKind

ALL = 0xFFFFFFFF
UNSET = frozenset({FaultKind.UNSET})
BARRIER = frozenset({FaultKind.DIVERGENT_BARRIER, FaultKind.EARLY_EXIT})


@pattern(UNSET, 1, 64, numbers(64, 64))
def best_place_that_no_turn_sets(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        least = 1 if bug else 1000
        for j in range(i, x.size):
            if x[j] < least:
                least, place = x[j], j
        y[i] = place  # here

    return kernel


@pattern(UNSET, 1, 64, numbers(64, 64))
def value_of_one_case_of_three(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if x[i] > 15:
            scale = 2
        elif x[i] > 7:
            scale = 3
        elif not bug:
            scale = 1
        if x[i] != 100:
            y[i] = x[i] * scale  # here

    return kernel


@pattern(UNSET, 1, 64, numbers(64, 64))
def loop_variable_behind_an_empty_loop(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for j in range(i if bug else i + 1):
            y[i] += x[j]
        y[i] -= j  # here

    return kernel


@pattern(BARRIER, 1, 64, numbers(64, 64))
def barrier_in_a_loop_of_other_lengths(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for j in range(x[i] if bug else 5):
            cuda.syncthreads()  # here
            y[i] += j

    return kernel


@pattern(BARRIER, 1, 64, numbers(64, 64))
def barrier_in_both_branches(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug and x[i] > 9:
            y[i] = 1
            cuda.syncthreads()  # here
        else:
            y[i] = 2
            cuda.syncthreads()  # here

    return kernel


@pattern(BARRIER, 1, 64, numbers(64, 64))
def barrier_that_warps_reach_one_turn_apart(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for k in range(5):
            if bug and k == i // 32 * 4:
                y[i] += 100
            else:
                cuda.syncthreads()  # here
                y[i] += x[k]

    return kernel


@pattern(BARRIER, 1, 64, numbers(64, 64))
def barrier_behind_a_thread_that_is_done(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        active = True
        while active:
            y[i] += x[i] + 1
            cuda.syncthreads()  # here
            active = y[i] < 40 if bug else cuda.syncthreads_or(int32(y[i] < 40)) != 0  # here

    return kernel


@pattern(frozenset({FaultKind.MASK_NAMES_ABSENT, FaultKind.MASK_WITHOUT_SELF}), 1, 48, numbers(48, 48))
def mask_of_a_whole_warp_in_half_a_warp(bug):
    mask = 0xFFFFF if bug else 0xFFFF

    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i >= 32:
            y[i] = cuda.shfl_sync(mask, x[i], 0)  # here

    return kernel


@pattern(frozenset({FaultKind.SOURCE_NOT_IN_MASK}), 1, 32, numbers(32, 32))
def value_of_a_lane_that_does_not_take_part(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i < 20:
            value = cuda.shfl_sync(0xFFFFF, x[i], 21 if bug else 19)  # here
            if value > 3:
                y[i] = 1

    return kernel


@pattern(frozenset({FaultKind.INCOMPLETE_COLLECTIVE}), 1, 32, numbers(32, 32))
def vote_that_a_lane_skips_by_continue(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for k in range(3):
            if bug and k == 1 and i == 7:
                continue
            y[i] += cuda.popc(cuda.ballot_sync(ALL, x[i] > k))  # here
        cuda.syncwarp()

    return kernel


@pattern(OUTSIDE, 2, 64, numbers(100, 100))
def guard_that_is_off_by_one(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        if i <= x.size - 1 + bug:
            y[i] = x[i]  # here

    return kernel


@pattern(OUTSIDE, 1, 64, numbers(64, 64))
def local_table_that_is_too_small(bug):
    @cuda.jit
    def kernel(x, y):
        table = cuda.local.array(23, int32)
        i = cuda.threadIdx.x
        for j in range(23):
            table[j] = j * j
        y[i] = table[x[i] + (bug and i == 10) * 30]  # here

    return kernel


@pattern(UNWRITTEN, 1, 64, numbers(64, 64), blind="ptx")
def local_table_whose_last_entry_is_missing(bug):
    @cuda.jit
    def kernel(x, y):
        table = cuda.local.array(23, int32)
        i = cuda.threadIdx.x
        for j in range(22 if bug else 23):
            table[j] = j * j
        y[i] = table[x[i]]  # here

    return kernel


@pattern(STUCK, 1, 8, numbers(8, 8))
def loop_whose_step_becomes_zero(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        step = 4
        at = 0
        while at < 64:  # here
            y[i] += x[i]  # here
            step = max(step // 2, 0 if bug else 1)
            at += step

    return kernel


@cuda.jit(device=True)
def neighbour_of(tile, i):
    return tile[i ^ 1]  # here


@pattern(RACES, 1, 64, numbers(64, 64), beside=(neighbour_of,))
def race_inside_a_device_function(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        tile[i] = x[i]  # here
        if not bug:
            cuda.syncthreads()
        y[i] = neighbour_of(tile, i)

    return kernel


def filtered(bug, taps):
    """A kernel whose loop over constants is unrolled, in a factory in a factory."""
    size, count = 64 + taps, taps

    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(size, int32)
        i = cuda.threadIdx.x
        if i < count:
            tile[64 + i] = 0
        tile[i] = x[i]  # here
        if not bug:
            cuda.syncthreads()
        total = 0
        for tap in range(count):
            total += tile[i + tap]  # here
        y[i] = total

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64), beside=(filtered,))
def race_in_an_unrolled_loop_of_a_factory(bug):
    return filtered(bug, 3)


@pattern(RACES, 2, 32, numbers(64, 2))
def counter_that_two_blocks_update(bug):
    @cuda.jit
    def kernel(x, y):
        if cuda.threadIdx.x == 0:
            y[0 if bug else cuda.blockIdx.x] += x[cuda.grid(1)]  # here

    return kernel


@pattern(RACES, 1, 64, numbers(64, 1))
def flag_that_is_set_and_cleared_at_once(bug):
    @cuda.jit
    def kernel(x, y):
        found = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        if i == 0:
            found[0] = 0  # here
        if not bug:
            cuda.syncthreads()
        if x[i] == 14:
            cuda.atomic.max(found, 0, i)  # here
        cuda.syncthreads()
        if i == 0:
            y[0] = found[0]

    return kernel


@pattern(RACES, 1, 64, lambda: (np.arange(64, dtype=np.float32), np.zeros(64, np.float32)))
def array_of_an_argument_that_overlaps_another(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        out = x if bug else y
        out[i] = x[63 - i] * float32(2)  # here

    return kernel
