"""Direct convolution, one thread per element of the result.

    target[n,m,i,j] = addend[m] + Σ_{l,r,s} dense[n, g·L/G + l, i·u − top + r·d_h, j·v − left + s·d_w] · f[m,l,r,s]
    dw[k,c,r,s]     = Σ_{n,p,q} dy[n,k,p,q] · x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w]
                      0 ≤ l < L/G, 0 ≤ r < R, 0 ≤ s < S, g = m // (M/G) or k // (K/G); forward and backward_data as in
                      `algorithms.correlation`

Layouts   source (N, L, ·, ·), f (M, L/G, R, S), target (N, M, ·, ·), in any order of memory.
Index map blockIdx.x · threads + threadIdx.x → (n, m, i, j), j fastest, or m fastest if memory has the channels last ·
          loops over l, r, s. For dw: → (k, c, r, s), s fastest · loops over n, p, q.
Cost      2·N·K·P·Q·C/G·R·S FLOPs. Every input element is read up to K/G·R·S times, from a cache at best.
Source    Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning", §2 and relationship 15.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from numba import cuda

from algorithms.correlation import CorrelationPlan, WeightsPlan, make_place, number_of
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices import MAX_THREADS_PER_BLOCK, Array, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import unflatten_on_device
from convbench.problem import DTYPES, ConvProblem, Direction, Dtype


@dataclass(frozen=True, kw_only=True)
class Config:
    """Threads in a block: a multiple of the warp's 32, unless the problem is smaller."""

    threads: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MAX_THREADS_PER_BLOCK:
            raise ConfigError(f"{self}: a block holds 1 to {MAX_THREADS_PER_BLOCK} threads")


class DirectPlan(CorrelationPlan):
    """One launch over all elements of the target."""

    def run(self, source: Array, target: Array) -> None:
        geometry, threads = self.geometry, self.config.threads
        kernel = make_kernel(self.config, self.accumulator, self.problem.layout == "NHWC", geometry.is_spread)
        self.device.launch(
            "multiply", kernel, -(-target.size // threads), threads, source, self.filters, self.addend, target,
            geometry.stride, geometry.top_left, geometry.dilation, geometry.spread, geometry.groups,
        )  # fmt: skip


class DirectWeightsPlan(WeightsPlan):
    """One launch over all elements of dw."""

    def run(self, x: Array, dy: Array, dw: Array) -> None:
        geometry, threads = self.geometry, self.config.threads
        self.device.launch(
            "multiply", make_weights_kernel(self.config, self.accumulator), -(-dw.size // threads), threads,
            x, dy, dw, geometry.stride, geometry.top_left, geometry.dilation, geometry.groups,
        )  # fmt: skip


class Direct(Algorithm):
    """The definition, one thread per element of the result."""

    name: ClassVar[str] = "direct"
    family: ClassVar[Family] = "direct"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {
        "forward": DirectPlan, "backward_data": DirectPlan, "backward_weights": DirectWeightsPlan,
    }  # fmt: skip
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES
    any_order: ClassVar[bool] = True

    def configs(self, problem: ConvProblem, direction: Direction) -> tuple[Config, ...]:
        return Config(), Config(threads=128), Config(threads=64)


@cache
def make_kernel(config: Config, accumulator: Dtype, channels_last: bool, is_spread: bool) -> Kernel:
    """The kernel for problems of any size."""
    threads, number, place = config.threads, number_of(accumulator), make_place(is_spread)

    @cuda.jit
    def direct(
        source: Array, filters: Array, addend: Array, target: Array,
        stride: Any, top_left: Any, dilation: Any, spread: Any, groups: int,
    ) -> None:  # fmt: skip
        """One element of the target for each thread.

        Excess: Neighbouring threads have neighbouring outputs, whose samples are shifted by the tap. So the samples of
        a warp begin anywhere in a sector, and are in two rows of the map where a row of outputs ends. The next tap
        uses the same sectors, which the L1 cache then has.
        """
        # map
        flat = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if flat >= target.size:
            return  # the grid is rounded up to whole blocks
        if channels_last:
            n, i, j, m = unflatten_on_device(flat, target.shape[2], target.shape[3], target.shape[1])
        else:
            n, m, i, j = unflatten_on_device(flat, target.shape[1], target.shape[2], target.shape[3])
        first_l = m // (target.shape[1] // groups) * filters.shape[1]

        # load and accumulate
        total = number(addend[m])
        for l in range(filters.shape[1]):  # noqa: E741  (the channel of the source)
            for r in range(filters.shape[2]):
                h = place(i * stride[0] - top_left[0] + r * dilation[0], spread[0], source.shape[2])
                if h >= 0:
                    for s in range(filters.shape[3]):
                        w = place(j * stride[1] - top_left[1] + s * dilation[1], spread[1], source.shape[3])
                        if w >= 0:
                            total += number(source[n, first_l + l, h, w]) * number(filters[m, l, r, s])

        # store
        target[n, m, i, j] = total

    return direct


@cache
def make_weights_kernel(config: Config, accumulator: Dtype) -> Kernel:
    """The kernel for dw."""
    threads, number = config.threads, number_of(accumulator)

    @cuda.jit
    def direct_weights(x: Array, dy: Array, dw: Array, stride: Any, top_left: Any, dilation: Any, groups: int) -> None:
        # map
        flat = cuda.blockIdx.x * threads + cuda.threadIdx.x
        if flat >= dw.size:
            return  # the grid is rounded up to whole blocks
        k, c, r, s = unflatten_on_device(flat, dw.shape[1], dw.shape[2], dw.shape[3])
        c_of_all = k // (dw.shape[0] // groups) * dw.shape[1] + c

        # load and accumulate
        total = number(0)
        for n in range(dy.shape[0]):
            for p in range(dy.shape[2]):
                h = p * stride[0] - top_left[0] + r * dilation[0]
                if 0 <= h < x.shape[2]:
                    for q in range(dy.shape[3]):
                        w = q * stride[1] - top_left[1] + s * dilation[1]
                        if 0 <= w < x.shape[3]:
                            total += number(dy[n, k, p, q]) * number(x[n, c_of_all, h, w])

        # store
        dw[k, c, r, s] = total

    return direct_weights
