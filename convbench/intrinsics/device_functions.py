"""Device functions that kernels in this package and in `algorithms` share.

Numba widens every index in a kernel to 64 bits, so that no arithmetic on indices can overflow.
"""

from typing import Any

from numba import cuda

Array = Any  # a device array of any device


def unflatten(flat: int, size_1: int, size_2: int, size_3: int) -> tuple[int, int, int, int]:
    """Split a flat index into four, the last of them fastest: (N, K, P, Q) or any other four axes."""
    i3 = flat % size_3
    i2 = flat // size_3 % size_2
    i1 = flat // (size_3 * size_2) % size_1
    i0 = flat // (size_3 * size_2 * size_1)
    return i0, i1, i2, i3


unflatten_on_device = cuda.jit(device=True)(unflatten)


@cuda.jit(device=True)
def sum_over_block(sums: Array) -> None:
    """Add up the values that the threads of a block have stored in shared memory, one each; sums[0] is the total.

    The block has one dimension, and the number of its threads is a power of two. The values are added in a tree, in
    the same order in every run.
    Source: Harris 2007, "Optimizing parallel reduction in CUDA", NVIDIA (sequential addressing).
    """
    cuda.syncthreads()
    half = cuda.blockDim.x // 2
    while half > 0:
        if cuda.threadIdx.x < half:
            sums[cuda.threadIdx.x] += sums[cuda.threadIdx.x + half]
        cuda.syncthreads()
        half //= 2
