"""Kernels with planted races in shared memory: inside a block, and inside a warp."""

import numpy as np
from numba import cuda, float32, int32

from cases.planted.bugs import FaultKind, floats, pair, planted

READ, WRITE, OVERWRITE = FaultKind.RACE_READ, FaultKind.RACE_WRITE, FaultKind.RACE_OVERWRITE
EVERYBODY = 0xFFFFFFFF


@planted(OVERWRITE, "tile", 1, 64, args=pair(64), thread=(32, 0, 0))
def no_barrier_after_loading(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        tile[i] = x[i]  # planted
        if not bug:
            cuda.syncthreads()
        y[i] = tile[63 - i]  # the first threads may have read before the others write

    return kernel


@planted(READ, "tile", 1, 64, args=lambda: (floats(128), np.zeros(64, np.float32)), thread=(1, 0, 0))
def no_barrier_before_loading_again(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        total = float32(0)
        for k in range(2):
            tile[i] = x[64 * k + i]
            cuda.syncthreads()
            for j in range(64):
                total += tile[j]  # planted
            if not bug:
                cuda.syncthreads()
        y[i] = total

    return kernel


@planted(WRITE, "flag", 1, 64, args=pair(64), thread=(32, 0, 0))
def all_threads_write_one_shared_element(bug):
    @cuda.jit
    def kernel(x, y):
        flag = cuda.shared.array(1, float32)
        i = cuda.threadIdx.x
        if i == 0 or bug:
            flag[0] = x[0]  # planted
        cuda.syncthreads()
        y[i] = flag[0]

    return kernel


@planted(READ, "tile", 1, 64, args=pair(64), thread=(33, 0, 0))
def reads_what_a_neighbour_writes(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        if i == 32:
            tile[0] = x[0]
        if not bug:
            cuda.syncthreads()
        if i == 33:
            y[0] = tile[0]  # planted

    return kernel


@planted(OVERWRITE, "tile", 1, 64, args=pair(64), thread=(40, 0, 0))
def writes_what_a_neighbour_reads(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        cuda.syncthreads()
        if i == 3:
            y[0] = tile[40]
        if not bug:
            cuda.syncthreads()
        if i == 40:
            tile[40] = 1  # planted

    return kernel


@planted(OVERWRITE, "tile", 1, 64, args=pair(64))
def reduction_without_a_barrier_between_its_steps(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        cuda.syncthreads()
        step = 32
        while step > 0:
            if i < step:
                tile[i] += tile[i + step]  # planted
            step //= 2
            if not bug:
                cuda.syncthreads()
        if i == 0:
            y[0] = tile[0]

    return kernel


@planted(WRITE, "dynamic", 1, 64, args=pair(64), shared_bytes=256, thread=(1, 0, 0))
def two_threads_write_one_dynamic_element(bug):
    @cuda.jit
    def kernel(x, y):
        dynamic = cuda.shared.array(0, float32)
        i = cuda.threadIdx.x
        dynamic[i // (1 + bug)] = x[i]  # planted
        cuda.syncthreads()
        y[i] = dynamic[i // (1 + bug)]

    return kernel


# ---- inside a warp


@planted(READ, "tile", 1, 32, args=pair(32), thread=(1, 0, 0), others=frozenset({READ, OVERWRITE}))
def no_syncwarp(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(32, float32)
        i = cuda.threadIdx.x
        tile[i] = 0
        cuda.syncthreads()
        if i == 0:
            tile[0] = x[0]
        if not bug:
            cuda.syncwarp()
        if i == 1:
            y[0] = tile[0]  # planted

    return kernel


@planted(READ, "tile", 1, 64, args=pair(64), thread=(32, 0, 0), others=frozenset({READ, OVERWRITE}))
def syncwarp_where_a_barrier_is_needed(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        tile[i] = 0
        cuda.syncthreads()
        if i < 32:
            tile[i] = x[i]
        if bug:
            cuda.syncwarp()
        else:
            cuda.syncthreads()
        if i >= 32:
            y[i] = tile[i - 32]  # planted

    return kernel


@planted(READ, "tile", 1, 32, args=pair(32), thread=(16, 0, 0), others=frozenset({READ, OVERWRITE}))
def syncwarp_without_the_partner(bug):
    lower_half = 0xFFFF if bug else EVERYBODY
    upper_half = 0xFFFF0000 if bug else EVERYBODY

    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(32, float32)
        i = cuda.threadIdx.x
        tile[i] = 0
        cuda.syncthreads()
        if i < 16:
            tile[i] = x[i]
        cuda.syncwarp(lower_half if i < 16 else upper_half)
        if i >= 16:
            y[i] = tile[i - 16]  # planted

    return kernel


@planted(READ, "tile", 1, 32, args=pair(32), thread=(16, 0, 0))
def warp_reduction_with_one_syncwarp_a_step(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(32, float32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        for step in (16, 8, 4, 2, 1):
            cuda.syncwarp()
            total = tile[i] + tile[i ^ step]  # planted
            if not bug:
                cuda.syncwarp()
            tile[i] = total
        y[i] = tile[i]

    return kernel


@planted(OVERWRITE, "tile", 2, 32, args=pair(64), block=(1, 0, 0), others=frozenset({READ, OVERWRITE}))
def only_the_second_block_overwrites_too_early(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(32, float32)
        i = cuda.threadIdx.x
        tile[i] = x[cuda.grid(1)]
        cuda.syncthreads()
        y[cuda.grid(1)] = tile[31 - i]
        if cuda.blockIdx.x == 0 or not bug:
            cuda.syncthreads()
        if i == 31:
            tile[i] = 0  # planted

    return kernel


# ---- through two dynamic arrays, which are one memory


@planted(READ, "words", 1, 64, args=pair(64), shared_bytes=256)
def a_race_through_two_types_of_dynamic_memory(bug):
    @cuda.jit
    def kernel(x, y):
        words = cuda.shared.array(0, float32)
        counts = cuda.shared.array(0, int32)
        i = cuda.threadIdx.x
        words[i] = x[i]
        cuda.syncthreads()
        y[i] = counts[63 - i]  # planted
        if not bug:
            cuda.syncthreads()
        words[i] = 0

    return kernel


@planted(READ, "tile", 1, 32, args=pair(32), others=frozenset({READ, OVERWRITE}))
def halves_meet_at_two_lines(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(32, float32)
        i = cuda.threadIdx.x
        tile[i] = 0
        cuda.syncthreads()
        if i < 16:
            tile[i] = x[i]
            cuda.syncwarp(EVERYBODY - 0xFFFF0000 * bug)
        else:
            cuda.syncwarp(EVERYBODY - 0xFFFF * bug)
            y[i] = tile[i - 16]  # planted

    return kernel
