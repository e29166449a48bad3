"""The configs of the register-tiled implicit GEMM, and the choice of a config for a problem."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from algorithms.correlation import HUGE_MACS, LARGE_MACS, Correlation
from convbench.devices import MAX_GRID, MAX_SHARED_BYTES, MAX_THREADS_PER_BLOCK
from convbench.errors import ConfigError

LANES_K, LANES_O = 4, 8  # of a warp, along filters and along outputs
WARP = LANES_K * LANES_O
RUN = 4  # elements of 4 bytes in the widest access
GAP_K, GAP_O = LANES_K * RUN, LANES_O * RUN  # from one run of a thread to its next
MOST_SPLITS = 64
STAGES, MOST_STAGES = 2, 4  # of the default, and most
INDICES = 2**31
REGISTERS = 2**16  # of a multiprocessor: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"
MOST_REGISTERS = 255  # of a thread, likewise

Sizes = tuple[int, ...]  # in the order in which `algorithms.gemm.tiled` unpacks them


@dataclass(frozen=True, kw_only=True)
class TiledConfig:
    """The tile of a block, the tile of a thread, and how the tiles are copied.

    Parameters
    ----------
    tile_k, tile_o, tile_t : filters and outputs of a block, and terms of the sum that it stages at once
    thread_k, thread_o : filters and outputs of a thread
    stages : steps whose tiles shared memory has room for; while one is summed, the others are being copied
    is_specialised : whether the kernel is compiled for the problem's sizes, or takes them as arguments
    splits : parts of the sum, which allow more blocks than there are tiles; a second launch adds the parts in order
    pixels : elements of the source in one copy; 4 needs 1 × 1 filters at stride 1, without padding, on maps of a
        multiple of four elements. A source that does not begin at a multiple of 16 bytes is copied one by one.
    is_packed : whether one instruction adds the products of two neighbouring outputs, which only compute capabilities
        10.0 and 10.3 can do (`algorithms.pairs`)
    """

    tile_k: int = 32
    tile_o: int = 32
    tile_t: int = 8
    thread_k: int = 4
    thread_o: int = 4
    stages: int = STAGES
    is_specialised: bool = False
    splits: int = 1
    pixels: int = 1
    is_packed: bool = False

    def __post_init__(self) -> None:
        for holds, rule in self._rules():
            if not holds:
                raise ConfigError(f"{self}: {rule}")

    def _rules(self) -> Iterator[tuple[bool, str]]:
        yield min(self.tile_k, self.tile_o, self.tile_t, self.thread_k, self.thread_o) >= 1, "sizes are at least 1"
        yield self.thread_k % RUN == self.thread_o % RUN == 0, f"thread_k and thread_o are multiples of {RUN}"
        warp = LANES_K * self.thread_k, LANES_O * self.thread_o
        yield self.tile_k % warp[0] == 0, f"tile_k is a multiple of {LANES_K} · thread_k = {warp[0]}"
        yield self.tile_o % warp[1] == 0, f"tile_o is a multiple of {LANES_O} · thread_o = {warp[1]}"
        yield self.threads <= MAX_THREADS_PER_BLOCK, f"{self.threads} threads; a block has {MAX_THREADS_PER_BLOCK}"
        yield 2 <= self.stages <= MOST_STAGES, f"stages is 2 to {MOST_STAGES}"
        yield 1 <= self.splits <= MOST_SPLITS, f"splits is 1 to {MOST_SPLITS}"
        yield self.pixels in (1, RUN), f"pixels is 1 or {RUN}"
        rows = ("tile_k", self.tile_k // RUN), ("tile_o", self.tile_o), ("tile_o", self.tile_o // self.pixels)
        for name, copies in rows:
            fits = self.threads % copies == 0 and self.tile_t % (self.threads // copies) == 0
            yield fits, f"{self.threads} threads cannot share the {copies} copies of each of tile_t rows of {name}"

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.tile_k // self.thread_k * (self.tile_o // self.thread_o)

    @property
    def blocks(self) -> int:
        """Blocks that a multiprocessor should hold at once: as many as leave each thread enough registers."""
        sums = self.thread_k * self.thread_o
        more = 0 if sums >= 64 else 40 if self.is_packed and sums < 32 else 32  # pairs begin at even registers
        wanted = min(MOST_REGISTERS + 1, 2 * sums + more)
        return max(1, REGISTERS // (wanted * self.threads))

    @property
    def shared_bytes(self) -> int:
        """Bytes of the tiles of all stages."""
        return 4 * self.stages * self.tile_t * (self.tile_k + self.tile_o)

    @property
    def dynamic_bytes(self) -> int:
        """Shared memory that the launch requests because it is more than a kernel can declare; else 0."""
        return self.shared_bytes if self.shared_bytes > MAX_SHARED_BYTES else 0

    @property
    def kernel_key(self) -> "TiledConfig":
        """The config without the fields that do not change the kernel's code. Its sizes carry those fields."""
        return replace(self, splits=1, is_specialised=False)

    def misfit(self, geometry: Correlation) -> str | None:
        """The reason why a problem cannot have this config; None if it can."""
        if geometry.is_spread:
            return "there are zeros between the elements of the source, which the register tiles have no way to skip"
        if self.pixels > 1 and not is_pointwise(geometry):
            return (
                f"pixels={self.pixels} is for 1 × 1 filters at stride 1, without padding, on maps of 4 elements or more"
            )
        spans = (
            outputs * stride + taps * dilation + abs(before)
            for outputs, stride, taps, dilation, before in zip(
                geometry.outputs, geometry.stride, geometry.taps, geometry.dilation, geometry.top_left, strict=True
            )
        )
        steps = (geometry.sources_per_group + self.tile_t) * geometry.taps[0] * geometry.taps[1]
        if (
            max(outputs_of(geometry) + self.tile_o, geometry.targets + self.tile_k, steps, *geometry.size, *spans)
            >= INDICES
        ):
            return f"its indices of outputs, of filters and of steps have 31 bits, and one of them reaches {INDICES:,}"
        if geometry.groups > MAX_GRID[1]:
            return f"{geometry.groups:,} groups: its grid has a row for each, and {MAX_GRID[1]:,} at most"
        return None


class Facts(NamedTuple):
    """What a kernel has to provide for; sizes that are known make some of it superfluous."""

    is_padded: bool  # taps reach beyond the map
    is_ragged: bool  # the last step of a tap has fewer channels
    is_cut_k: bool  # the last tile has fewer filters
    is_cut_o: bool  # the last tile has fewer outputs
    has_runs: bool  # runs of four outputs stay within an image


def facts_of(config: TiledConfig, baked: Sizes | None) -> Facts:
    """The facts of a problem's sizes; without sizes, everything that a problem of the config can need."""
    is_pointwise = config.pixels > 1
    if baked is None:
        return Facts(not is_pointwise, True, True, True, is_pointwise)
    (
        images, _, channels, height, width, filters, target_h, target_w, taps_r, taps_s, stride_h, stride_w,
        top, left, dilation_h, dilation_w, *_,
    ) = baked  # fmt: skip
    beyond_h = (target_h - 1) * stride_h - top + (taps_r - 1) * dilation_h >= height
    beyond_w = (target_w - 1) * stride_w - left + (taps_s - 1) * dilation_w >= width
    return Facts(
        top > 0 or left > 0 or beyond_h or beyond_w, channels % config.tile_t > 0, filters % config.tile_k > 0,
        images * target_h * target_w % config.tile_o > 0, target_h * target_w % RUN == 0,
    )  # fmt: skip


def copies_in_a_row(config: TiledConfig, pixels: int) -> tuple[int, int]:
    """Copies in a row of the tile of filters, and of the gathered map where each copy has `pixels` elements."""
    return config.tile_k // RUN, config.tile_o // pixels


def outputs_of(geometry: Correlation) -> int:
    """Count the elements of one channel of the target over all images."""
    return geometry.n * geometry.outputs[0] * geometry.outputs[1]


def is_pointwise(geometry: Correlation) -> bool:
    """Whether neighbouring outputs come from neighbouring elements, and every fourth begins at 16 bytes."""
    plain = geometry.taps == geometry.stride == geometry.spread == (1, 1) and geometry.top_left == (0, 0)
    return plain and geometry.size == geometry.outputs and geometry.size[0] * geometry.size[1] % RUN == 0


# tile_k, tile_o, tile_t, thread_k, thread_o
TILES = (
    (128, 128, 16, 16, 8), (256, 128, 16, 16, 8), (128, 128, 16, 8, 8), (64, 128, 16, 8, 8), (128, 64, 16, 8, 8),
    (64, 64, 16, 8, 8), (64, 64, 16, 8, 4), (32, 128, 16, 8, 4), (32, 64, 8, 8, 4), (32, 32, 8, 4, 4),
)  # fmt: skip
OF_FEW_CHANNELS = (128, 128, 4, 16, 8), (64, 64, 4, 8, 8)  # of fewer than the others stage at once
FEW_CHANNELS = 16
MIDDLE = (64, 64, 16, 8, 4), (32, 128, 16, 8, 4)
SPLITS = (1, 2, 3, 4, 6, 8, 16)

# the reference chip, an H200: what the default is chosen for
MULTIPROCESSORS = 132
WARPS = 8  # that a multiprocessor needs to hide the latency of its products: two for each of its schedulers
MULTIPLY_ADDS_PER_BYTE = 7.8  # 66.9 TFLOP/s against 4.3 TB/s
# share of products in the instructions of the hot loop, by a thread's sums: as compiled for compute capability 9.0
SHARE_OF_PRODUCTS = {128: 0.91, 64: 0.87, 32: 0.76, 16: 0.59}


def default_config(geometry: Correlation) -> TiledConfig | None:
    """Choose the config for a problem by its size; None if no config fits.

    All small problems share the kernel of one small tile, because more launches and compilations would cost more than
    they save. A larger problem gets the tile and the splits for which the busiest multiprocessor has the least work.
    """
    products = outputs_of(geometry) * geometry.targets * geometry.terms
    if products < LARGE_MACS:
        candidates = [TiledConfig()]
    else:
        tiles = tiles_for(geometry) if products >= HUGE_MACS else MIDDLE
        candidates = [
            _of_tile(tile, geometry, splits=splits, is_specialised=products >= HUGE_MACS)
            for tile in tiles for splits in SPLITS
        ]  # fmt: skip
    fitting = [config for config in candidates if config.misfit(geometry) is None]
    return min(fitting, key=lambda config: work(config, geometry), default=None)


def other_config(default: TiledConfig, geometry: Correlation) -> TiledConfig:
    """Return a config that differs from the default in most fields: it has larger tiles, and its sum is split.

    It also has one more stage. It is never compiled for the sizes, so that all problems share its kernel.
    """
    return _of_tile(MIDDLE[0], geometry, splits=2 * default.splits, is_specialised=False, stages=3)


def tiled_space(geometry: Correlation) -> list[TiledConfig]:
    """Return every config worth trying. A sum is not split if it is short, or if there are enough blocks without it.

    Multiply-adds are packed with the default number of stages alone. Most devices do not have them.
    """
    found = []
    for tile in tiles_for(geometry):
        for splits in SPLITS:
            for stages in (2, 3, 4):
                for specialised in (True, False):
                    config = _of_tile(tile, geometry, splits=splits, is_specialised=specialised, stages=stages)
                    enough = splits == 1 or blocks_of(config, geometry) <= 2 * splits * MULTIPROCESSORS
                    if enough and 2 * splits <= steps_of(config, geometry) + 1 and config.misfit(geometry) is None:
                        found.append(config)
                        if stages == STAGES:
                            found.append(_packed(config))
    return found


def tiles_for(geometry: Correlation) -> tuple[tuple[int, ...], ...]:
    """Return the tiles that suit the number of channels."""
    return TILES if geometry.sources_per_group >= FEW_CHANNELS else TILES + OF_FEW_CHANNELS


def _of_tile(
    tile: tuple[int, ...], geometry: Correlation, *, splits: int, is_specialised: bool, stages: int = STAGES
) -> TiledConfig:
    return _made(tile, stages, is_specialised, splits, RUN if is_pointwise(geometry) else 1)


@cache  # a search asks for the same configs for every problem
def _packed(config: TiledConfig) -> TiledConfig:
    return replace(config, is_packed=True)


@cache
def _made(tile: tuple[int, ...], stages: int, is_specialised: bool, splits: int, pixels: int) -> TiledConfig:
    tile_k, tile_o, tile_t, thread_k, thread_o = tile
    return TiledConfig(
        tile_k=tile_k, tile_o=tile_o, tile_t=tile_t, thread_k=thread_k, thread_o=thread_o, stages=stages,
        is_specialised=is_specialised, splits=splits, pixels=pixels,
    )  # fmt: skip


def steps_of(config: TiledConfig, geometry: Correlation) -> int:
    """Count the steps in which a block sums, if the sum is not split."""
    return geometry.taps[0] * geometry.taps[1] * -(-geometry.sources_per_group // config.tile_t)


def blocks_of(config: TiledConfig, geometry: Correlation) -> int:
    """Count the blocks of the whole grid."""
    tiles = -(-geometry.targets_per_group // config.tile_k) * -(-outputs_of(geometry) // config.tile_o)
    return tiles * geometry.groups * config.splits


def work(config: TiledConfig, geometry: Correlation) -> float:
    """Estimate the work of the busiest multiprocessor in multiply-adds: a first-order model, not a measurement."""
    rounds = -(-blocks_of(config, geometry) // MULTIPROCESSORS)
    terms = -(-steps_of(config, geometry) // config.splits) * config.tile_t
    products = rounds * config.tile_k * config.tile_o * terms / SHARE_OF_PRODUCTS[config.thread_k * config.thread_o]
    idle = max(1.0, WARPS * WARP / (rounds * config.threads))
    elements = 0 if config.splits == 1 else (2 * config.splits + 1) * outputs_of(geometry) * geometry.targets
    return products * idle + 4 * elements * MULTIPLY_ADDS_PER_BYTE / MULTIPROCESSORS
