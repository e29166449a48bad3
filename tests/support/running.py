"""Run an algorithm on given tensors, and compare its results within its own error model."""

import re
from collections.abc import Mapping

import numpy as np

from convbench.algorithm import Algorithm
from convbench.devices import Device
from convbench.measurement import Case, Execution, Verification, compare, verify
from convbench.problem import ConvProblem, Direction, operands
from convbench.problem.operands import Values
from convbench.reference import Float64


def run_direction(
    algorithm: Algorithm,
    problem: ConvProblem,
    direction: Direction,
    device: Device,
    tensors: Mapping[str, Values],
    config: object = None,
) -> dict[str, Values]:
    """All outputs. Their arrays are filled with NaN before the run."""
    execution = Execution(algorithm, problem, direction, device, tensors, config)
    for name, array in execution.outputs.items():
        device.write(array, np.full(operands.memory_shape(problem, name), np.nan, problem.dtype))
    execution.load()
    execution.run()
    return execution.results()


def bounds_of(
    algorithm: Algorithm,
    problem: ConvProblem,
    direction: Direction,
    tensors: Mapping[str, Values],
    expected: Mapping[str, Values],
) -> dict[str, Float64]:
    """The error bounds of the algorithm on these tensors."""
    wide = {name: value.astype(np.float64) for name, value in expected.items()}
    return algorithm.error_bounds(problem, direction, tensors, expected=wide)


def named(x: Values, w: Values, bias: Values | None) -> dict[str, Values]:
    """The tensors of `forward`, by name."""
    return {"x": x, "w": w} | ({} if bias is None else {"bias": bias})


def run(
    algorithm: Algorithm, problem: ConvProblem, device: Device, x: Values, w: Values, bias: Values | None = None
) -> Values:
    """y of `forward`. Its array is filled with NaN before the run."""
    return run_direction(algorithm, problem, "forward", device, named(x, w, bias))["y"]


def bound_of(
    algorithm: Algorithm, problem: ConvProblem, x: Values, w: Values, bias: Values | None, expected: Float64
) -> Float64:
    """The error bound of y on these tensors."""
    return algorithm.error_bounds(problem, "forward", named(x, w, bias), expected={"y": expected})["y"]


def assert_within(*, actual: Values, expected: Float64, bound: object) -> None:
    """Assert that every element is within its bound; the message names the worst one."""
    verdict = compare(actual=actual, expected=expected, bound=bound)
    assert verdict.passed, str(verdict)


def assert_passes(algorithm: Algorithm, case: Case, device: Device, *, config: object = None) -> Verification:
    """Assert that the algorithm passes the verification of a case; returns the verification."""
    verdict = verify(algorithm, case, device, config=config)
    assert verdict.passed, verdict.reason if config is None else f"{config}: {verdict.reason}"
    return verdict


def squeezed(table: str) -> str:
    """A table without the spaces that align it."""
    return re.sub(" +", " ", table)
