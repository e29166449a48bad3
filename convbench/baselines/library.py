"""Shared code of the baselines: plans of libraries on the CPU, and an error model for a library of unknown method.

A library may use any method, Winograd's and the FFT included. The error model is a bound that all methods keep: the
error of an output is at most a count of roundings times

    Σ_c ‖x_{n,c}‖₂ · ‖w_{k,c}‖₂        and likewise for gradients, with the two tensors that they are computed from

(Higham 2002, "Accuracy and Stability of Numerical Algorithms", §24.1, for the FFT, whose errors are normwise; the
norms of a Winograd tile are parts of these). The bound is wide, but not so wide that a result of one precision passes
as one of another.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from convbench.algorithm import Plan
from convbench.devices import Array, Device, Host
from convbench.errors import RefusedError
from convbench.problem import ConvProblem, Direction
from convbench.reference import ErrorModel, Float64, Tensors, error_model

TRANSFORMS = 128.0  # bounds the roundings in the transforms of any method and in their inverse, by their levels


class HostPlan(Plan):
    """A plan by a library on the CPU. Raises RefusedError for a device whose arrays are not NumPy's."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        super().__init__(problem, direction, device, config)
        if not isinstance(device.upload(np.zeros(1, np.float32)), np.ndarray):
            raise RefusedError(f"it runs on the processor; arrays of device {device.name} are elsewhere")

    def run(self, *arrays: Any, **_: Any) -> None:
        *read, target = arrays
        results: list[Host] = []
        self.device.call("multiply", lambda: results.append(self.compute(*read)))
        self.device.call("unpack", lambda: self.device.write(target, results[0].astype(target.dtype, copy=False)))

    def compute(self, *read: Array) -> Host:
        """The output of the direction, from the arrays that the direction reads."""
        raise NotImplementedError


def padded(problem: ConvProblem, x: Host, dtype: Any) -> Host:
    """The input x with its padding of zeros."""
    return np.pad(np.asarray(x, dtype), ((0, 0), (0, 0), *problem.padding))


def norms_magnitude(problem: ConvProblem, direction: Direction, tensors: Tensors, config: object = None) -> Float64:
    """The sum in the module's docstring, in the shape of the direction's main output."""
    n, c, k, groups = problem.n, problem.c, problem.k, problem.groups

    def norms(name: str) -> Float64:
        found: Float64 = np.sqrt(np.square(tensors[name]).sum((2, 3)))
        return found

    if direction == "backward_weights":
        x, dy = (norms(name).reshape(n, groups, -1) for name in ("x", "dy"))
        sums, shape = np.einsum("ngc,ngk->gkc", x, dy).reshape(k, c // groups), problem.w_shape
    else:
        name, equation, shape = {
            "forward": ("x", "ngc,gkc->ngk", problem.y_shape),
            "backward_data": ("dy", "ngk,gkc->ngc", problem.x_shape),
        }[direction]
        w = norms("w").reshape(groups, k // groups, c // groups)
        sums = np.einsum(equation, norms(name).reshape(n, groups, -1), w).reshape(n, -1)
    return np.broadcast_to(sums[:, :, None, None], shape).copy()


def count_of_unknown(problem: ConvProblem, direction: Direction, config: object = None) -> float:
    """The count of roundings of a sum in any order, plus those of transforms."""
    return error_model.count_of_sum(problem, direction) + TRANSFORMS


def count_in_tf32(problem: ConvProblem, direction: Direction, config: object = None) -> float:
    """The count of roundings if both factors of each product are first rounded to 11 bits.

    The two roundings add an error of 2·2⁻¹¹, as much as 2¹⁴ float32 roundings that all go in one direction. The error
    model turns a count n into λ√n, which is 2¹⁴ for n = 2²⁴.
    """
    return count_of_unknown(problem, direction) + 2.0**24


def model_of_unknown(count: Callable[[ConvProblem, Direction, Any], float] = count_of_unknown) -> ErrorModel:
    """The error model of a library whose method is not known."""
    return ErrorModel(count=count, magnitude=norms_magnitude, exact_headroom=None, carries_nonfinite=False)
