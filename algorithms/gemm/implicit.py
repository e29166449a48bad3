"""Implicit GEMM: the matrix products of im2col. The columns are gathered tile by tile and never written to memory.

    target[g, m, o] = addend[g,m] + Σ_t f[g, m, t] · dense[n, g·L/G + l, i·u − top + r·d_h, j·v − left + s·d_w]
                      0 ≤ t < L/G·R·S with t = (l·R + r)·S + s;   0 ≤ o < N·I·J with o = (n·I + i)·J + j; forward and
                      backward_data as in `algorithms.correlation`
    dw[g, k, t]     = Σ_o dy[g, k, o] · x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w]
                      o = (n·P + p)·Q + q;   o is split into `splits` parts, which a second launch sums in order

Layouts   source (N, L, ·, ·), f seen as (G, M/G, L/G·R·S), target (N, M, ·, ·); the only workspace is the parts of dw.
Index map blockIdx.x → (group, m tile, o tile), o tile fastest · threadIdx.y → m, threadIdx.x → o in the tile · loop
          over t in steps of `tile`; a step stages a tile of f and one of the map in shared memory. For dw: blockIdx.x →
          (split, group, k tile and t tile) · threadIdx.y → k, threadIdx.x → t in the tile · loop over o of the split.
Cost      2·N·K·P·Q·C/G·R·S FLOPs (backward_data: times the stride's area); a window element is gathered K/G / tile
          times.
Source    Chetlur et al. 2014, "cuDNN: efficient primitives for deep learning", arXiv 1410.0759, §3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

from numba import cuda

from algorithms.copies import lacks_copies
from algorithms.correlation import LARGE_MACS, Correlation, CorrelationPlan, make_place, number_of
from algorithms.gemm.plain import tiles_for
from algorithms.gemm.tiled_config import TiledConfig, default_config, other_config, tiled_space
from algorithms.gemm.tiled_plan import TiledPlan
from algorithms.pairs import packed_on, plain_rivals
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices import Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import unflatten_on_device
from convbench.problem import DTYPES, ConvProblem, Direction, Dtype

LARGEST_TILE = 16
THREADS = 256  # of a block that sums parts
MOST_SPLITS = 2**10


@dataclass(frozen=True, kw_only=True)
class Config:
    """Side of the square tiles of filters, outputs and taps.

    A block of 32 × 32 threads leaves 64 registers for each thread, and the kernel needs more.
    """

    tile: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.tile <= LARGEST_TILE:
            raise ConfigError(f"{self}: tile is 1 to {LARGEST_TILE}, for the registers of a block")


@dataclass(frozen=True, kw_only=True)
class WeightsConfig(Config):
    """The config of dw. `splits` is the number of parts of the sum over outputs; it allows more blocks than tiles."""

    splits: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.splits <= MOST_SPLITS:
            raise ConfigError(f"{self}: splits is 1 to {MOST_SPLITS}")


class ImplicitGemmPlan(CorrelationPlan):
    """One launch over all tiles of the product."""

    def run(self, source: Array, target: Array) -> None:
        geometry, tile = self.geometry, self.config.tile
        columns = geometry.n * geometry.outputs[0] * geometry.outputs[1]
        tiles = -(-geometry.targets_per_group // tile), -(-columns // tile)
        self.device.launch(
            "multiply", make_kernel(self.config, self.accumulator, geometry.is_spread),
            geometry.groups * tiles[0] * tiles[1], (tile, tile), source, self.filters, self.addend, target,
            geometry.stride, geometry.top_left, geometry.dilation, geometry.spread, geometry.groups, tiles,
        )  # fmt: skip


class ImplicitGemmWeightsPlan(Plan):
    """One launch over all tiles of dw and all parts of the sum, then one that adds the parts up."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: WeightsConfig) -> None:
        super().__init__(problem, direction, device, config)
        shape = config.splits, problem.k, problem.terms
        self.parts = self.scratch(shape, self.accumulator) if config.splits > 1 else None

    def run(self, x: Array, dy: Array, dw: Array) -> None:
        problem, config, tile = self.problem, self.config, self.config.tile
        geometry = Correlation.of(problem, "forward")
        tiles = -(-geometry.targets_per_group // tile), -(-problem.terms // tile)
        parts = dw.reshape(1, problem.k, problem.terms) if self.parts is None else self.parts
        per_split = -(-geometry.n * problem.p * problem.q // config.splits)
        self.device.launch(
            "multiply", make_weights_kernel(tile, self.accumulator),
            config.splits * problem.groups * tiles[0] * tiles[1], (tile, tile),
            x, dy, parts, (problem.r, problem.s), geometry.stride, geometry.top_left, geometry.dilation,
            problem.groups, tiles, per_split,
        )  # fmt: skip
        if self.parts is not None:
            sums = dw.reshape(problem.k, problem.terms)
            kernel = make_sum_kernel(self.accumulator)
            self.device.launch("reduce", kernel, -(-dw.size // THREADS), THREADS, self.parts, sums)


class ImplicitGemm(Algorithm):
    """Convolution as one matrix product for each group over the whole batch, without writing the columns."""

    name: ClassVar[str] = "implicit_gemm"
    family: ClassVar[Family] = "gemm"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {
        "forward": ImplicitGemmPlan, "backward_data": ImplicitGemmPlan, "backward_weights": ImplicitGemmWeightsPlan,
    }  # fmt: skip
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES

    def default_on(self, problem: ConvProblem, direction: Direction, device: Device) -> Config | TiledConfig:
        every = self.configs(problem, direction)
        if not lacks_copies(device):
            default = every[0]
            return packed_on(device, default) if isinstance(default, TiledConfig) else default
        return next(one for one in every if not isinstance(one, TiledConfig))

    def rivals(self, problem: ConvProblem, direction: Direction, device: Device) -> Sequence[Any]:
        """For large problems on a GPU that has packed multiply-adds, return the default without them."""
        return plain_rivals(self.default_on(problem, direction, device)) if problem.macs >= LARGE_MACS else ()

    def plan_class(self, direction: Direction, config: Any) -> type[Plan]:
        return TiledPlan if isinstance(config, TiledConfig) else self.plans[direction]

    def space(self, problem: ConvProblem, direction: Direction) -> Sequence[Config | TiledConfig]:
        tiled = tiled_space(Correlation.of(problem, direction)) if has_register_tiles(problem, direction) else []
        usual = self.configs(problem, direction)
        packed = [replace(one, is_packed=True) for one in usual if isinstance(one, TiledConfig)]
        return [*tiled, *usual, *packed]

    def configs(self, problem: ConvProblem, direction: Direction) -> tuple[Config | TiledConfig, ...]:
        if direction == "backward_weights":
            sides = tiles_for(problem.k // problem.groups, problem.terms)
            outputs = problem.terms_of(direction)
            return tuple(
                WeightsConfig(tile=tile, splits=splits)
                for tile in sides if tile <= LARGEST_TILE for splits in (1, 4, 32) if splits <= max(1, outputs // tile)
            )  # fmt: skip
        geometry = Correlation.of(problem, direction)
        sides = tiles_for(geometry.targets_per_group, geometry.n * geometry.outputs[0] * geometry.outputs[1])
        square = tuple(Config(tile=tile) for tile in sides if tile <= LARGEST_TILE)
        tiled = default_config(geometry) if has_register_tiles(problem, direction) else None
        if tiled is None:
            return square
        other = other_config(tiled, geometry)
        return (tiled, *([other] if other.misfit(geometry) is None else []), *square)


def has_register_tiles(problem: ConvProblem, direction: Direction) -> bool:
    """Whether `TiledConfig` is for the dtype and the direction. `TiledConfig.misfit` checks the sizes."""
    return problem.dtype == "float32" and direction != "backward_weights"


@cache
def make_kernel(config: Config, accumulator: Dtype, is_spread: bool) -> Kernel:
    """Make the kernel of a config, for problems of any size."""
    tile, number, place = config.tile, number_of(accumulator), make_place(is_spread)
    shape = (tile, tile)

    @cuda.jit
    def implicit_gemm(
        source: Array, filters: Array, addend: Array, target: Array,
        stride: Any, top_left: Any, dilation: Any, spread: Any, groups: int, tiles: Any,
    ) -> None:  # fmt: skip
        """One tile of the target for each block, in any dtype.

        Excess: A row of the tile has the samples of 16 outputs or less, shifted by the tap. They begin anywhere in a
        sector, and are in two rows of the map where a row of outputs ends. The next terms use the same sectors.
        """
        # map
        _, g, m_tile, o_tile = unflatten_on_device(cuda.blockIdx.x, groups, tiles[0], tiles[1])
        m_per_group = target.shape[1] // groups
        m = m_tile * tile + cuda.threadIdx.y  # within the group
        n, _, i, j = unflatten_on_device(o_tile * tile + cuda.threadIdx.x, 1, target.shape[2], target.shape[3])
        terms = filters.shape[1] * filters.shape[2] * filters.shape[3]
        f_tile = cuda.shared.array(shape, number)
        source_tile = cuda.shared.array(shape, number)
        total = number(0)

        for first in range(0, terms, tile):
            # load: threadIdx.x runs along t in f and along o in the map; zeros past the edges and in the padding
            f_tile[cuda.threadIdx.y, cuda.threadIdx.x] = number(0)
            source_tile[cuda.threadIdx.y, cuda.threadIdx.x] = number(0)
            if m < m_per_group and first + cuda.threadIdx.x < terms:
                _, l, r, s = unflatten_on_device(  # noqa: E741  (the channel of the source)
                    first + cuda.threadIdx.x, filters.shape[1], filters.shape[2], filters.shape[3]
                )
                f_tile[cuda.threadIdx.y, cuda.threadIdx.x] = filters[g * m_per_group + m, l, r, s]
            if n < target.shape[0] and first + cuda.threadIdx.y < terms:
                _, l, r, s = unflatten_on_device(  # noqa: E741
                    first + cuda.threadIdx.y, filters.shape[1], filters.shape[2], filters.shape[3]
                )
                h = place(i * stride[0] - top_left[0] + r * dilation[0], spread[0], source.shape[2])
                w = place(j * stride[1] - top_left[1] + s * dilation[1], spread[1], source.shape[3])
                if h >= 0 and w >= 0:
                    source_tile[cuda.threadIdx.y, cuda.threadIdx.x] = source[n, g * filters.shape[1] + l, h, w]
            cuda.syncthreads()
            # accumulate
            for t in range(tile):
                total += f_tile[cuda.threadIdx.y, t] * source_tile[t, cuda.threadIdx.x]
            cuda.syncthreads()  # the next step overwrites the tiles

        # store
        if m < m_per_group and n < target.shape[0]:
            target[n, g * m_per_group + m, i, j] = total + number(addend[g * m_per_group + m])

    return implicit_gemm


@cache
def make_weights_kernel(tile: int, accumulator: Dtype) -> Kernel:
    """Make the kernel that computes the parts of dw, (splits, K, C/G·R·S)."""
    number = number_of(accumulator)
    shape = (tile, tile)

    @cuda.jit
    def implicit_gemm_weights(
        x: Array, dy: Array, parts: Array, taps: Any, stride: Any, top_left: Any, dilation: Any, groups: int,
        tiles: Any, per_split: int,
    ) -> None:  # fmt: skip
        # map
        split, g, k_tile, t_tile = unflatten_on_device(cuda.blockIdx.x, groups, tiles[0], tiles[1])
        k_per_group = dy.shape[1] // groups
        k = k_tile * tile + cuda.threadIdx.y  # within the group
        # the window element that this thread gathers, and the one that it sums for
        gathered = t_tile * tile + cuda.threadIdx.y
        t = t_tile * tile + cuda.threadIdx.x
        _, c, r, s = unflatten_on_device(gathered, x.shape[1], taps[0], taps[1])
        outputs = min((split + 1) * per_split, dy.shape[0] * dy.shape[2] * dy.shape[3])
        dy_tile = cuda.shared.array(shape, number)
        x_tile = cuda.shared.array(shape, number)
        total = number(0)

        for first in range(split * per_split, outputs, tile):
            # load: threadIdx.x runs along o; zeros past the edges and in the padding
            o = first + cuda.threadIdx.x
            n, _, p, q = unflatten_on_device(o, 1, dy.shape[2], dy.shape[3])
            dy_tile[cuda.threadIdx.y, cuda.threadIdx.x] = number(0)
            x_tile[cuda.threadIdx.y, cuda.threadIdx.x] = number(0)
            if k < k_per_group and o < outputs:
                dy_tile[cuda.threadIdx.y, cuda.threadIdx.x] = dy[n, g * k_per_group + k, p, q]
            if gathered < parts.shape[2] and o < outputs:
                h = p * stride[0] - top_left[0] + r * dilation[0]
                w = q * stride[1] - top_left[1] + s * dilation[1]
                if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                    x_tile[cuda.threadIdx.y, cuda.threadIdx.x] = x[n, g * (x.shape[1] // groups) + c, h, w]
            cuda.syncthreads()
            # accumulate
            for step in range(tile):
                total += dy_tile[cuda.threadIdx.y, step] * x_tile[cuda.threadIdx.x, step]
            cuda.syncthreads()  # the next step overwrites the tiles

        # store
        if k < k_per_group and t < parts.shape[2]:
            parts[split, g * k_per_group + k, t] = total

    return implicit_gemm_weights


@cache
def make_sum_kernel(accumulator: Dtype) -> Kernel:
    """Make the kernel that adds up the parts, with one thread for each element of dw."""
    number = number_of(accumulator)

    @cuda.jit
    def sum_parts(parts: Array, dw: Array) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if flat >= dw.size:
            return  # the grid is rounded up to whole blocks
        k = flat // dw.shape[1]
        t = flat % dw.shape[1]

        # load and accumulate
        total = number(0)
        for split in range(parts.shape[0]):
            total += parts[split, k, t]

        # store
        dw[k, t] = total

    return sum_parts
