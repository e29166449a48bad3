"""Kernels for the emulator's benchmark, and the same loops for `numba.njit`."""

import numpy as np
from numba import cuda, float32, njit

TILE, DEPTH, PER_THREAD = 64, 16, 4
SIDE = TILE // PER_THREAD  # threads of a block along each axis


@cuda.jit
def naive_convolution(x, w, y, pad):
    """One thread per output element, no shared memory."""
    flat = cuda.grid(1)
    n_k, n_p, n_q = y.shape
    if flat >= n_k * n_p * n_q:
        return
    q, p, k = flat % n_q, flat // n_q % n_p, flat // (n_q * n_p)
    total = float32(0)
    for c in range(x.shape[0]):
        for r in range(w.shape[2]):
            h = p - pad + r
            if 0 <= h < x.shape[1]:
                for s in range(w.shape[3]):
                    j = q - pad + s
                    if 0 <= j < x.shape[2]:
                        total += x[c, h, j] * w[k, c, r, s]
    y[k, p, q] = total


@njit(error_model="numpy")
def naive_loops(x, w, y, pad):
    """The same on one core of the CPU, compiled by Numba."""
    n_k, n_p, n_q = y.shape
    for flat in range(n_k * n_p * n_q):
        q, p, k = flat % n_q, flat // n_q % n_p, flat // (n_q * n_p)
        total = np.float32(0)
        for c in range(x.shape[0]):
            for r in range(w.shape[2]):
                h = p - pad + r
                if 0 <= h < x.shape[1]:
                    for s in range(w.shape[3]):
                        j = q - pad + s
                        if 0 <= j < x.shape[2]:
                            total += x[c, h, j] * w[k, c, r, s]
        y[k, p, q] = total


@cuda.jit
def tiled_gemm(a, b, out):
    """64 x 64 elements in a block, 4 x 4 in a thread, steps of 16 terms, two barriers in a step."""
    a_tile = cuda.shared.array((DEPTH, TILE), float32)
    b_tile = cuda.shared.array((DEPTH, TILE), float32)
    total = cuda.local.array((PER_THREAD, PER_THREAD), float32)
    row, column = cuda.threadIdx.x // SIDE, cuda.threadIdx.x % SIDE
    first_m, first_n = cuda.blockIdx.y * TILE, cuda.blockIdx.x * TILE
    for i in range(PER_THREAD):
        for j in range(PER_THREAD):
            total[i, j] = 0
    for first in range(0, a.shape[1], DEPTH):
        for item in range(cuda.threadIdx.x, DEPTH * TILE, SIDE * SIDE):
            m, l = item // DEPTH, item % DEPTH  # noqa: E741  (the field's letter for the summed index)
            a_tile[l, m] = a[first_m + m, first + l] if first_m + m < a.shape[0] and first + l < a.shape[1] else 0
            l, n = item // TILE, item % TILE  # noqa: E741  (the field's letter for the summed index)
            b_tile[l, n] = b[first + l, first_n + n] if first_n + n < b.shape[1] and first + l < b.shape[0] else 0
        cuda.syncthreads()
        for l in range(DEPTH):  # noqa: E741  (the field's letter for the summed index)
            for i in range(PER_THREAD):
                for j in range(PER_THREAD):
                    total[i, j] += a_tile[l, row * PER_THREAD + i] * b_tile[l, column * PER_THREAD + j]
        cuda.syncthreads()
    for i in range(PER_THREAD):
        for j in range(PER_THREAD):
            m, n = first_m + row * PER_THREAD + i, first_n + column * PER_THREAD + j
            if m < out.shape[0] and n < out.shape[1]:
                out[m, n] = total[i, j]


@njit(error_model="numpy")
def tiled_loops(a, b, out):
    """The same tiles on the CPU: the work between two barriers is the body of a loop over the threads."""
    a_tile = np.empty((DEPTH, TILE), np.float32)
    b_tile = np.empty((DEPTH, TILE), np.float32)
    total = np.empty((SIDE * SIDE, PER_THREAD, PER_THREAD), np.float32)
    for block in range(-(-out.shape[0] // TILE) * -(-out.shape[1] // TILE)):
        first_m = block // -(-out.shape[1] // TILE) * TILE
        first_n = block % -(-out.shape[1] // TILE) * TILE
        total[...] = 0
        for first in range(0, a.shape[1], DEPTH):
            for item in range(DEPTH * TILE):
                m, l = item // DEPTH, item % DEPTH  # noqa: E741  (the field's letter for the summed index)
                a_tile[l, m] = a[first_m + m, first + l] if first_m + m < a.shape[0] and first + l < a.shape[1] else 0
                l, n = item // TILE, item % TILE  # noqa: E741  (the field's letter for the summed index)
                b_tile[l, n] = b[first + l, first_n + n] if first_n + n < b.shape[1] and first + l < b.shape[0] else 0
            for thread in range(SIDE * SIDE):
                row, column = thread // SIDE, thread % SIDE
                for l in range(DEPTH):  # noqa: E741  (the field's letter for the summed index)
                    for i in range(PER_THREAD):
                        for j in range(PER_THREAD):
                            total[thread, i, j] += a_tile[l, row * PER_THREAD + i] * b_tile[l, column * PER_THREAD + j]
        for thread in range(SIDE * SIDE):
            for i in range(PER_THREAD):
                for j in range(PER_THREAD):
                    m = first_m + thread // SIDE * PER_THREAD + i
                    n = first_n + thread % SIDE * PER_THREAD + j
                    if m < out.shape[0] and n < out.shape[1]:
                        out[m, n] = total[thread, i, j]


@cuda.jit
def only_barriers(y, count):
    """Only barriers, to measure their cost."""
    for _ in range(count):
        cuda.syncthreads()
    y[cuda.threadIdx.x] = count


@cuda.jit
def only_shuffles(y, count):
    """Only shuffles, to measure their cost."""
    value = y[cuda.threadIdx.x]
    for _ in range(count):
        value = cuda.shfl_xor_sync(0xFFFFFFFF, value, 1)
    y[cuda.threadIdx.x] = value


@cuda.jit
def nothing(y):
    """An empty kernel, to measure the cost of a launch and of a thread."""
    return  # numba-cuda cannot compile a body that is only a docstring
