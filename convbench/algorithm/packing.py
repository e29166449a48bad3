"""Copies from one order of axes, or dtype, to another, for algorithms that want their own.

    target[i, j, k, l] = source[i, j, k, l]        both seen with their axes in the same order, whatever memory has

One thread per element; the grid covers them all, l fastest.
"""

from numba import cuda

from convbench.devices import Array, Device, Phase
from convbench.intrinsics import unflatten_on_device

THREADS = 256


def launch_copy(device: Device, phase: Phase, source: Array, target: Array) -> None:
    """Queue the copy of a four-dimensional array into another of the same shape."""
    device.launch(phase, copy, -(-target.size // THREADS), THREADS, source, target)


@cuda.jit
def copy(source: Array, target: Array) -> None:
    """The kernel."""
    # map
    element = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if element >= target.size:
        return  # the grid is rounded up to whole blocks
    i, j, k, l = unflatten_on_device(element, target.shape[1], target.shape[2], target.shape[3])  # noqa: E741
    # load and store
    target[i, j, k, l] = source[i, j, k, l]
