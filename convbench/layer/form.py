"""The axes that the arrays of a call have, and those of the problem that it computes.

A problem has x (N, C, H, W), a weight (K, C/groups, R, S) and y (N, K, P, Q). The arrays of a call may lack the batch,
as in x (C, H, W) and y (K, P, Q). Those of a 1-D convolution lack H, R and P, which are 1. As in PyTorch, the batch may
be empty. No kernel runs then, because a problem has at least one image.
"""

from typing import Any, NamedTuple

from convbench.problem import ConvProblem, operands, problem_of, shapes

Shape = tuple[int, ...]

OF_THE_WEIGHT = "w", "dw"  # operands whose first axis is no batch


class Form(NamedTuple):
    """The axes that the arrays of a call have.

    Parameters
    ----------
    n : the batch size that the arrays have, 1 if they have no batch
    """

    has_batch: bool
    is_one_dimensional: bool
    n: int

    def shape(self, problem: ConvProblem, name: operands.Name) -> Shape:
        """The shape in which a call has an operand of the problem."""
        sizes = operands.shape(problem, name)
        return self.lowered(name, sizes if name in OF_THE_WEIGHT or len(sizes) == 1 else (self.n, *sizes[1:]))

    def lowered(self, name: operands.Name, sizes: Shape) -> Shape:
        """The sizes or strides of an operand of the problem without the axes that a call's array does not have."""
        if len(sizes) == 1:
            return sizes
        first = sizes[:1] if self.has_batch or name in OF_THE_WEIGHT else ()
        return *first, sizes[1], *sizes[3 if self.is_one_dimensional else 2 :]

    def lifted(self, name: operands.Name, shape: Shape, strides: Shape) -> tuple[Shape, Shape]:
        """The shape and the strides of a call's array with all axes of the problem's operand."""
        if len(shape) == 1:
            return shape, strides
        if not (self.has_batch or name in OF_THE_WEIGHT):
            shape, strides = (1, *shape), (shape[0] * strides[0], *strides)
        if self.is_one_dimensional:
            row = shape[2] * strides[2]
            shape, strides = (*shape[:2], 1, shape[2]), (*strides[:2], row, strides[2])
        return shape, strides


def form_and_problem(x: Shape, weight: Shape, bias: Shape | None, **options: Any) -> tuple[Form, ConvProblem]:
    """The form of a call whose arrays have these shapes, and the problem; of an empty batch, that of one image.

    The keywords and errors are those of `convbench.problem.problem_of`.
    """
    has_batch = not shapes.lacks_batch(x, weight, shapes.whole("groups", options["groups"]))
    batch = x if has_batch else (1, *x)
    n = batch[0] if batch else 1
    problem = problem_of((1, *batch[1:]) if n == 0 else batch, weight, bias, **options)
    return Form(has_batch, len(weight) == 3, n), problem
