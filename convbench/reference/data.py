"""Makes seeded input tensors: small integers, on which results can be exact, and several kinds of real numbers.

Each direction multiplies two tensors. One is the map, over which windows slide: x in forward, dy in backward_data, x
in backward_weights. The other is the factor: w, w and dy. An output element is a sum of products of both.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import ml_dtypes  # noqa: F401  (makes NumPy know bfloat16)
import numpy as np

from convbench.problem import ConvProblem, Direction, Dtype, operands
from convbench.reference.definition import copies
from convbench.reference.error_model import ACCUMULATOR

Tensors = dict[str, operands.Values]
Kind = Literal["integers", "uniform", "normal", "cancelling", "denormal", "large", "nonfinite"]
KINDS: tuple[Kind, ...] = get_args(Kind)
INDEPENDENT: tuple[Kind, ...] = ("integers", "uniform", "normal")  # kinds whose roundings are independent of each other

# Integers up to 2 to this power are exact.
SIGNIFICAND_BITS: dict[Dtype, int] = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
LARGEST_EXPONENT: dict[Dtype, int] = {"float64": 1023, "float32": 127, "float16": 15, "bfloat16": 127}
SMALLEST_EXPONENT: dict[Dtype, int] = {"float64": -1074, "float32": -149, "float16": -24, "bfloat16": -133}
LARGEST_INTEGER = 8  # of weights and bias
LARGEST_INPUT = 2**12 - 1  # one bit more than TF32 and float16 have, so that rounding to either is noticed
FEWEST_TERMS = 64
AMPLIFICATION = 2**22  # more than any transform multiplies its input by

MAP: dict[Direction, operands.Name] = {"forward": "x", "backward_data": "dy", "backward_weights": "x"}
FACTOR: dict[Direction, operands.Name] = {"forward": "w", "backward_data": "w", "backward_weights": "dy"}


def tensors(problem: ConvProblem, direction: Direction, seed: int, kind: Kind, *, headroom: int = 1) -> Tensors:
    """All inputs of a direction, by name. They depend only on problem, direction, seed and kind, not on the machine.

    The kinds:

    integers : so small that `headroom · (terms · largest products + largest bias)` is exact in the accumulating type.
        If even ±1 is too large for so many terms, only as many products of each sum are non-zero as fit. The map has no
        zeros, so that a missed element is noticed, and more bits than half precision, so that rounding it is noticed.
    uniform : in (−1, 1), with all bits of the significand random. Simpler data would make times too short, because of
        compressed memory and bits that do not switch.
    normal : with standard deviation 1
    cancelling : the map is nearly constant, and the factors of each sum add up to nearly zero
    denormal : most elements of the map are below the smallest normal number
    large : the sums are near the largest number of the dtype
    nonfinite : uniform, with a few NaNs and infinities in the map
    """
    rng = np.random.default_rng([seed, KINDS.index(kind), *f"{direction} {problem}".encode()])
    drawn = {name: rng.uniform(-1, 1, operands.shape(problem, name)) for name in operands.inputs(problem, direction)}
    change: Callable[..., None] | None = {
        "integers": _integers, "normal": _normal, "cancelling": _cancelling, "denormal": _denormal, "large": _large,
        "nonfinite": _nonfinite,
    }.get(kind)  # fmt: skip
    if change is not None:
        change(problem, direction, rng, drawn, headroom)
    with np.errstate(over="ignore"):
        return {name: value.astype(problem.dtype) for name, value in drawn.items()}


def _integers(
    problem: ConvProblem, direction: Direction, rng: np.random.Generator, drawn: dict[str, Any], headroom: int
) -> None:
    terms, largest = problem.terms_of(direction), LARGEST_INTEGER
    room = min(2 ** SIGNIFICAND_BITS[ACCUMULATOR[problem.dtype]] // headroom, 2 ** SIGNIFICAND_BITS[problem.dtype])
    if direction == "backward_data":
        room //= copies(problem)
    room -= largest * ("bias" in drawn)
    # The map gets as many bits as leave room for all terms of a sum, or for FEWEST_TERMS of them.
    map_largest = max(1, min(LARGEST_INPUT, room // min(terms, FEWEST_TERMS)))
    factor_largest = max(1, min(largest, room // (terms * map_largest)))
    name, factor = MAP[direction], FACTOR[direction]
    sizes, shape = drawn[name].shape, drawn[factor].shape
    drawn[name] = rng.integers(1, map_largest + 1, sizes) * rng.choice((-1, 1), sizes)
    drawn[factor] = rng.integers(-factor_largest, factor_largest + 1, shape)
    if not drawn[factor].any():  # if all were zero, the result would not depend on the map
        drawn[factor].flat[0] = 1
    if terms * map_largest > room:
        sums = _as_sums(problem, direction, rng.choice((-1, 1), shape))
        rank = rng.permuted(np.tile(np.arange(terms), (len(sums), 1)), axis=1)
        drawn[factor] = _from_sums(problem, direction, np.where(rank < max(1, room // map_largest), sums, 0))
    if "bias" in drawn:
        drawn["bias"] = rng.integers(-largest, largest + 1, problem.k)


def _normal(problem: ConvProblem, direction: Direction, rng: np.random.Generator, drawn: Tensors, _: int) -> None:
    for name, value in drawn.items():
        drawn[name] = rng.standard_normal(value.shape)


def _cancelling(problem: ConvProblem, direction: Direction, rng: np.random.Generator, drawn: Tensors, _: int) -> None:
    name, factor = MAP[direction], FACTOR[direction]
    drawn[name] = 1 + drawn[name] / 2**7
    sums = _as_sums(problem, direction, drawn[factor])
    drawn[factor] = _from_sums(problem, direction, sums - sums.mean(1, keepdims=True))


def _denormal(problem: ConvProblem, direction: Direction, rng: np.random.Generator, drawn: Tensors, _: int) -> None:
    drawn[MAP[direction]] *= 2.0 ** (SMALLEST_EXPONENT[problem.dtype] + SIGNIFICAND_BITS[problem.dtype] - 1)


def _large(problem: ConvProblem, direction: Direction, rng: np.random.Generator, drawn: Tensors, _: int) -> None:
    terms = problem.terms_of(direction) * (copies(problem) if direction == "backward_data" else 1)
    room = LARGEST_EXPONENT[problem.dtype] - int(terms).bit_length()
    if problem.dtype != "float16":  # float16 is accumulated in float32, which has room for large intermediates
        room -= AMPLIFICATION.bit_length()
    drawn[MAP[direction]] *= 2.0 ** (room // 2)
    drawn[FACTOR[direction]] *= 2.0 ** (room - room // 2)


def _nonfinite(problem: ConvProblem, direction: Direction, rng: np.random.Generator, drawn: Tensors, _: int) -> None:
    flat = drawn[MAP[direction]].reshape(-1)
    places = rng.choice(flat.size, min(flat.size, int(rng.integers(1, 4))), replace=False)
    flat[places] = rng.choice((np.nan, np.inf, -np.inf), len(places))


def _as_sums(problem: ConvProblem, direction: Direction, factor: Any) -> Any:
    """The factor as a matrix with one row for each sum: w by filter, w by input channel, or dy by output channel."""
    if direction == "backward_data":
        grouped = factor.reshape(problem.groups, problem.k // problem.groups, *problem.w_shape[1:])
        return grouped.swapaxes(1, 2).reshape(problem.c, -1)
    if direction == "backward_weights":
        return factor.swapaxes(0, 1).reshape(problem.k, -1)
    return factor.reshape(problem.k, -1)


def _from_sums(problem: ConvProblem, direction: Direction, sums: Any) -> Any:
    """The inverse of `_as_sums`."""
    k_per_group, c_per_group = problem.k // problem.groups, problem.c // problem.groups
    if direction == "backward_data":
        grouped = sums.reshape(problem.groups, c_per_group, k_per_group, problem.r, problem.s)
        return grouped.swapaxes(1, 2).reshape(problem.w_shape)
    if direction == "backward_weights":
        return sums.reshape(problem.k, problem.n, problem.p, problem.q).swapaxes(0, 1)
    return sums.reshape(problem.w_shape)
