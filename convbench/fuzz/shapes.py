"""The strategy that draws problems: small ones of every shape, with sizes near multiples of tiles, and degenerate ones.

The sizes of the output are drawn, and those of the input follow from them, so that no draw is thrown away. In every
choice the plainest value comes first, because Hypothesis shrinks to it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

from hypothesis import strategies as st

from convbench.problem import PADDING_MODES, ConvProblem, Dtype, FilterLayout, Layout, Padding, PaddingMode, Pair

# an emulated kernel and the reference take some milliseconds for so many, and ten times as long with checks
MOST_MACS = 100_000
MOST_ELEMENTS = 20_000  # of the padded x, or of y
MOST_PLANES = 100  # N·C or N·K, which decides the cost of a method that transforms whole tiles
MOST_FILTERS = 1200  # K·C/G, which decides it too
TILES = (2, 4, 8, 16, 30, 32)  # outputs, channels or filters of a tile in usual kernels; 30 is 32 − 3 + 1
MOST_TILES = 2  # largest number of whole tiles along an axis
LARGEST_EDGE = 66  # largest size near a multiple of a tile
MOST_STRIDES = 200  # rows or columns from the first window to the last
FEW = 3  # largest number of images, channels or filters, unless it is drawn near a multiple of a tile

Style = Literal["plain", "row", "column", "point", "whole"]
NO_PADDING: Padding = (0, 0), (0, 0)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A drawn problem before its input is derived.

    Parameters
    ----------
    style : special heights and widths: a 1-D input ("row", "column"), one pixel ("point"), or an input that together
        with its padding is as large as one window ("whole"); "plain" is none of these
    c, k : channels and filters of one group
    sides : the padding
    unread : rows and columns after the last window, which no window reads; fewer than the stride
    beyond : whether the padding before the input is wider than drawn, by one window
    least : the smallest height and width
    """

    style: Style
    n: int
    groups: int
    c: int
    k: int
    p: int
    q: int
    r: int
    s: int
    stride: Pair
    dilation: Pair
    sides: Padding
    beyond: bool
    unread: Pair
    mode: PaddingMode
    bias: bool
    least: int = 1

    @classmethod
    def of(cls, problem: ConvProblem) -> "Shape":
        """The shape of a problem."""
        below, behind = (
            size + sum(sides) - d * (taps - 1) - 1 - (outputs - 1) * u
            for size, sides, d, taps, outputs, u in zip(
                (problem.h, problem.w), problem.padding, problem.dilation, (problem.r, problem.s),
                (problem.p, problem.q), problem.stride, strict=True,
            )
        )  # fmt: skip
        return cls(
            style="plain", n=problem.n, groups=problem.groups, c=problem.c // problem.groups,
            k=problem.k // problem.groups, p=problem.p, q=problem.q, r=problem.r, s=problem.s, stride=problem.stride,
            dilation=problem.dilation, sides=problem.padding, beyond=False, unread=(below, behind),
            mode=problem.padding_mode, bias=problem.bias,
        )  # fmt: skip

    def problem(self, dtype: Dtype, layout: Layout, filter_layout: FilterLayout) -> ConvProblem:
        """The problem of exactly this shape."""
        axes = zip(
            (0, 1), (self.p, self.q), (self.r, self.s), self.stride, self.dilation, self.sides, self.unread,
            strict=True,
        )  # fmt: skip
        (h, r, vertical), (w, s, horizontal) = (self._axis(*axis) for axis in axes)
        return ConvProblem(
            n=self.n, c=self.groups * self.c, h=h, w=w, k=self.groups * self.k, r=r, s=s, stride=self.stride,
            padding=(vertical, horizontal), dilation=self.dilation, groups=self.groups, bias=self.bias,
            padding_mode=self.mode, dtype=dtype, layout=layout, filter_layout=filter_layout,
        )  # fmt: skip

    def _axis(
        self, axis: int, outputs: int, taps: int, stride: int, dilation: int, sides: Pair, unread: int
    ) -> tuple[int, int, Pair]:
        """The size of the input, the taps and the padding along an axis."""
        if self.style == ("row", "column")[axis]:
            outputs, taps, sides, unread = 1, 1, (0, 0), 0
        elif self.style in ("point", "whole"):
            outputs, unread = 1, 0
        window, (before, after) = dilation * (taps - 1) + 1, sides
        if self.style == "point" and self.mode in ("zeros", "replicate"):
            before = max(before, window - 1 - after)
        elif self.beyond and self.style != ("row", "column")[axis]:
            before += window
        least = {"reflect": max(before, after) + 1, "circular": max(before, after)}.get(self.mode, 0)
        size = (outputs - 1) * stride + window + min(unread, stride - 1) - before - after
        return max(size, least, self.least), taps, (before, after)


def is_small(problem: ConvProblem) -> bool:
    """Whether a problem is small enough to run in milliseconds."""
    elements, planes = max(prod(problem.padded_shape), prod(problem.y_shape)), problem.n * max(problem.c, problem.k)
    filters = problem.k * problem.c // problem.groups
    few = planes <= MOST_PLANES and filters <= MOST_FILTERS
    return few and problem.macs <= MOST_MACS and elements <= MOST_ELEMENTS


# changes that make a problem smaller; those that change its shape least come first
SMALLER: tuple[Callable[[Shape], Shape], ...] = (
    lambda shape: replace(shape, n=1),
    lambda shape: replace(shape, groups=min(shape.groups, 33)),
    lambda shape: replace(shape, groups=min(shape.groups, 2)),
    lambda shape: replace(shape, c=shape.c if shape.c > FEW else 1),
    lambda shape: replace(shape, k=shape.k if shape.k > FEW else 1),
    lambda shape: replace(shape, unread=(0, 0)),
    lambda shape: replace(shape, p=min(shape.p, 9)),
    lambda shape: replace(shape, q=min(shape.q, 9)),
    lambda shape: replace(shape, k=min(shape.k, 9)),
    lambda shape: replace(shape, c=min(shape.c, 9)),
    lambda shape: replace(shape, r=min(shape.r, 3), s=min(shape.s, 3)),
    lambda shape: replace(shape, p=min(shape.p, 3), q=min(shape.q, 3)),
    lambda shape: replace(shape, stride=(1, 1), dilation=(1, 1)),
    lambda shape: replace(shape, groups=1, c=1, k=1),
)

# the plainest come first; a value that occurs several times is drawn more often
_PLAIN: tuple[Style, ...] = ("plain",) * 12
_STYLES: tuple[Style, ...] = (*_PLAIN, "row", "column", "point", "whole")
_LONG: tuple[tuple[str, ...], ...] = (
    *[()] * 6, *[("p",), ("q",), ("c",), ("k",)] * 2, ("groups",), ("p", "q"), ("c", "k"), ("k", "p"), ("c", "q"),
    ("groups", "q"),
)  # fmt: skip
_TAPS = 1, 1, 2, 3, 3, 3, 4, 5, 7
_STRIDES: tuple[Pair, ...] = (
    *[(1, 1)] * 12, (1, 2), (2, 1), *[(2, 2)] * 3, (3, 1), (2, 3), (4, 4), (5, 2), (1, 9), (7, 7), (16, 3), (33, 33),
    (1, 100), (1000, 1000),
)  # fmt: skip
_DILATIONS: tuple[Pair, ...] = (
    *[(1, 1)] * 9, (1, 2), (2, 1), *[(2, 2)] * 2, (3, 1), (2, 3), (4, 4), (1, 9), (9, 2), (17, 17),
)  # fmt: skip


def edges(tiles: Iterable[int]) -> tuple[int, ...]:
    """Sizes near one or two tiles: the multiple itself, one less and one more; the smallest first."""
    found = {tile * count + more for tile in tiles for count in range(1, MOST_TILES + 1) for more in (-1, 0, 1)}
    return tuple(sorted(size for size in found if 0 < size <= LARGEST_EDGE))


def shapes(tiles: Iterable[int] = TILES) -> st.SearchStrategy[Shape]:
    """A strategy of shapes, in which up to two axes have lengths near multiples of tiles."""
    edge, few, several = st.sampled_from(edges(tiles)), st.integers(1, FEW), st.sampled_from((0, 0, 0, 1, 2, 5))
    side, tap = st.integers(0, 5), st.sampled_from(_TAPS)
    sides = (
        st.just(NO_PADDING)
        | st.integers(1, 3).map(lambda both: ((both, both), (both, both)))
        | st.tuples(st.tuples(side, side), st.tuples(side, side))
    )

    def shape(drawn: tuple[Any, ...]) -> Shape:
        style, long, first, second, n, groups, c, k, p, q, *others = drawn
        r, s, stride, dilation, padding, below, behind, beyond, mode, bias = others
        named = {"groups": groups, "c": c, "k": k, "p": p, "q": q} | dict(zip(long, (first, second), strict=False))
        named["p"], named["q"] = (min(named[x], 1 + MOST_STRIDES // u) for x, u in zip("pq", stride, strict=True))
        return Shape(
            style=style, n=n, r=r, s=s, stride=stride, dilation=dilation, sides=padding, beyond=beyond,
            unread=(below, behind), mode=mode, bias=bias, **named,
        )  # fmt: skip

    return st.tuples(
        st.sampled_from(_STYLES), st.sampled_from(_LONG), edge, edge,
        few, st.sampled_from((1, 1, 1, 2, 3, 4)), few, few, st.integers(1, 7), st.integers(1, 7),
        tap, tap, st.sampled_from(_STRIDES), st.sampled_from(_DILATIONS), sides, several, several,
        st.sampled_from([False] * 7 + [True]), st.sampled_from(("zeros", *PADDING_MODES)), st.booleans(),
    ).map(shape)  # fmt: skip
