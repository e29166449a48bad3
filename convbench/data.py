"""Seeded inputs: integers on which a claim of exactness can be tested, and full-entropy numbers for all else."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convbench.error_model import ACCUMULATOR
from convbench.problem import ConvProblem, Dtype

Values = npt.NDArray[np.floating]

# integers up to 2 to this power are exact
SIGNIFICAND_BITS: dict[Dtype, int] = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
LARGEST_INTEGER = 8  # of weights and bias
LARGEST_INPUT = 2**12 - 1  # one bit more than TF32 and float16 have: rounding to either shows
FEWEST_TERMS = 64


@dataclass(frozen=True)
class Tensors:
    """The input (N, C, H, W), the weights (K, C/G, R, S), and the bias (K) where the problem has one."""

    x: Values
    w: Values
    bias: Values | None


def random_tensors(problem: ConvProblem, seed: int) -> Tensors:
    """Uniform in (−1, 1), every significand bit random: memory compression and idle bits would flatter a timing."""
    rng = _rng(problem, seed)

    def draw(shape: tuple[int, ...]) -> Values:
        values: Values = rng.uniform(-1, 1, shape).astype(problem.dtype)
        return values

    return Tensors(draw(problem.x_shape), draw(problem.w_shape), draw((problem.k,)) if problem.bias else None)


def integer_tensors(problem: ConvProblem, seed: int, *, headroom: int = 1) -> Tensors:
    """Integers so small that `headroom · (terms · max|x| · max|w| + max|bias|)` is exact in the accumulating type.

    Where even ±1 is too large for so many terms, each filter keeps only as many non-zero weights as fit. x has no
    zeros, so that a missed element shows, and more bits than half precision, so that rounding it shows.
    """
    rng = _rng(problem, seed)
    room = min(2 ** SIGNIFICAND_BITS[ACCUMULATOR[problem.dtype]] // headroom, 2 ** SIGNIFICAND_BITS[problem.dtype])
    room -= LARGEST_INTEGER * problem.bias
    # the input gets as many bits as leave room for the terms, or for enough of them
    x_largest = max(1, min(LARGEST_INPUT, room // min(problem.terms, FEWEST_TERMS)))
    w_largest = max(1, min(LARGEST_INTEGER, room // (problem.terms * x_largest)))
    x = rng.integers(1, x_largest + 1, problem.x_shape) * rng.choice((-1, 1), problem.x_shape)
    w = rng.integers(-w_largest, w_largest + 1, problem.w_shape)
    if problem.terms * x_largest > room:
        w = rng.choice((-1, 1), problem.w_shape)
        rank = rng.permuted(np.tile(np.arange(problem.terms), (problem.k, 1)), axis=1).reshape(problem.w_shape)
        w[rank >= room // x_largest] = 0
    bias = rng.integers(-LARGEST_INTEGER, LARGEST_INTEGER + 1, problem.k) if problem.bias else None
    return Tensors(*(None if a is None else a.astype(problem.dtype) for a in (x, w, bias)))  # type: ignore[arg-type]


def _rng(problem: ConvProblem, seed: int) -> np.random.Generator:
    """The same problem and seed, the same data, on any machine."""
    return np.random.default_rng([seed, *str(problem).encode()])
