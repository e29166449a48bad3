"""Find how many products the launches of a run make, which machine code does not tell."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convbench.measurement import floor

if TYPE_CHECKING:
    from convbench.algorithm import Algorithm
    from convbench.inspection.blueprint import Launch
    from convbench.inspection.shell import Shell
    from convbench.problem import ConvProblem, Direction

_WINOGRAD = re.compile(r"winograd_(\d+)x\1_(\d+)x\2")
MULTIPLIES = "run", "multiply"  # stage and phase
_SPLIT = {"3xtf32": 3}  # word in an algorithm's name: how many products in a narrower precision replace one product


def products(
    algorithm: "Algorithm",
    problem: "ConvProblem",
    direction: "Direction",
    config: Any,
    kernels: Sequence[Sequence["Launch"]],
) -> list[float | None]:
    """Products of the launches of each kernel, in the order given; None where it is not known.

    A batched matrix product is recognised by the shapes of its arrays. If one other kernel is left in the phase
    `multiply` of a run, it makes the fewest products that the method needs: all those of the definition, or those
    between transformed tiles.
    """
    found = [_of_matrices(launches) for launches in kernels]
    multiplying = [at for at, launches in enumerate(kernels) if (launches[0].stage, launches[0].phase) == MULTIPLIES]
    if len(multiplying) == 1 and found[multiplying[0]] is None:
        found[multiplying[0]] = _of_method(algorithm, problem, direction, config)
    return found


def _of_matrices(launches: Sequence["Launch"]) -> float | None:
    """Products of launches that multiply matrices: a (B, M, K) and b (B, K, N) first, the result (B, M, N) last."""
    if launches[0].phase != "multiply":
        return None
    sizes = [_of_arrays(launch.arrays) for launch in launches]
    return None if None in sizes else float(sum(size or 0 for size in sizes))


def _of_arrays(arrays: Sequence["Shell"]) -> int | None:
    if len(arrays) < 3 or any(array.ndim != 3 for array in (*arrays[:2], arrays[-1])):
        return None
    (_, m, k), (_, k_too, n), (batch, m_too, n_too) = (array.shape for array in (*arrays[:2], arrays[-1]))
    if (m, k, n) != (m_too, k_too, n_too):
        return None
    return batch * m * n * k * (4 if arrays[0].dtype.kind == "c" else 1)


def _of_method(algorithm: "Algorithm", problem: "ConvProblem", direction: "Direction", config: Any) -> float | None:
    factor = next((factor for word, factor in _SPLIT.items() if word in algorithm.name), 1)
    if algorithm.family in floor.EVERY_PRODUCT:
        return float(problem.macs * factor)
    if direction == "backward_weights" or problem.stride != (1, 1):
        return None
    height, width = (problem.p, problem.q) if direction == "forward" else (problem.h, problem.w)
    pairs = problem.n * problem.k * (problem.c // problem.groups) * factor
    if tile := _WINOGRAD.match(algorithm.name):
        m, r = int(tile[1]), int(tile[2])
        return float(pairs * -(-height // m) * -(-width // m) * (m + r - 1) ** 2)
    if algorithm.family == "fft" and hasattr(config, "length") and problem.dilation == (1, 1):
        # real numbers have half as many frequencies, and a complex product is four real ones
        tiles = -(-height // (config.length - problem.r + 1)) * -(-width // (config.length - problem.s + 1))
        return float(4 * pairs * tiles * config.length**2 // 2)
    return None
