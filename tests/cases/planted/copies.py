"""Kernels with asynchronous copies, whose source or destination is touched while they are under way."""

import numpy as np
from numba import cuda, float32

from cases.planted.bugs import FaultKind, pair, planted
from convbench.intrinsics import (
    commit_copies,
    copy_async_4,
    copy_async_4_if,
    copy_async_16,
    wait_copies_0,
    wait_copies_1,
)

TARGET, SOURCE, UNWRITTEN = FaultKind.COPY_TARGET, FaultKind.COPY_SOURCE, FaultKind.UNWRITTEN


@planted(TARGET, "tile", 1, 32, args=pair(64))
def store_to_the_destination_before_the_wait(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(32, float32)
        i = cuda.threadIdx.x
        copy_async_4(tile, i, x, i)
        commit_copies()
        if bug:
            tile[i] = 1  # planted
        wait_copies_0()
        y[i] = tile[i]

    return kernel


@planted(TARGET, "tile", 1, 64, args=pair(64))
def destination_cleared_behind_a_barrier_instead_of_before_the_copy(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        if not bug:
            tile[63 - i] = 0
            cuda.syncthreads()
        if i % 2:
            copy_async_4(tile, i, x, i)
        commit_copies()
        cuda.syncthreads()
        if bug:
            tile[63 - i] = 0  # planted
        wait_copies_0()
        cuda.syncthreads()
        y[i] = tile[i]

    return kernel


@planted(TARGET, "tile", 1, 64, args=pair(256))
def stage_of_a_ring_that_is_written_too_early(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(128, float32)
        i = cuda.threadIdx.x
        copy_async_4(tile, i, x, i)
        commit_copies()
        for k in range(1, 4):
            copy_async_4(tile, k % 2 * 64 + i, x, 64 * k + i)
            commit_copies()
            if bug:
                tile[(k + 1) % 2 * 64 + i] = 2  # planted
            wait_copies_1()
            cuda.syncthreads()
            y[64 * (k - 1) + i] = tile[(k + 1) % 2 * 64 + 63 - i]
            cuda.syncthreads()
        wait_copies_0()
        cuda.syncthreads()
        y[192 + i] = tile[127 - i]

    return kernel


@planted(FaultKind.RACE_WRITE, "tile", 1, 64, args=pair(64), others=frozenset({TARGET, FaultKind.RACE_WRITE}))
def second_copy_to_one_destination(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        if i < 32:
            copy_async_4(tile, i, x, i)
            commit_copies()
        cuda.syncthreads()
        if i >= 32:
            copy_async_4(tile, i - 32 if bug else i, x, i)  # planted
            commit_copies()
        wait_copies_0()
        cuda.syncthreads()
        y[i] = tile[i % 32]

    return kernel


@planted(UNWRITTEN, "tile", 1, 64, args=pair(64))
def read_behind_a_barrier_and_before_the_wait(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        copy_async_4_if(tile, i, x, i, i != 5)
        commit_copies()
        if not bug:
            wait_copies_0()
        cuda.syncthreads()
        y[i] = tile[63 - i]  # planted

    return kernel


@planted(SOURCE, "x", 1, 32, args=pair(32))
def source_overwritten_before_the_wait(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(32, float32)
        i = cuda.threadIdx.x
        copy_async_4(tile, i, x, i)
        commit_copies()
        if not bug:
            wait_copies_0()
        x[i] = 0  # planted
        wait_copies_0()
        y[i] = tile[i]

    return kernel


@planted(SOURCE, "x", 1, 16, args=pair(64))
def part_of_a_wide_source_overwritten(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32, alignment=16)
        i = cuda.threadIdx.x
        copy_async_16(tile, 4 * i, x, 4 * i)
        commit_copies()
        if not bug:
            wait_copies_0()
        x[4 * i + 3] += 1  # planted
        wait_copies_0()
        y[i] = tile[4 * i + 3]

    return kernel


@planted(SOURCE, "x", 1, 64, args=pair(64))
def source_overwritten_behind_a_barrier(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        copy_async_4(tile, i, x, i)
        commit_copies()
        cuda.syncthreads()
        if bug:
            x[i] = -1
        wait_copies_0()  # planted
        x[i] = -2
        y[i] = tile[i]

    return kernel


@planted(FaultKind.RACE_READ, "x", 1, 64, args=pair(64))
def source_overwritten_by_another_thread(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        copy_async_4(tile, i, x, i)  # planted
        commit_copies()
        wait_copies_0()
        if not bug:
            cuda.syncthreads()
        x[63 - i] = 0
        y[i] = tile[i]

    return kernel


def many():
    return np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)


@planted(UNWRITTEN, "tile", 1, 1, args=many)
def a_thousand_copies_of_one_thread(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(1000, float32)
        for k in range(1000):
            copy_async_4(tile, k, x, k)
        commit_copies()
        if not bug:
            wait_copies_0()
        y[0] = tile[0]  # planted
        wait_copies_0()
        for k in range(1000):
            y[k] = tile[k]

    return kernel
