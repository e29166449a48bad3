"""The errors of Winograd's minimal filtering: the number of roundings, and the magnitude that they are relative to.

The magnitude is that of `algorithms.transform_error`, with the matrices of the transforms.
"""

import numpy as np

from algorithms.correlation import Correlation
from algorithms.tiling import Tiling
from algorithms.transform_error import enough, operands, root_of_squares, tiled_magnitude
from algorithms.winograd.matrices import Matrix, Transforms, longest_chain
from convbench.problem import ConvProblem, Direction
from convbench.reference import ErrorModel, Float64, Tensors


def winograd_model(transforms: Transforms, *, exact_headroom: int | None) -> ErrorModel:
    """The error model. A chain has the roundings of three transforms in both axes, of the channels, and of the bias."""
    a2, g2, b2 = (_squares(matrix) for matrix in (transforms.a_t, transforms.g, transforms.b_t))
    in_transforms = 2 * sum(map(longest_chain, (transforms.a_t, transforms.g, transforms.b_t)))

    def count(problem: ConvProblem, direction: Direction, config: object) -> float:
        channels = Correlation.of(problem, direction).sources_per_group
        return enough(channels + in_transforms + (problem.bias and direction == "forward"))

    def magnitude(problem: ConvProblem, direction: Direction, tensors: Tensors, config: object) -> Float64:
        geometry = Correlation.of(problem, direction)
        source, filters = operands(problem, direction, tensors)
        return tiled_magnitude(
            geometry, Tiling.of(geometry, (transforms.m, transforms.m)), source,
            root_of_squares(lambda f2: g2 @ f2 @ g2.T, filters), alpha=transforms.alpha,
            size=lambda d: root_of_squares(lambda d2: b2 @ d2 @ b2.T, d),
            back=lambda uv: root_of_squares(lambda uv2: a2 @ uv2 @ a2.T, uv),
        )  # fmt: skip

    return ErrorModel(count=count, magnitude=magnitude, exact_headroom=exact_headroom, carries_nonfinite=False)


def _squares(matrix: Matrix) -> Float64:
    return np.array([[float(entry) ** 2 for entry in row] for row in matrix])
