"""The algorithm: a way to compute problems, and the plan that it makes for one of them.

An author writes two methods, `make_plan` and, where the method cannot do everything, `limits`. What every algorithm
shares is here once: the refusal of directions, dtypes and layouts that it does not name, and padding modes other
than zeros, which go through one padding kernel before any algorithm.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from convbench.devices.device import Array, Device
from convbench.error_model import ErrorModel
from convbench.errors import ConfigError, RefusedError
from convbench.problem import ConvProblem, Direction, Dtype, Layout
from convbench.reference import Float64

Family = Literal["direct", "gemm", "winograd", "fft"]

# what plans can be asked for so far, whatever the algorithm
DIRECTIONS: tuple[Direction, ...] = ("forward",)
LAYOUTS: tuple[Layout, ...] = ("NCHW",)


@dataclass(frozen=True)
class NoConfig:
    """The config of an algorithm that has nothing to choose."""


class Plan(ABC):
    """One problem, made ready on one device, with a config of its algorithm.

    `weights` and `bias` are device arrays once `load` has been called; a problem without bias has a bias of zeros.
    """

    def __init__(self, problem: ConvProblem, device: Device, config: Any = None) -> None:
        self.problem, self.device, self.config = problem, device, config
        self.scratch_arrays: list[Array] = []
        self.workspace_bytes = 0  # of scratch and of prepared weights
        self.weights: Array = None
        self.bias: Array = None

    def scratch(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Array:
        """Workspace of a run: what it holds between two runs is undefined. Raises OutOfDeviceMemoryError."""
        array = self.kept(shape, dtype)
        self.scratch_arrays.append(array)
        return array

    def kept(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Array:
        """Workspace that holds prepared weights from `prepare` to every run. Raises OutOfDeviceMemoryError."""
        self.workspace_bytes += int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        return self.device.empty(shape, dtype)

    def load(self, weights: Array, bias: Array | None) -> None:
        """Take the weights (K, C/G, R, S) and the bias (K), device arrays, and prepare them."""
        self.weights = weights
        self.bias = self.device.upload(np.zeros(self.problem.k, self.problem.dtype)) if bias is None else bias
        self.prepare()

    def prepare(self) -> None:  # noqa: B027  (most plans have nothing to prepare)
        """Do the work that is needed once per weights."""

    @abstractmethod
    def run(self, x: Array, y: Array) -> None:
        """Queue the launches that write every element of y (N, K, P, Q) from x (N, C, H, W)."""


class Algorithm(ABC):
    """An implementation, by the name that it is registered, recorded and reported under."""

    name: ClassVar[str]
    family: ClassVar[Family]
    dtypes: ClassVar[tuple[Dtype, ...]] = ("float32",)
    error_model: ClassVar[ErrorModel] = ErrorModel()

    def configs(self, problem: ConvProblem) -> Sequence[Any]:
        """The configs worth trying for a problem, the default first: frozen dataclasses."""
        return (NoConfig(),)

    def limits(self, problem: ConvProblem) -> str | None:
        """Why the method cannot compute a zero-padded problem of a dtype that it names, or None."""
        return None

    @abstractmethod
    def make_plan(self, problem: ConvProblem, device: Device, config: Any) -> Plan:
        """The plan for a zero-padded problem that is not refused."""

    def refuses(self, problem: ConvProblem, direction: Direction = "forward") -> str | None:
        """Why this algorithm will not compute the problem, or None. What is refused is never launched."""
        for what, asked, able in (
            ("direction", direction, DIRECTIONS),
            ("layout", problem.layout, LAYOUTS),
            ("dtype", problem.dtype, self.dtypes),
        ):
            if asked not in able:
                return f"{what} {asked}: {self.name} has {', '.join(able)}"
        return self.limits(_inner(problem))

    def plan(
        self, problem: ConvProblem, device: Device, *, direction: Direction = "forward", config: Any = None
    ) -> Plan:
        """A plan with the given config, or with the default one.

        Raises
        ------
        RefusedError, with the reason
        ConfigError, where the config is not one for this problem
        OutOfDeviceMemoryError, where the workspace does not fit
        """
        if reason := self.refuses(problem, direction):
            raise RefusedError(f"{self.name} refuses {problem}: {reason}")
        inner = _inner(problem)
        plan = self.make_plan(inner, device, self.resolved(problem, config))
        if inner is problem:
            return plan
        from convbench.padding import PaddedPlan  # imports Numba, which a refusal does not need

        return PaddedPlan(problem, device, plan)

    def resolved(self, problem: ConvProblem, config: Any = None) -> Any:
        """The given config, or the default one for the problem; raises ConfigError for another algorithm's."""
        default = self.configs(_inner(problem))[0]
        if config is not None and type(config) is not type(default):
            raise ConfigError(f"{config!r} is no config of {self.name}; it takes {default!r} and the like")
        return default if config is None else config

    def error_bound(
        self,
        problem: ConvProblem,
        x: npt.ArrayLike,
        w: npt.ArrayLike,
        bias: npt.ArrayLike | None,
        *,
        expected: Float64,
        config: Any = None,
    ) -> Float64:
        """The largest |actual − expected| that this algorithm may have on these tensors, (N, K, P, Q)."""
        return self.error_model.bound(problem, x, w, bias, expected=expected, config=self.resolved(problem, config))


def _inner(problem: ConvProblem) -> ConvProblem:
    """The zero-padded problem that an algorithm itself computes."""
    return problem if problem.padding_mode == "zeros" else problem.explicitly_padded()
