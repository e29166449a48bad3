"""Draw cases from bytes, with Hypothesis.

Hypothesis's strategies read their choices from the given bytes (`fuzz_one_input`) instead of its own search. So a seed
gives the same cases on any machine, whatever else is imported and whatever failed before.
"""

from collections.abc import Sequence
from typing import Any, cast

from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis import strategies as st

from convbench.fuzz.cases import FuzzCase, config_text
from convbench.fuzz.large import Large, large_axes
from convbench.fuzz.rows import Row
from convbench.fuzz.shapes import Shape, shapes
from convbench.fuzz.suiting import Suit
from convbench.reference import KINDS, Kind

BYTES = 512  # enough for all but very rare cases, which are thrown away
MOST_SEEDS = 2**16
# integers are drawn most often: on them, an exact method must match bit for bit, which is the sharpest test
_KINDS: tuple[Kind, ...] = ("integers", "integers", "integers", *KINDS)
_IS_LARGE = *[False] * 5, True  # whether one axis of a case is large


class Drawer:
    """Draws cases of one algorithm from a few rows.

    Parameters
    ----------
    suit : the suit of the algorithm
    rows : the rows to draw from, the plainest first
    """

    def __init__(self, suit: Suit, rows: Sequence[Row]) -> None:
        self.suit, self.rows = suit, rows
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
        problem, algorithm = self.suit.problem(shape, row, large if is_large else None), self.suit.algorithm
        if problem is None:
            return None
        configs = self.suit.configs(problem, row.direction)
        config = config_text(configs[min(row.config, len(configs) - 1)], configs[0]) if configs else ""
        return FuzzCase(
            algorithm=algorithm.name, direction=row.direction, problem=problem, kind=kind, seed=seed, config=config
        )
