"""Depthwise convolution: each channel of the map has its own filters, and there is no sum over channels.

    target[n,m,i,j] = addend[m] + Σ_{l,r,s} dense[n, g·L/G + l, i·u − top + r·d_h, j·v − left + s·d_w] · f[m,l,r,s]
    dw[k,0,r,s]     = Σ_{n,p,q} dy[n,k,p,q] · x[n, k // (K/C), p·u − top + r·d_h, q·v − left + s·d_w]
                      0 ≤ r < R, 0 ≤ s < S; groups = C, K/C is the depth multiplier; L/G is 1 forward, where g = m //
                      (K/C), and K/C in backward_data (`algorithms.correlation`), where g = m

Layouts   source (N, L, ·, ·), f (M, L/G, R, S), target (N, M, ·, ·); f[m] in dynamic shared memory.
Index map blockIdx.x → (n, m, i tile, j tile), j tile fastest · threadIdx.y, threadIdx.x → i, j in the tile · loops
          over l, r, s. A block has one m, and so one set of filters. For dw: blockIdx.x → (k, r, s), s fastest ·
          threadIdx.x → every THREADS-th of (n, p, q) · then a tree over the threads in shared memory.
Cost      2·N·K·P·Q·R·S FLOPs, about R·S/4 per byte, so that memory bandwidth is the limit.
Large     Forward, and backward_data with stride 1, of large float32 problems: `algorithms.depthwise.patch`.
Source    Sifre 2014, "Rigid-motion scattering for image classification", §6.2; Chollet 2017, "Xception", §2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from numba import cuda

from algorithms.correlation import Correlation, CorrelationPlan, WeightsPlan, make_place, number_of
from algorithms.depthwise.patch import PatchConfig, PatchPlan, patch_configs
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices import MAX_SHARED_BYTES, MAX_THREADS_PER_BLOCK, Array, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import sum_over_block, unflatten_on_device
from convbench.problem import DTYPES, ITEM_BYTES, ConvProblem, Direction, Dtype
from convbench.reference import ACCUMULATOR

LEAST_MACS = 10_000_000  # for fewer, a kernel for one filter size saves less time than its compilation takes
THREADS = 128  # of a block, which sums for one element of dw


@dataclass(frozen=True, kw_only=True)
class Config:
    """Rows and columns of the target in a block, with a thread for each element. The kernel for dw ignores them."""

    tile_p: int = 8
    tile_q: int = 16

    def __post_init__(self) -> None:
        if min(self.tile_p, self.tile_q) < 1 or self.tile_p * self.tile_q > MAX_THREADS_PER_BLOCK:
            raise ConfigError(f"{self}: tiles are at least 1, and tile_p · tile_q at most {MAX_THREADS_PER_BLOCK}")


def _shared_bytes(geometry: Correlation, accumulator: Dtype) -> int:
    """Bytes of shared memory for the filters of one channel of the target."""
    return ITEM_BYTES[accumulator] * geometry.terms


class DepthwisePlan(CorrelationPlan):
    """One launch over all tiles of all channels."""

    def run(self, source: Array, target: Array) -> None:
        geometry, config = self.geometry, self.config
        tiles = -(-geometry.outputs[0] // config.tile_p), -(-geometry.outputs[1] // config.tile_q)
        self.device.launch(
            "multiply", make_kernel(config, self.accumulator, geometry.is_spread),
            geometry.n * geometry.targets * tiles[0] * tiles[1], (config.tile_q, config.tile_p),
            source, self.filters, self.addend, target,
            geometry.stride, geometry.top_left, geometry.dilation, geometry.spread, tiles,
            shared_bytes=_shared_bytes(geometry, self.accumulator),
        )  # fmt: skip


class DepthwiseWeightsPlan(WeightsPlan):
    """One block for each element of dw."""

    def run(self, x: Array, dy: Array, dw: Array) -> None:
        geometry = self.geometry
        self.device.launch(
            "multiply", make_weights_kernel(self.accumulator), dw.size, THREADS,
            x, dy, dw, geometry.stride, geometry.top_left, geometry.dilation,
        )  # fmt: skip


class Depthwise(Algorithm):
    """One input channel per output channel."""

    name: ClassVar[str] = "depthwise"
    family: ClassVar[Family] = "direct"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {
        "forward": DepthwisePlan, "backward_data": DepthwisePlan, "backward_weights": DepthwiseWeightsPlan,
    }  # fmt: skip
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES

    def configs(self, problem: ConvProblem, direction: Direction) -> tuple[Config | PatchConfig, ...]:
        """Patches in registers if the problem is large enough for their compilation, then tiles for any problem."""
        if direction == "backward_weights":
            return (Config(),)
        patches = patch_configs(problem, direction)[:1] if problem.macs >= LEAST_MACS else ()
        return *patches, Config(), Config(tile_q=32), Config(tile_p=4, tile_q=32)

    def space(self, problem: ConvProblem, direction: Direction) -> tuple[Config | PatchConfig, ...]:
        return patch_configs(problem, direction)

    def plan_class(self, direction: Direction, config: Any) -> type[Plan]:
        return PatchPlan if isinstance(config, PatchConfig) else self.plans[direction]

    def limits(self, problem: ConvProblem, direction: Direction) -> str | None:
        if problem.groups != problem.c:
            return f"groups = {problem.groups} is not c = {problem.c}: every channel must be a group of its own"
        if direction == "backward_weights":
            return None
        geometry = Correlation.of(problem, direction)
        taken = _shared_bytes(geometry, ACCUMULATOR[problem.dtype])
        if taken > MAX_SHARED_BYTES:
            return (
                f"{geometry.sources_per_group} filters of {problem.r} × {problem.s} take {taken:,} bytes; "
                f"a block has {MAX_SHARED_BYTES:,} bytes of shared memory"
            )
        return None


@cache
def make_kernel(config: Config, accumulator: Dtype, is_spread: bool) -> Kernel:
    """The kernel for problems of any size."""
    tile_p, tile_q = config.tile_p, config.tile_q
    number, place = number_of(accumulator), make_place(is_spread)

    @cuda.jit
    def depthwise(
        source: Array, filters: Array, addend: Array, target: Array,
        stride: Any, top_left: Any, dilation: Any, spread: Any, tiles: Any,
    ) -> None:  # fmt: skip
        # map
        n, m, i_tile, j_tile = unflatten_on_device(cuda.blockIdx.x, target.shape[1], tiles[0], tiles[1])
        groups = source.shape[1] // filters.shape[1]
        first_l = m // (target.shape[1] // groups) * filters.shape[1]
        i = i_tile * tile_p + cuda.threadIdx.y
        j = j_tile * tile_q + cuda.threadIdx.x

        # load the filters
        f_tile = cuda.shared.array(0, number)
        thread = cuda.threadIdx.y * tile_q + cuda.threadIdx.x
        taps = filters.shape[2] * filters.shape[3]
        for element in range(thread, filters.shape[1] * taps, tile_p * tile_q):
            _, l, r, s = unflatten_on_device(  # noqa: E741
                element, filters.shape[1], filters.shape[2], filters.shape[3]
            )
            f_tile[element] = filters[m, l, r, s]
        cuda.syncthreads()
        if i >= target.shape[2] or j >= target.shape[3]:
            return  # the grid is rounded up to whole tiles; no barrier follows

        # accumulate
        total = number(addend[m])
        for l in range(filters.shape[1]):  # noqa: E741  (the channel of the source)
            for r in range(filters.shape[2]):
                h = place(i * stride[0] - top_left[0] + r * dilation[0], spread[0], source.shape[2])
                if h >= 0:
                    for s in range(filters.shape[3]):
                        w = place(j * stride[1] - top_left[1] + s * dilation[1], spread[1], source.shape[3])
                        if w >= 0:
                            weight = f_tile[l * taps + r * filters.shape[3] + s]
                            total += number(source[n, first_l + l, h, w]) * weight

        # store
        target[n, m, i, j] = total

    return depthwise


@cache
def make_weights_kernel(accumulator: Dtype) -> Kernel:
    """The kernel for dw."""
    number = number_of(accumulator)

    @cuda.jit
    def depthwise_weights(x: Array, dy: Array, dw: Array, stride: Any, top_left: Any, dilation: Any) -> None:
        # map
        _, k, r, s = unflatten_on_device(cuda.blockIdx.x, dw.shape[0], dw.shape[2], dw.shape[3])
        c = k // (dw.shape[0] // x.shape[1])
        sums = cuda.shared.array(THREADS, number)

        # load and accumulate
        total = number(0)
        for element in range(cuda.threadIdx.x, dy.shape[0] * dy.shape[2] * dy.shape[3], THREADS):
            n, _, p, q = unflatten_on_device(element, 1, dy.shape[2], dy.shape[3])
            h = p * stride[0] - top_left[0] + r * dilation[0]
            w = q * stride[1] - top_left[1] + s * dilation[1]
            if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                total += number(dy[n, k, p, q]) * number(x[n, c, h, w])
        sums[cuda.threadIdx.x] = total
        sum_over_block(sums)

        # store
        if cuda.threadIdx.x == 0:
            dw[k, 0, r, s] = sums[0]

    return depthwise_weights
