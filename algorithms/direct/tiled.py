"""Direct convolution from shared memory: a block stages the part of the map that its tile needs, channel by channel.

    target[n,m,i,j] = addend[m] + Σ_l Σ_{r,s} source_tile[i'·u + r·d_h, j'·v + s·d_w] · f_tile[m', r, s]
                      0 ≤ l < L/G, 0 ≤ r < R, 0 ≤ s < S; i = tile_p·a + i', j = tile_q·b + j', m = tile_k·e + m' in its
                      group; forward and backward_data as in `algorithms.correlation`
    dw[k,c,r,s]     = Σ_n Σ_{tiles} Σ_{p',q'} dy_tile[k', p', q'] · source_tile[p'·u + r·d_h, q'·v + s·d_w]

Layouts   source (N, L, ·, ·), f (M, L/G, R, S), target (N, M, ·, ·); in dynamic shared memory source_tile (halo_h,
          halo_w) with halo_h = (tile_p − 1)·u + (R − 1)·d_h + 1 and halo_w alike, then f_tile (tile_k, R, S), or
          dy_tile (tile_k, tile_p, tile_q).
Index map blockIdx.x → (n, m tile, i tile, j tile), j tile fastest · threadIdx.y → i', threadIdx.x → j' · loops over l,
          then r, s, then m' in registers; m tiles never straddle two groups. For dw: blockIdx.x → (k tile, c, chunk) ·
          the threads of a block → (k', r, s), those of one chunk after the other · loops over n, tiles, p', q'.
Cost      2·N·K·P·Q·C/G·R·S FLOPs; an element of the source is read from memory M/G / tile_k times, plus the halo.
Large     Forward, and backward_data with stride 1, of large float32 problems: `algorithms.direct.window`.
Source    NVIDIA 2007, V. Podlozhnyuk, "Image convolution with CUDA", on tiles with an apron in shared memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from numba import cuda

from algorithms.copies import lacks_copies
from algorithms.correlation import Correlation, CorrelationPlan, make_place, number_of
from algorithms.direct import window_choice as direct_tiled_choice
from algorithms.direct.window_plan import WindowPlan
from algorithms.direct.window_shapes import WindowConfig
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices import MAX_SHARED_BYTES, MAX_THREADS_PER_BLOCK, Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import unflatten_on_device
from convbench.problem import DTYPES, ITEM_BYTES, ConvProblem, Direction, Dtype, Pair
from convbench.reference import ACCUMULATOR


@dataclass(frozen=True, kw_only=True)
class Config:
    """The tile of one block: tile_k filters, tile_p rows and tile_q columns, with a thread for each (row, column)."""

    tile_k: int = 4  # accumulators of one thread: each staged input element is used so many times
    tile_p: int = 8
    tile_q: int = 16

    def __post_init__(self) -> None:
        if min(self.tile_k, self.tile_p, self.tile_q) < 1 or self.tile_p * self.tile_q > MAX_THREADS_PER_BLOCK:
            raise ConfigError(f"{self}: tiles are at least 1, and tile_p · tile_q at most {MAX_THREADS_PER_BLOCK}")

    def halo(self, geometry: Correlation) -> Pair:
        """Return height and width of the dense map that one tile of the target reads."""
        (u, v), (d_h, d_w), (r, s) = geometry.stride, geometry.dilation, geometry.taps
        return (self.tile_p - 1) * u + (r - 1) * d_h + 1, (self.tile_q - 1) * v + (s - 1) * d_w + 1

    def shared_bytes(self, problem: ConvProblem, direction: Direction) -> int:
        """Count the bytes of the staged map, and of the filters or gradients."""
        geometry = Correlation.of(problem, "backward_data" if direction == "backward_data" else "forward")
        halo_h, halo_w = self.halo(geometry)
        one = self.tile_p * self.tile_q if direction == "backward_weights" else problem.r * problem.s
        return ITEM_BYTES[ACCUMULATOR[problem.dtype]] * (halo_h * halo_w + self.tile_k * one)


class DirectTiledPlan(CorrelationPlan):
    """One launch over all tiles of the target."""

    def run(self, source: Array, target: Array) -> None:
        geometry, config = self.geometry, self.config
        m_tiles = -(-geometry.targets_per_group // config.tile_k) * geometry.groups
        tiles = m_tiles, -(-geometry.outputs[0] // config.tile_p), -(-geometry.outputs[1] // config.tile_q)
        self.device.launch(
            "multiply", make_kernel(config, self.accumulator, geometry.is_spread),
            geometry.n * tiles[0] * tiles[1] * tiles[2], (config.tile_q, config.tile_p),
            source, self.filters, self.addend, target, geometry.stride, geometry.top_left, geometry.dilation,
            geometry.spread, geometry.groups, tiles, config.halo(geometry),
            shared_bytes=config.shared_bytes(self.problem, self.direction),
        )  # fmt: skip


class DirectTiledWeightsPlan(Plan):
    """One launch over all elements of dw. A block computes a tile of filters."""

    def run(self, x: Array, dy: Array, dw: Array) -> None:
        problem, config, geometry = self.problem, self.config, Correlation.of(self.problem, "forward")
        k_tiles = -(-geometry.targets_per_group // config.tile_k) * geometry.groups
        chunks = -(-config.tile_k * problem.r * problem.s // (config.tile_p * config.tile_q))
        self.device.launch(
            "multiply", make_weights_kernel(config, self.accumulator),
            k_tiles * geometry.sources_per_group * chunks, (config.tile_q, config.tile_p),
            x, dy, dw, geometry.stride, geometry.top_left, geometry.dilation, geometry.groups,
            (k_tiles, chunks), config.halo(geometry),
            shared_bytes=config.shared_bytes(problem, self.direction),
        )  # fmt: skip


class DirectTiled(Algorithm):
    """The definition of convolution, computed from tiles staged in shared memory."""

    name: ClassVar[str] = "direct_tiled"
    family: ClassVar[Family] = "direct"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {
        "forward": DirectTiledPlan, "backward_data": DirectTiledPlan, "backward_weights": DirectTiledWeightsPlan,
    }  # fmt: skip
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES

    def configs(self, problem: ConvProblem, direction: Direction) -> tuple[Config | WindowConfig, ...]:
        """Return windows in registers if the problem is worth their compilation, then tiles for any problem."""
        plain = self._plain_configs(problem, direction)
        return (*direct_tiled_choice.default_configs(problem, direction), *plain) if plain else ()

    def default_on(self, problem: ConvProblem, direction: Direction, device: Device) -> Config | WindowConfig:
        every = self.configs(problem, direction)
        if not lacks_copies(device):
            return every[0]
        return next(one for one in every if isinstance(one, Config))

    def _plain_configs(self, problem: ConvProblem, direction: Direction) -> tuple[Config, ...]:
        """Return the configs whose tile fits in shared memory, the largest first; none if no tile fits."""
        every = (Config(), Config(tile_p=4), Config(tile_p=4, tile_q=8), Config(tile_k=1, tile_p=1, tile_q=32))
        return tuple(config for config in every if config.shared_bytes(problem, direction) <= MAX_SHARED_BYTES)

    def space(self, problem: ConvProblem, direction: Direction) -> tuple[Config | WindowConfig, ...]:
        return direct_tiled_choice.space(problem, direction)

    def plan_class(self, direction: Direction, config: Any) -> type[Plan]:
        return WindowPlan if isinstance(config, WindowConfig) else self.plans[direction]

    def limits(self, problem: ConvProblem, direction: Direction) -> str | None:
        if self._plain_configs(problem, direction):
            return None
        least = Config(tile_k=1, tile_p=1, tile_q=32)
        return (
            f"its smallest tile takes {least.shared_bytes(problem, direction):,} bytes for the part of the map that it "
            f"reads and for filters; a block has {MAX_SHARED_BYTES:,} bytes of shared memory"
        )


@cache
def make_kernel(config: Config, accumulator: Dtype, is_spread: bool) -> Kernel:
    """Make the kernel of a config, for problems of any size."""
    tile_k, tile_p, tile_q = config.tile_k, config.tile_p, config.tile_q
    number, place = number_of(accumulator), make_place(is_spread)

    @cuda.jit
    def direct_tiled(
        source: Array, filters: Array, addend: Array, target: Array, stride: Any, top_left: Any, dilation: Any,
        spread: Any, groups: int, tiles: Any, halo: Any,
    ) -> None:  # fmt: skip
        """One tile of the target for each block, in any dtype.

        Excess: A warp has two rows of the tile. Their samples lie a row of the halo apart in shared memory, so some
        banks have two words to serve. In global memory, rows of the halo and of the target's tile are shorter than a
        warp and begin anywhere in a sector, and filters of neighbouring m are L/G·R·S elements apart.
        """
        # map
        n, m_tile, i_tile, j_tile = unflatten_on_device(cuda.blockIdx.x, tiles[0], tiles[1], tiles[2])
        m_per_group = target.shape[1] // groups
        tiles_per_group = tiles[0] // groups
        g = m_tile // tiles_per_group
        first_m = m_tile % tiles_per_group * tile_k  # within the group
        thread = cuda.threadIdx.y * tile_q + cuda.threadIdx.x
        i = i_tile * tile_p + cuda.threadIdx.y
        j = j_tile * tile_q + cuda.threadIdx.x
        first_h = i_tile * tile_p * stride[0] - top_left[0]
        first_w = j_tile * tile_q * stride[1] - top_left[1]
        taps = filters.shape[2] * filters.shape[3]
        halo_size = halo[0] * halo[1]
        shared = cuda.shared.array(0, number)
        source_tile = shared[:halo_size]
        f_tile = shared[halo_size:]
        totals = cuda.local.array(tile_k, number)
        for m in range(tile_k):
            totals[m] = number(0)

        for l in range(filters.shape[1]):  # noqa: E741  (the channel of the source)
            # load: rows and columns past the map are zeros, and so are filters past the group
            for element in range(thread, halo_size, tile_p * tile_q):
                h = place(first_h + element // halo[1], spread[0], source.shape[2])
                w = place(first_w + element % halo[1], spread[1], source.shape[3])
                if h >= 0 and w >= 0:
                    source_tile[element] = source[n, g * filters.shape[1] + l, h, w]
                else:
                    source_tile[element] = number(0)
            for element in range(thread, tile_k * taps, tile_p * tile_q):
                m = first_m + element // taps
                tap = element % taps
                if m < m_per_group:
                    f_tile[element] = filters[g * m_per_group + m, l, tap // filters.shape[3], tap % filters.shape[3]]
                else:
                    f_tile[element] = number(0)
            cuda.syncthreads()
            # accumulate
            for r in range(filters.shape[2]):
                for s in range(filters.shape[3]):
                    row = cuda.threadIdx.y * stride[0] + r * dilation[0]
                    value = source_tile[row * halo[1] + cuda.threadIdx.x * stride[1] + s * dilation[1]]
                    for m in range(tile_k):
                        totals[m] += value * f_tile[m * taps + r * filters.shape[3] + s]
            cuda.syncthreads()  # the next channel overwrites the tiles

        # store
        if i < target.shape[2] and j < target.shape[3]:
            for m in range(tile_k):
                if first_m + m < m_per_group:
                    m_of_all = g * m_per_group + first_m + m
                    target[n, m_of_all, i, j] = totals[m] + number(addend[m_of_all])

    return direct_tiled


@cache
def make_weights_kernel(config: Config, accumulator: Dtype) -> Kernel:
    """Make the kernel of dw."""
    tile_k, tile_p, tile_q = config.tile_k, config.tile_p, config.tile_q
    number = number_of(accumulator)

    @cuda.jit
    def direct_tiled_weights(
        x: Array, dy: Array, dw: Array, stride: Any, top_left: Any, dilation: Any, groups: int, grid: Any, halo: Any
    ) -> None:
        # map
        _, k_tile, c, chunk = unflatten_on_device(cuda.blockIdx.x, grid[0], dw.shape[1], grid[1])
        k_per_group = dw.shape[0] // groups
        tiles_per_group = grid[0] // groups
        g = k_tile // tiles_per_group
        first_k = k_tile % tiles_per_group * tile_k  # within the group
        thread = cuda.threadIdx.y * tile_q + cuda.threadIdx.x
        _, k, r, s = unflatten_on_device(
            chunk * (tile_p * tile_q) + thread, tile_k, dw.shape[2], dw.shape[3]
        )  # k wraps past the last of a tile, and such threads store nothing
        is_ours = chunk * (tile_p * tile_q) + thread < tile_k * dw.shape[2] * dw.shape[3]
        halo_size = halo[0] * halo[1]
        shared = cuda.shared.array(0, number)
        source_tile = shared[:halo_size]
        dy_tile = shared[halo_size:]
        total = number(0)

        for n in range(dy.shape[0]):
            for first_p in range(0, dy.shape[2], tile_p):
                for first_q in range(0, dy.shape[3], tile_q):
                    # load: zeros past the map, and gradients past the outputs and the group
                    for element in range(thread, halo_size, tile_p * tile_q):
                        h = first_p * stride[0] - top_left[0] + element // halo[1]
                        w = first_q * stride[1] - top_left[1] + element % halo[1]
                        if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                            source_tile[element] = x[n, g * dw.shape[1] + c, h, w]
                        else:
                            source_tile[element] = number(0)
                    p = first_p + cuda.threadIdx.y
                    q = first_q + cuda.threadIdx.x
                    for k_row in range(tile_k):
                        value = number(0)
                        if first_k + k_row < k_per_group and p < dy.shape[2] and q < dy.shape[3]:
                            value = number(dy[n, g * k_per_group + first_k + k_row, p, q])
                        dy_tile[k_row * (tile_p * tile_q) + thread] = value
                    cuda.syncthreads()
                    # accumulate: only up to the last output, because x may hold a NaN beyond it
                    for p_row in range(min(tile_p, dy.shape[2] - first_p)):
                        for q_column in range(min(tile_q, dy.shape[3] - first_q)):
                            row = p_row * stride[0] + r * dilation[0]
                            value = source_tile[row * halo[1] + q_column * stride[1] + s * dilation[1]]
                            total += value * dy_tile[k * (tile_p * tile_q) + p_row * tile_q + q_column]
                    cuda.syncthreads()  # the next tiles overwrite these

        # store
        if is_ours and first_k + k < k_per_group:
            dw[g * k_per_group + first_k + k, c, r, s] = total

    return direct_tiled_weights
