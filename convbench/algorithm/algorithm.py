"""Defines `Algorithm`, the base class of every algorithm: it checks a problem and makes a `Plan` that computes it.

The author of an algorithm lists the plans, one for each direction, and overrides `limits` if the method cannot compute
every problem. The base class does the rest. It refuses directions and dtypes that the author does not list. It also
handles padding modes other than zeros, and axes in an order that the algorithm does not accept
(`convbench.algorithm.adapted`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy.typing as npt

from convbench.algorithm import contract
from convbench.algorithm.contract import Family
from convbench.algorithm.plan import Plan
from convbench.devices import Device
from convbench.errors import ConfigError, RefusedError
from convbench.problem import ConvProblem, Direction, Dtype
from convbench.reference import ErrorModel, Float64, Outputs, Places


@dataclass(frozen=True)
class NoConfig:
    """The config of an algorithm that has no parameters to tune."""


class Algorithm:
    """An algorithm for convolution. To add one, derive a class from it and decorate the class with `register`.

    The class must set `name`, `family` and `plans`. It may set the other attributes, and it may override the methods
    `precision`, `configs`, `space`, `default_on`, `rivals`, `plan_class` and `limits`. The remaining methods are for
    callers and are not meant to be overridden. The registry makes one instance of the class, without arguments. A
    package can list the class in the entry-point group `convbench.algorithms` instead of calling `register`.

    What the methods give is checked whenever they are called (`convbench.algorithm.contract`). A value that breaks a
    rule is a ContractError, and so is an error that a method raises. The result is then recorded as crashed.

    `configs`, `space`, `default_on`, `rivals` and `limits` never see the caller's problem. They get the problem that
    the algorithm's own plan computes: it is zero-padded, has no bias in the gradients, and has the layouts NCHW and
    KCRS unless `any_order` is set. Its direction and dtype are among those that the class lists. Except for `limits`,
    they are only asked about problems for which `limits` returns None.

    Attributes
    ----------
    name : the algorithm is registered, recorded and reported under this name; it must be unique
    family : the kind of method: "direct", "gemm", "winograd", "fft" or "baseline"
    plans : the `Plan` subclass of each direction that the algorithm computes; other directions are refused
    dtypes : the dtypes of the problems that it computes; others are refused
    any_order : True if its plans take tensors in any order of memory. If False, they get packed NCHW and KCRS arrays.
    error_model : how far its results may be from the exact ones (`convbench.ErrorModel`); `verify` checks it
    least_compute_capability : the lowest compute capability of a GPU that has the instructions it needs, as (8, 0);
        None if any GPU has them
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {}
    dtypes: ClassVar[tuple[Dtype, ...]] = ("float32",)
    any_order: ClassVar[bool] = False
    error_model: ClassVar[ErrorModel] = ErrorModel()
    least_compute_capability: ClassVar[tuple[int, int] | None] = None

    # ---- an author may override these

    def precision(self, problem: ConvProblem) -> str:
        """The precision of the factors of its products: the problem's dtype, unless the algorithm rounds them."""
        return problem.dtype

    def configs(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """The configs that are worth trying for a problem, at least one, the default first.

        A config holds the parameters of a plan, such as the sizes of its tiles. It is an instance of a frozen
        dataclass, and the plan finds it in its attribute `config`.
        """
        return (NoConfig(),)

    def space(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """All configs that `convbench tune` may try for a problem; by default those of `configs`.

        The order does not matter, and the configs of `configs` need not be among them.
        """
        configs: Sequence[Any] = contract.ask(self, "configs", problem, direction)
        return configs

    def default_on(self, problem: ConvProblem, direction: Direction, device: Device) -> Any:
        """The config for a problem on a device if the caller gives none; by default the first of `configs`.

        Override it if the best config depends on the device, or if not every device can run the first one.
        """
        return contract.ask(self, "configs", problem, direction)[0]

    def rivals(self, problem: ConvProblem, direction: Direction, device: Device) -> Sequence[Any]:
        """Configs that a survey tries beside the default because this device has features that others lack."""
        return ()

    def plan_class(self, direction: Direction, config: Any) -> type[Plan]:
        """The class of the plan for a direction and a config.

        Override it if some configs have a kernel, and so a plan, of their own.
        """
        return self.plans[direction]

    def limits(self, problem: ConvProblem, direction: Direction) -> str | None:
        """The reason why the method cannot compute this problem; None if it can.

        The problem is zero-padded, and its direction and dtype are among those that the class lists.
        """
        return None

    # ---- callers use these

    def refuses(self, problem: ConvProblem, direction: Direction = "forward") -> str | None:
        """The reason why this algorithm does not compute the caller's problem, or None.

        Nothing is launched for a problem that is refused.
        """
        for what, asked, able in (("direction", direction, self.plans), ("dtype", problem.dtype, self.dtypes)):
            if asked not in able:
                return f"{what} {asked}: {self.name} has {', '.join(able)}"
        reason: str | None = contract.ask(self, "limits", self._inner(problem, direction), direction)
        return reason

    def plan(
        self, problem: ConvProblem, device: Device, *, direction: Direction = "forward", config: Any = None
    ) -> Plan:
        """A plan for any problem, with the given config or the default one.

        Its `load` takes the tensors that `convbench.problem.operands` lists as LOADED. Its `run` takes those of READ,
        then those of WRITTEN. All have the order of axes in memory that the problem's layouts say.

        Raises
        ------
        RefusedError
            the algorithm does not compute this problem; the message has the reason.
        ConfigError
            the config is not one of this algorithm.
        OutOfDeviceMemoryError
            the workspace does not fit into the device's memory.
        ContractError
            a method of the class gives something else than it must, or what it gives is no plan.
        """
        if reason := self.refuses(problem, direction):
            raise RefusedError(f"{self.name} refuses {direction} of {problem}: {reason}")
        least, has = self.least_compute_capability, device.compute_capability
        if least is not None and has is not None and has < least:
            needed, found = (".".join(map(str, version)) for version in (least, has))
            raise RefusedError(f"{self.name} needs compute capability {needed}; device {device.name} has {found}")
        inner = self._inner(problem, direction)
        chosen = self.resolved(problem, direction, config, device)
        kind = contract.ask(self, "plan_class", direction, chosen)
        plan = contract.planned(self, kind(inner, direction, device, chosen))
        if inner == problem == problem.packed():
            return plan
        from convbench.algorithm.adapted import AdaptedPlan  # imports numba, which takes long to start

        return AdaptedPlan(problem, plan)

    def configs_for(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """The configs that are worth trying for any problem that is not refused, the default first."""
        configs: Sequence[Any] = contract.ask(self, "configs", self._inner(problem, direction), direction)
        return configs

    def space_for(self, problem: ConvProblem, direction: Direction) -> Sequence[Any]:
        """All configs for any problem that is not refused: those of `configs`, then those of `space`, each once."""
        more = contract.ask(self, "space", self._inner(problem, direction), direction)
        return tuple(dict.fromkeys((*self.configs_for(problem, direction), *more)))

    def rivals_on(self, problem: ConvProblem, direction: Direction, device: Device) -> Sequence[Any]:
        """The configs of `rivals` for any problem that is not refused."""
        rivals: Sequence[Any] = contract.ask(self, "rivals", self._inner(problem, direction), direction, device)
        return rivals

    def precision_of(self, problem: ConvProblem) -> str:
        """What `precision` gives for any problem."""
        precision: str = contract.ask(self, "precision", problem)
        return precision

    def resolved(
        self, problem: ConvProblem, direction: Direction, config: Any = None, device: Device | None = None
    ) -> Any:
        """The given config, or the default one for the problem if none is given: on the device, if that is given.

        Raises ConfigError if the config is not of a type that this algorithm takes.
        """
        if config is None and device is not None:
            return contract.ask(self, "default_on", self._inner(problem, direction), direction, device)
        default = self.configs_for(problem, direction)[0]
        if config is None or type(config) is type(default):
            return default if config is None else config
        if type(config) not in {type(one) for one in self.space_for(problem, direction)}:
            raise ConfigError(f"{config!r} is no config of {self.name}; it takes {default!r}, for example")
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
        places: Mapping[str, Places] | None = None,
    ) -> Outputs:
        """The largest |actual − expected| that this algorithm may have on these tensors, for each output by name.

        The parameters are those of `ErrorModel.bounds`.
        """
        found: Outputs = contract.bounds(
            self, problem, direction, tensors,
            expected=expected, config=self.resolved(problem, direction, config), independent=independent, places=places,
        )  # fmt: skip
        return found

    def _inner(self, problem: ConvProblem, direction: Direction) -> ConvProblem:
        """The problem that the algorithm's own plan computes: zero-padded, no bias in gradients, packed if needed."""
        if problem.padding_mode != "zeros":
            problem = problem.explicitly_padded()
        if problem.bias and direction != "forward":
            problem = replace(problem, bias=False)
        return problem if self.any_order else problem.packed()
