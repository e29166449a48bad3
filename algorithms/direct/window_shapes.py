"""The shapes of `algorithms.direct.window`: its config, its layout of shared memory and its sizes."""

from dataclasses import dataclass
from math import prod

from algorithms.correlation import INDICES, Correlation, farthest, not_neighbours
from convbench.devices import MAX_THREADS_PER_BLOCK
from convbench.errors import ConfigError
from convbench.problem import ConvProblem, Direction, Pair

STAGES = 2
FLOAT_BYTES = 4
MOST_SUMS = 128  # of a thread: what NVVM unrolls, and 255 registers hold with what else a thread needs
MOST_VALUES = 208  # sums, window and filters of a thread: what 255 registers hold with the addresses of a step
MOST_TAPS = 81
REGISTERS = 65536  # of a multiprocessor, since compute capability 5.0


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How much of the target a block and a thread compute, with a window of the map in registers; float32 only.

    Parameters
    ----------
    tile_m, tile_i, tile_j : filters, rows and columns of a block
    pixels, filters : of a thread, neighbours in a row and groups of four filters
    channels : channels of the source between two barriers
    blocks : blocks that a multiprocessor should hold at once
    is_specialised : whether to compile a kernel for the sizes of one problem alone
    """

    tile_m: int = 64
    tile_i: int = 8
    tile_j: int = 32
    pixels: int = 8
    filters: int = 8
    channels: int = 4
    blocks: int = 2
    is_specialised: bool = True

    def __post_init__(self) -> None:
        sizes = (self.tile_m, self.tile_i, self.tile_j, self.pixels, self.filters, self.channels, self.blocks)
        if min(sizes) < 1:
            raise ConfigError(f"{self}: every number is at least 1")
        rules = (
            (self.pixels % 4 == 0 and self.filters % 4 == 0, "pixels and filters are multiples of 4"),
            (self.pixels * self.filters <= MOST_SUMS, f"a thread has at most {MOST_SUMS} sums, pixels · filters"),
            (self.tile_j % self.pixels == 0, "tile_j is a multiple of pixels"),
            (self.tile_m % self.filters == 0, "tile_m is a multiple of filters"),
            (self.threads <= MAX_THREADS_PER_BLOCK, f"a block holds at most {MAX_THREADS_PER_BLOCK} threads"),
            (
                self.threads * self.blocks * self.pixels * self.filters <= REGISTERS,
                f"the sums of all threads have a register each, of {REGISTERS}",
            ),
        )
        for holds, rule in rules:
            if not holds:
                raise ConfigError(f"{self}: {rule}")

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.tile_i * (self.tile_j // self.pixels) * (self.tile_m // self.filters)


@dataclass(frozen=True)
class Layout:
    """One stage in shared memory, and the window that a thread reads from it.

    Parameters
    ----------
    halo : rows and columns of the map that a tile reads; columns up to the last group of four that a thread loads
    vectors : groups of four elements in the window of a thread
    filter_elements : numbers of a stage's filters
    """

    halo: Pair
    vectors: int
    channels: int
    filter_elements: int

    @classmethod
    def of(cls, config: WindowConfig, taps: Pair, stride: Pair, dilation: Pair) -> "Layout":
        """Return the layout for filters, strides and dilations of these sizes."""
        (u, v), (d_h, d_w), (r, s) = stride, dilation, taps
        vectors = -(-((config.pixels - 1) * v + d_w * (s - 1) + 1) // 4)
        halo = (config.tile_i - 1) * u + d_h * (r - 1) + 1, (config.tile_j - config.pixels) * v + 4 * vectors
        return cls(halo, vectors, config.channels, config.channels * prod(taps) * config.tile_m)

    @property
    def plane(self) -> int:
        """Elements of one channel of the halo."""
        return prod(self.halo)

    @property
    def source_elements(self) -> int:
        """Elements of the halo in one stage."""
        return self.channels * self.plane

    @property
    def shared_bytes(self) -> int:
        """Bytes of all stages."""
        return FLOAT_BYTES * STAGES * (self.source_elements + self.filter_elements)


def layout_of(config: WindowConfig, geometry: Correlation) -> Layout:
    """Return the layout for a problem."""
    return Layout.of(config, geometry.taps, geometry.stride, geometry.dilation)


def sizes_of(geometry: Correlation) -> tuple[int, ...]:
    """Return the sizes that the kernel takes: map, target, top and left, L/G, M/G, G."""
    return (
        *geometry.size, *geometry.outputs, *geometry.top_left,
        geometry.sources_per_group, geometry.targets_per_group, geometry.groups,
    )  # fmt: skip


def packed_shape(config: WindowConfig, geometry: Correlation) -> tuple[int, ...]:
    """Return the shape of the packed filters: (G, m tiles, L/G rounded up to whole steps, R, S, tile_m)."""
    m_tiles = -(-geometry.targets_per_group // config.tile_m)
    steps = -(-geometry.sources_per_group // config.channels)
    return geometry.groups, m_tiles, steps * config.channels, *geometry.taps, config.tile_m


def tiles_of(config: WindowConfig, geometry: Correlation) -> int:
    """Count the blocks of the grid."""
    m_tiles = -(-geometry.targets_per_group // config.tile_m)
    i_tiles, j_tiles = -(-geometry.outputs[0] // config.tile_i), -(-geometry.outputs[1] // config.tile_j)
    return geometry.n * geometry.groups * i_tiles * j_tiles * m_tiles


def fault(config: WindowConfig, problem: ConvProblem, direction: Direction) -> str | None:
    """The reason why no device can compute a zero-padded problem with a config; None if it can."""
    if reason := not_neighbours(problem, direction):
        return reason
    geometry = Correlation.of(problem, direction)
    layout = layout_of(config, geometry)
    if prod(geometry.taps) > MOST_TAPS:
        return f"{prod(geometry.taps)} taps are more than {MOST_TAPS}, which its kernel writes out"
    needed = 4 * layout.vectors + config.filters + config.pixels * config.filters
    if needed > MOST_VALUES:
        return f"a thread has {needed} numbers in registers, {MOST_VALUES} at most: a window of {4 * layout.vectors}"
    most = max(
        farthest(geometry, (config.tile_i + layout.halo[0], config.tile_j + layout.halo[1])),
        geometry.sources_per_group + config.channels, geometry.targets + config.tile_m,
    )  # fmt: skip
    if most >= INDICES:
        return f"its indices of rows, of columns and of channels have 31 bits, and one of them reaches {most:,}"
    return None
