"""How far a right algorithm may be from the exact result.

    |actual − expected| ≤ growth · u · magnitude + half the output's spacing at the expected value      elementwise

u is the unit roundoff of the accumulating type. The magnitude is |x| ⋆ |w| + |bias| for
methods whose every rounding touches one output element (Higham 2002, "Accuracy and Stability of Numerical
Algorithms", §3.1: |fl(a·b) − a·b| ≤ γₙ |a|·|b|), and the same sum over |dy| and |w| or |x| and |dy| for gradients. A
method that transforms whole tiles brings its own: a rounding anywhere in the tile reaches every output of it, so that
one may be off although its own window is all zeros.

`growth` comes from a count of roundings. n of them add up to n·u at the very worst, and to λ√n·u unless they conspire
(Higham & Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4). A rounding is bounded by
u and spread like a uniform variable, of standard deviation u/√3, so that λ = 4 is seven standard deviations: a right
algorithm is not rejected, and one that accumulates in half precision (2¹³ times the roundoff) is. The deterministic n
is used where it is the smaller, and on data whose roundings may conspire, such as thousands of equal terms, each
added to a growing sum with the same rounding.

Below the smallest normal number t a rounding is off by u·t whatever the size of what is rounded. Where the data are so
small that this can matter, u · t · the magnitude of data that are 1, or what they are if that is more, is added.

The expected values of a float64 problem are sums in float64 themselves: there the bound has room for their error too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.problem import ConvProblem, Direction, Dtype
from convbench.reference.definition import Float64, compute, copies, fold_back, pad

LAMBDA = 4.0

# half the distance from 1 to the next number
UNIT_ROUNDOFF: dict[Dtype, float] = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SMALLEST_NORMAL: dict[Dtype, float] = {
    "float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126,
}  # fmt: skip
ACCUMULATOR: dict[Dtype, Dtype] = {
    "float64": "float64", "float32": "float32", "float16": "float32", "bfloat16": "float32",
}  # fmt: skip

Tensors = Mapping[str, Float64]
Outputs = dict[str, Float64]


def roundings(count: float) -> float:
    """How many u the errors of `count` roundings in a chain add up to, unless they conspire."""
    return min(count, LAMBDA * sqrt(count))


def count_of_sum(problem: ConvProblem, direction: Direction, config: object = None) -> float:
    """For any order of summing the products of one element, and the bias."""
    return problem.terms_of(direction) + (problem.bias and direction == "forward")


def nothing_certain(problem: ConvProblem, direction: Direction, config: object = None) -> float:
    """For methods whose errors are those of roundings to nearest."""
    return 0.0


def elementwise_magnitude(
    problem: ConvProblem, direction: Direction, tensors: Tensors, config: object = None
) -> Float64:
    """The same convolution or gradient of absolute values, without a bias."""
    given = {name: np.abs(value) for name, value in tensors.items() if name != "bias"}
    (magnitude,) = compute(replace(problem, bias=False), direction, given).values()
    return magnitude


def storage_rounding(dtype: Dtype, expected: Float64, error: npt.ArrayLike = 0.0) -> Float64:
    """Half the spacing of a dtype's numbers at most `error` beyond an expected value: what storing a result rounds."""
    largest = np.maximum(np.abs(expected) + error, SMALLEST_NORMAL[dtype])
    with np.errstate(invalid="ignore"):
        spacing: Float64 = UNIT_ROUNDOFF[dtype] * np.exp2(np.floor(np.log2(largest)))
    return spacing


@dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """What an algorithm promises about its error, and about numbers that are none.

    Parameters
    ----------
    count : (problem, direction, config) → how many roundings lie between the inputs and an output
    certain : (problem, direction, config) → how many u the errors that no chance makes less add up to besides: those of
        factors rounded before, of which each product has its own, and of sums that are cut
    underflow : below the smallest normal number times this, a factor may lose bits
    magnitude : (problem, direction, tensors, config) → what they are relative to, in the shape of the main output (y,
        dx or dw), for a zero-padded problem and without the bias
    exact_headroom : the largest intermediate of an integer problem, in units of the finest, is at most this times
        (terms · the largest factors + the largest bias); the result is then exact while that fits the accumulator's
        significand. None: the algorithm does not claim exact results on integers.
    carries_nonfinite : whether a NaN or an infinity reaches the outputs whose sum has it, and no other, as it would by
        the equation. If not, it may spread to all outputs that the magnitude makes depend on it.
    """

    count: Callable[[ConvProblem, Direction, Any], float] = count_of_sum
    certain: Callable[[ConvProblem, Direction, Any], float] = nothing_certain
    underflow: float = 1.0
    magnitude: Callable[[ConvProblem, Direction, Tensors, Any], Float64] = elementwise_magnitude
    exact_headroom: int | None = 1
    carries_nonfinite: bool = True

    def bounds(
        self,
        problem: ConvProblem,
        direction: Direction,
        tensors: Mapping[str, npt.ArrayLike],
        *,
        expected: Mapping[str, Float64],
        config: Any = None,
        independent: bool = True,
    ) -> Outputs:
        """The largest allowed |actual − expected| of each output, by name.

        Parameters
        ----------
        tensors : all inputs of the direction
        expected : all its outputs
        config : the algorithm's, that the result was made with
        independent : whether the roundings of these data may be taken not to conspire
        """
        values = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
        accumulator = ACCUMULATOR[problem.dtype]
        u = UNIT_ROUNDOFF[accumulator]
        growth = roundings if independent else float
        main, *others = expected

        def of_main(given: Tensors) -> Float64:
            magnitude = self.reach(problem, direction, given, config)
            if "bias" in given:
                magnitude = magnitude + np.abs(given["bias"]).reshape(1, -1, 1, 1)
            spread = copies(problem) - 1 if direction == "backward_data" else 0
            inner = _zero_padded(problem)
            units = growth(self.count(inner, direction, config) + spread) + self.certain(inner, direction, config)
            found: Float64 = units * u * magnitude
            if problem.dtype == "float64":
                found = found + growth(count_of_sum(problem, direction)) * u * elementwise_magnitude(
                    problem, direction, given
                )
            return found

        bounds = {main: of_main(values)}
        if _may_underflow(values, smallest := SMALLEST_NORMAL[accumulator] * self.underflow):
            ones = {name: np.maximum(np.abs(value), 1) for name, value in values.items()}
            bounds[main] += smallest * of_main(ones)
        for name in others:  # dbias, which all algorithms sum alike
            total = np.abs(values["dy"]).sum((0, 2, 3))
            bounds[name] = (1 + (problem.dtype == "float64")) * growth(problem.terms_of(direction)) * u * total
        return {name: bound + storage_rounding(problem.dtype, expected[name], bound) for name, bound in bounds.items()}

    def reach(self, problem: ConvProblem, direction: Direction, tensors: Tensors, config: Any = None) -> Float64:
        """The magnitude for any padding mode: more than 0 exactly where an output depends on the tensors."""
        inner = _zero_padded(problem)
        if inner is problem:
            return self.magnitude(problem, direction, tensors, config)
        if direction == "backward_data":
            return fold_back(problem, self.magnitude(inner, direction, tensors, config))
        return self.magnitude(inner, direction, {**tensors, "x": pad(problem, tensors["x"])}, config)


def _zero_padded(problem: ConvProblem) -> ConvProblem:
    """What an algorithm itself computes."""
    return problem if problem.padding_mode == "zeros" else problem.explicitly_padded()


def _may_underflow(tensors: Tensors, smallest: float) -> bool:
    """Whether a product of two factors can come near the smallest normal number."""
    finest = 1.0
    for name, value in tensors.items():
        sizes = np.abs(value[value != 0])
        if name != "bias" and sizes.size:
            finest *= min(1.0, float(sizes.min()))
    return finest < smallest * 2.0**24
