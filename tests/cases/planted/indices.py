"""Kernels with planted bugs of indices: beyond the end of an axis, or before its beginning."""

import numpy as np
from numba import cuda, float32, int32

from cases.planted.bugs import FaultKind, floats, pair, planted

INDEX = FaultKind.INDEX
TABLE_OF_SQUARES = np.array([0, 1, 4, 9], np.float32)


@planted(INDEX, "x", 2, 4, args=pair(8), block=(1, 0, 0), thread=(3, 0, 0))
def read_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        y[i] = x[i + bug]  # planted

    return kernel


@planted(INDEX, "y", 2, 4, args=pair(8), block=(1, 0, 0), thread=(3, 0, 0))
def write_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        y[(i + bug) if i else 0] = x[i]  # planted

    return kernel


@planted(INDEX, "x", 1, (4, 3), args=pair(3, 4), block=(0, 0, 0), thread=(0, 2, 0))
def index_beyond_axis_0(bug):
    @cuda.jit
    def kernel(x, y):
        j, i = cuda.grid(2)
        y[i, j] = x[i + bug, j]  # planted

    return kernel


@planted(INDEX, "x", 1, (4, 3), args=pair(3, 4), block=(0, 0, 0), thread=(3, 0, 0))
def index_beyond_axis_1_inside_the_buffer(bug):
    @cuda.jit
    def kernel(x, y):
        j, i = cuda.grid(2)
        y[i, j] = x[i, j + bug]  # planted

    return kernel


@planted(INDEX, "y", 1, (4, 3, 2), args=pair(2, 3, 4), block=(0, 0, 0), thread=(3, 0, 0))
def index_beyond_axis_2(bug):
    @cuda.jit
    def kernel(x, y):
        k, j, i = cuda.threadIdx.x, cuda.threadIdx.y, cuda.threadIdx.z
        y[i, j, k + bug] = x[i, j, k]  # planted

    return kernel


@planted(INDEX, "x", 1, 8, args=pair(8), block=(0, 0, 0), thread=(0, 0, 0), strict_index=True)
def negative_index(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        y[i] = x[i - bug]  # planted

    return kernel


@planted(INDEX, "tile", 1, 8, args=pair(8), thread=(7, 0, 0))
def shared_index_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(8, float32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        cuda.syncthreads()
        y[i] = tile[i + bug]  # planted

    return kernel


@planted(INDEX, "tile", 1, 8, args=pair(8), thread=(0, 0, 0), strict_index=True)
def negative_shared_index(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(8, float32)
        i = cuda.threadIdx.x
        tile[i - bug] = x[i]  # planted
        cuda.syncthreads()
        y[i] = tile[i]

    return kernel


@planted(INDEX, "tile", 1, (4, 2), args=pair(2, 4), thread=(3, 0, 0))
def shared_index_beyond_its_axis_inside_the_tile(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array((2, 4), float32)
        j, i = cuda.threadIdx.x, cuda.threadIdx.y
        tile[i, j] = x[i, j]
        cuda.syncthreads()
        y[i, j] = tile[i, j + bug]  # planted

    return kernel


@planted(INDEX, "dynamic", 1, 8, args=pair(8), shared_bytes=32, thread=(7, 0, 0))
def dynamic_shared_index_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        dynamic = cuda.shared.array(0, float32)
        i = cuda.threadIdx.x
        dynamic[i + bug] = x[i]  # planted
        cuda.syncthreads()
        y[i] = dynamic[7 - i + bug]

    return kernel


@planted(INDEX, "local", 1, 8, args=pair(8), thread=(4, 0, 0))
def local_index_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        local = cuda.local.array(4, float32)
        i = cuda.threadIdx.x
        for j in range(4):
            local[j] = x[j]
        y[i] = local[i % (4 + bug)]  # planted

    return kernel


@planted(INDEX, "local", 1, 8, args=pair(8), thread=(0, 0, 0), strict_index=True)
def negative_local_index(bug):
    @cuda.jit
    def kernel(x, y):
        local = cuda.local.array((2, 2), float32)
        i = cuda.threadIdx.x
        for j in range(4):
            local[j // 2, j % 2 - 2 * bug * (i == 0)] = x[j]  # planted
        y[i] = local[i // 2 % 2, i % 2]

    return kernel


@planted(INDEX, "", 1, 4, args=pair(4), thread=(3, 0, 0))  # constants have no name in the IR
def constant_index_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        squares = cuda.const.array_like(TABLE_OF_SQUARES)
        i = cuda.threadIdx.x
        y[i] = squares[i + bug]  # planted

    return kernel


@cuda.jit(device=True)
def neighbour(values, index):
    return values[index + 1]  # planted


@planted(INDEX, "x", 1, 8, args=pair(8), thread=(7, 0, 0), beside=neighbour.py_func)
def index_beyond_the_end_in_a_device_function(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        y[i] = neighbour(x, i - 1 + bug) if i or bug else x[0]

    return kernel


@planted(INDEX, "y", 1, 8, args=pair(8), thread=(7, 0, 0))
def atomic_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        cuda.atomic.add(y, i + bug, x[i])  # planted

    return kernel


@planted(INDEX, "counts", 1, 8, args=pair(8), thread=(7, 0, 0))
def atomic_beyond_a_shared_axis(bug):
    @cuda.jit
    def kernel(x, y):
        counts = cuda.shared.array((2, 4), float32)
        i = cuda.threadIdx.x
        counts[i // 4, i % 4] = 0
        cuda.syncthreads()
        cuda.atomic.max(counts, (i // 4, 3 + bug * (i == 7)), x[i])  # planted
        cuda.syncthreads()
        y[i] = counts[1, 3]

    return kernel


@planted(INDEX, "y", 1, 8, args=lambda: (floats(8), np.zeros(8, np.int32)), thread=(7, 0, 0))
def compare_and_swap_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        cuda.atomic.cas(y, i + bug, 0, 1)  # planted

    return kernel


# ---- negative indices of atomics


@planted(INDEX, "y", 1, 1, args=pair(8), thread=(0, 0, 0))
def atomic_addition_before_the_beginning(bug):
    @cuda.jit
    def kernel(x, y):
        cuda.atomic.add(y, -9 * bug, x[1])  # planted

    return kernel


@planted(INDEX, "y", 1, 4, args=pair(8), thread=(0, 0, 0), strict_index=True)
def atomic_maximum_at_the_last_element_from_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        cuda.atomic.max(y, i - bug, x[i])  # planted

    return kernel


@planted(INDEX, "y", 1, 4, args=lambda: (floats(4), np.zeros((4, 4), np.int32)), thread=(0, 0, 0), strict_index=True)
def atomic_exchange_before_the_beginning_of_axis_1(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        cuda.atomic.exch(y, (i, i - bug), 7)  # planted

    return kernel


@planted(INDEX, "tile", 1, 4, args=pair(8), thread=(0, 0, 0), strict_index=True)
def atomic_comparison_before_the_beginning_of_a_shared_array(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(4, int32)
        i = cuda.threadIdx.x
        tile[i] = 0
        cuda.syncthreads()
        cuda.atomic.cas(tile, i - bug, 0, 1)  # planted

    return kernel
