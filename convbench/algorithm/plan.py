"""The plan: one direction of a problem, made ready on a device by an algorithm."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.devices import Array, Device
from convbench.problem import ConvProblem, Direction, Dtype
from convbench.reference import ACCUMULATOR


class Plan(ABC):
    """One direction of a zero-padded problem, made ready on one device, with a config of its algorithm.

    `weights` and `bias` are device arrays once `load` has been called; a problem without bias has a bias of zeros. The
    arrays that a plan gets are indexed as in the equation, (N, C, H, W) and so on, in whatever order memory has them.
    """

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        self.problem, self.direction, self.device, self.config = problem, direction, device, config
        self.accumulator: Dtype = ACCUMULATOR[problem.dtype]
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

    def load(self, weights: Array = None, bias: Array = None) -> None:
        """Take the weights and the bias, device arrays, of a direction that has them, and prepare them."""
        self.weights = weights
        if self.direction == "forward":
            self.bias = self.device.upload(np.zeros(self.problem.k, self.problem.dtype)) if bias is None else bias
        self.prepare()

    def prepare(self) -> None:  # noqa: B027  (most plans have nothing to prepare)
        """Do the work that is needed once per weights."""

    @abstractmethod
    def run(self, *arrays: Any, **_: Any) -> None:
        """Queue the launches that write every element of the output.

        By direction run(x, y), run(dy, dx) or run(x, dy, dw). The gradient of the bias is not the plan's business.
        """
