"""FFT convolution in overlap-save tiles: products of spectra, for filters of any size up to the transform's.

    y tile  = F⁻¹[ Σ_c F(x_c tile) · conj(F(w_{k,c})) ]         forward
    dx tile = F⁻¹[ Σ_k F(dy_k tile) · conj(F(f_{c,k})) ]        backward_data, f each filter flipped
    dw_{k,c} = F⁻¹[ Σ_tiles F(x_c tile) · conj(F(dy_k tile)) ]  backward_weights

The first two have one form, a correlation. In float32 it runs in three stages whose transforms are in registers
(`algorithms.fft.stages`). In other dtypes, and on devices without asynchronous copies, it runs as
`algorithms.fft.correlation`. The third is in `algorithms.fft.weights`. These modules have the index maps, kernels and
sources. The transforms of tiles are in `algorithms.fft.registers` for the stages, and in `algorithms.fft.radix2`
for the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from algorithms.copies import lacks_copies
from algorithms.correlation import LARGE_MACS, Correlation
from algorithms.fft.correlation import FftPlan
from algorithms.fft.error import fft_count, fft_magnitude
from algorithms.fft.stages import StagesPlan
from algorithms.fft.stages_config import LENGTHS, PATIENCE, StagesConfig, default_config, in_registers, stages_space
from algorithms.fft.weights import FftWeightsPlan
from algorithms.gemm import Tile, tiles_for
from algorithms.pairs import packed_on, plain_rivals
from algorithms.tiling import Tiling
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices import Device
from convbench.errors import ConfigError
from convbench.problem import DTYPES, ConvProblem, Direction, Dtype, Pair
from convbench.reference import ErrorModel


@dataclass(frozen=True, kw_only=True)
class Config:
    """The length of the transform along both axes, and the side of the square tiles of the batched GEMM."""

    length: int = 16
    tile: int = 16

    def __post_init__(self) -> None:
        if self.length not in LENGTHS or not 1 <= self.tile <= 32:
            raise ConfigError(f"{self}: length is one of {LENGTHS}, tile is 1 to 32 (a block holds 1024 threads)")

    def outputs(self, problem: ConvProblem) -> Pair:
        """Rows and columns of a tile that do not wrap around."""
        return self.length - problem.r + 1, self.length - problem.s + 1


class FftTiled(Algorithm):
    """Products of spectra, tile by tile. The cost hardly depends on the size of the filter."""

    name: ClassVar[str] = "fft_tiled"
    family: ClassVar[Family] = "fft"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {
        "forward": FftPlan, "backward_data": FftPlan, "backward_weights": FftWeightsPlan,
    }  # fmt: skip
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES
    error_model: ClassVar[ErrorModel] = ErrorModel(
        count=fft_count, magnitude=fft_magnitude, exact_headroom=None, carries_nonfinite=False
    )

    def default_on(self, problem: ConvProblem, direction: Direction, device: Device) -> Config | StagesConfig:
        default = (_configs(problem, direction) if lacks_copies(device) else self.configs(problem, direction))[0]
        is_in_registers = isinstance(default, StagesConfig) and isinstance(default.gemm, Tile)
        return packed_on(device, default) if is_in_registers else default

    def rivals(self, problem: ConvProblem, direction: Direction, device: Device) -> Sequence[Any]:
        """For large problems on a GPU that has packed multiply-adds, return the default without them."""
        return plain_rivals(self.default_on(problem, direction, device)) if problem.macs >= LARGE_MACS else ()

    def plan_class(self, direction: Direction, config: Any) -> type[Plan]:
        return StagesPlan if isinstance(config, StagesConfig) else self.plans[direction]

    def configs(self, problem: ConvProblem, direction: Direction) -> tuple[Config | StagesConfig, ...]:
        if has_stages(problem, direction):
            geometry = Correlation.of(problem, direction)
            config = default_config(geometry)
            if config is not None:
                return (config,) if isinstance(config.gemm, Tile) else (config, in_registers(config, geometry))
        found = _configs(problem, direction)
        return found[:1] if problem.macs < LARGE_MACS else found

    def space(self, problem: ConvProblem, direction: Direction) -> Sequence[Config | StagesConfig]:
        staged = stages_space(Correlation.of(problem, direction)) if has_stages(problem, direction) else ()
        return (*staged, *_configs(problem, direction))

    def limits(self, problem: ConvProblem, direction: Direction) -> str | None:
        if max(problem.r, problem.s) > max(LENGTHS):
            return f"the filter is {problem.r} × {problem.s}; its longest transform is {max(LENGTHS)}"
        return None


def has_stages(problem: ConvProblem, direction: Direction) -> bool:
    """Whether the transforms in registers can compute a direction of a problem."""
    return problem.dtype == "float32" and direction != "backward_weights"


def _configs(problem: ConvProblem, direction: Direction) -> tuple[Config, ...]:
    """The configs of the kernels in shared memory, the default first."""
    k_per_group, c_per_group = problem.k // problem.groups, problem.c // problem.groups
    found = []
    for length, tiles in _lengths(problem, direction):
        rows, columns = {
            "forward": (k_per_group, tiles),
            "backward_data": (c_per_group, tiles),
            "backward_weights": (k_per_group, c_per_group),
        }[direction]
        found += [Config(length=length, tile=tile) for tile in tiles_for(rows, columns)]
    return tuple(found)


def _lengths(problem: ConvProblem, direction: Direction) -> list[tuple[int, int]]:
    """The possible lengths of transforms, each with its tiles in all images, the best first, as for `StagesConfig`."""
    geometry = Correlation.of(problem, "backward_data" if direction == "backward_data" else "forward")
    possible = [length for length in LENGTHS if max(problem.r, problem.s) <= length]
    tilings = [Tiling.of(geometry, Config(length=length).outputs(problem)) for length in possible]
    counted = [(length, problem.n * tiling.per_image) for length, tiling in zip(possible, tilings, strict=True)]
    patience = PATIENCE if problem.macs < LARGE_MACS else 1
    return sorted(counted, key=lambda pair: pair[0] ** 2 * pair[1] * (1 if pair[0] == min(LENGTHS) else patience))
