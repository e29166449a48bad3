"""The gradient of the bias, for every algorithm.

    dbias[k] = Σ_{n,p,q} dy[n, k, p, q]                0 ≤ n < N, 0 ≤ p < P, 0 ≤ q < Q

Layouts   dy (N, K, P, Q) in any order of memory, dbias (K).
Index map blockIdx.x → k · threadIdx.x → every THREADS-th of the elements (n, p, q), q fastest; then a tree over the
          threads in shared memory, the same in every run.
Source    Harris 2007, "Optimizing parallel reduction in CUDA", NVIDIA (the tree with sequential addressing).
"""

from functools import cache

import numba
from numba import cuda

from convbench.devices.device import Array, Device, Kernel
from convbench.problem import Dtype

THREADS = 128


def launch_bias_gradient(device: Device, dy: Array, dbias: Array, accumulator: Dtype) -> None:
    """Queue the sums; the phase is `reduce`."""
    device.launch("reduce", make_kernel(accumulator), dbias.size, THREADS, dy, dbias)


@cache
def make_kernel(accumulator: Dtype) -> Kernel:
    """The kernel that sums in one dtype."""
    number = getattr(numba, accumulator)

    @cuda.jit
    def bias_gradient(dy: Array, dbias: Array) -> None:
        # map
        k = cuda.blockIdx.x
        _, _, height, width = dy.shape
        sums = cuda.shared.array(THREADS, number)

        # load and accumulate
        total = number(0)
        for element in range(cuda.threadIdx.x, dy.shape[0] * height * width, THREADS):
            total += number(dy[element // (height * width), k, element // width % height, element % width])
        sums[cuda.threadIdx.x] = total
        cuda.syncthreads()
        half = THREADS // 2
        while half > 0:
            if cuda.threadIdx.x < half:
                sums[cuda.threadIdx.x] += sums[cuda.threadIdx.x + half]
            cuda.syncthreads()
            half //= 2

        # store
        if cuda.threadIdx.x == 0:
            dbias[k] = sums[0]

    return bias_gradient
