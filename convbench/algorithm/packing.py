"""Copies an array into one with another order of axes in memory, or another dtype.

    target[i, j, k, l] = source[i, j, k, l]        both are indexed in the same order of axes, their memory may differ

One thread per element; the grid covers them all, l fastest.
"""

from numba import cuda

from convbench.devices import Array, Device, Phase
from convbench.intrinsics import unflatten_on_device

THREADS = 256


def launch_copy(device: Device, phase: Phase, source: Array, target: Array) -> None:
    """Queue the copy of an array of four axes into another one of the same shape."""
    device.launch(phase, copy, -(-target.size // THREADS), THREADS, source, target)


@cuda.jit
def copy(source: Array, target: Array) -> None:
    """The copying kernel."""
    # map
    element = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if element >= target.size:
        return  # the grid is rounded up to whole blocks
    i, j, k, l = unflatten_on_device(element, target.shape[1], target.shape[2], target.shape[3])  # noqa: E741
    # load and store
    target[i, j, k, l] = source[i, j, k, l]
