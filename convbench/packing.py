"""Copies from one order of axes, or dtype, to another, for algorithms that want their own.

    target[i, j, k, l] = source[i, j, k, l]        both seen with their axes in the same order, whatever memory has

One thread per element; the grid covers them all, l fastest.
"""

from numba import cuda

from convbench.devices.device import Array, Device, Phase

THREADS = 256


def launch_copy(device: Device, phase: Phase, source: Array, target: Array) -> None:
    """Queue the copy of a four-dimensional array into another of the same shape."""
    device.launch(phase, copy, -(-target.size // THREADS), THREADS, source, target)


@cuda.jit
def copy(source: Array, target: Array) -> None:
    """The kernel."""
    # map
    _, size_j, size_k, size_l = target.shape
    element = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if element >= target.size:
        return  # the grid is rounded up to whole blocks
    l = element % size_l  # noqa: E741  (the fourth of i, j, k, l)
    k = element // size_l % size_k
    j = element // (size_l * size_k) % size_j
    i = element // (size_l * size_k * size_j)
    # load and store
    target[i, j, k, l] = source[i, j, k, l]
