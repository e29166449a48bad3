"""Kernels whose blocks and threads are ordered by fences and atomics, and the same kernels without a fence."""

import numpy as np
from numba import cuda, int32
from numba.cuda import libdevice

from cases.planted.bugs import FaultKind, planted

READ = FaultKind.RACE_READ


def counted():
    return np.arange(64, dtype=np.int32), np.zeros(8, np.int32), np.zeros(1, np.int32), np.zeros(1, np.int32)


@planted(READ, "parts", 4, 32, args=counted)
def last_block_sums_up(bug):
    @cuda.jit
    def kernel(x, parts, total, count):
        is_last = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        if i == 0:
            parts[cuda.blockIdx.x] = x[cuda.blockIdx.x]
            if not bug:
                cuda.threadfence()
            is_last[0] = cuda.atomic.add(count, 0, 1) == cuda.gridDim.x - 1
        cuda.syncthreads()
        if is_last[0] and i < cuda.gridDim.x:
            cuda.atomic.add(total, 0, parts[i])  # planted
        if is_last[0] and i == 0:
            count[0] = 0

    return kernel


@planted(READ, "total", 2, 32, args=counted)
def lock_by_compare_and_swap(bug):
    @cuda.jit
    def kernel(x, parts, total, lock):
        while cuda.atomic.cas(lock, 0, 0, 1) != 0:
            pass
        total[0] += x[cuda.grid(1)]  # planted
        if not bug:
            cuda.threadfence()
        cuda.atomic.exch(lock, 0, 0)

    return kernel


@planted(READ, "total", 2, 32, args=counted, block=(1, 0, 0))
def lock_between_blocks_with_a_fence_of_the_block(bug):
    @cuda.jit
    def kernel(x, parts, total, lock):
        while cuda.atomic.cas(lock, 0, 0, 1) != 0:
            pass
        total[0] += x[cuda.grid(1)]  # planted
        if bug:
            cuda.threadfence_block()
        else:
            cuda.threadfence_system()
        cuda.atomic.exch(lock, 0, 0)

    return kernel


@planted(READ, "total", 1, 64, args=counted)
def lock_within_a_block(bug):
    @cuda.jit
    def kernel(x, parts, total, count):
        lock = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        if i == 0:
            lock[0] = 0
        cuda.syncthreads()
        while cuda.atomic.cas(lock, 0, 0, 1) != 0:
            pass
        if bug:
            cuda.threadfence_block()
        total[0] += x[i]  # planted
        if not bug:
            cuda.threadfence_block()
        cuda.atomic.exch(lock, 0, 0)

    return kernel


@planted(READ, "parts", 2, 1, args=counted)
def second_block_reads_what_the_first_wrote(bug):
    @cuda.jit
    def kernel(x, parts, total, count):
        b = cuda.blockIdx.x
        parts[b] = x[b + 5]
        if not bug:
            cuda.threadfence()
        if cuda.atomic.add(count, 0, 1) == 1:
            total[0] = parts[1 - b] + parts[b]  # planted

    return kernel


def bits():
    return np.arange(64, dtype=np.float32)[::-1].copy(), np.full(1, 0x7F800000, np.int32)


@planted(READ, "low", 2, 32, args=bits)
def minimum_by_compare_and_swap(bug):
    @cuda.jit
    def kernel(x, low):
        value = x[cuda.grid(1)]
        if bug:
            if libdevice.int_as_float(low[0]) > value:  # planted
                low[0] = libdevice.float_as_int(value)
            return
        old = low[0]
        while True:
            assumed = old
            least = min(libdevice.int_as_float(assumed), value)
            old = cuda.atomic.cas(low, 0, assumed, libdevice.float_as_int(least))
            if old == assumed:
                break

    return kernel


@planted(FaultKind.RACE_OVERWRITE, "low", 1, 64, args=bits)
def minimum_that_is_read_at_once(bug):
    @cuda.jit
    def kernel(x, low):
        i = cuda.grid(1)
        cuda.atomic.min(low, 0, libdevice.float_as_int(x[i]))  # planted
        if not bug:
            cuda.syncthreads()
        x[i] = libdevice.int_as_float(low[0])

    return kernel


@planted(READ, "total", 1, 96, args=counted)
def lock_by_exchange_within_a_block(bug):
    @cuda.jit
    def kernel(x, parts, total, lock):
        if cuda.threadIdx.x % 32 == 0:
            while cuda.atomic.exch(lock, 0, 1) != 0:
                pass
            total[0] += x[cuda.threadIdx.x % 64]  # planted
            if not bug:
                cuda.threadfence()
            cuda.atomic.exch(lock, 0, 0)

    return kernel
