"""Coverage: how many of the possible pairs of values, on two axes, the cases had.

An axis is a property of a case with few values: its direction, its dtype, the sort of its stride, the number of its
channels relative to tiles of eight. Pairs are counted because a fault often needs two properties at once.

A pair is taken as possible unless one of these rules it out: the table `IMPOSSIBLE`; the rows of the algorithm, for two
axes that a row fixes; or a value that none of `SAMPLES` drawn cases has, because the algorithm refuses it.
"""

from collections.abc import Callable, Iterable
from itertools import combinations, product
from random import Random

from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.drawing import BYTES, Drawer
from convbench.fuzz.rows import Row
from convbench.fuzz.suiting import Suit
from convbench.problem import ConvProblem

SAMPLES = 400  # cases drawn of each algorithm, to see which values it has
Pair = tuple[str, str, str, str]  # axis, value, another axis, its value


def _size(size: int) -> str:
    """A size relative to tiles of eight: most tiles are eight, a multiple of it, or a divisor."""
    return "one" if size == 1 else {7: "tiles − 1", 0: "tiles", 1: "tiles + 1"}.get(size % 8, "other")


def _two(pair: tuple[int, int], plain: int) -> str:
    height, width = pair
    return "plain" if pair == (plain, plain) else "equal" if height == width else "unequal"


def _windows(problem: ConvProblem) -> tuple[int, int]:
    return problem.dilation[0] * (problem.r - 1) + 1, problem.dilation[1] * (problem.s - 1) + 1


def _stride(problem: ConvProblem) -> str:
    beyond_input = problem.stride[0] > problem.h or problem.stride[1] > problem.w
    if problem.stride != (1, 1) and beyond_input:
        return "beyond the input"
    skips = any(u > window for u, window in zip(problem.stride, _windows(problem), strict=True))
    return "beyond the window" if problem.stride != (1, 1) and skips else _two(problem.stride, 1)


def _padding(problem: ConvProblem) -> str:
    sides = (*problem.padding[0], *problem.padding[1])
    if not any(sides):
        return "none"
    if any(max(side) >= window > 1 for side, window in zip(problem.padding, _windows(problem), strict=True)):
        return "as wide as the window"
    return "equal" if len(set(sides)) == 1 else "unequal"


def _groups(problem: ConvProblem) -> str:
    if problem.groups == 1:
        return "dense"
    if problem.c > problem.groups:
        return "grouped"
    return "depthwise" if problem.k == problem.groups else "depthwise with a multiplier"


def _filter(problem: ConvProblem) -> str:
    if problem.r == problem.s:
        return "1 × 1" if problem.r == 1 else "square"
    return "row" if problem.r == 1 else "column" if problem.s == 1 else "oblong"


def _input(problem: ConvProblem) -> str:
    if problem.h == problem.w == 1:
        return "one element"
    return "one row" if problem.h == 1 else "one column" if problem.w == 1 else "more"


def _whole(problem: ConvProblem) -> str:
    """Whether the filter is as large as the padded input."""
    return "yes" if _windows(problem) == problem.padded_shape[2:] else "no"


AXES: dict[str, Callable[[FuzzCase], str]] = {
    "algorithm": lambda case: case.algorithm,
    "direction": lambda case: case.direction,
    "dtype": lambda case: case.problem.dtype,
    "layout": lambda case: case.problem.layout,
    "filter layout": lambda case: case.problem.filter_layout,
    "config": lambda case: "another" if case.config else "default",
    "data": lambda case: case.kind,
    "padding mode": lambda case: case.problem.padding_mode,
    "padding": lambda case: _padding(case.problem),
    "stride": lambda case: _stride(case.problem),
    "dilation": lambda case: _two(case.problem.dilation, 1),
    "groups": lambda case: _groups(case.problem),
    "bias": lambda case: "yes" if case.problem.bias else "no",
    "batch": lambda case: "one" if case.problem.n == 1 else "more",
    "channels of a group": lambda case: _size(case.problem.c // case.problem.groups),
    "filters of a group": lambda case: _size(case.problem.k // case.problem.groups),
    "rows": lambda case: _size(case.problem.p),
    "columns": lambda case: _size(case.problem.q),
    "filter": lambda case: _filter(case.problem),
    "input": lambda case: _input(case.problem),
    "filter is whole input": lambda case: _whole(case.problem),
}
_ROW_AXES = "direction", "dtype", "layout", "filter layout", "config"

_MORE = "tiles − 1", "tiles", "tiles + 1", "other"
IMPOSSIBLE: frozenset[frozenset[tuple[str, str]]] = frozenset(
    frozenset(((axis, value), (other, theirs)))
    for axis, value, other, several in (
        ("groups", "depthwise", "channels of a group", _MORE),
        ("groups", "depthwise", "filters of a group", _MORE),
        ("groups", "depthwise with a multiplier", "channels of a group", _MORE),
        ("groups", "depthwise with a multiplier", "filters of a group", ("one",)),
        ("groups", "grouped", "channels of a group", ("one",)),
        ("filter is whole input", "yes", "rows", _MORE),
        ("filter is whole input", "yes", "columns", _MORE),
        ("filter", "1 × 1", "padding", ("as wide as the window",)),
    )
    for theirs in several
)


def values(case: FuzzCase) -> tuple[str, ...]:
    """The value of a case on each axis."""
    return tuple(ask(case) for ask in AXES.values())


def pairs(case: FuzzCase) -> set[Pair]:
    """All pairs of the values of a case."""
    named = zip(AXES, values(case), strict=True)
    return {(*one, *other) for one, other in combinations(named, 2)}


def possible(suits: Iterable[Suit]) -> set[Pair]:
    """The pairs that cases of these algorithms may have, as far as is known."""
    return set().union(*(_possible_of(suit) for suit in suits))


def _possible_of(suit: Suit) -> set[Pair]:
    if not suit.rows:
        return set()
    drawer, random = Drawer(suit, suit.rows), Random(0)
    drawn = [case for _ in range(SAMPLES) if (case := drawer.draw(random.randbytes(BYTES))) is not None]
    had = {axis: {ask(case) for case in drawn} for axis, ask in AXES.items()}
    found = set().union(*map(pairs, drawn))
    of_rows = {pair for row in suit.rows for pair in combinations(_row_values(row).items(), 2)}
    for one, other in combinations(AXES, 2):
        for a, b in product(had[one], had[other]):
            both = (one, a), (other, b)
            is_row = one in _ROW_AXES and other in _ROW_AXES
            if frozenset(both) not in IMPOSSIBLE and (both in of_rows or not is_row):
                found.add((one, a, other, b))
    return found


def _row_values(row: Row) -> dict[str, str]:
    config = "another" if row.config else "default"
    return dict(zip(_ROW_AXES, (row.direction, row.dtype, row.layout, row.filter_layout, config), strict=True))
