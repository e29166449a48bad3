"""Padding modes other than zeros, for every algorithm: write the padded input out, then convolve without padding.

    padded[n, c, i, j] = x[n, c, fold(i − top, H), fold(j − left, W)]

with fold as in `convbench.problem.FOLD`. One thread per padded element; the grid covers them all, j fastest.
"""

from functools import cache
from typing import Any

from numba import cuda

from convbench.algorithm import Plan
from convbench.devices.device import Array, Device, Kernel
from convbench.problem import ConvProblem

THREADS = 256


class PaddedPlan(Plan):
    """A plan of the explicitly padded problem, behind the launch that pads."""

    def __init__(self, problem: ConvProblem, device: Device, inner: Plan) -> None:
        super().__init__(problem, device)
        self.inner = inner
        self.padded = self.scratch(problem.padded_shape, problem.dtype)
        self.scratch_arrays += inner.scratch_arrays
        self.workspace_bytes += inner.workspace_bytes

    def load(self, weights: Array, bias: Array | None) -> None:
        self.inner.load(weights, bias)

    def run(self, x: Array, y: Array) -> None:
        (top, _), (left, _) = self.problem.padding
        elements = self.padded.size
        self.device.launch(
            "pack", make_kernel(self.problem.padding_mode), -(-elements // THREADS), THREADS, x, self.padded, top, left
        )
        self.inner.run(self.padded, y)


@cache
def make_kernel(mode: str) -> Kernel:
    """The padding kernel of one mode."""
    reflect, replicate = mode == "reflect", mode == "replicate"  # Numba has no strings in kernels

    @cuda.jit(device=True)
    def fold(index: int, size: int) -> Any:
        if reflect:
            if index < 0:
                return -index
            return 2 * (size - 1) - index if index >= size else index
        if replicate:
            return min(max(index, 0), size - 1)
        return (index + size) % size  # circular: the padding is at most one size

    @cuda.jit
    def pad(x: Array, padded: Array, top: int, left: int) -> None:
        # map
        _, channels, height, width = padded.shape
        element = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if element >= padded.size:
            return  # the grid is rounded up to whole blocks
        j = element % width
        i = element // width % height
        c = element // (width * height) % channels
        n = element // (width * height * channels)
        # load and store
        padded[n, c, i, j] = x[n, c, fold(i - top, x.shape[2]), fold(j - left, x.shape[3])]

    return pad
