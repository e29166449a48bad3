"""The algorithm: a way to compute problems, and the plan that it makes for one of them.

An author names the plans, one for each direction that the method has, and, where the method cannot do everything, its
limits. What every algorithm shares is here once: the refusal of directions and dtypes that it does not name, and all
that is not zero-padded, or has its axes in another order than the algorithm wants (`convbench.algorithm.adapted`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy.typing as npt

from convbench.algorithm.plan import Plan
from convbench.devices import Device
from convbench.errors import ConfigError, RefusedError
from convbench.problem import ConvProblem, Direction, Dtype
from convbench.reference import ErrorModel, Float64, Outputs

Family = Literal["direct", "gemm", "winograd", "fft", "baseline"]


@dataclass(frozen=True)
class NoConfig:
    """The config of an algorithm that has nothing to choose."""


class Algorithm:
    """An implementation, by the name that it is registered, recorded and reported under."""

    name: ClassVar[str]
    family: ClassVar[Family]
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {}
    dtypes: ClassVar[tuple[Dtype, ...]] = ("float32",)
    any_order: ClassVar[bool] = False  # whether it takes tensors in any order of memory, or wants them packed
    error_model: ClassVar[ErrorModel] = ErrorModel()
    least_compute_capability: ClassVar[tuple[int, int] | None] = None  # of a GPU that has its instructions

    def precision(self, problem: ConvProblem) -> str:
        """Of the factors of its products: the problem's dtype, unless the algorithm rounds them to another."""
        return problem.dtype

    def configs(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """The configs worth trying for a problem, the default first: frozen dataclasses."""
        return (NoConfig(),)

    def space(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """Every config that `convbench tune` may try for a problem: those of `configs`, unless the algorithm has more.

        Whatever the order, and whether or not those of `configs` are among them.
        """
        return self.configs(problem, direction)

    def default_on(self, problem: ConvProblem, direction: Direction, device: Device) -> Any:
        """The config for a zero-padded problem where none is asked for: the first, unless the device cannot run it."""
        return self.configs(problem, direction)[0]

    def rivals(self, problem: ConvProblem, direction: Direction, device: Device) -> Sequence[Any]:
        """Configs of a zero-padded problem that a survey tries beside the default, for what a device alone has."""
        return ()

    def plan_class(self, direction: Direction, config: Any) -> type[Plan]:
        """What computes a direction with a config: that of `plans`, unless the config is of a kernel of its own."""
        return self.plans[direction]

    def limits(self, problem: ConvProblem, direction: Direction) -> str | None:
        """Why the method cannot compute a zero-padded problem of a direction and dtype that it names, or None."""
        return None

    def refuses(self, problem: ConvProblem, direction: Direction = "forward") -> str | None:
        """Why this algorithm will not compute the problem, or None. What is refused is never launched."""
        for what, asked, able in (("direction", direction, self.plans), ("dtype", problem.dtype, self.dtypes)):
            if asked not in able:
                return f"{what} {asked}: {self.name} has {', '.join(able)}"
        return self.limits(self._inner(problem, direction), direction)

    def plan(
        self, problem: ConvProblem, device: Device, *, direction: Direction = "forward", config: Any = None
    ) -> Plan:
        """A plan with the given config, or with the default one.

        Its `load` takes what `convbench.problem.operands` lists as LOADED, its `run` what is READ and then what is
        WRITTEN, all in memory as the problem's layouts have them.

        Raises
        ------
        RefusedError, with the reason
        ConfigError, where the config is not one for this problem
        OutOfDeviceMemoryError, where the workspace does not fit
        """
        if reason := self.refuses(problem, direction):
            raise RefusedError(f"{self.name} refuses {direction} of {problem}: {reason}")
        least, has = self.least_compute_capability, device.compute_capability
        if least is not None and has is not None and has < least:
            needed, found = (".".join(map(str, version)) for version in (least, has))
            raise RefusedError(f"{self.name} needs compute capability {needed}; device {device.name} has {found}")
        inner = self._inner(problem, direction)
        chosen = self.resolved(problem, direction, config, device)
        plan = self.plan_class(direction, chosen)(inner, direction, device, chosen)
        if inner == problem == problem.packed():
            return plan
        from convbench.algorithm.adapted import AdaptedPlan

        return AdaptedPlan(problem, plan)

    def configs_for(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """The configs worth trying for any problem that is not refused, the default first."""
        return self.configs(self._inner(problem, direction), direction)

    def space_for(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """The config space of any problem that is not refused: each once, those of `configs` first.

        Raises ConfigError where one is no frozen dataclass.
        """
        found = dict.fromkeys(self.configs_for(problem, direction))
        for config in self.space(self._inner(problem, direction), direction):
            settings = getattr(config, "__dataclass_params__", None)
            if isinstance(config, type) or settings is None or not settings.frozen:
                raise ConfigError(f"{config!r}, of the space of {self.name}, is no frozen dataclass")
            found[config] = None
        return tuple(found)

    def rivals_on(self, problem: ConvProblem, direction: Direction, device: Device) -> Sequence[Any]:
        """Configs of any problem that is not refused, to be tried beside the default on this device."""
        return self.rivals(self._inner(problem, direction), direction, device)

    def resolved(
        self, problem: ConvProblem, direction: Direction, config: Any = None, device: Device | None = None
    ) -> Any:
        """The given config, or the default one for the problem, on the device; raises ConfigError for another's."""
        if config is None and device is not None:
            return self.default_on(self._inner(problem, direction), direction, device)
        default = self.configs_for(problem, direction)[0]
        if config is None or type(config) is type(default):
            return default if config is None else config
        if type(config) not in {type(one) for one in self.space_for(problem, direction)}:
            raise ConfigError(f"{config!r} is no config of {self.name}; it takes {default!r} and the like")
        return config

    def error_bounds(
        self,
        problem: ConvProblem,
        direction: Direction,
        tensors: Mapping[str, npt.ArrayLike],
        *,
        expected: Mapping[str, Float64],
        config: Any = None,
        independent: bool = True,
    ) -> Outputs:
        """The largest |actual − expected| that this algorithm may have on these tensors, by output."""
        return self.error_model.bounds(
            problem, direction, tensors,
            expected=expected, config=self.resolved(problem, direction, config), independent=independent,
        )  # fmt: skip

    def _inner(self, problem: ConvProblem, direction: Direction) -> ConvProblem:
        """The problem that the algorithm itself computes: zero-padded, in a layout of its own, no bias in gradients."""
        if problem.padding_mode != "zeros":
            problem = problem.explicitly_padded()
        if problem.bias and direction != "forward":
            problem = replace(problem, bias=False)
        return problem if self.any_order else problem.packed()
