"""Run an algorithm on given tensors and compare within its own error model: what the laws are written with."""

import re

import numpy as np

from convbench.algorithm import Algorithm
from convbench.data import Values
from convbench.devices.device import Device
from convbench.problem import ConvProblem
from convbench.reference import Float64
from convbench.verify import compare


def run(
    algorithm: Algorithm, problem: ConvProblem, device: Device, x: Values, w: Values, bias: Values | None = None
) -> Values:
    """y, from an output that was NaN before."""
    plan = algorithm.plan(problem, device)
    y = device.upload(np.full(problem.y_shape, np.nan, problem.dtype))
    plan.load(device.upload(w), None if bias is None else device.upload(bias))
    plan.run(device.upload(x), y)
    device.synchronize()
    return device.download(y)


def assert_within(*, actual: Values, expected: Float64, bound: object) -> None:
    """Every element within its bound; the worst one is named."""
    verdict = compare(actual=actual, expected=expected, bound=bound)
    assert verdict.passed, str(verdict)


def bound_of(
    algorithm: Algorithm, problem: ConvProblem, x: Values, w: Values, bias: Values | None, expected: Float64
) -> Float64:
    """What the algorithm may be off on these tensors."""
    return algorithm.error_bound(problem, x, w, bias, expected=expected)


def squeezed(table: str) -> str:
    """A table without the spaces that align it."""
    return re.sub(" +", " ", table)
