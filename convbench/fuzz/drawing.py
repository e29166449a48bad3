"""Cases from bytes, and the smallest case of a failure: both by Hypothesis.

Hypothesis reads its choices from bytes that we give it (`fuzz_one_input`), and not from its own search, so that a seed
gives the same cases on any machine, whatever else is imported and whatever failed before. The choices of a failure
are kept in a database in memory, which Hypothesis starts to shrink from.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase
from hypothesis.errors import Flaky

from convbench.data import KINDS, Kind
from convbench.fuzz.cases import FuzzCase, config_text
from convbench.fuzz.rows import HELD, Held, Row
from convbench.fuzz.shapes import Shape, shapes
from convbench.fuzz.suiting import Suit

BYTES = 512  # more than any case takes, but for very rare ones, which are thrown away
MOST_SEEDS = 2**16
# the sharpest most often: integers, where a method is exact on them
_KINDS: tuple[Kind, ...] = ("integers", "integers", "integers", *KINDS)
# one byte each: what a row holds fast is let loose for one case in 256, and to make a case smaller
_HELD = st.tuples(*[st.integers(0, 255)] * HELD)


class Drawer:
    """Draws cases of one algorithm with a few rows, and shrinks them.

    Parameters
    ----------
    suit : of the algorithm
    rows : those open, the plainest first
    """

    def __init__(self, suit: Suit, rows: Sequence[Row]) -> None:
        self.suit, self.rows = suit, rows
        self._cases = st.tuples(
            st.sampled_from(rows), _HELD, st.sampled_from(_KINDS), st.integers(0, MOST_SEEDS - 1), shapes(suit.tiles)
        ).map(self._case)
        self._drawn: list[FuzzCase | None] = []
        self._read = self._test(None, self._drawn.append).hypothesis.fuzz_one_input

    def draw(self, source: bytes) -> FuzzCase | None:
        """The case that some bytes stand for; None where the algorithm refused all that was tried."""
        self._drawn.clear()
        self._read(source)
        return self._drawn[0] if self._drawn else None

    def shrink(
        self, source: bytes, fails: Callable[[FuzzCase], bool], *, until: Callable[[], bool] = lambda: False
    ) -> tuple[FuzzCase | None, bool]:
        """The smallest case that fails, of those that Hypothesis tries from the bytes of one that does.

        Parameters
        ----------
        fails : whether a case fails as the first one did
        until : asked before every trial; true ends the search with the smallest case so far

        Returns
        -------
        The case, or None where not even the first one failed again; and whether the search came to its end.
        """
        failed: list[FuzzCase] = []

        def trial(case: FuzzCase | None) -> None:
            if until():
                raise _Ended
            if case is not None and fails(case):
                failed.append(case)
                raise _FailedError

        test = self._test(InMemoryExampleDatabase(), trial)
        try:
            with suppress(_FailedError):
                test.hypothesis.fuzz_one_input(source)
                return None, True
            test()
        except _FailedError:
            return failed[-1], True
        except (_Ended, Flaky):
            pass
        return min(failed, key=_size, default=None), False  # what failed did not always, or there was no time

    def _case(self, drawn: tuple[Row, Held, Kind, int, Shape]) -> FuzzCase | None:
        row, held, kind, seed, shape = drawn
        problem, algorithm = self.suit.problem(shape, row, held), self.suit.algorithm
        if problem is None:
            return None
        configs = self.suit.configs(problem, row.direction)
        config = config_text(configs[min(row.config, len(configs) - 1)], configs[0]) if configs else ""
        return FuzzCase(
            algorithm=algorithm.name, direction=row.direction, problem=problem, kind=kind, seed=seed, config=config
        )

    def _test(self, database: ExampleDatabase | None, body: Callable[[FuzzCase | None], object]) -> Any:
        """A test of Hypothesis that only reads or shrinks what it is given, whatever profile is loaded."""

        @settings(
            database=database, phases=(Phase.reuse, Phase.shrink), derandomize=False, deadline=None, print_blob=False,
            report_multiple_bugs=False, verbosity=Verbosity.quiet, suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(self._cases)
        def test(case: FuzzCase | None) -> None:
            body(case)

        return test


class _FailedError(Exception):
    """The case of a trial failed, which is what Hypothesis looks for."""


class _Ended(BaseException):
    """Nobody wants to wait any longer. Hypothesis lets through what is no Exception, such as KeyboardInterrupt."""


def _size(case: FuzzCase) -> tuple[int, int, str]:
    return case.problem.macs, len(str(case)), str(case)
