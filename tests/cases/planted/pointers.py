"""Kernels with planted bugs of raw pointers. A raw pointer has no extent that an index could be checked against.

Only these reach memory outside every array: whatever numba-cuda indexes as an array is checked against its axes first,
and a slice, a view or a field of a record has axes of its own.
"""

import numpy as np
from numba import cuda
from numba.cuda import types

from cases.planted.bugs import FaultKind, floats, planted

TYPES = types.CPointer(types.float32), types.float32[::1]


def address_behind_the_end():
    """Arguments (p, x) with p directly behind the last element of x."""
    x = floats(8)
    return x.ctypes.data + x.nbytes, x


def address_before_the_beginning():
    """Arguments (p, x) with p one element before the first of x."""
    x = floats(8)
    return x.ctypes.data - x.itemsize, x


@planted(FaultKind.READ_OUTSIDE, "x", 1, 4, args=address_behind_the_end, types=TYPES, thread=(3, 0, 0))
def read_by_a_pointer_behind_the_end(bug):
    @cuda.jit
    def kernel(p, x):
        i = cuda.threadIdx.x
        if i == 3 and bug:
            x[i] = p[0]  # planted

    return kernel


@planted(FaultKind.READ_OUTSIDE, "x", 1, 4, args=address_before_the_beginning, types=TYPES, thread=(0, 0, 0))
def read_by_a_pointer_before_the_beginning(bug):
    @cuda.jit
    def kernel(p, x):
        i = cuda.threadIdx.x
        if bug:
            x[i] = p[0]  # planted

    return kernel


@planted(FaultKind.WRITE_OUTSIDE, "x", 2, 4, args=address_behind_the_end, types=TYPES, block=(1, 0, 0))
def write_by_a_pointer_behind_the_end(bug):
    @cuda.jit
    def kernel(p, x):
        if cuda.blockIdx.x == 1 and bug:
            p[0] = np.float32(1)  # planted

    return kernel
