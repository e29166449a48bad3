"""The common form of a convolution and its gradient by the input: both slide filters over a map.

    target[n,m,i,j] = Σ_{l,r,s} dense[n, g·L/G + l, i·u − top + r·d_h, j·v − left + s·d_w] · f[m,l,r,s],  g = m // (M/G)
    dense[…, a·e_h, b·e_w] = source[…, a, b], zero elsewhere

    forward        source x, target y:   L = C, M = K, f = w, stride, padding and dilation of the problem, spread e = 1
    backward_data  source dy, target dx: L = K, M = C, f[g·C/G + c, k, r, s] = w[g·K/G + k, c, R−1−r, S−1−s], stride 1,
                   top = d_h·(R−1) − the problem's top, which may be negative, left alike, spread e = the stride

So one kernel computes both. The filters f of backward_data are written to memory once per set of weights.

Source    Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", §4, relationships 12 and 13.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import cuda

from convbench.algorithm import Plan
from convbench.devices import Array, Device
from convbench.intrinsics import unflatten_on_device
from convbench.problem import ConvProblem, Direction, Dtype, Pair

THREADS = 256
INDICES = 2**31  # indices that a signed number of 32 bits can hold

# multiply-adds of a problem. From these on, the compilation of a larger tile, and of a specialised kernel, pays
LARGE_MACS, HUGE_MACS = 50_000_000, 10**9


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """The sizes in the equation above."""

    n: int
    groups: int
    sources: int  # L, channels of the source in all groups
    targets: int  # M
    size: Pair  # of the source
    outputs: Pair  # of the target
    taps: Pair
    stride: Pair
    top_left: Pair
    dilation: Pair
    spread: Pair

    @classmethod
    def of(cls, problem: ConvProblem, direction: Direction) -> "Correlation":
        """The correlation that computes `forward` or `backward_data` of a zero-padded problem."""
        taps, dilation = (problem.r, problem.s), problem.dilation
        x_size, y_size = (problem.h, problem.w), (problem.p, problem.q)
        top, left = problem.padding[0][0], problem.padding[1][0]
        if direction == "forward":
            return cls(
                n=problem.n, groups=problem.groups, sources=problem.c, targets=problem.k, size=x_size, outputs=y_size,
                taps=taps, stride=problem.stride, top_left=(top, left), dilation=dilation, spread=(1, 1),
            )  # fmt: skip
        return cls(
            n=problem.n, groups=problem.groups, sources=problem.k, targets=problem.c, size=y_size, outputs=x_size,
            taps=taps, stride=(1, 1), top_left=(dilation[0] * (taps[0] - 1) - top, dilation[1] * (taps[1] - 1) - left),
            dilation=dilation, spread=problem.stride,
        )  # fmt: skip

    @property
    def sources_per_group(self) -> int:
        """L/G."""
        return self.sources // self.groups

    @property
    def targets_per_group(self) -> int:
        """M/G."""
        return self.targets // self.groups

    @property
    def terms(self) -> int:
        """Products in one element of the target: L/G · R · S."""
        return self.sources_per_group * self.taps[0] * self.taps[1]

    @property
    def is_spread(self) -> bool:
        """Whether there are zeros between the elements of the source."""
        return self.spread != (1, 1)


class CorrelationPlan(Plan):
    """A plan for both directions. After `load`, `filters` is f, and `addend` has a number to add to each channel."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        super().__init__(problem, direction, device, config)
        self.geometry = Correlation.of(problem, direction)
        self.filters: Array = None
        self.addend: Array = None
        if direction == "backward_data":
            geometry = self.geometry
            self.filters = self.kept((geometry.targets, geometry.sources_per_group, *geometry.taps), problem.dtype)
            self.addend = device.upload(np.zeros(geometry.targets, problem.dtype))

    def load(self, weights: Array = None, bias: Array = None) -> None:
        if self.direction == "forward":
            self.filters = weights
        else:
            grid = -(-self.filters.size // THREADS)
            self.device.launch("transform", turn_filters, grid, THREADS, weights, self.filters, self.problem.groups)
        super().load(weights, bias)

    def prepare(self) -> None:
        if self.direction == "forward":
            self.addend = self.bias


class WeightsPlan(Plan):
    """A plan for dw, which sums products of dy and of the elements of x that forward reads: `geometry` is forward's."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        super().__init__(problem, direction, device, config)
        self.geometry = Correlation.of(problem, "forward")


def farthest(geometry: Correlation, more: Pair = (0, 0)) -> int:
    """Bound the positions in the dense map that a kernel computes along an axis, and the sizes of the maps.

    A tile may have up to `more` rows and columns beyond the target.
    """
    axes = zip(
        geometry.outputs, more, geometry.stride, geometry.taps, geometry.dilation, geometry.top_left, geometry.size,
        geometry.spread, strict=True,
    )  # fmt: skip
    reached: list[int] = [
        max((outputs - 1 + beyond) * stride + (taps - 1) * dilation + abs(before), outputs + beyond, size, spread)
        for outputs, beyond, stride, taps, dilation, before, size, spread in axes
    ]
    return max(reached)


def not_neighbours(problem: ConvProblem, direction: Direction) -> str | None:
    """The reason why a kernel that reads neighbouring elements of a float32 map cannot compute a problem; or None.

    The problem is zero-padded.
    """
    if problem.dtype != "float32":
        return f"its kernel is for float32, not {problem.dtype}"
    if direction == "backward_weights":
        return "its kernel slides filters over a map, which backward_weights does not"
    if Correlation.of(problem, direction).is_spread:
        return f"its kernel reads neighbours, and stride {problem.stride} spreads them in backward_data"
    return None


@cuda.jit
def turn_filters(w: Array, turned: Array, groups: int) -> None:
    """Write f of backward_data: each filter flipped, the channels swapped. One thread writes one element, s fastest."""
    # map
    flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if flat >= turned.size:
        return  # the grid is rounded up to whole blocks
    m, k, r, s = unflatten_on_device(flat, turned.shape[1], turned.shape[2], turned.shape[3])
    c_per_group = turned.shape[0] // groups
    # load and store
    first_k = m // c_per_group * turned.shape[1]
    turned[m, k, r, s] = w[first_k + k, m % c_per_group, turned.shape[2] - 1 - r, turned.shape[3] - 1 - s]


@cache
def make_place(is_spread: bool) -> Any:
    """A device function: the position in the source of a position in the dense map along one axis, or −1 for a zero."""

    @cuda.jit(device=True)
    def place(position: int, spread: int, size: int) -> Any:
        if is_spread:
            if position % spread != 0:
                return -1
            position = position // spread
        return position if 0 <= position < size else -1

    return place


def number_of(dtype: Dtype | str) -> Any:
    """Numba's type for an accumulating dtype."""
    return getattr(numba, dtype)
