"""Winograd's minimal filtering F(m×m, 3×3): fewer multiplications by transforms of overlapping tiles.

    target tile = Aᵀ [ Σ_l (G f_{m,l} Gᵀ) ⊙ (Bᵀ d_l B) ] A     each of m × m outputs; d is its input, α × α, α = m + 2

Source, target and f are those of either direction, as in `algorithms.correlation`. The gradient by the input is a
convolution of dy, with each filter flipped, the channels swapped, and padding 2·d − top, which may be negative.

Configs   `staged` transforms, multiplies and transforms back, in three kernels. `fused` does it all in one, for m = 2.
          `plain` has three stages too, by loops, for float64 and for devices without asynchronous copies. The
          filters are transformed once per set of weights.
Cost      (α/m)² multiplications per output and channel instead of 9: 4 for m = 2, 2.25 for m = 4.
Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §4.1, algorithm 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from algorithms.correlation import HUGE_MACS, LARGE_MACS, Correlation, CorrelationPlan
from algorithms.gemm import tiles_for
from algorithms.pairs import packed_on, plain_rivals
from algorithms.winograd.error import winograd_model
from algorithms.winograd.fused_plan import Fused, FusedConfig
from algorithms.winograd.matrices import F2, F4, TAPS, Transforms
from algorithms.winograd.plain import Plain, PlainConfig
from algorithms.winograd.staged import SMALL, Staged, StagedConfig, staged, staged_for, staged_space
from algorithms.winograd.transforms import miscounts
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices import Array, Device
from convbench.errors import ConfigError
from convbench.problem import DTYPES, ConvProblem, Direction, Dtype
from convbench.reference import ErrorModel

METHODS: Mapping[type, Any] = {PlainConfig: Plain, StagedConfig: Staged, FusedConfig: Fused}


class WinogradPlan(CorrelationPlan):
    """A plan that leaves its work to the method of its config. The filters are transformed once."""

    transforms: ClassVar[Transforms]

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any) -> None:
        super().__init__(problem, direction, device, config)
        lacking = config.lacks(problem, device)
        if lacking is None and not isinstance(config, PlainConfig):
            lacking = miscounts(self.geometry, self.transforms)
        if lacking:
            raise ConfigError(f"{config} cannot be run for {direction} of {problem}: {lacking}")
        self.method = METHODS[type(config)](self, self.transforms)
        self.tiling = self.method.tiling

    def prepare(self) -> None:
        super().prepare()
        self.method.prepare()

    def run(self, source: Array, target: Array) -> None:
        self.method.run(source, target)


class Winograd2x2Plan(WinogradPlan):
    """A plan with tiles of 2 × 2 outputs."""

    transforms: ClassVar[Transforms] = F2


class Winograd4x4Plan(WinogradPlan):
    """A plan with tiles of 4 × 4 outputs."""

    transforms: ClassVar[Transforms] = F4


class _Winograd(Algorithm):
    """The part that both tile sizes share."""

    family: ClassVar[Family] = "winograd"
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES
    transforms: ClassVar[Transforms]
    is_fusible: ClassVar[bool] = False  # whether one kernel has enough registers for all points

    def configs(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        geometry = Correlation.of(problem, direction)
        if self._is_plain(problem, geometry):
            rows, columns = geometry.outputs
            sides = tiles_for(geometry.targets_per_group, geometry.n * rows * columns // self.transforms.m**2)
            return tuple(PlainConfig(tile=tile) for tile in sides)
        if problem.macs < LARGE_MACS:
            return (staged(SMALL),)
        is_huge, default = problem.macs >= HUGE_MACS, staged_for(geometry, self.transforms)
        every: tuple[Any, ...] = (*self._fused(problem), default)
        return tuple(replace(config, is_specialised=one) for config in every for one in (is_huge, not is_huge))

    def _is_plain(self, problem: ConvProblem, geometry: Correlation) -> bool:
        """Whether only the plain kernels can compute the problem: in float64, or with indices of 64 bits."""
        return problem.dtype == "float64" or miscounts(geometry, self.transforms) is not None

    def _fused(self, problem: ConvProblem) -> tuple[FusedConfig, ...]:
        """The config for one kernel, if that can compute the problem."""
        is_able = self.is_fusible and problem.dtype == "float32" and problem.dilation == (1, 1)
        return (FusedConfig(),) if is_able else ()

    def space(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        if self._is_plain(problem, Correlation.of(problem, direction)):
            return self.configs(problem, direction)
        fused = (
            replace(config, is_specialised=one, is_packed=other)
            for config in self._fused(problem) for one in (False, True) for other in (False, True)
        )  # fmt: skip
        return *self.configs(problem, direction), *fused, *staged_space(), PlainConfig()

    def default_on(self, problem: ConvProblem, direction: Direction, device: Device) -> Any:
        every = (*self.configs(problem, direction), PlainConfig())
        default = next(one for one in every if one.lacks(problem, device) is None)
        return default if isinstance(default, PlainConfig) else packed_on(device, default)

    def rivals(self, problem: ConvProblem, direction: Direction, device: Device) -> Sequence[Any]:
        """For large problems on a GPU that has packed multiply-adds, return the default without them."""
        return plain_rivals(self.default_on(problem, direction, device)) if problem.macs >= LARGE_MACS else ()

    def limits(self, problem: ConvProblem, direction: Direction) -> str | None:
        if (problem.r, problem.s) != (TAPS, TAPS):
            return f"the filter is {problem.r} × {problem.s}; its matrices are for {TAPS} × {TAPS}"
        if problem.stride != (1, 1) and direction == "forward":
            return f"stride is {problem.stride}; a tile yields adjacent outputs, most of which a stride throws away"
        if problem.stride != (1, 1):
            return f"stride is {problem.stride}; a tile takes adjacent elements of dy, and a stride puts zeros between"
        return None


class Winograd2x2(_Winograd):
    """F(2×2, 3×3): 2.25 times fewer multiplications, as accurate as the definition.

    On integers its finest unit is 1/4, because G has halves in two axes. The row sums of |G|, |Bᵀ| and |Aᵀ| are at most
    3/2, 2 and 3. That makes 4 · (3/2)² · 2² · 3² = 324 per channel, and 36 for each of the nine terms.
    """

    name: ClassVar[str] = "winograd_2x2_3x3"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {"forward": Winograd2x2Plan, "backward_data": Winograd2x2Plan}
    transforms: ClassVar[Transforms] = F2
    is_fusible: ClassVar[bool] = True
    error_model: ClassVar[ErrorModel] = winograd_model(F2, exact_headroom=36)


class Winograd4x4(_Winograd):
    """F(4×4, 3×3): 4 times fewer multiplications, a few times the error of the definition."""

    name: ClassVar[str] = "winograd_4x4_3x3"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {"forward": Winograd4x4Plan, "backward_data": Winograd4x4Plan}
    transforms: ClassVar[Transforms] = F4
    error_model: ClassVar[ErrorModel] = winograd_model(F4, exact_headroom=None)
