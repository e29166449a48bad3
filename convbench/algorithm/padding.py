"""Handles padding modes other than zeros, for every algorithm: writes out the padded input, or sums its gradient.

    padded[n, c, i, j] = x[n, c, fold(i − top, H), fold(j − left, W)]
    dx[n, c, h, w]     = Σ_{i,j} dpadded[n, c, i, j]  over all i with fold(i − top, H) = h, j with fold(j − left, W) = w

with fold as in `convbench.problem.FOLD`. The algorithm then convolves the padded input without padding. The second
equation is the adjoint of the first. It is computed as a gather, so that no atomics are needed. One thread per element
of the result; the grid covers them all, the last axis fastest.
"""

from functools import cache
from typing import Any

import numba
from numba import cuda

from convbench.devices import Array, Device, Kernel
from convbench.intrinsics import unflatten_on_device
from convbench.problem import ConvProblem, Dtype

THREADS = 256


def launch_pad(device: Device, problem: ConvProblem, x: Array, padded: Array) -> None:
    """Queue the kernel that writes x (N, C, H, W) with its padding, in the phase `pack`."""
    (top, _), (left, _) = problem.padding
    kernel = make_padding_kernel(problem.padding_mode)
    device.launch("pack", kernel, -(-padded.size // THREADS), THREADS, x, padded, top, left)


def launch_fold_back(device: Device, problem: ConvProblem, padded: Array, dx: Array, accumulator: Dtype) -> None:
    """Queue the kernel that sums a padded gradient over the copies of each element of x, in the phase `unpack`."""
    (top, _), (left, _) = problem.padding
    kernel = make_folding_kernel(problem.padding_mode, accumulator)
    device.launch("unpack", kernel, -(-dx.size // THREADS), THREADS, padded, dx, top, left)


def _make_fold(mode: str) -> Any:
    """The device function fold(index, size) of one mode."""
    # booleans, because kernels cannot compare strings
    reflect, replicate = mode == "reflect", mode == "replicate"

    @cuda.jit(device=True)
    def fold(index: int, size: int) -> Any:
        if reflect:
            if index < 0:
                return -index
            return 2 * (size - 1) - index if index >= size else index
        if replicate:
            return min(max(index, 0), size - 1)
        return (index + size) % size  # circular: the padding is at most one size

    return fold


@cache
def make_padding_kernel(mode: str) -> Kernel:
    """The kernel that writes out the padding of one mode."""
    fold = _make_fold(mode)

    @cuda.jit
    def pad(x: Array, padded: Array, top: int, left: int) -> None:
        # map
        element = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if element >= padded.size:
            return  # the grid is rounded up to whole blocks
        n, c, i, j = unflatten_on_device(element, padded.shape[1], padded.shape[2], padded.shape[3])
        # load and store
        padded[n, c, i, j] = x[n, c, fold(i - top, x.shape[2]), fold(j - left, x.shape[3])]

    return pad


@cache
def make_folding_kernel(mode: str, accumulator: Dtype) -> Kernel:
    """The adjoint of the padding kernel of one mode, summing in the accumulating dtype."""
    fold, number = _make_fold(mode), getattr(numba, accumulator)

    @cuda.jit
    def fold_back(padded: Array, dx: Array, top: int, left: int) -> None:
        # map
        height, width = dx.shape[2], dx.shape[3]
        element = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if element >= dx.size:
            return  # the grid is rounded up to whole blocks
        n, c, h, w = unflatten_on_device(element, dx.shape[1], height, width)
        padding_h = padded.shape[2] - height
        padding_w = padded.shape[3] - width
        # load and accumulate: the copies of an element are at its own place and in the padding
        total = number(0)
        for i_copy in range(padding_h + 1):
            i = h + top
            if i_copy > 0:
                i = i_copy - 1 if i_copy <= top else i_copy - 1 + height
            if fold(i - top, height) == h:
                for j_copy in range(padding_w + 1):
                    j = w + left
                    if j_copy > 0:
                        j = j_copy - 1 if j_copy <= left else j_copy - 1 + width
                    if fold(j - left, width) == w:
                        total += number(padded[n, c, i, j])
        # store
        dx[n, c, h, w] = total

    return fold_back
