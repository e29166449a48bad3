"""Lists the tensors that each direction reads and writes: their names, their shapes and their axes in memory.

    forward           x, w, bias → y
    backward_data     dy, w      → dx        the gradients of Σ y·dy
    backward_weights  x, dy      → dw, dbias

The axes of x and dx are (N, C, H, W), those of w and dw (K, C/G, R, S), those of y and dy (N, K, P, Q). This is the
order of the equation. The order in memory may differ: the problem's `layout` and `filter_layout` set it.
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from convbench.problem.fields import Direction
from convbench.problem.problem import ConvProblem

Values = npt.NDArray[np.floating]
Name = Literal["x", "w", "bias", "y", "dx", "dw", "dbias", "dy"]

# The arguments of a plan's `load`, the tensors that its `run` reads, and the tensors that its `run` writes.
LOADED: dict[Direction, tuple[Name, ...]] = {
    "forward": ("w", "bias"), "backward_data": ("w",), "backward_weights": (),
}  # fmt: skip
READ: dict[Direction, tuple[Name, ...]] = {
    "forward": ("x",), "backward_data": ("dy",), "backward_weights": ("x", "dy"),
}  # fmt: skip
WRITTEN: dict[Direction, tuple[Name, ...]] = {
    "forward": ("y",), "backward_data": ("dx",), "backward_weights": ("dw", "dbias"),
}  # fmt: skip

# The axes of the equation, in the order in which memory has them, slowest first.
_ORDERS: dict[str, tuple[int, ...]] = {
    "NCHW": (0, 1, 2, 3), "NHWC": (0, 2, 3, 1), "KCRS": (0, 1, 2, 3), "KRSC": (0, 2, 3, 1), "RSCK": (2, 3, 1, 0),
}  # fmt: skip


def inputs(problem: ConvProblem, direction: Direction) -> tuple[Name, ...]:
    """All tensors that a direction of this problem reads: first those of LOADED, then those of READ."""
    return _present(problem, LOADED[direction] + READ[direction])


def outputs(problem: ConvProblem, direction: Direction) -> tuple[Name, ...]:
    """All tensors that a direction of this problem writes."""
    return _present(problem, WRITTEN[direction])


def _present(problem: ConvProblem, names: tuple[Name, ...]) -> tuple[Name, ...]:
    return tuple(name for name in names if problem.bias or not name.endswith("bias"))


def shape(problem: ConvProblem, name: Name) -> tuple[int, ...]:
    """The shape of a tensor with its axes in the order of the equation."""
    if name.endswith("bias"):
        return (problem.k,)
    return {"x": problem.x_shape, "w": problem.w_shape, "y": problem.y_shape}[name[-1]]


def order(problem: ConvProblem, name: Name) -> tuple[int, ...]:
    """The axes of the equation, in the order in which memory has them: `order(…)[i]` is the axis at position i."""
    if name.endswith("bias"):
        return (0,)
    return _ORDERS[problem.filter_layout if name.endswith("w") else problem.layout]


def memory_shape(problem: ConvProblem, name: Name) -> tuple[int, ...]:
    """The shape of a tensor with its axes in the order of memory."""
    sizes = shape(problem, name)
    return tuple(sizes[axis] for axis in order(problem, name))


def from_memory(problem: ConvProblem, name: Name) -> tuple[int, ...]:
    """The inverse of `order`: transposing an array as memory has it by this gives the order of the equation."""
    there = order(problem, name)
    return tuple(there.index(axis) for axis in range(len(there)))


def to_memory(problem: ConvProblem, name: Name, host: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of a host array, given in the order of the equation, with its axes in the order of memory."""
    return host.transpose(order(problem, name))
