"""The configs of the FFT in stages, and the choice of one for a problem."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from algorithms.correlation import HUGE_MACS, LARGE_MACS, Correlation
from algorithms.fft.spectra import PITCHES, frequencies, together
from algorithms.gemm import Tile, padded
from algorithms.tiling import Tiling
from convbench.errors import ConfigError
from convbench.problem import ConvProblem, Pair

LENGTHS = tuple(sorted(PITCHES))  # of the transforms that fit in registers
INDICES = 2**31
MOST_BYTES = 2**30  # of the spectra in memory at a time, unless one step of tiles takes more
L2_BYTES = 2**25  # of spectra that stay in the second cache of the reference chip, an H200 with 50 MB
SQUARE, LARGEST_SQUARE = 8, 32  # the side of a square tile, and the largest that a block has threads for
PATIENCE = 4  # a small problem takes the longer transform only if the shorter has more than so many times its products

# the share of products among the hot loop's instructions, by the sums of a thread, compiled for compute capability 9.0
SHARE_OF_PRODUCTS = {64: 0.89, 32: 0.83, 16: 0.69}
TILES = (
    Tile(tile_i=128, tile_j=128, tile_l=16, thread_i=8, thread_j=8),
    Tile(tile_i=64, tile_j=128, tile_l=16, thread_i=8, thread_j=8),
    Tile(tile_i=128, tile_j=64, tile_l=16, thread_i=8, thread_j=8),
    Tile(tile_i=64, tile_j=64, tile_l=16, thread_i=8, thread_j=8),
    Tile(tile_i=32, tile_j=64, tile_l=16, thread_i=8, thread_j=4),
    Tile(),
)
MIDDLE = TILES[-2:]  # of problems that are neither small nor large


@dataclass(frozen=True, kw_only=True)
class StagesConfig:
    """The sizes of the three stages.

    Parameters
    ----------
    length : Λ, of the transform along both axes
    gemm : tile of the complex product in registers, or the side of the square tiles of `algorithms.gemm.plain`
    most_tiles : the tiles whose spectra the workspace holds at a time, rounded up to a step of the kernels
    is_specialised : whether the kernels of a run are compiled for one problem's sizes
    is_packed : whether one instruction adds two products in registers, which only compute capabilities 10.0 and 10.3
        can do (`algorithms.pairs`)
    """

    length: int = 16
    gemm: Tile | int = SQUARE
    most_tiles: int = 2**16
    is_specialised: bool = False
    is_packed: bool = False

    def __post_init__(self) -> None:
        if self.length not in LENGTHS or self.most_tiles < 1:
            raise ConfigError(f"{self}: length is one of {LENGTHS}, most_tiles is at least 1")
        if isinstance(self.gemm, int) and not 1 <= self.gemm <= LARGEST_SQUARE:
            raise ConfigError(f"{self}: gemm, a number, is 1 to {LARGEST_SQUARE} (a block holds 1024 threads)")
        if self.is_packed and isinstance(self.gemm, int):
            raise ConfigError(f"{self}: is_packed is for a tile in registers; gemm is a number")

    def outputs(self, problem: ConvProblem) -> Pair:
        """Rows and columns of a tile that do not wrap around."""
        return _outputs(self.length, (problem.r, problem.s))

    @property
    def step(self) -> int:
        """The number of tiles that both the transforms and the product take together: a power of two."""
        return max(together(self.length), self.gemm.tile_j // 2 if isinstance(self.gemm, Tile) else 1)

    @property
    def filter_step(self) -> int:
        """The number of filters that both take together."""
        return max(together(self.length), self.gemm.tile_i // 2 if isinstance(self.gemm, Tile) else 1)

    def misfit(self, geometry: Correlation) -> str | None:
        """The reason why this config cannot compute a correlation; None if it can."""
        if max(geometry.taps) > self.length:
            return f"the filter is {geometry.taps[0]} × {geometry.taps[1]}, longer than the transform"
        spans = (
            outputs * stride + 2 * self.length * dilation + abs(before) + size * spread
            for outputs, stride, dilation, before, size, spread in zip(
                geometry.outputs, geometry.stride, geometry.dilation, geometry.top_left, geometry.size, geometry.spread,
                strict=True,
            )
        )  # fmt: skip
        filters = geometry.targets + self.filter_step
        if max(_tiles_of(geometry, self.length) + self.step, filters, geometry.sources, *spans) >= INDICES:
            return f"its indices of tiles and of samples have 31 bits, and one of them reaches {INDICES:,}"
        return None


def default_config(geometry: Correlation) -> StagesConfig | None:
    """The config for a problem, by its size; None if none fits.

    Small problems share the kernels of the simple product, because a launch and a compilation cost more than they save.
    They share the shorter transform too, unless that is much more work. Other problems take the transform with the
    fewest products.
    """
    products = _products_of(geometry)
    patience = PATIENCE if products < LARGE_MACS else 1
    found = [
        (work * (1 if length == min(LENGTHS) else patience), config)
        for length in _lengths_of(geometry)
        for work, config in [_best(geometry, length)]
        if config.misfit(geometry) is None
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def in_registers(config: StagesConfig, geometry: Correlation) -> StagesConfig:
    """The config with its product in registers, with the smallest tile."""
    tiled = replace(config, gemm=Tile())
    return replace(tiled, most_tiles=_tiles_within(MOST_BYTES, geometry, tiled))


def stages_space(geometry: Correlation) -> Iterator[StagesConfig]:
    """Every config worth trying. A small problem has one for each transform."""
    for length in _lengths_of(geometry):
        _, best = _best(geometry, length)
        if best.misfit(geometry) is not None:
            continue
        yield best
        if _products_of(geometry) >= LARGE_MACS:
            for gemm, is_specialised in product(TILES, (True, False)):
                config = replace(best, gemm=gemm, is_specialised=is_specialised)
                for most_bytes, is_packed in product((L2_BYTES, MOST_BYTES), (False, True)):
                    most_tiles = _tiles_within(most_bytes, geometry, config)
                    yield replace(config, most_tiles=most_tiles, is_packed=is_packed)


def _best(geometry: Correlation, length: int) -> tuple[float, StagesConfig]:
    """The least work for a length, and the config whose tile has it; of equal tiles the first."""
    products, tiles = _products_of(geometry), _tiles_of(geometry, length)

    def work(gemm: Tile) -> float:
        sums = padded(2 * geometry.targets_per_group, gemm.tile_i) * padded(2 * tiles, gemm.tile_j)
        return frequencies(length) * sums / SHARE_OF_PRODUCTS[gemm.thread_i * gemm.thread_j]

    gemm = min(TILES if products >= HUGE_MACS else MIDDLE, key=work)
    config = StagesConfig(
        length=length, gemm=SQUARE if products < LARGE_MACS else gemm, is_specialised=products >= HUGE_MACS
    )  # fmt: skip
    return work(gemm), replace(config, most_tiles=_tiles_within(MOST_BYTES, geometry, config))


def _tiles_within(most_bytes: int, geometry: Correlation, config: StagesConfig) -> int:
    """The tiles of a pass whose spectra fit in `most_bytes`: whole steps, at least one, and passes of equal size."""
    each = 8 * frequencies(config.length) * (geometry.sources + geometry.targets) * config.step
    steps = -(-_tiles_of(geometry, config.length) // config.step)
    passes = -(-steps // max(1, most_bytes // each))
    return -(-steps // passes) * config.step


def _products_of(geometry: Correlation) -> int:
    """The number of multiply-adds of the definition."""
    return geometry.n * geometry.outputs[0] * geometry.outputs[1] * geometry.targets * geometry.terms


def _lengths_of(geometry: Correlation) -> list[int]:
    """The lengths of transforms that hold the filter."""
    return [length for length in LENGTHS if max(geometry.taps) <= length]


def _outputs(length: int, taps: Pair) -> Pair:
    return length - taps[0] + 1, length - taps[1] + 1


def _tiles_of(geometry: Correlation, length: int) -> int:
    """The number of tiles of all images."""
    return geometry.n * Tiling.of(geometry, _outputs(length, geometry.taps)).per_image
