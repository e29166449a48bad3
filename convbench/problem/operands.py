"""What each direction reads and writes: the names of the tensors, their shapes, and their axes in memory.

    forward           x, w, bias → y
    backward_data     dy, w      → dx        the gradients of Σ y·dy
    backward_weights  x, dy      → dw, dbias

Everywhere but in memory a tensor has its axes in the order of the equation: (N, C, H, W), (K, C/G, R, S), (N, K, P, Q).
"""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from convbench.problem.fields import Direction
from convbench.problem.problem import ConvProblem

Values = npt.NDArray[np.floating]
Name = Literal["x", "w", "bias", "y", "dx", "dw", "dbias", "dy"]

# what a plan takes once per weights, what it reads in every run, and what it writes
LOADED: dict[Direction, tuple[Name, ...]] = {
    "forward": ("w", "bias"), "backward_data": ("w",), "backward_weights": (),
}  # fmt: skip
READ: dict[Direction, tuple[Name, ...]] = {
    "forward": ("x",), "backward_data": ("dy",), "backward_weights": ("x", "dy"),
}  # fmt: skip
WRITTEN: dict[Direction, tuple[Name, ...]] = {
    "forward": ("y",), "backward_data": ("dx",), "backward_weights": ("dw", "dbias"),
}  # fmt: skip

# the axes of the equation, in the order of memory
_ORDERS: dict[str, tuple[int, ...]] = {
    "NCHW": (0, 1, 2, 3), "NHWC": (0, 2, 3, 1), "KCRS": (0, 1, 2, 3), "KRSC": (0, 2, 3, 1), "RSCK": (2, 3, 1, 0),
}  # fmt: skip


def inputs(problem: ConvProblem, direction: Direction) -> tuple[Name, ...]:
    """All that a direction of this problem reads, what is loaded first."""
    return _present(problem, LOADED[direction] + READ[direction])


def outputs(problem: ConvProblem, direction: Direction) -> tuple[Name, ...]:
    """All that a direction of this problem writes."""
    return _present(problem, WRITTEN[direction])


def _present(problem: ConvProblem, names: tuple[Name, ...]) -> tuple[Name, ...]:
    return tuple(name for name in names if problem.bias or not name.endswith("bias"))


def shape(problem: ConvProblem, name: Name) -> tuple[int, ...]:
    """The shape of a tensor, its axes in the order of the equation."""
    if name.endswith("bias"):
        return (problem.k,)
    return {"x": problem.x_shape, "w": problem.w_shape, "y": problem.y_shape}[name[-1]]


def order(problem: ConvProblem, name: Name) -> tuple[int, ...]:
    """The axes of the equation, in the order in which memory has them."""
    if name.endswith("bias"):
        return (0,)
    return _ORDERS[problem.filter_layout if name.endswith("w") else problem.layout]


def memory_shape(problem: ConvProblem, name: Name) -> tuple[int, ...]:
    """The shape of a tensor as memory has it."""
    sizes = shape(problem, name)
    return tuple(sizes[axis] for axis in order(problem, name))


def from_memory(problem: ConvProblem, name: Name) -> tuple[int, ...]:
    """The axes of memory in the order of the equation: transpose by it to undo `order`."""
    there = order(problem, name)
    return tuple(there.index(axis) for axis in range(len(there)))


def to_memory(problem: ConvProblem, name: Name, host: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of a host array with its axes as memory has them."""
    return host.transpose(order(problem, name))
