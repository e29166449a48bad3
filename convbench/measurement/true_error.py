"""Measures the true error of a result, in one unit for all algorithms, so that algorithms can be compared by it.

    unit  = ε · max(RMS of the expected output, smallest normal number)
    rms   = RMS of (actual − expected) / unit
    worst = max |actual − expected| / unit

RMS is the root mean square over all elements that are compared. ε is the distance from 1 to the next number of the
output's dtype (2⁻²³ for float32, 2⁻¹⁰ for float16, 2⁻⁷ for bfloat16, 2⁻⁵² for float64). The unit is the last place of a
number of the output's magnitude, an ulp; `rms` times ε is ‖actual − expected‖₂ / ‖expected‖₂, the normwise relative
error (Higham 2002, "Accuracy and Stability of Numerical Algorithms", §1.2).

- The unit depends on the expected output alone. The bound of an error model depends on the algorithm as well, so the
  used fraction of a bound does not say which of two algorithms has the smaller error.
- The magnitude of the whole output is used, and not that of each element. The error of a sum has the size of its terms,
  so an element that cancels to nearly zero would have a huge error in units of its own last place.
- ε is that of the output's dtype, and not of the accumulator's, because the result is stored in that dtype. Storing a
  result is an error of 0.14 to 0.29 units. In half precision it is most of the error of every algorithm.
- Below the smallest normal number, the distance of two numbers no longer shrinks. Neither does the unit.

The expected output is computed in float64. For a float64 problem, its own error is of the same size, and is included.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from convbench.problem import Dtype, operands
from convbench.reference import SMALLEST_NORMAL, UNIT_ROUNDOFF, Float64


@dataclass(frozen=True, kw_only=True)
class TrueError:
    """The error of a result in units of the last place (ulp) of the output's magnitude.

    Parameters
    ----------
    rms : root mean square of the errors of all elements; infinite if an output that should be finite is NaN or infinite
    worst : the largest error of an element; infinite where `rms` is
    """

    rms: float
    worst: float


def true_error(*, actual: operands.Values, expected: Float64, dtype: Dtype) -> TrueError:
    """Measure the error of an output of a dtype. Elements that are expected to be NaN or infinite are left out.

    Raises
    ------
    ValueError
        the array is empty, or the two shapes differ.
    """
    if actual.shape != expected.shape:
        raise ValueError(f"no error to measure: actual has shape {actual.shape}, expected {expected.shape}")
    if actual.size == 0:
        raise ValueError(f"no error to measure: shape {actual.shape} has no elements")
    counted = np.isfinite(expected)
    wanted, found = expected[counted], actual[counted].astype(np.float64)
    if not np.isfinite(found).all():
        return TrueError(rms=inf, worst=inf)
    magnitude = max(_root_mean_square(wanted), SMALLEST_NORMAL[dtype])
    with np.errstate(over="ignore"):  # a difference of huge numbers may be infinite, and then its size is inf, too
        errors = np.abs(found - wanted) / magnitude / (2 * UNIT_ROUNDOFF[dtype])
    return TrueError(rms=_root_mean_square(errors), worst=float(errors.max(initial=0.0)))


def _root_mean_square(values: Float64) -> float:
    """The root mean square, without overflow or underflow of the squares; 0 for no values."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest in (0.0, inf):
        return largest
    return largest * sqrt(float(np.mean(np.square(values / largest))))
