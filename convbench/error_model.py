"""How far a right algorithm may be from the exact result.

    |actual − expected| ≤ growth · u · magnitude + u_out · |expected|                  elementwise

u is the unit roundoff of the accumulating type, u_out that of the output's. The magnitude is |x| ⋆ |w| + |bias| for
methods whose every rounding touches one output element (Higham 2002, "Accuracy and Stability of Numerical
Algorithms", §3.1: |fl(a·b) − a·b| ≤ γₙ |a|·|b|). A method that transforms whole tiles brings its own: a rounding
anywhere in the tile reaches every output of it, so that one may be off although its own window is all zeros.

`growth` counts roundings. n of them add up to n·u at the very worst, and to λ√n·u unless they conspire (Higham & Mary
2019, "A new approach to probabilistic rounding error analysis", theorem 2.4). A rounding is bounded by u and spread
like a uniform variable, of standard deviation u/√3, so that λ = 4 is seven standard deviations: a right algorithm
is not rejected, and one that accumulates in half precision (2¹³ times the roundoff) is. The deterministic n is
used where it is the smaller.

The bound is for the random data that verification draws. On data whose roundings do conspire, such as thousands of
equal terms, each added to a growing sum with the same rounding, it is too narrow; integers serve there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.problem import ConvProblem, Dtype
from convbench.reference import Float64, convolve, pad

LAMBDA = 4.0

# half the distance from 1 to the next number
UNIT_ROUNDOFF: dict[Dtype, float] = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
ACCUMULATOR: dict[Dtype, Dtype] = {
    "float64": "float64", "float32": "float32", "float16": "float32", "bfloat16": "float32",
}  # fmt: skip


def roundings(count: float) -> float:
    """How many u the errors of `count` roundings in a chain add up to."""
    return min(count, LAMBDA * sqrt(count))


def dot_product_growth(problem: ConvProblem, config: object = None) -> float:
    """For any order of summing the C/G · R · S products and the bias: that many roundings."""
    return roundings(problem.terms + problem.bias)


def elementwise_magnitude(problem: ConvProblem, x: Float64, w: Float64, config: object = None) -> Float64:
    """|x| ⋆ |w|, (N, K, P, Q), without the bias."""
    return convolve(replace(problem, bias=False), np.abs(x), np.abs(w))


@dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """What an algorithm promises about its error.

    Parameters
    ----------
    growth : (problem, config) → how many u of the magnitude the result may be off
    magnitude : (problem, x, w, config) → (N, K, P, Q), for a zero-padded problem and without the bias
    exact_headroom : the largest intermediate of an integer problem, in units of the finest, is at most this times
        (C/G · R · S · max|x| · max|w| + max|bias|); the result is then exact while that fits the accumulator's
        significand. None: the algorithm does not claim exact results on integers.
    """

    growth: Callable[[ConvProblem, Any], float] = dot_product_growth
    magnitude: Callable[[ConvProblem, Float64, Float64, Any], Float64] = elementwise_magnitude
    exact_headroom: int | None = 1

    def bound(
        self,
        problem: ConvProblem,
        x: npt.ArrayLike,
        w: npt.ArrayLike,
        bias: npt.ArrayLike | None,
        *,
        expected: Float64,
        config: Any = None,
    ) -> Float64:
        """The largest allowed |actual − expected|, (N, K, P, Q), of an algorithm with the given config."""
        if problem.padding_mode != "zeros":
            x, problem = pad(problem, x), problem.explicitly_padded()
        magnitude = self.magnitude(problem, np.asarray(x, np.float64), np.asarray(w, np.float64), config)
        if bias is not None:
            magnitude = magnitude + np.abs(np.asarray(bias, np.float64)).reshape(1, -1, 1, 1)
        u, u_out = UNIT_ROUNDOFF[ACCUMULATOR[problem.dtype]], UNIT_ROUNDOFF[problem.dtype]
        return self.growth(problem, config) * u * magnitude + u_out * np.abs(expected)
