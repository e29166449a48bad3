"""Describes one 2-D convolution (a problem): its equation, sizes, costs and text.

Input are the fields of a problem, a text or the shapes of arrays; output is a checked `ConvProblem`, or a ProblemError
if that convolution is impossible. `notation` reads problems from text, `shapes` finds the problem of given arrays,
`operands` lists the tensors of each direction, and `roofline` computes the least time that a GPU needs.
"""

from convbench.problem.fields import (
    DIRECTIONS,
    DTYPES,
    FILTER_LAYOUTS,
    FOLD,
    ITEM_BYTES,
    LAYOUTS,
    PADDING_MODES,
    USUAL_FILTERS,
    Direction,
    Dtype,
    FilterLayout,
    Layout,
    Padding,
    PaddingMode,
    Pair,
)
from convbench.problem.problem import ConvProblem
from convbench.problem.shapes import problem_of

__all__ = [
    "DIRECTIONS",
    "DTYPES",
    "FILTER_LAYOUTS",
    "FOLD",
    "ITEM_BYTES",
    "LAYOUTS",
    "PADDING_MODES",
    "USUAL_FILTERS",
    "ConvProblem",
    "Direction",
    "Dtype",
    "FilterLayout",
    "Layout",
    "Padding",
    "PaddingMode",
    "Pair",
    "problem_of",
]
