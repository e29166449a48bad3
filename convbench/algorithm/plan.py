"""Defines `Plan`, the base class of the objects that compute one direction of one problem on one device."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.devices import Array, Device
from convbench.problem import ConvProblem, Direction, Dtype
from convbench.reference import ACCUMULATOR


class Plan(ABC):
    """Computes one direction of a zero-padded problem on one device, with one config of its algorithm.

    A subclass must implement `run`. It may override `__init__`, with the same parameters, to choose kernels and to
    allocate workspace, and `prepare` for the work that depends on the weights alone. Workspace comes from `scratch` and
    `kept`, kernels are launched with `self.device.launch`. The caller makes the plan, calls `load` once for each set of
    weights, and then `run` any number of times.

    The arrays that a plan gets are device arrays. They are indexed as in the equation, x as (N, C, H, W), w as
    (K, C/G, R, S), y as (N, K, P, Q), and are packed in this order unless the algorithm sets `any_order`. Their dtype
    is the problem's, except that dx may have the dtype `accumulator`. The inputs must not be changed.

    Attributes
    ----------
    problem : the problem, with zero padding; in the gradients it has no bias
    direction : forward, backward_data or backward_weights
    device : the device of all arrays and launches
    config : the config, one of the algorithm's
    accumulator : the dtype in which sums are accumulated
    weights : w, after `load`; None in the direction backward_weights
    bias : the bias, after `load` in the direction forward; zeros if the problem has no bias
    scratch_arrays : all arrays that `scratch` has made
    workspace_bytes : bytes of all arrays that `scratch` and `kept` have made
    """

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        self.problem, self.direction, self.device, self.config = problem, direction, device, config
        self.accumulator: Dtype = ACCUMULATOR[problem.dtype]
        self.scratch_arrays: list[Array] = []
        self.workspace_bytes = 0
        self.weights: Array = None
        self.bias: Array = None

    def scratch(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Array:
        """An array for intermediate results of one run. Raises OutOfDeviceMemoryError.

        Its contents at the start of a run are undefined: they may have been overwritten since the last run.
        """
        array = self.kept(shape, dtype)
        self.scratch_arrays.append(array)
        return array

    def kept(self, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> Array:
        """An array that `prepare` fills, with transformed weights for example, and that every run reads.

        Its contents last until the next call of `prepare`. Raises OutOfDeviceMemoryError.
        """
        self.workspace_bytes += int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        return self.device.empty(shape, dtype)

    def load(self, weights: Array = None, bias: Array = None) -> None:
        """Take the weights and the bias, if the direction reads them, and call `prepare`."""
        self.weights = weights
        if self.direction == "forward":
            self.bias = self.device.upload(np.zeros(self.problem.k, self.problem.dtype)) if bias is None else bias
        self.prepare()

    def prepare(self) -> None:  # noqa: B027  (most plans have nothing to prepare)
        """Queue the launches that are needed once for each set of weights: `self.weights` and `self.bias` are set."""

    @abstractmethod
    def run(self, *arrays: Any, **_: Any) -> None:
        """Queue the launches that write every element of the output.

        The arguments are (x, y) in the direction forward, (dy, dx) in backward_data and (x, dy, dw) in
        backward_weights. The output's contents at the start are undefined. The caller computes the gradient of the
        bias. `run` returns nothing and need not wait for the launches. Two runs must give the same result bit for bit.
        """
