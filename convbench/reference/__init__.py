"""Computes the expected results, and how much an algorithm's results may differ from them.

A problem, a direction and a seed enter. `data` makes the input tensors, `definition` computes the outputs in float64
straight from the equation, `samples` computes a few elements of them one by one, and an `ErrorModel` gives the largest
error that an algorithm may have at each element.
"""

from convbench.reference.data import KINDS, Kind
from convbench.reference.definition import Float64, compute
from convbench.reference.error_model import (
    ACCUMULATOR,
    LAMBDA,
    SMALLEST_NORMAL,
    UNIT_ROUNDOFF,
    ErrorModel,
    Outputs,
    Tensors,
)
from convbench.reference.samples import Places

__all__ = [
    "ACCUMULATOR",
    "KINDS",
    "LAMBDA",
    "SMALLEST_NORMAL",
    "UNIT_ROUNDOFF",
    "ErrorModel",
    "Float64",
    "Kind",
    "Outputs",
    "Places",
    "Tensors",
    "compute",
]
