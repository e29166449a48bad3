"""The strategies draw small and valid problems, and reach every corner case."""

from collections.abc import Callable

import pytest
from hypothesis import Phase, find, given, settings

from convbench.algorithm import registry
from convbench.problem import DTYPES, FILTER_LAYOUTS, LAYOUTS, PADDING_MODES, ConvProblem
from convbench.problem.notation import parse
from support.strategies import FORMATS, MOST_MACS, MOST_TILES, TILES, any_problems, formatted, problems, problems_for

SIDES = (2, 4, 8, 12, 16)  # outputs of a tile along an axis, of all algorithms


def span(problem: ConvProblem, axis: int) -> int:
    return problem.dilation[axis] * ((problem.r, problem.s)[axis] - 1) + 1


CORNERS: dict[str, Callable[[ConvProblem], bool]] = {
    "padding at least the filter": lambda p: min(map(min, p.padding)) >= max(span(p, 0), span(p, 1)) > 1,
    "stride beyond the window": lambda p: p.stride[0] > span(p, 0) and p.stride[1] > span(p, 1) and p.p > 1 < p.q,
    "a 1 × 1 filter": lambda p: p.r == p.s == 1,
    "a filter of one row": lambda p: p.r == 1 < p.s,
    "a 1-D input": lambda p: p.h == p.r == 1 < p.w,
    "groups equal channels": lambda p: p.groups == p.c == p.k > 1,
    "a depth multiplier": lambda p: 1 < p.groups == p.c < p.k,
    "a one-pixel output": lambda p: p.p == p.q == 1 and p.r * p.s > 1,
    "a one-pixel input": lambda p: p.h == p.w == 1,
    "four different paddings": lambda p: len({*p.padding[0], *p.padding[1]}) == 4,
    "different strides and dilations": lambda p: p.stride[0] != p.stride[1] and p.dilation[0] != p.dilation[1],
    "rows that no window reads": lambda p: (p.h + sum(p.padding[0]) - span(p, 0)) % p.stride[0] > 0,
    "everything at once": lambda p: (
        p.groups > 1 < p.n and p.bias and p.dilation != (1, 1) != p.stride and p.padding[0][0] != p.padding[0][1]
    ),
    **{f"{size} rows": lambda p, size=size: p.p == size for tile in SIDES for size in (tile - 1, tile, tile + 1)},
    **{f"{size} columns": lambda p, size=size: p.q == size for tile in SIDES for size in (tile - 1, tile, tile + 1)},
}


SEARCH = settings(settings.default, max_examples=100_000, database=None, phases=[Phase.generate])


@pytest.mark.parametrize("corner", CORNERS)
def test_the_corner_is_reached(corner):
    find(problems(), CORNERS[corner], settings=SEARCH)


@pytest.mark.parametrize("value", [*PADDING_MODES, *DTYPES, *LAYOUTS])
def test_every_word_of_a_problem_is_drawn(value):
    found = find(any_problems(), lambda p: value in (p.padding_mode, p.dtype, p.layout))
    assert value in (found.padding_mode, found.dtype, found.layout)


@given(problems())
def test_problems_are_small(problem):
    assert problem.macs <= MOST_MACS or problem.n == problem.groups == 1


def extent(problem: ConvProblem, axis: str) -> int:
    return {"k": problem.k // problem.groups, "c": problem.c // problem.groups, "p": problem.p, "q": problem.q}[axis]


def test_every_algorithm_has_tiles(algorithm):
    assert algorithm.name in TILES


@pytest.mark.parametrize("more", [-1, 0])
@pytest.mark.parametrize(("name", "axis"), [(name, axis) for name, tiles in TILES.items() for axis in tiles])
def test_three_tiles_are_reached_along_every_axis(name, axis, more):
    """A whole third tile, and one that is not full."""
    wanted = MOST_TILES * TILES[name][axis] + more
    found = find(problems_for(name), lambda p: extent(p, axis) == wanted, settings=SEARCH)
    assert extent(found, axis) == wanted


@pytest.mark.parametrize("name", registry.names())
def test_problems_for_an_algorithm_are_not_refused(name):
    @given(problems_for(name))
    def law(problem):
        assert registry.get(name).refuses(problem) is None

    law()


def test_the_formats_have_each_pair_of_two_axes():
    """Each dtype in each layout, each dtype with filters in an order of its own, each layout with two orders."""
    made = [formatted(parse("n1c1h1w1-k1r1s1"), format_) for format_, _ in FORMATS]
    assert {p.dtype for p in made if p.layout == "NHWC"} == set(DTYPES)
    assert {p.dtype for p in made if p.layout == "NCHW"} == set(DTYPES)
    assert {p.filter_layout for p in made} == set(FILTER_LAYOUTS)
    assert {mode for _, modes in FORMATS for mode in modes} == set(PADDING_MODES) - {"zeros"}
