"""Locks, queues, flags, and barriers of blocks and grids."""

import numpy as np
from numba import cuda, int32
from numba.cuda import cg

from cases.patterns.table import ORDER, OUTSIDE, RACES, STUCK, UNWRITTEN, numbers, pattern
from convbench.emulator import FaultKind

ALL = 0xFFFFFFFF


@pattern(RACES, 3, 32, numbers(96, 1, 1))
def lock_that_is_released_without_a_fence(bug):
    @cuda.jit
    def kernel(x, total, lock):
        if cuda.threadIdx.x == 0:
            while cuda.atomic.cas(lock, 0, 0, 1) != 0:
                pass
            cuda.threadfence()
            total[0] += x[cuda.blockIdx.x]  # here
            if not bug:
                cuda.threadfence()
            cuda.atomic.exch(lock, 0, 0)

    return kernel


@pattern(RACES, 3, 1, numbers(3, 1, 1))
def lock_that_one_path_does_not_take(bug):
    @cuda.jit
    def kernel(x, total, lock):
        b = cuda.blockIdx.x
        takes = not bug or b != 1
        if takes:
            while cuda.atomic.cas(lock, 0, 0, 1) != 0:
                pass
            cuda.threadfence()
        total[0] += x[b]  # here
        if takes:
            cuda.threadfence()
            cuda.atomic.exch(lock, 0, 0)

    return kernel


@pattern(STUCK, 2, 1, numbers(2, 1, 1))
def lock_that_is_never_released(bug):
    @cuda.jit
    def kernel(x, total, lock):
        while cuda.atomic.cas(lock, 0, 0, 1) != 0:  # here
            pass
        cuda.threadfence()
        total[0] += x[cuda.blockIdx.x]
        cuda.threadfence()
        if not bug:
            cuda.atomic.exch(lock, 0, 0)

    return kernel


@pattern(RACES, 4, 1, numbers(4, 1, 2))
def ticket_lock_that_serves_too_early(bug):
    @cuda.jit
    def kernel(x, total, tickets):
        mine = cuda.atomic.add(tickets, 0, 1)
        while cuda.atomic.add(tickets, 1, 0) != mine:
            pass
        cuda.threadfence()
        if bug:
            cuda.atomic.add(tickets, 1, 1)
        total[0] += x[cuda.blockIdx.x]  # here
        cuda.threadfence()
        if not bug:
            cuda.atomic.add(tickets, 1, 1)

    return kernel


@pattern(STUCK, 1, 2, numbers(2, 2))
def two_locks_in_two_orders(bug):
    @cuda.jit
    def kernel(x, locks):
        i = cuda.threadIdx.x
        first = i if bug else 0
        while cuda.atomic.cas(locks, first, 0, 1) != 0:
            pass
        if bug:
            cuda.syncthreads()
        while cuda.atomic.cas(locks, 1 - first, 0, 1) != 0:  # here
            pass
        cuda.atomic.exch(locks, 1 - first, 0)
        cuda.atomic.exch(locks, first, 0)

    return kernel


@pattern(RACES, 2, 1, numbers(2, 2, 1))
def flag_that_is_set_before_the_data(bug):
    @cuda.jit
    def kernel(x, box, flag):
        if cuda.blockIdx.x == 0:
            if bug:
                cuda.atomic.exch(flag, 0, 1)
            box[0] = x[1]  # here
            cuda.threadfence()
            if not bug:
                cuda.atomic.exch(flag, 0, 1)
        else:
            while cuda.atomic.add(flag, 0, 0) == 0:
                pass
            cuda.threadfence()
            box[1] = box[0] + 1  # here

    return kernel


@pattern(RACES, 2, 64, numbers(128, 128, 1))
def consumer_whose_other_threads_do_not_wait(bug):
    @cuda.jit
    def kernel(x, y, flag):
        i = cuda.threadIdx.x
        if cuda.blockIdx.x == 0:
            y[i] = x[i] + 1  # here
            cuda.threadfence()
            cuda.syncthreads()
            if i == 0:
                cuda.atomic.exch(flag, 0, 1)
        else:
            if i == 0:
                while cuda.atomic.add(flag, 0, 0) == 0:
                    pass
                cuda.threadfence()
            if not bug:
                cuda.syncthreads()
            y[64 + i] = y[i] * 2  # here

    return kernel


@pattern(RACES, 4, 32, numbers(128, 128, 1))
def barrier_of_blocks_without_a_barrier_of_threads(bug):
    @cuda.jit
    def kernel(x, y, count):
        i = cuda.grid(1)
        y[i] = x[i] * 3  # here
        cuda.threadfence()
        if not bug:
            cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            cuda.atomic.add(count, 0, 1)
            while cuda.atomic.add(count, 0, 0) < cuda.gridDim.x:
                pass
            cuda.threadfence()
        cuda.syncthreads()
        x[i] = y[(i + 37) % 128]  # here

    return kernel


@pattern(
    frozenset({FaultKind.INCOMPLETE_BARRIER, FaultKind.EARLY_EXIT, FaultKind.DIVERGENT_BARRIER}), 3, 32, numbers(96, 96)
)
def grid_barrier_that_a_block_leaves_out(bug):
    @cuda.jit
    def kernel(x, y):
        grid = cg.this_grid()
        i = cuda.grid(1)
        y[i] = x[i]
        if bug and cuda.blockIdx.x == 2:
            return
        grid.sync()  # here
        x[i] = y[(i + 32) % 96]

    return kernel


@pattern(RACES, 3, 32, numbers(96, 96))
def grid_steps_with_one_barrier_too_few(bug):
    @cuda.jit
    def kernel(x, y):
        grid = cg.this_grid()
        i = cuda.grid(1)
        for _ in range(2):
            y[i] = x[i] + x[(i + 1) % 96]  # here
            grid.sync()
            x[i] = y[(i + 33) % 96]  # here
            if not bug:
                grid.sync()

    return kernel


def queue():
    return np.arange(40, dtype=np.int32), np.zeros(40, np.int32), np.zeros(1, np.int32)


@pattern(RACES, 3, 32, queue)
def work_queue_whose_item_is_shared_too_early(bug):
    @cuda.jit
    def kernel(x, y, head):
        item = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        while True:
            if i == 0:
                item[0] = cuda.atomic.add(head, 0, 8)  # here
            cuda.syncthreads()
            first = item[0]  # here
            if not bug:
                cuda.syncthreads()
            if first >= x.size:
                break
            if i < 8:
                y[first + i] = x[first + i] * 2
        if bug and i == 0:
            head[0] = 0

    return kernel


@pattern(ORDER, 4, 1, queue)
def work_queue_that_takes_items_in_two_steps(bug):
    @cuda.jit
    def kernel(x, y, head):
        while True:
            if bug:
                item = cuda.atomic.add(head, 0, 0)
                cuda.atomic.max(head, 0, item + 1)
            else:
                item = cuda.atomic.add(head, 0, 1)
            if item >= x.size:
                break
            cuda.atomic.add(y, item, x[item])

    return kernel


@pattern(OUTSIDE, 2, 8, numbers(16, 10, 1))
def stack_that_overflows(bug):
    @cuda.jit
    def kernel(x, stack, top):
        i = cuda.grid(1)
        if x[i] > 3:
            place = cuda.atomic.add(top, 0, 1)
            if bug or place < stack.size:
                cuda.atomic.add(stack, place, 1)  # here

    return kernel


@pattern(STUCK, 1, 64, numbers(64, 1))
def spinning_on_an_atomic_of_a_thread_at_a_barrier(bug):
    @cuda.jit
    def kernel(x, flag):
        i = cuda.threadIdx.x
        if i == 0:
            while bug and cuda.atomic.add(flag, 0, 0) == 0:  # here
                pass
        cuda.syncthreads()
        if i == 1:
            cuda.atomic.exch(flag, 0, 1)

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def warps_of_which_one_makes_and_one_takes(bug):
    @cuda.jit
    def kernel(x, y):
        box = cuda.shared.array(32, int32)
        ready = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        if i == 0:
            ready[0] = 0
        cuda.syncthreads()
        if i < 32:
            box[i] = x[i] + 1  # here
            if not bug:
                cuda.threadfence_block()
                cuda.syncwarp()
            if i == 0:
                cuda.threadfence_block()
                cuda.atomic.exch(ready, 0, 1)
        else:
            if i == 32:
                while cuda.atomic.add(ready, 0, 0) == 0:
                    pass
                cuda.threadfence_block()
            cuda.syncwarp()
            y[i] = box[63 - i]  # here

    return kernel


@pattern(
    frozenset({FaultKind.INCOMPLETE_COLLECTIVE, FaultKind.EARLY_EXIT, FaultKind.DIVERGENT_BARRIER}),
    1,
    64,
    numbers(64, 64),
)
def syncwarp_that_a_lane_replaces_by_syncthreads(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug and i == 5:
            cuda.syncthreads()
        else:
            cuda.syncwarp()  # here
        cuda.syncthreads()
        y[i] = x[i]

    return kernel


@pattern(UNWRITTEN, 2, 32, numbers(64, 64))
def state_that_a_later_block_does_not_inherit(bug):
    @cuda.jit
    def kernel(x, y):
        total = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        if i == 0 and (not bug or cuda.blockIdx.x == 0):
            total[0] = 0
        cuda.syncthreads()
        cuda.atomic.add(total, 0, x[cuda.grid(1)])  # here
        cuda.syncthreads()
        y[cuda.grid(1)] = total[0]

    return kernel


@pattern(RACES, 1, 64, numbers(64, 1, 1))
def spin_lock_of_lanes_of_one_warp(bug):
    @cuda.jit
    def kernel(x, total, lock):
        i = cuda.threadIdx.x
        done = False
        while not done:
            if cuda.atomic.cas(lock, 0, 0, 1) == 0:
                if bug:
                    cuda.atomic.exch(lock, 0, 0)
                cuda.threadfence()
                total[0] += x[i]  # here
                cuda.threadfence()
                if not bug:
                    cuda.atomic.exch(lock, 0, 0)
                done = True

    return kernel
