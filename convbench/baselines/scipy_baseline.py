"""The baseline `scipy`: `scipy.signal.oaconvolve` (overlap-add by FFT), one filter after the other.

SciPy has neither strides nor dilations. For a dilation, zeros are put between the taps of the filter. For a stride,
every output is computed, and those that the stride selects are kept.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from convbench.algorithm import Algorithm, Family, Plan
from convbench.baselines.library import HostPlan, model_of_unknown, padded
from convbench.devices import Array, Host
from convbench.errors import RefusedError
from convbench.problem import Direction, Dtype
from convbench.reference import ErrorModel


class ScipyForward(HostPlan):
    """The plan that computes y."""

    def prepare(self) -> None:
        problem, (d_h, d_w) = self.problem, self.problem.dilation
        spread = np.zeros(
            (*problem.w_shape[:2], (problem.r - 1) * d_h + 1, (problem.s - 1) * d_w + 1), self.accumulator
        )
        spread[:, :, ::d_h, ::d_w] = self.weights
        self.spread = spread[:, :, ::-1, ::-1]  # SciPy's convolution flips the filter, and the problem's does not

    def compute(self, *read: Array) -> Host:
        try:  # SciPy is an optional package
            from scipy.signal import oaconvolve
        except ImportError as error:
            raise RefusedError(f"it needs SciPy: pip install scipy ({error})") from error
        problem, (u, v) = self.problem, self.problem.stride
        x = padded(problem, read[0], self.accumulator)
        x = x.reshape(problem.n, problem.groups, -1, *x.shape[2:])
        y = np.empty(problem.y_shape, self.accumulator)
        for n in range(problem.n):
            for k in range(problem.k):
                g = k // (problem.k // problem.groups)
                dense = oaconvolve(x[n, g], self.spread[k], mode="valid", axes=(1, 2)).sum(0)
                y[n, k] = dense[::u, ::v] + self.accumulated_bias(k)
        return y

    def accumulated_bias(self, k: int) -> float:
        """The bias of one output channel, in the accumulating dtype."""
        return float(np.asarray(self.bias[k], self.accumulator))


class Scipy(Algorithm):
    """The baseline of SciPy on the CPU."""

    name: ClassVar[str] = "scipy"
    family: ClassVar[Family] = "baseline"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {"forward": ScipyForward}
    dtypes: ClassVar[tuple[Dtype, ...]] = ("float32", "float64")
    any_order: ClassVar[bool] = True
    error_model: ClassVar[ErrorModel] = model_of_unknown()
