"""Strategies of Hypothesis for the shape of a launch and for the arrays of a kernel."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from convbench.emulator import limits

Dimensions = tuple[int, ...]


class Shape(NamedTuple):
    """The shape of a launch."""

    grid: Dimensions
    block: Dimensions

    @property
    def threads(self) -> int:
        """All threads of the grid."""
        return int(np.prod(self.grid) * np.prod(self.block))


def launch_shapes(
    *, dimensions: int = 1, max_threads: int = 128, max_blocks: int = 8, warps: bool = False
) -> st.SearchStrategy[Shape]:
    """Shapes of launches that hardware accepts.

    Parameters
    ----------
    dimensions : of the grid and of the block, 1 to 3
    max_threads : the most threads of a block, at most 1,024
    max_blocks : the most blocks of the grid
    warps : whether the threads of a block are a multiple of 32
    """
    if not 1 <= dimensions <= 3:
        raise ValueError(f"dimensions: a grid has 1 to 3, not {dimensions}")
    if not (32 if warps else 1) <= max_threads <= limits.MAX_THREADS:
        least = 32 if warps else 1
        raise ValueError(f"max_threads: a block has {least} to {limits.MAX_THREADS} threads, not {max_threads}")
    if max_blocks < 1:
        raise ValueError(f"max_blocks: a grid has at least 1 block, not {max_blocks}")
    unit = 32 if warps else 1

    def shape(grid: Dimensions, block: Dimensions) -> Shape:
        return Shape(grid, (block[0] * unit, *block[1:]))

    return st.builds(shape, _sizes(dimensions, max_blocks), _sizes(dimensions, max_threads // unit))


@st.composite
def _sizes(draw: st.DrawFn, dimensions: int, most: int) -> Dimensions:
    """Sizes whose product is at most `most`, and which a block can have along each axis."""
    found: list[int] = []
    left = most
    for axis in range(dimensions):
        found.append(draw(st.integers(1, min(left, limits.MAX_BLOCK[axis]))))
        left //= found[-1]
    return tuple(found)


@st.composite
def arrays(
    draw: st.DrawFn,
    dtype: npt.DTypeLike,
    shape: int | Dimensions | st.SearchStrategy[int] | st.SearchStrategy[Dimensions],
    *,
    smallest: int = -8,
    largest: int = 8,
) -> npt.NDArray[Any]:
    """Arrays of small integers in any dtype, whose sums are exact: a difference is an error, and not rounding.

    Parameters
    ----------
    dtype : of the array
    shape : of the array, or a strategy of shapes
    smallest, largest : bounds of the values; of an unsigned dtype, those below 0 are not drawn
    """
    kind = np.dtype(dtype)
    size: Any = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    least = max(smallest, 0) if kind.kind in "ub" else smallest
    if least > largest:
        raise ValueError(f"no value of {kind} lies between {smallest} and {largest}")
    seed = draw(st.integers(0, 2**32 - 1))
    values: npt.NDArray[Any] = np.random.default_rng(seed).integers(least, largest, size, endpoint=True)
    return values.astype(kind)
