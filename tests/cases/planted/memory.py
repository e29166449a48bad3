"""Kernels with planted bugs of memory: reads of memory that was never written, and misaligned accesses."""

import numpy as np
from numba import cuda, float32, float64

from cases.planted.bugs import FaultKind, floats, pair, planted

UNWRITTEN, MISALIGNED = FaultKind.UNWRITTEN, FaultKind.MISALIGNED


# ---- reads of what nobody wrote


@planted(UNWRITTEN, "tile", 1, 8, args=pair(8), thread=(0, 0, 0))
def shared_element_that_nobody_wrote(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(8, float32)
        i = cuda.threadIdx.x
        if i < 8 - bug:
            tile[i] = x[i]
        cuda.syncthreads()
        y[i] = tile[7 - i]  # planted

    return kernel


@planted(UNWRITTEN, "tile", 1, 8, args=pair(8), thread=(7, 0, 0))
def halo_that_nobody_loaded(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(10, float32)
        i = cuda.threadIdx.x
        tile[i + 1] = x[i]
        if i == 0:
            tile[0] = 0
        if i == 7 and not bug:
            tile[9] = 0
        cuda.syncthreads()
        y[i] = tile[i] + tile[i + 2]  # planted

    return kernel


@planted(UNWRITTEN, "dynamic", 1, 8, args=pair(8), shared_bytes=64, thread=(0, 0, 0))
def dynamic_shared_memory_that_nobody_wrote(bug):
    @cuda.jit
    def kernel(x, y):
        dynamic = cuda.shared.array(0, float32)
        i = cuda.threadIdx.x
        dynamic[i] = x[i]
        cuda.syncthreads()
        y[i] = dynamic[i + 8 * bug]  # planted

    return kernel


@planted(UNWRITTEN, "tile", 2, 8, args=pair(16), block=(1, 0, 0), thread=(0, 0, 0))
def shared_memory_of_the_block_before(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(8, float32)
        i = cuda.threadIdx.x
        if cuda.blockIdx.x == 0 or not bug:
            tile[i] = x[i]
        cuda.syncthreads()
        y[cuda.grid(1)] = tile[i]  # planted

    return kernel


@planted(UNWRITTEN, "local", 1, 8, args=pair(8), thread=(3, 0, 0))
def local_element_that_nobody_wrote(bug):
    @cuda.jit
    def kernel(x, y):
        local = cuda.local.array(4, float32)
        i = cuda.threadIdx.x
        for j in range(4 - bug):
            local[j] = x[j]
        y[i] = local[i % 4]  # planted

    return kernel


@planted(UNWRITTEN, "local", 1, 8, args=pair(8), thread=(0, 0, 0))
def accumulator_that_nobody_cleared(bug):
    @cuda.jit
    def kernel(x, y):
        local = cuda.local.array(2, float64)
        i = cuda.threadIdx.x
        for turn in range(3):
            if not bug and turn == 0:
                local[i % 2] = 0
            local[i % 2] += x[i]  # planted
        y[i] = local[i % 2]

    return kernel


@planted(UNWRITTEN, "x", 1, 8, args=pair(8), forgotten=(0,), thread=(0, 0, 0))
def global_memory_that_nobody_wrote(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i > 0 or not bug:
            x[i] = i
        y[i] = x[i]  # planted

    return kernel


@planted(UNWRITTEN, "y", 2, 4, args=pair(8), forgotten=(1,), block=(0, 0, 0), thread=(0, 0, 0))
def atomic_on_memory_that_nobody_cleared(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        if not bug:
            y[i] = 0
        cuda.atomic.add(y, i, x[i])  # planted

    return kernel


@planted(UNWRITTEN, "count", 1, 8, args=pair(8))
def shared_count_that_nobody_cleared(bug):
    @cuda.jit
    def kernel(x, y):
        count = cuda.shared.array(1, float32)
        i = cuda.threadIdx.x
        if i == 0 and not bug:
            count[0] = 0
        cuda.syncthreads()
        cuda.atomic.add(count, 0, x[i])  # planted
        cuda.syncthreads()
        y[i] = count[0]

    return kernel


# ---- misaligned accesses


@planted(MISALIGNED, "x", 1, 2, args=lambda: (floats(16), np.zeros(8)), thread=(0, 0, 0))
def wide_access_at_an_odd_offset(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        y[i] = x[bug : 8 + bug].view(np.float64)[i]  # planted

    return kernel


@planted(MISALIGNED, "dynamic", 1, 2, args=lambda: (floats(16), np.zeros(8)), shared_bytes=64, thread=(0, 0, 0))
def two_types_packed_into_dynamic_shared_memory(bug):
    @cuda.jit
    def kernel(x, y):
        dynamic = cuda.shared.array(0, float32)
        i = cuda.threadIdx.x
        dynamic[i] = x[i]
        doubles = dynamic[2 + bug : 10 + bug].view(np.float64)
        doubles[i] = x[i]  # planted
        cuda.syncthreads()
        y[i] = doubles[1 - i] + dynamic[i]

    return kernel
