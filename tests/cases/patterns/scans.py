"""Scans and compactions: in shared memory, by shuffles, in segments, and with a look back over blocks."""

import numpy as np
from numba import cuda, int32

from cases.patterns.table import ORDER, OUTSIDE, RACES, STUCK, numbers, pattern
from convbench.emulator import FaultKind

ALL = 0xFFFFFFFF


@pattern(RACES, 1, 64, numbers(64, 64))
def scan_in_place_without_the_second_barrier(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        cuda.syncthreads()
        step = 1
        while step < 64:
            before = tile[i - step] if i >= step else 0  # here
            if not bug:
                cuda.syncthreads()
            tile[i] += before  # here
            cuda.syncthreads()
            step *= 2
        y[i] = tile[i]

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def scan_of_two_buffers_that_are_not_swapped(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array((2, 64), int32)
        i = cuda.threadIdx.x
        now = 0
        tile[0, i] = x[i]
        tile[1, i] = 0
        cuda.syncthreads()
        step = 1
        while step < 64:
            after = now if bug else 1 - now
            tile[after, i] = tile[now, i] + (tile[now, i - step] if i >= step else 0)  # here
            now = after
            cuda.syncthreads()
            step *= 2
        y[i] = tile[now, i]

    return kernel


@pattern(RACES, 1, 32, numbers(64, 64))
def up_and_down_sweep_without_a_barrier_between(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        tile[2 * i], tile[2 * i + 1] = x[2 * i], x[2 * i + 1]
        step = 1
        while step < 64:
            cuda.syncthreads()
            at = (i + 1) * step * 2 - 1
            if at < 64:
                tile[at] += tile[at - step]  # here
            step *= 2
        if not bug:
            cuda.syncthreads()
        if i == (7 if bug else 0):
            tile[63] = 0  # here
        step = 32
        while step > 0:
            cuda.syncthreads()
            at = (i + 1) * step * 2 - 1
            if at < 64:
                left = tile[at - step]
                tile[at - step] = tile[at]
                tile[at] += left
            step //= 2
        cuda.syncthreads()
        y[2 * i], y[2 * i + 1] = tile[2 * i], tile[2 * i + 1]

    return kernel


@pattern(frozenset({FaultKind.MASK_NAMES_EXITED, FaultKind.INCOMPLETE_COLLECTIVE}), 1, 32, numbers(32, 32))
def warp_scan_whose_shuffle_is_in_the_branch(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        value = x[i]
        step = 1
        while step < 32:
            if bug:
                if i >= step:
                    value += cuda.shfl_up_sync(ALL, value, step)  # here
            else:
                before = cuda.shfl_up_sync(ALL, value, step)
                if i >= step:
                    value += before
            step *= 2
        y[i] = value

    return kernel


def look_back_arguments():
    return np.arange(128, dtype=np.int32), np.zeros(4, np.int32), np.zeros(4, np.int32), np.zeros(128, np.int32)


@pattern(RACES, 4, 32, look_back_arguments)
def look_back_that_reads_a_prefix_without_a_fence(bug):
    @cuda.jit
    def kernel(x, prefixes, flags, y):
        base = cuda.shared.array(1, int32)
        i, b = cuda.threadIdx.x, cuda.blockIdx.x
        value = x[cuda.grid(1)]
        for step in (1, 2, 4, 8, 16):
            before = cuda.shfl_up_sync(ALL, value, step)
            if i >= step:
                value += before
        if i == 31:
            found = 0
            if b > 0:
                while cuda.atomic.add(flags, b - 1, 0) == 0:
                    pass
                cuda.threadfence()
                found = prefixes[b - 1]  # here
            base[0] = found
            prefixes[b] = found + value  # here
            if not bug:
                cuda.threadfence()
            cuda.atomic.exch(flags, b, 1)
        cuda.syncthreads()
        y[cuda.grid(1)] = base[0] + value

    return kernel


@pattern(STUCK, 4, 32, look_back_arguments)
def look_back_at_a_flag_that_nobody_sets(bug):
    @cuda.jit
    def kernel(x, prefixes, flags, y):
        i, b = cuda.threadIdx.x, cuda.blockIdx.x
        if i == 0:
            if b > 0:
                while cuda.atomic.max(flags, b - 1, 0) == 0:  # here
                    pass
            if not bug or b != 1:
                cuda.threadfence()
                cuda.atomic.exch(flags, b, 1)
        cuda.syncthreads()
        y[cuda.grid(1)] = x[cuda.grid(1)]

    return kernel


@pattern(ORDER, 2, 64, numbers(128, 128, 1))
def compaction_whose_places_depend_on_the_order(bug):
    @cuda.jit
    def kernel(x, y, count):
        i = cuda.grid(1)
        if bug:
            if x[i] > 10:
                y[cuda.atomic.add(count, 0, 1)] = i
        elif i == 0:
            for j in range(x.size):
                if x[j] > 10:
                    y[count[0]] = j
                    count[0] += 1

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64, 1))
def compaction_by_ballots_with_counts_too_early(bug):
    @cuda.jit
    def kernel(x, y, count):
        counts = cuda.shared.array(2, int32)
        i = cuda.threadIdx.x
        keep = x[i] > 10
        votes = cuda.ballot_sync(ALL, keep)
        if i % 32 == 0:
            counts[i // 32] = cuda.popc(votes)  # here
        if not bug:
            cuda.syncthreads()
        first = counts[0] if i >= 32 else 0  # here
        if keep:
            y[first + cuda.popc(votes & cuda.lanemask_lt())] = x[i]

    return kernel


@pattern(OUTSIDE, 1, 64, numbers(64, 20))
def compaction_into_an_array_that_is_too_small(bug):
    @cuda.jit
    def kernel(x, y):
        base = cuda.shared.array(2, int32)
        i = cuda.threadIdx.x
        keep = x[i] > (10 if bug else 18)
        votes = cuda.ballot_sync(ALL, keep)
        if i % 32 == 0:
            base[i // 32] = cuda.popc(votes)
        cuda.syncthreads()
        first = base[0] if i >= 32 else 0
        if keep:
            y[first + cuda.popc(votes & cuda.lanemask_lt())] = x[i]  # here

    return kernel


@pattern(
    RACES,
    1,
    64,
    lambda: (np.arange(64, dtype=np.int32), (np.arange(64) % 9 == 0).astype(np.int32), np.zeros(64, np.int32)),
)
def segmented_scan_whose_flags_are_not_kept(bug):
    @cuda.jit
    def kernel(x, heads, y):
        values = cuda.shared.array(64, int32)
        flags = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        values[i], flags[i] = x[i], heads[i]
        cuda.syncthreads()
        step = 1
        while step < 64:
            value, flag = values[i], flags[i]
            if i >= step:
                if flag == 0:
                    value += values[i - step]
                flag |= flags[i - step]  # here
            if not bug:
                cuda.syncthreads()
            flags[i] = flag  # here
            if bug:
                cuda.syncthreads()
            values[i] = value
            cuda.syncthreads()
            step *= 2
        y[i] = values[i]

    return kernel


@pattern(RACES, 3, 64, numbers(192, 192, 3))
def block_sums_that_the_same_launch_reads(bug):
    @cuda.jit
    def kernel(x, y, sums):
        b = cuda.blockIdx.x
        cuda.atomic.add(sums, b, x[cuda.grid(1)])  # here
        before = 0
        if bug:
            for block in range(b):
                before += sums[block]  # here
        y[cuda.grid(1)] = before

    return kernel
