"""Reductions: trees in shared memory, shuffles, votes, last blocks, grids."""

import numpy as np
from numba import cuda, float32, int32
from numba.cuda import cg

from cases.patterns.table import ORDER, OUTSIDE, RACES, UNWRITTEN, numbers, pattern
from convbench.emulator import FaultKind

ALL = 0xFFFFFFFF


@pattern(RACES, 1, 128, numbers(128, 1))
def tree_without_a_barrier_in_the_loop(bug):
    @cuda.jit
    def kernel(x, total):
        part = cuda.shared.array(128, int32)
        i = cuda.threadIdx.x
        part[i] = x[i]
        cuda.syncthreads()
        step = 64
        while step > 0:
            if i < step:
                part[i] += part[i + step]  # here
            if not bug:
                cuda.syncthreads()
            step //= 2
        if i == 0:
            total[0] = part[0]

    return kernel


@pattern(RACES, 1, 128, numbers(128, 1))
def last_warp_of_a_tree_without_syncwarp(bug):
    @cuda.jit
    def kernel(x, total):
        part = cuda.shared.array(128, int32)
        i = cuda.threadIdx.x
        part[i] = x[i]
        cuda.syncthreads()
        if i < 64:
            part[i] += part[i + 64]
        cuda.syncthreads()
        if i < 32:
            value = part[i] + part[i + 32]
            cuda.syncwarp()
            part[i] = value
            cuda.syncwarp()
            step = 16
            while step > 0:
                value = part[i] + part[(i + step) % 32]  # here
                if not bug:
                    cuda.syncwarp()
                part[i] = value  # here
                cuda.syncwarp()
                step //= 2
            if i == 0:
                total[0] = part[0]

    return kernel


@pattern(frozenset({FaultKind.SOURCE_NOT_IN_MASK}), 1, 16, numbers(16, 16))
def half_warp_that_uses_a_lane_beyond_its_mask(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        value = x[i]
        step = 8
        while step > 0:
            value += cuda.shfl_down_sync(0xFFFF, value, step)  # here
            step //= 2
        if i == (9 if bug else 0):
            y[0] = value

    return kernel


@pattern(frozenset({FaultKind.MASK_WITHOUT_SELF, FaultKind.INCOMPLETE_COLLECTIVE}), 1, 64, numbers(64, 64))
def partial_mask_of_another_branch(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        lane = i % 32
        rest = 0x0FFFFF00 if bug else 0xFFFFFF00
        mask = 0xFF if lane < 8 else rest
        y[i] = cuda.ballot_sync(mask, x[i] > 9)  # here

    return kernel


@pattern(RACES, 4, 64, numbers(256, 4, 1, 1))
def last_block_that_adds_up_without_a_fence(bug):
    @cuda.jit
    def kernel(x, parts, count, total):
        part = cuda.shared.array(64, int32)
        is_last = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        part[i] = x[cuda.grid(1)]
        cuda.syncthreads()
        step = 32
        while step > 0:
            if i < step:
                part[i] += part[i + step]
            cuda.syncthreads()
            step //= 2
        if i == 0:
            parts[cuda.blockIdx.x] = part[0]  # here
            if not bug:
                cuda.threadfence()
            is_last[0] = cuda.atomic.add(count, 0, 1) == cuda.gridDim.x - 1
        cuda.syncthreads()
        if is_last[0] and i == 0:
            found = 0
            for block in range(cuda.gridDim.x):
                found += parts[block]  # here
            total[0] = found

    return kernel


@pattern(RACES, 4, 32, numbers(128, 4, 1))
def grid_sum_that_does_not_wait_for_the_grid(bug):
    @cuda.jit
    def kernel(x, parts, total):
        grid = cg.this_grid()
        i = cuda.threadIdx.x
        value = x[cuda.grid(1)]
        for step in (16, 8, 4, 2, 1):
            value += cuda.shfl_down_sync(ALL, value, step)
        if i == 0:
            parts[cuda.blockIdx.x] = value  # here
        if not bug:
            grid.sync()
        if cuda.grid(1) == 0:
            total[0] = parts[0] + parts[1] + parts[2] + parts[3]  # here
        if bug:
            grid.sync()

    return kernel


@pattern(RACES, 2, 64, numbers(128, 2))
def warps_that_read_the_sums_of_others_too_early(bug):
    @cuda.jit
    def kernel(x, y):
        sums = cuda.shared.array(2, int32)
        i = cuda.threadIdx.x
        value = x[cuda.grid(1)]
        for step in (16, 8, 4, 2, 1):
            value += cuda.shfl_xor_sync(ALL, value, step)
        if i % 32 == 0:
            sums[i // 32] = value  # here
        if not bug:
            cuda.syncthreads()
        if i == 0:
            y[cuda.blockIdx.x] = sums[0] + sums[1]  # here

    return kernel


@pattern(RACES, 3, 64, numbers(192, 3, 1))
def scratch_that_the_next_round_overwrites(bug):
    @cuda.jit
    def kernel(x, y, z):
        scratch = cuda.shared.array(2, int32)
        i = cuda.threadIdx.x
        for turn in range(3):
            value = x[i + 64 * turn]
            for step in (16, 8, 4, 2, 1):
                value = max(value, cuda.shfl_xor_sync(ALL, value, step))
            if i % 32 == 0:
                scratch[i // 32] = value  # here
            cuda.syncthreads()
            if cuda.blockIdx.x == turn and i == 63:
                y[turn] = max(scratch[0], scratch[1])  # here
            if not bug:
                cuda.syncthreads()

    return kernel


@pattern(ORDER, 2, 64, numbers(128, 1))
def sum_by_a_load_and_an_exchange(bug):
    @cuda.jit
    def kernel(x, total):
        if bug:
            old = cuda.atomic.add(total, 0, 0)
            cuda.atomic.exch(total, 0, old + x[cuda.grid(1)])
        else:
            cuda.atomic.add(total, 0, x[cuda.grid(1)])

    return kernel


def largest():
    return np.linspace(-5, 90, 128).astype(np.float32), np.full(1, -1000, np.float32)


@pattern(RACES, 2, 64, largest)
def float_maximum_by_a_plain_comparison(bug):
    @cuda.jit
    def kernel(x, most):
        value = x[cuda.grid(1)]
        if bug:
            if value > most[0]:  # here
                most[0] = value  # here
        else:
            cuda.atomic.max(most, 0, value)

    return kernel


@pattern(UNWRITTEN, 1, 64, lambda: (np.arange(50, dtype=np.float32), np.zeros(1, np.float32)))
def tail_of_a_tree_that_nobody_cleared(bug):
    @cuda.jit
    def kernel(x, total):
        part = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        if i < x.size:
            part[i] = x[i]
        elif not bug:
            part[i] = 0
        cuda.syncthreads()
        step = 32
        while step > 0:
            if i < step:
                part[i] += part[i + step]  # here
            cuda.syncthreads()
            step //= 2
        if i == 0:
            total[0] = part[0]

    return kernel


@pattern(OUTSIDE, 1, 64, numbers(64, 1))
def first_step_of_a_tree_that_is_too_wide(bug):
    @cuda.jit
    def kernel(x, total):
        part = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        part[i] = x[i]
        cuda.syncthreads()
        step = 64 if bug else 32
        while step > 0:
            if i < step:
                value = part[i + step]  # here
                part[i] += value
            cuda.syncthreads()
            step //= 2
        if i == 0:
            total[0] = part[0]

    return kernel


@cuda.jit(device=True)
def block_sum(scratch, value, i, safe):
    scratch[i] = value  # here
    cuda.syncthreads()
    found = 0
    for j in range(64):
        found += scratch[j]  # here
    if safe:
        cuda.syncthreads()
    return found


@pattern(RACES, 1, 64, numbers(64, 64), beside=(block_sum,))
def sum_of_a_device_function_called_twice(bug):
    @cuda.jit
    def kernel(x, y):
        scratch = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        y[i] = block_sum(scratch, x[i], i, not bug) + block_sum(scratch, x[i] * x[i], i, True)

    return kernel


@pattern(frozenset({FaultKind.EARLY_EXIT}), 1, 64, numbers(50, 1))
def threads_beyond_the_end_that_leave_a_tree(bug):
    @cuda.jit
    def kernel(x, total):
        part = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        if bug and i >= x.size:
            return
        part[i] = x[i] if i < x.size else 0
        cuda.syncthreads()  # here
        step = 32
        while step > 0:
            if i < step:
                part[i] += part[i + step]
            cuda.syncthreads()  # here
            step //= 2
        if i == 0:
            total[0] = part[0]

    return kernel
