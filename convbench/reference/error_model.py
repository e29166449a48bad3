"""Computes how far the result of a correct algorithm may be from the exact result.

    |actual − expected| ≤ growth · u · magnitude + half the output's spacing at the expected value      elementwise

u is the unit roundoff of the accumulating type. The magnitude is |x| ⋆ |w| + |bias| for methods in which every rounding
affects one output element (Higham 2002, "Accuracy and Stability of Numerical Algorithms", §3.1:
|fl(a·b) − a·b| ≤ γₙ |a|·|b|). For gradients it is the same sum over |dy| and |w|, or |x| and |dy|. A method that
transforms whole tiles has a magnitude of its own: a rounding anywhere in a tile affects every output of the tile, so
that an output may have an error although its own window is all zeros.

`growth` comes from the number of roundings n. Their errors add up to n·u in the worst case, and to λ√n·u if they are
independent (Higham & Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4). A rounding
error is bounded by u and distributed like a uniform variable with standard deviation u/√3, so that λ = 4 is seven
standard deviations. A correct algorithm is then not rejected, and one that accumulates in half precision (2¹³ times the
roundoff) is. The worst case n is used where it is the smaller number, and for data whose roundings may depend on each
other, such as thousands of equal terms, each added to a growing sum with the same rounding.

Below the smallest normal number t the error of a rounding is u·t, independent of the size of the rounded number. Where
the data are so small that this matters, a term is added: u · t · the magnitude of max(|data|, 1).

The expected values of a float64 problem are themselves computed in float64, so its bound includes their error too.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.problem import ConvProblem, Direction, Dtype, operands
from convbench.reference.definition import Float64, compute, copies, fold_back, pad
from convbench.reference.samples import Places, values_at

LAMBDA = 4.0

MOST_KEPT, MOST_BYTES = 4, 1 << 25  # magnitudes that are kept, and bytes of one of them

# Half the distance from 1 to the next number of the dtype.
UNIT_ROUNDOFF: dict[Dtype, float] = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SMALLEST_NORMAL: dict[Dtype, float] = {
    "float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126,
}  # fmt: skip
ACCUMULATOR: dict[Dtype, Dtype] = {
    "float64": "float64", "float32": "float32", "float16": "float32", "bfloat16": "float32",
}  # fmt: skip

Tensors = Mapping[str, Float64]
Outputs = dict[str, Float64]


_kept: OrderedDict[tuple[object, ...], Float64] = OrderedDict()
_lock = threading.Lock()


def roundings(count: float) -> float:
    """The sum of the errors of `count` independent roundings in a chain, in units of u."""
    return min(count, LAMBDA * sqrt(count))


def count_of_sum(problem: ConvProblem, direction: Direction, config: object = None) -> float:
    """The number of roundings if the products of one element, and the bias, are summed in any order."""
    return problem.terms_of(direction) + (problem.bias and direction == "forward")


def nothing_certain(problem: ConvProblem, direction: Direction, config: object = None) -> float:
    """0, for methods whose only errors are those of rounding to nearest."""
    return 0.0


def elementwise_magnitude(
    problem: ConvProblem, direction: Direction, tensors: Tensors, config: object = None
) -> Float64:
    """The same convolution or gradient, computed with absolute values and without a bias; not to be written to.

    It is kept for the next algorithms, which are asked about the same data.
    """
    given = {name: np.abs(value) for name, value in tensors.items() if name != "bias"}
    plain = replace(problem, bias=False)
    key = (
        plain,
        direction,
        *((name, blake2b(np.ascontiguousarray(value).data).digest()) for name, value in given.items()),
    )
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    (magnitude,) = compute(plain, direction, given).values()
    magnitude.flags.writeable = False
    if magnitude.nbytes <= MOST_BYTES:
        with _lock:
            _kept[key] = magnitude
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
    return magnitude


def storage_rounding(dtype: Dtype, expected: Float64, error: npt.ArrayLike = 0.0) -> Float64:
    """The error of storing a result: half the spacing of the dtype's numbers at the expected value plus `error`."""
    largest = np.maximum(np.abs(expected) + error, SMALLEST_NORMAL[dtype])
    with np.errstate(invalid="ignore"):
        spacing: Float64 = UNIT_ROUNDOFF[dtype] * np.exp2(np.floor(np.log2(largest)))
    return spacing


@dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """The promises of an algorithm about its error, and about its results for NaN and infinity.

    Parameters
    ----------
    count : (problem, direction, config) → the number of roundings between the inputs and an output
    certain : (problem, direction, config) → further errors, in units of u, that add up in full and not by chance: those
        of factors that are rounded first, where each product has its own, and those of sums that are truncated
    underflow : a factor below the smallest normal number times this may lose bits
    magnitude : (problem, direction, tensors, config) → the magnitude that the errors are relative to, in the shape of
        the main output (y, dx or dw), for a zero-padded problem and without the bias
    exact_headroom : the largest intermediate result on integers, in units of the finest one, is at most this times
        (terms · the largest factors + the largest bias). While that fits into the accumulator's significand, the
        results are exact. None: the algorithm does not claim exact results on integers.
    carries_nonfinite : True if a NaN or an infinity affects exactly those outputs whose sum contains it, as in the
        equation. If False, it may spread to all outputs whose magnitude depends on it.
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
        places: Mapping[str, Places] | None = None,
    ) -> Outputs:
        """The largest allowed |actual − expected| of each output, by name.

        Parameters
        ----------
        tensors : all inputs of the direction
        expected : all its outputs, as `convbench.reference.compute` gives them
        config : the config with which the algorithm computed the result
        independent : whether the roundings of these data may be assumed to be independent of each other
        places : the indices of a few elements of each output; `expected` has these alone, and so has the result
        """
        values = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
        accumulator = ACCUMULATOR[problem.dtype]
        u = UNIT_ROUNDOFF[accumulator]
        growth = roundings if independent else float
        main, *others = expected
        at = None if places is None else places[main]

        def of_main(given: Tensors) -> Float64:
            magnitude = self.reach(problem, direction, given, config, at)
            if "bias" in given:
                size = np.abs(given["bias"])
                magnitude = magnitude + (size.reshape(1, -1, 1, 1) if at is None else size[at[1]])
            spread = copies(problem) - 1 if direction == "backward_data" else 0
            inner = _zero_padded(problem)
            units = growth(self.count(inner, direction, config) + spread) + self.certain(inner, direction, config)
            found: Float64 = units * u * magnitude
            if problem.dtype == "float64":
                exact = _elementwise(problem, direction, given, at)
                found = found + growth(count_of_sum(problem, direction)) * u * exact
            return found

        bounds = {main: of_main(values)}
        if _may_underflow(values, smallest := SMALLEST_NORMAL[accumulator] * self.underflow):
            ones = {name: np.maximum(np.abs(value), 1) for name, value in values.items()}
            bounds[main] += smallest * of_main(ones)
        for name in others:  # dbias, which is summed by the same kernel for all algorithms
            total = np.abs(values["dy"]).sum((0, 2, 3))
            total = total if places is None else total[places[name]]
            bounds[name] = (1 + (problem.dtype == "float64")) * growth(problem.terms_of(direction)) * u * total
        return {name: bound + storage_rounding(problem.dtype, expected[name], bound) for name, bound in bounds.items()}

    def reach(
        self, problem: ConvProblem, direction: Direction, tensors: Tensors, config: Any = None,
        places: Places | None = None,
    ) -> Float64:  # fmt: skip
        """The magnitude for any padding mode; it is more than 0 exactly where an output depends on the tensors.

        `places` asks for a few elements only. Only the usual magnitude can be computed one by one.
        """
        if places is not None and self.magnitude is elementwise_magnitude:
            return _elementwise(problem, direction, tensors, places)
        if places is not None:
            return self.reach(problem, direction, tensors, config)[places]
        inner = _zero_padded(problem)
        if inner is problem:
            return self.magnitude(problem, direction, tensors, config)
        if direction == "backward_data":
            return fold_back(problem, self.magnitude(inner, direction, tensors, config))
        return self.magnitude(inner, direction, {**tensors, "x": pad(problem, tensors["x"])}, config)


def _elementwise(problem: ConvProblem, direction: Direction, tensors: Tensors, places: Places | None) -> Float64:
    """The usual magnitude: everywhere, or at some places of the main output."""
    if places is None:
        return elementwise_magnitude(problem, direction, tensors)
    given = {name: np.abs(value) for name, value in tensors.items() if name != "bias"}
    return values_at(replace(problem, bias=False), direction, given, operands.WRITTEN[direction][0], places)


def _zero_padded(problem: ConvProblem) -> ConvProblem:
    """The zero-padded problem that an algorithm itself computes."""
    return problem if problem.padding_mode == "zeros" else problem.explicitly_padded()


def _may_underflow(tensors: Tensors, smallest: float) -> bool:
    """Whether a product of two factors can be so small that it is near the smallest normal number."""
    finest = 1.0
    for name, value in tensors.items():
        sizes = np.abs(value[value != 0])
        if name != "bias" and sizes.size:
            finest *= min(1.0, float(sizes.min()))
    return finest < smallest * 2.0**24
