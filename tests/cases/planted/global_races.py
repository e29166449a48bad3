"""Kernels with planted races of atomics and in global memory, between threads of one block and between blocks."""

import numpy as np
from numba import cuda, int32

from cases.planted.bugs import FaultKind, floats, pair, planted

READ, WRITE, OVERWRITE = FaultKind.RACE_READ, FaultKind.RACE_WRITE, FaultKind.RACE_OVERWRITE


# ---- atomics


@planted(WRITE, "count", 1, 64, args=pair(64), thread=(1, 0, 0), others=frozenset({READ, WRITE, OVERWRITE}))
def shared_atomic_against_a_plain_write(bug):
    @cuda.jit
    def kernel(x, y):
        count = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        if i == 0:
            count[0] = 0
        if not bug:
            cuda.syncthreads()
        cuda.atomic.add(count, 0, 1)  # planted
        cuda.syncthreads()
        y[i] = count[0]

    return kernel


@planted(READ, "y", 1, 64, args=pair(64), thread=(1, 0, 0), others=frozenset({READ, OVERWRITE}))
def global_atomic_against_a_plain_read(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i == 0:
            cuda.atomic.add(y, 0, x[i])
        if not bug:
            cuda.syncthreads()
        if i == 1:
            y[1] = y[0]  # planted

    return kernel


@planted(WRITE, "y", 1, 64, args=pair(64), thread=(1, 0, 0), others=frozenset({READ, WRITE, OVERWRITE}))
def histogram_without_atomics(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug:
            y[0] = x[i]  # planted
        else:
            cuda.atomic.add(y, 0, x[i])

    return kernel


# ---- in global memory, between threads of one block and between blocks


@planted(READ, "y", 1, 64, args=pair(64), thread=(63, 0, 0), others=frozenset({READ, OVERWRITE}))
def no_barrier_around_global_memory(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i < 32:
            y[i] = x[i]
        if not bug:
            cuda.syncthreads()
        if i == 63:
            x[0] = y[0]  # planted

    return kernel


@planted(WRITE, "y", 2, 32, args=lambda: (floats(64), np.zeros(64, np.float32)), block=(1, 0, 0), thread=(0, 0, 0))
def blocks_write_one_element(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x + (0 if bug else 32 * cuda.blockIdx.x)
        y[i] = x[i]  # planted

    return kernel


@planted(READ, "y", 2, 32, args=lambda: (floats(64), np.zeros(64, np.float32)), block=(1, 0, 0), thread=(0, 0, 0))
def block_reads_what_the_block_before_wrote(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        x[i] = y[i - 32 * bug * cuda.blockIdx.x]  # planted
        y[i] = 1

    return kernel


@planted(OVERWRITE, "x", 2, 32, args=lambda: (floats(65), np.zeros(64, np.float32)), block=(1, 0, 0), thread=(0, 0, 0))
def block_overwrites_what_the_block_before_read(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        y[i] = x[i + bug]
        cuda.syncthreads()
        x[i] = 0  # planted

    return kernel


@planted(READ, "y", 2, 32, args=pair(64), block=(1, 0, 0), thread=(0, 0, 0), others=frozenset({READ, WRITE, OVERWRITE}))
def atomic_of_one_block_against_a_plain_read_of_another(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.grid(1)
        if cuda.blockIdx.x == 0:
            cuda.atomic.add(y, 0, 1)
        elif bug:
            x[i] = y[0]  # planted

    return kernel


@planted(
    WRITE, "y", 2, 32, args=pair(64), block=(1, 0, 0), thread=(0, 0, 0), others=frozenset({READ, WRITE, OVERWRITE})
)
def atomic_of_one_block_against_a_plain_write_of_another(bug):
    @cuda.jit
    def kernel(x, y):
        if cuda.blockIdx.x == 0:
            cuda.atomic.add(y, 0, 1)
        if cuda.blockIdx.x == 1 and cuda.threadIdx.x == 0 and bug:
            y[0] = 7  # planted

    return kernel


@planted(WRITE, "x", 1, 64, args=lambda: aliased(), thread=(32, 0, 0), others=frozenset({READ, WRITE, OVERWRITE}))
def two_arguments_are_one_array(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i < 32:
            x[i] = i
        elif i == 32:
            y[8 if bug else 40] = i  # planted

    return kernel


def aliased():
    whole = floats(64)
    return whole, whole[:]
