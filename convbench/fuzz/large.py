"""Shapes with one large axis: many images, channels, filters, groups, rows, columns or taps, and little of the rest.

Some faults need a size that no small problem has: an index that is too narrow, a loop whose last step is only reached
after many, a count of blocks beyond a limit, a partial last chunk of images. The budget is counted in steps of a block,
because that is what an emulated kernel takes its time for.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

from hypothesis import strategies as st

from convbench.algorithm import Family
from convbench.fuzz.shapes import Shape
from convbench.problem import ConvProblem, Direction

Axis = Literal["n", "c", "k", "h", "w", "r", "s", "groups", "pixels", "filters"]

# the largest size of each axis. "pixels" is a large height with a width of 64, for more than 65,536 outputs; "filters"
# is as many channels as filters, for more than 65,536 of their products
LARGEST: dict[Axis, int] = {
    "n": 64, "c": 4096, "k": 4096, "h": 1024, "w": 1024, "r": 31, "s": 31, "groups": 512, "pixels": 1024,
    "filters": 264,
}  # fmt: skip
WIDE = 65  # columns of "pixels"
MOST_MACS, MOST_ELEMENTS = 600_000, 150_000
MOST_OF_ALONG = 4  # so many times as many for an axis of a given size
# steps of all blocks: some 0.2 ms each with checks, and a case runs five times
BUDGETS = *[150] * 18, *[500] * 5, 4500
SLOW: dict[Family, int] = {"fft": 8, "winograd": 4}  # methods whose small cases take longer too
FEW = 3  # images, channels and filters beside the large axis

_AXES: tuple[Axis, ...] = "n", "c", "k", "h", "w", "r", "s", "groups", "c", "k", "n", "groups", "c", "k", "pixels"


@dataclass(frozen=True)
class Large:
    """The large axis of a shape."""

    axis: Axis
    size: int
    budget: int  # in steps
    beside: tuple[int, int] = (4, 5)  # most rows and columns of the output beside another axis
    times: int = 1  # so many times the usual multiply-adds and elements are allowed

    def of(self, shape: Shape) -> Shape:
        """The shape with its axis large, and with few of everything else."""
        p, q = self.beside
        most = {"n": FEW, "c": FEW, "k": FEW, "p": p, "q": q, "r": 3, "s": 3, "groups": 2}
        few: dict[str, Any] = {name: min(getattr(shape, name), size) for name, size in most.items()}
        small = replace(
            shape, style="plain", beyond=False, stride=_at_most(shape.stride, 3), dilation=_at_most(shape.dilation, 2),
            sides=(_at_most(shape.sides[0], 3, 0), _at_most(shape.sides[1], 3, 0)), **few,
        )  # fmt: skip
        return self.stretched(small)

    def stretched(self, shape: Shape) -> Shape:
        """The shape with its axis large."""
        axis, size = self.axis, self.size
        if axis == "h":
            return replace(shape, p=max(1, size // shape.stride[0]))
        if axis == "w":
            return replace(shape, q=max(1, size // shape.stride[1]))
        if axis == "pixels":
            return replace(shape, p=size, q=WIDE, n=1, c=1, k=1, groups=1, stride=(1, 1))
        if axis == "filters":
            return replace(shape, c=size, k=size, n=1, groups=1)
        if axis in ("c", "k"):
            size = max(1, size // shape.groups)
        sizes: dict[str, Any] = {axis: size}
        return replace(shape, **sizes)

    def fits(self, problem: ConvProblem, direction: Direction, family: Family) -> bool:
        """Whether a problem can be run within the budget."""
        elements = max(prod(problem.padded_shape), prod(problem.y_shape), prod(problem.w_shape))
        is_small = problem.macs <= self.times * MOST_MACS and elements <= self.times * MOST_ELEMENTS
        budget = {"pixels": BUDGETS[-1], "filters": 4 * BUDGETS[-1]}.get(self.axis, self.budget)
        return is_small and steps(problem, direction, family) <= budget * SLOW.get(family, 1)

    @classmethod
    def along(cls, axis: Axis, size: int, beside: tuple[int, int] = (4, 5)) -> "Large":
        """An axis of a given size, with the largest budget."""
        return cls(axis, min(size, LARGEST[axis]), BUDGETS[-1], beside, MOST_OF_ALONG)


def _at_most(sizes: tuple[int, int], most: int, least: int = 1) -> tuple[int, int]:
    return max(least, min(sizes[0], most)), max(least, min(sizes[1], most))


# what else is made smaller until a problem is within the budget; then the axis itself is halved, again and again
LESS: tuple[Callable[[Shape], Shape], ...] = (
    lambda shape: replace(shape, dilation=(1, 1)),
    lambda shape: replace(shape, n=1),
    lambda shape: replace(shape, groups=1),
    lambda shape: replace(shape, p=min(shape.p, 2), q=min(shape.q, 3)),
    lambda shape: replace(shape, r=min(shape.r, 2), s=min(shape.s, 2)),
    lambda shape: replace(shape, c=1),
    lambda shape: replace(shape, r=1, s=1),
    lambda shape: replace(shape, k=1, p=1, q=1),
)


def steps(problem: ConvProblem, direction: Direction, family: Family) -> float:
    """About how many steps the blocks of a usual kernel make for a problem: products of tiles, each after a barrier."""
    groups, outputs = problem.groups, problem.n * problem.p * problem.q
    filters, channels, taps = problem.k // groups, problem.c // groups, problem.r * problem.s
    if direction == "backward_weights":
        if family == "fft":
            return 144 * groups * _tiles(filters, 8) * _tiles(channels, 8) * _tiles(outputs, 8 * 64)
        return groups * _tiles(filters, 16) * _tiles(channels * taps, 16) * _tiles(outputs, 16)
    rows, columns, terms = filters, outputs, channels
    if direction == "backward_data":
        rows, columns, terms = channels, problem.n * problem.h * problem.w, filters
    if family == "winograd":
        return 16 * groups * _tiles(rows, 32) * _tiles(columns, 4 * 32) * _tiles(terms, 8)
    if family == "fft":
        images = problem.n * _tiles(problem.h, 8) * _tiles(problem.w, 8)
        return 144 * groups * _tiles(rows, 8) * _tiles(images, 8) * _tiles(terms, 8)
    if family == "direct":
        images = problem.n * _tiles(problem.h, 8) * _tiles(problem.w, 16)
        return groups * _tiles(rows, 4) * images * terms + problem.macs / 2000
    return groups * _tiles(rows, 32) * _tiles(columns, 32) * _tiles(terms, 8) * taps


def _tiles(size: int, tile: int) -> int:
    return -(-size // tile)


def large_axes() -> st.SearchStrategy[Large]:
    """A strategy of large axes: sizes beside powers of two, or any size, as often small as large."""

    def made(drawn: tuple[Axis, int, int, int, int]) -> Large:
        axis, octave, part, beside, budget = drawn
        most = LARGEST[axis]
        if axis == "pixels":
            return Large(axis, most - octave, budget)
        top = max(4, most >> octave % max(1, most.bit_length() - 2))
        size = top + beside - 2 if beside < 4 else top // 2 + part * top // 512
        return Large(axis, max(2, min(most, size)), budget)

    return st.tuples(
        st.sampled_from(_AXES), st.integers(0, 7), st.integers(0, 255), st.integers(0, 7), st.sampled_from(BUDGETS)
    ).map(made)
