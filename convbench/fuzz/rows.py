"""Rows: combinations of the properties that an algorithm's kernels depend on, of which only a few are used at a time.

Compiling a kernel takes longer than running a hundred cases, and Numba compiles it again for every direction, dtype,
config and contiguity of its arrays. So the cases of a block come from few rows, which need few kernels.

The *plain* row of each direction is in every block, and leaves everything else free. A *fresh* row also fixes the other
properties that lead to further kernels: the padding mode, whether there is a stride, and whether there is a bias. If
axes have another order in memory than in the equation, it also fixes which axes have one element: such an axis can make
a transposed array contiguous, which needs another kernel.

The first fresh row of a block, and every fourth after it, has the plain dtype and layouts, because there an algorithm
has the most configs with kernels of their own. The other fresh rows have any dtype and layouts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import combinations, count
from random import Random

from convbench.fuzz.shapes import NO_PADDING, Shape
from convbench.problem import PADDING_MODES, Direction, Dtype, FilterLayout, Layout, PaddingMode

MOST_FRESH = 16  # fresh rows in a block
CANDIDATES = 40  # rows that are drawn to choose the next fresh one from
FIRST_CASES, MOST_CASES = 8, 2048  # cases of the first block, and of the longest

# changes that give one axis, or a few, one element; `Row.hold` gives the other axes at least two
_THIN: dict[str, Callable[[Shape], Shape]] = {
    "nothing": lambda shape: shape,
    "height": lambda shape: replace(shape, n=max(shape.n, 2), style="row", p=1, r=1),
    "width": lambda shape: replace(shape, n=1, style="column", q=1, s=1),
    "filter": lambda shape: replace(shape, r=1, s=1),
    "channel": lambda shape: replace(shape, c=1, groups=1),
    "output channel": lambda shape: replace(shape, k=1, groups=1),
    "channel of a group": lambda shape: replace(shape, c=1, groups=max(shape.groups, 2)),
    # with the padding of one that a padding mode brings, the input has two elements
    "output": lambda shape: replace(
        shape, style="whole", beyond=False, sides=NO_PADDING, r=max(shape.r, 4), s=max(shape.s, 4)
    ),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The properties that some cases have in common; None leaves a property free."""

    direction: Direction
    dtype: Dtype
    layout: Layout
    filter_layout: FilterLayout
    config: int  # index into the algorithm's configs for a problem; the last config if there are fewer
    mode: PaddingMode | None = None
    strided: bool | None = None
    bias: bool | None = None
    thin: str | None = None

    def hold(self, shape: Shape) -> Shape:
        """The shape, changed to have the properties that the row fixes."""
        if self.thin is not None:
            several = {name: max(getattr(shape, name), 2) for name in "ckpqrs"}
            shape = _THIN[self.thin](replace(shape, style="plain", least=2, **several))
        if self.mode is not None:
            shape = replace(shape, mode=self.mode)
            if self.mode != "zeros" and not any(map(any, shape.sides)):
                shape = replace(shape, sides=((1, 1), (1, 1)))
        if self.strided is not None and self.strided != (shape.stride != (1, 1)):
            shape = replace(shape, stride=(2, 2) if self.strided else (1, 1))
        if self.bias is not None:
            shape = replace(shape, bias=self.bias)
        return shape

    @property
    def is_transposed(self) -> bool:
        """Whether the axes of a tensor have another order in memory than in the equation."""
        return (self.layout, self.filter_layout) != ("NCHW", "KCRS")

    def pairs(self) -> set[tuple[object, ...]]:
        """All pairs of the row's values."""
        return set(combinations(enumerate(astuple(self)), 2))


@dataclass(frozen=True, kw_only=True)
class Block:
    """A number of cases that are drawn from the same rows; the plain rows come first."""

    rows: tuple[Row, ...]
    cases: int


def blocks(every: Sequence[Row], random: Random) -> Iterator[Block]:
    """Yield blocks without end: 8 cases with one fresh row, 32 with two, 64 with four, 128 with six, and so on.

    The fresh rows are chosen so that pairs of values which no row had yet come first.
    """
    plain = plain_of(every)
    usual = [row for row in every if _arrays(row) == _arrays(every[0])]
    seen = set[tuple[object, ...]]().union(*(row.pairs() for row in plain))
    for turn in count():
        chosen: list[Row] = []
        for number in range(min(max(1, 2 * turn), MOST_FRESH)):
            # greedy: take the row with the most pairs of values that no row had before
            drawn = [_fresh(random.choice(every if number % 4 else usual), random) for _ in range(CANDIDATES)]
            best = max(drawn, key=lambda row: len(row.pairs() - seen))
            seen |= best.pairs()
            chosen.append(best)
        yield Block(rows=(*plain, *chosen), cases=min(16 << min(turn, 10), MOST_CASES) if turn else FIRST_CASES)


def plain_of(rows: Sequence[Row]) -> list[Row]:
    """The plain rows: the first row of each direction."""
    first: dict[Direction, Row] = {}
    for row in rows:
        first.setdefault(row.direction, row)
    return list(first.values())


def _arrays(row: Row) -> tuple[Dtype, Layout, FilterLayout]:
    return row.dtype, row.layout, row.filter_layout


def _fresh(row: Row, random: Random) -> Row:
    mode: PaddingMode = random.choice(("zeros", *PADDING_MODES))
    thin = random.choice((*["nothing"] * 4, *_THIN)) if row.is_transposed else None
    return replace(row, mode=mode, strided=random.random() < 0.5, bias=random.random() < 0.5, thin=thin)
