"""Device functions that kernels here and in `algorithms` share.

Every index is 64 bits wide in a kernel (Numba widens to it), so that no arithmetic on indices can overflow.
"""

from typing import Any

from numba import cuda

Array = Any  # a device array, of whichever device


def unflatten(flat: int, size_1: int, size_2: int, size_3: int) -> tuple[int, int, int, int]:
    """The four indices of a flat one, the last fastest: (N, K, P, Q) or any other four axes."""
    i3 = flat % size_3
    i2 = flat // size_3 % size_2
    i1 = flat // (size_3 * size_2) % size_1
    i0 = flat // (size_3 * size_2 * size_1)
    return i0, i1, i2, i3


unflatten_on_device = cuda.jit(device=True)(unflatten)


@cuda.jit(device=True)
def sum_over_block(sums: Array) -> None:
    """Add up what every thread of a block has left in its own place of shared memory; sums[0] has it afterwards.

    A tree over the threads, a power of two in one dimension, in the same order in every run.
    Source: Harris 2007, "Optimizing parallel reduction in CUDA", NVIDIA (sequential addressing).
    """
    cuda.syncthreads()
    half = cuda.blockDim.x // 2
    while half > 0:
        if cuda.threadIdx.x < half:
            sums[cuda.threadIdx.x] += sums[cuda.threadIdx.x + half]
        cuda.syncthreads()
        half //= 2
