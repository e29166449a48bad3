"""Computes the gradient of the bias, for every algorithm.

    dbias[k] = Σ_{n,p,q} dy[n, k, p, q]                0 ≤ n < N, 0 ≤ p < P, 0 ≤ q < Q

Layouts   dy (N, K, P, Q) in any order of memory, dbias (K).
Index map blockIdx.x → k · threadIdx.x → every THREADS-th of the elements (n, p, q), q fastest. The sums of the threads
          are then added in a tree, in shared memory.
"""

from functools import cache

import numba
from numba import cuda

from convbench.devices import Array, Device, Kernel
from convbench.intrinsics import sum_over_block, unflatten_on_device
from convbench.problem import Dtype

THREADS = 128


def launch_bias_gradient(device: Device, dy: Array, dbias: Array, accumulator: Dtype) -> None:
    """Queue the kernel, in the phase `reduce`."""
    device.launch("reduce", make_kernel(accumulator), dbias.size, THREADS, dy, dbias)


@cache
def make_kernel(accumulator: Dtype) -> Kernel:
    """The kernel that accumulates in the given dtype."""
    number = getattr(numba, accumulator)

    @cuda.jit
    def bias_gradient(dy: Array, dbias: Array) -> None:
        # map
        k = cuda.blockIdx.x
        sums = cuda.shared.array(THREADS, number)

        # load and accumulate
        total = number(0)
        for element in range(cuda.threadIdx.x, dy.shape[0] * dy.shape[2] * dy.shape[3], THREADS):
            n, _, p, q = unflatten_on_device(element, 1, dy.shape[2], dy.shape[3])
            total += number(dy[n, k, p, q])
        sums[cuda.threadIdx.x] = total
        sum_over_block(sums)

        # store
        if cuda.threadIdx.x == 0:
            dbias[k] = sums[0]

    return bias_gradient
