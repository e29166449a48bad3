"""Draw cases from bytes, with Hypothesis.

Hypothesis's strategies read their choices from the given bytes (`fuzz_one_input`) instead of its own search. So a seed
gives the same cases on any machine, whatever else is imported and whatever failed before.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis import strategies as st

from convbench.errors import ProblemError
from convbench.fuzz.cases import FuzzCase, config_text
from convbench.fuzz.large import Axis, Large, large_axes
from convbench.fuzz.rows import Row
from convbench.fuzz.shapes import Shape, is_small, shapes
from convbench.fuzz.suiting import Suit
from convbench.fuzz.tour import Size, Tour
from convbench.problem import ConvProblem, Direction
from convbench.reference import KINDS, Kind

BYTES = 512  # enough for all but very rare cases, which are thrown away
MOST_SEEDS = 2**16
# integers are drawn most often: on them, an exact method must match bit for bit, which is the sharpest test
_KINDS: tuple[Kind, ...] = ("integers", "integers", "integers", *KINDS)
# more than the largest tile of usual kernels, enough steps for a sum of many parts, more images than a thread computes
SIZES: dict[Size, tuple[Axis, int]] = {
    "k": ("k", 250), "c": ("c", 290), "pixels": ("pixels", 60), "n": ("n", 6), "columns": ("w", 131),
    "filters": ("filters", 257),
}  # fmt: skip
# what a sum runs over, more of it than usual; what the results are for, more of them than one wave of blocks has; and
# fewer of these, with many pixels each
OF_DIRECTION: dict[Size, dict[Direction, tuple[Axis, int]]] = {
    "terms": {"forward": ("c", 1030), "backward_data": ("k", 1030), "backward_weights": ("n", 50)},
    "results": {"forward": ("k", 4089), "backward_data": ("c", 4089), "backward_weights": ("k", 4089)},
    "planes": {"forward": ("k", 1030), "backward_data": ("c", 1030), "backward_weights": ("c", 1030)},
}
BESIDE = 16, 15  # rows and columns of the output beside 1,030 of them: more than 65,536 elements, or tiles of 2 × 2
_IS_LARGE = *[False] * 5, True  # whether one axis of a case is large


class Drawer:
    """Draws cases of one algorithm from a few rows.

    Parameters
    ----------
    suit : the suit of the algorithm
    rows : the rows to draw from, the plainest first
    tour : the configs that some cases have instead of those of the rows; None: no case has others
    """

    def __init__(self, suit: Suit, rows: Sequence[Row], tour: Tour | None = None) -> None:
        self.suit, self.rows, self.tour = suit, rows, tour
        self._drawn: list[FuzzCase | None] = []
        parts = (
            st.sampled_from(rows), st.sampled_from(_KINDS), st.integers(0, MOST_SEEDS - 1), shapes(suit.tiles),
            st.sampled_from(_IS_LARGE), large_axes(),
        )  # fmt: skip

        @settings(database=None, deadline=None, verbosity=Verbosity.quiet, suppress_health_check=list(HealthCheck))
        @given(st.tuples(*parts).map(self._case))
        def read(case: FuzzCase | None) -> None:
            self._drawn.append(case)

        self._read = cast("Any", read).hypothesis.fuzz_one_input

    def draw(self, source: bytes) -> FuzzCase | None:
        """The case that some bytes stand for; None if the algorithm refused every problem that was tried."""
        self._drawn.clear()
        self._read(source)
        return self._drawn[0] if self._drawn else None

    def _case(self, drawn: tuple[Row, Kind, int, Shape, bool, Large]) -> FuzzCase | None:
        row, kind, seed, shape, is_large, large = drawn
        if self.tour is not None and (found := self._of_tour(self.tour, kind, seed, shape, large)):
            return found
        problem, algorithm = self.suit.problem(shape, row, large if is_large else None), self.suit.algorithm
        if problem is None:
            return None
        configs = self.suit.configs(problem, row.direction)
        config = config_text(configs[min(row.config, len(configs) - 1)], configs[0]) if configs else ""
        return FuzzCase(
            algorithm=algorithm.name, direction=row.direction, problem=problem, kind=kind, seed=seed, config=config
        )

    def _of_tour(self, tour: Tour, kind: Kind, seed: int, shape: Shape, large: Large) -> FuzzCase | None:
        """A case with a config that no case had; None if it is not the turn of one, or if there is none."""

        def problem_of(row: Row, size: Size) -> ConvProblem | None:
            if size == "small" or size == "large":
                return self.suit.problem(shape, row, large if size == "large" else None)
            full = replace(shape, bias=True, groups=max(shape.groups, 1 + seed % 2))  # a bias for many channels, too
            axis, least = OF_DIRECTION[size][row.direction] if size in OF_DIRECTION else SIZES[size]
            if size == "terms" or size == "planes":
                full = replace(full, n=1, c=1, k=1, p=BESIDE[0], q=BESIDE[1])
            elif size == "filters" and row.direction == "backward_weights":
                full = replace(full, p=6, q=6, r=1, s=1)  # enough outputs for a sum of several parts
            elif size == "filters":
                full = replace(full, p=2, q=2)
            return self.suit.problem(full, row, Large.along(axis, least + seed % 8, BESIDE))

        found = tour.next(problem_of)
        if found is None:
            return None
        problem, row, config = found
        configs = self.suit.configs(problem, row.direction)
        return FuzzCase(
            algorithm=self.suit.algorithm.name, direction=row.direction, problem=problem, kind=kind, seed=seed,
            config=config_text(config, configs[0]),
        )  # fmt: skip


def sibling(suit: Suit, case: FuzzCase) -> FuzzCase | None:
    """A case with the same tensors, another padding, stride or dilation, and the default config; None if there is none.

    Whatever an algorithm keeps by the shapes of tensors alone is wrong for one of the two.
    """
    problem = case.problem
    sides = tuple((after, before + 1) for before, after in problem.padding)
    shifted = tuple((before + min(after, 1), after - min(after, 1)) for before, after in problem.padding)
    for change in (
        {"padding": shifted}, {"padding": tuple(pair[::-1] for pair in problem.padding)},
        {"padding": sides, "padding_mode": "zeros"}, {"padding": sides, "padding_mode": "zeros", "stride": (1, 1)},
        {"dilation": (1, 1), "stride": (1, 1)}, {"padding": ((0, 0), (0, 0)), "padding_mode": "zeros"},
    ):  # fmt: skip
        try:
            other = replace(problem, **change)
        except ProblemError:
            continue
        is_other = (other.padding, other.stride, other.dilation) != (problem.padding, problem.stride, problem.dilation)
        if is_other and is_small(other) and suit.refuses(other, case.direction) is None:
            return replace(case, problem=other, config="")
    return None
