"""The fuzzer draws small problems of every shape, with few kernels and refusals, and nearly all pairs of values."""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from random import Random

import numpy as np
import pytest

from algorithms.depthwise.depthwise import Depthwise
from algorithms.direct.plain import Direct
from algorithms.direct.tiled import DirectTiled
from cases.planted.algorithms import CannotBeAsked, Picky, RefusesAll
from convbench.devices.emulator import EmulatorDevice
from convbench.fuzz import Suit, possible
from convbench.fuzz.coverage import AXES, IMPOSSIBLE, pairs, values
from convbench.fuzz.drawing import BYTES, Drawer
from convbench.fuzz.large import BUDGETS, MOST_MACS, steps
from convbench.fuzz.rows import MOST_CASES, MOST_FRESH, blocks, plain_of
from convbench.fuzz.shapes import TILES, edges, is_small
from convbench.fuzz.suiting import AWKWARD
from convbench.problem import DIRECTIONS, DTYPES, FILTER_LAYOUTS, LAYOUTS, PADDING_MODES, ConvProblem, operands
from convbench.reference import KINDS


@pytest.fixture(scope="module")
def emulator():
    return EmulatorDevice()


def suit_of(algorithm, device, directions=DIRECTIONS):
    return Suit(algorithm(), device, directions)


def drawn(suit, rows, count, seed=0):
    drawer, random = Drawer(suit, rows), Random(seed)
    return [drawer.draw(random.randbytes(BYTES)) for _ in range(count)]


def affordable(case, family):
    return case.problem.macs <= MOST_MACS and steps(case.problem, case.direction, family) <= max(BUDGETS)


# ---- shapes


def window(problem: ConvProblem, axis: int) -> int:
    return problem.dilation[axis] * ((problem.r, problem.s)[axis] - 1) + 1


CORNERS: dict[str, Callable[[ConvProblem], bool]] = {
    "a 1 × 1 filter": lambda p: p.r == p.s == 1,
    "a filter of one row": lambda p: p.r == 1 < p.s,
    "a filter as large as the padded input": lambda p: (window(p, 0), window(p, 1)) == p.padded_shape[2:] and p.r > 1,
    "a 1-D input": lambda p: p.h == p.r == p.p == 1 < p.q,
    "a column": lambda p: p.w == p.s == p.q == 1 < p.p,
    "a one-pixel input and a larger filter": lambda p: p.h == p.w == 1 < p.r * p.s,
    "a stride beyond the input": lambda p: p.stride[0] > p.h and p.stride[1] > p.w,
    "a stride beyond the window, and many windows": lambda p: p.stride[0] > window(p, 0) and p.p > 2,
    "unequal strides and dilations": lambda p: p.stride[0] != p.stride[1] and p.dilation[0] != p.dilation[1],
    "a large dilation": lambda p: max(p.dilation) >= 9 and p.r > 1 < p.s,
    "four different paddings": lambda p: len({*p.padding[0], *p.padding[1]}) == 4,
    "padding beyond the filter": lambda p: p.padding[0][0] > window(p, 0) > 1,
    "padding on one side alone": lambda p: sorted((*p.padding[0], *p.padding[1]))[2] == 0 < max(map(max, p.padding)),
    "rows that no window reads": lambda p: (p.h + sum(p.padding[0]) - window(p, 0)) % p.stride[0] > 0,
    "groups": lambda p: 1 < p.groups < p.c and p.k // p.groups > 1,
    "depthwise": lambda p: p.groups == p.c == p.k > 1,
    "depthwise with a multiplier": lambda p: 1 < p.groups == p.c < p.k,
    "one output channel": lambda p: p.k == 1 < p.c,
    "a batch": lambda p: p.n > 1,
    "reflection as far as it goes": lambda p: p.padding_mode == "reflect" and p.padding[0][0] == p.h - 1 > 1,
    "a circle once around": lambda p: p.padding_mode == "circular" and p.padding[1][1] == p.w > 1,
    "everything at once": lambda p: (
        p.groups > 1 < p.n and p.bias and p.dilation != (1, 1) != p.stride and p.padding[0][0] != p.padding[0][1]
    ),
    **{f"padding mode {mode}": lambda p, mode=mode: p.padding_mode == mode for mode in PADDING_MODES},
    **{f"{size} rows": lambda p, size=size: p.p == size for size in edges(TILES)},
    **{f"{size} columns": lambda p, size=size: p.q == size for size in edges(TILES)},
    **{f"{size} channels": lambda p, size=size: p.c == size * p.groups for size in edges(TILES)},
    **{f"{size} filters": lambda p, size=size: p.k == size * p.groups for size in edges(TILES)},
    **{f"{size} groups": lambda p, size=size: p.groups == size for size in edges(TILES)},
}


@pytest.fixture(scope="module")
def many(emulator):
    suit = suit_of(Direct, emulator)
    return [case.problem for case in drawn(suit, plain_of(suit.rows), 8000)]


@pytest.mark.parametrize("corner", CORNERS)
def test_the_corner_is_reached(corner, many):
    assert any(map(CORNERS[corner], many))


def test_edges_are_one_or_two_tiles_and_one_less_and_more():
    assert edges((8,)) == (7, 8, 9, 15, 16, 17)
    assert set(edges((2, 30))) == {1, 2, 3, 4, 5, 29, 30, 31, 59, 60, 61}


# ---- algorithms


def test_what_is_drawn_is_small_or_has_one_large_axis_and_is_not_refused(emulator):
    for algorithm in (Direct, DirectTiled, Depthwise, Picky):
        suit = suit_of(algorithm, emulator)
        cases = drawn(suit, suit.rows, 300)
        assert None not in cases
        for case in cases:
            assert suit.refuses(case.problem, case.direction) is None
            assert is_small(case.problem) or affordable(case, algorithm.family)
        assert sum(is_small(case.problem) for case in cases) > 0.75 * len(cases)
        assert {case.direction for case in cases} == set(DIRECTIONS)
        assert {case.kind for case in cases} == set(KINDS)


def test_a_problem_is_changed_no_more_than_the_algorithm_needs(emulator):
    free, limited = suit_of(Direct, emulator), suit_of(Picky, emulator)
    assert {len(free.needs(row)) for row in free.rows} == {0}
    (row, *_) = limited.rows
    problem = limited.problem(AWKWARD, row)
    wanted = AWKWARD.problem(row.dtype, row.layout, row.filter_layout)
    assert (problem.r, problem.s, problem.stride, problem.c % 4) == (3, 3, (1, 1), 0)
    assert (problem.n, problem.bias, problem.padding, problem.dilation) == (
        wanted.n, wanted.bias, wanted.padding, wanted.dilation,
    )  # fmt: skip


def test_rows_are_all_that_an_algorithm_has(emulator):
    suit = suit_of(Direct, emulator)
    assert len(suit.rows) == 3 * len(DTYPES) * len(LAYOUTS) * len(FILTER_LAYOUTS) * 3
    assert {row.dtype for row in suit_of(Picky, emulator).rows} == {"float64"}
    assert {row.direction for row in suit_of(Direct, emulator, ("backward_data",)).rows} == {"backward_data"}
    assert suit_of(RefusesAll, emulator).rows == ()
    assert drawn(suit_of(CannotBeAsked, emulator), suit_of(CannotBeAsked, emulator).rows, 3).count(None) == 0


def test_tiles_are_those_of_the_configs_too(emulator):
    assert {8, 16} <= set(suit_of(DirectTiled, emulator).tiles)
    assert set(TILES) <= set(suit_of(Direct, emulator).tiles)


# ---- rows


def contiguity(case):
    """What Numba tells kernels apart by, besides dtypes: C, F or neither for each tensor."""
    found = []
    for name in ("x", "w", "y"):
        array = np.empty(operands.memory_shape(case.problem, name)).transpose(operands.from_memory(case.problem, name))
        found.append("C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else "A")
    return "".join(found), case.problem.padding_mode, case.problem.stride != (1, 1), case.problem.bias


def test_a_fresh_row_asks_for_the_same_kernels_again_and_again(emulator):
    suit = suit_of(Direct, emulator)
    for block in islice(blocks(suit.rows, Random(1)), 6):
        for row in block.rows[len(DIRECTIONS) :]:
            kinds = Counter(contiguity(case) for case in drawn(suit, [row], 60))
            assert kinds.most_common(1)[0][1] >= 50, (row, kinds)


def test_blocks_grow_and_have_the_plain_rows_first(emulator):
    rows = suit_of(Direct, emulator).rows
    found = list(islice(blocks(rows, Random(0)), 12))
    for block in found:
        assert block.rows[:3] == tuple(plain_of(rows))
    assert [block.cases for block in found][:4] == [8, 32, 64, 128]
    assert [len(block.rows) - 3 for block in found][:4] == [1, 2, 4, 6]
    assert found[-1].cases == MOST_CASES
    assert len(found[-1].rows) == 3 + MOST_FRESH


def test_the_first_rows_have_each_two_values_soon(emulator):
    """Direction with layout, dtype with filter layout, and so on: 200 cases have most pairs, 1000 all."""
    rows = suit_of(Direct, emulator).rows
    fields = "direction", "dtype", "layout", "filter_layout"

    def seen(count):
        chosen = [row for block in islice(blocks(rows, Random(0)), count) for row in block.rows]
        return {(a, getattr(row, a), b, getattr(row, b)) for row in chosen for a in fields for b in fields if a < b}

    every = {(a, getattr(row, a), b, getattr(row, b)) for row in rows for a in fields for b in fields if a < b}
    assert len(seen(4)) > 0.75 * len(every)
    assert seen(6) == every


# ---- coverage


def test_every_case_has_a_value_on_every_axis_and_no_pair_that_cannot_be(emulator):
    suit = suit_of(Direct, emulator)
    had = {axis: set() for axis in AXES}
    for case in drawn(suit, suit.rows, 1500):
        for axis, value in zip(AXES, values(case), strict=True):
            had[axis].add(value)
        assert len(pairs(case)) == len(AXES) * (len(AXES) - 1) // 2
        assert not [(a, v, b, w) for a, v, b, w in pairs(case) if frozenset(((a, v), (b, w))) in IMPOSSIBLE]
    assert {axis: len(found) for axis, found in had.items() if len(found) < 2} == {"algorithm": 1}


def test_nearly_all_possible_pairs_are_drawn(emulator):
    for algorithm, enough in ((Direct, 0.98), (Depthwise, 0.97)):
        suit = suit_of(algorithm, emulator)
        there = possible([suit])
        seen = set().union(*(pairs(case) for case in drawn(suit, suit.rows, 3000, seed=5)))
        assert len(seen & there) > enough * len(there), sorted(there - seen)[:10]
        assert len(seen - there) < 0.01 * len(there), sorted(seen - there)[:10]
