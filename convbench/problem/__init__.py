"""The problem: one 2-D convolution as mathematics, with its sizes, costs and text.

The fields that a caller writes enter, and a checked `ConvProblem` leaves; an impossible one raises ProblemError.
`notation` reads and writes problems as text, `shapes` finds the problem of given arrays, `operands` names the tensors
of each direction, and `roofline` has the ceilings of known GPUs.
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
