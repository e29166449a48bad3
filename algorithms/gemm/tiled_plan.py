"""The launches of `algorithms.gemm.tiled`: pack the filters once per weights, multiply all tiles, add up the parts."""

from numba import cuda, float32

from algorithms.copies import is_aligned, require_copies, require_shared_memory
from algorithms.correlation import CorrelationPlan
from algorithms.gemm.tiled import make_kernel
from algorithms.gemm.tiled_config import Sizes, TiledConfig, outputs_of
from algorithms.pairs import require_pairs
from convbench.devices import Array, Device
from convbench.errors import ConfigError
from convbench.intrinsics import unflatten_on_device
from convbench.problem import ConvProblem, Direction

THREADS = 256  # of a block that packs filters or sums parts


class TiledPlan(CorrelationPlan):
    """Pack the filters once per weights. Then launch over all tiles and, if the sum is split, add up its parts."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: TiledConfig) -> None:
        super().__init__(problem, direction, device, config)
        geometry = self.geometry
        if reason := config.misfit(geometry):
            raise ConfigError(f"{config} is none for {direction} of {problem}: {reason}")
        require_copies(config, device)
        require_pairs(config, device, is_packed=config.is_packed)
        require_shared_memory(config, device, config.dynamic_bytes)
        self.tiles = -(-geometry.targets_per_group // config.tile_k), -(-outputs_of(geometry) // config.tile_o)
        self.chunks = -(-geometry.sources_per_group // config.tile_t)
        self.packed = self.kept(
            (geometry.groups * geometry.taps[0] * geometry.taps[1] * self.chunks * config.tile_t
             * self.tiles[0] * config.tile_k,),
        )  # fmt: skip
        shape = config.splits, geometry.n, geometry.targets, *geometry.outputs
        self.parts = self.scratch(shape) if config.splits > 1 else None

    @property
    def sizes(self) -> Sizes:
        """The sizes that the kernel takes as an argument, or closes over."""
        geometry = self.geometry
        steps = geometry.taps[0] * geometry.taps[1] * self.chunks
        return (
            geometry.n, geometry.groups, geometry.sources_per_group, *geometry.size, geometry.targets_per_group,
            *geometry.outputs, *geometry.taps, *geometry.stride, *geometry.top_left, *geometry.dilation, self.tiles[0],
            self.chunks, -(-steps // self.config.splits),
        )  # fmt: skip

    def prepare(self) -> None:
        super().prepare()
        config = self.config
        step = config.tile_t, config.tile_k
        grid = -(-self.packed.size // THREADS)
        self.device.launch(
            "pack", pack_filters, grid, THREADS, self.filters, self.packed, self.geometry.groups, self.chunks * step[0],
            self.tiles[0] * step[1],
        )  # fmt: skip

    def run(self, source: Array, target: Array) -> None:
        config, sizes = self.config, self.sizes
        into = target if self.parts is None else self.parts
        wide = config.pixels if is_aligned(source) else 1
        kernel = make_kernel(config.kernel_key, sizes if config.is_specialised else None, wide, is_aligned(into))
        grid = self.tiles[0] * self.tiles[1], self.geometry.groups, config.splits
        self.device.launch(
            "multiply", kernel, grid, config.threads, source.reshape(-1), self.packed, self.addend, into.reshape(-1),
            sizes, shared_bytes=config.dynamic_bytes,
        )  # fmt: skip
        if self.parts is not None:
            flat = self.parts.reshape(config.splits, target.size), target.reshape(-1)
            self.device.launch(
                "reduce", sum_parts, -(-target.size // THREADS), THREADS, flat[0], self.addend, flat[1],
                target.shape[2] * target.shape[3],
            )  # fmt: skip


@cuda.jit
def pack_filters(filters: Array, packed: Array, groups: int, padded_l: int, padded_m: int) -> None:
    """Write the filters by group, tap, channel and filter, with zeros beyond the last channel and filter.

    Excess: Neighbouring threads write neighbouring filters m and read them L/G·R·S elements apart. The kernel runs once
    for a set of weights, and other taps of the same sectors are read soon after, from the L2 cache.
    """
    # map
    flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if flat >= packed.size:
        return  # the grid is rounded up to whole blocks
    g, tap, l, m = unflatten_on_device(flat, filters.shape[2] * filters.shape[3], padded_l, padded_m)  # noqa: E741
    m_per_group = filters.shape[0] // groups
    # load and store
    value = float32(0)
    if l < filters.shape[1] and m < m_per_group:
        value = filters[g * m_per_group + m, l, tap // filters.shape[3], tap % filters.shape[3]]
    packed[flat] = value


@cuda.jit
def sum_parts(parts: Array, addend: Array, target: Array, area: int) -> None:
    """Add the parts of each element in order, then the addend of its channel."""
    # map
    flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
    if flat >= target.size:
        return  # the grid is rounded up to whole blocks
    # load and accumulate
    total = float32(0)
    for split in range(parts.shape[0]):
        total += parts[split, flat]
    # store
    target[flat] = total + addend[flat // area % addend.size]
