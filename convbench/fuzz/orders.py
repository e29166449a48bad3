"""The messages between the parent and the jobs of one call: orders to the jobs, and reports from them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from convbench.fuzz.campaign import Figures
from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.coverage import Pair
from convbench.fuzz.verdicts import Finding
from convbench.problem import Direction


@dataclass(frozen=True, kw_only=True)
class Orders:
    """The orders that all jobs of one call receive.

    Parameters
    ----------
    algorithms : their names
    device : its name
    prepare : called first in every process; it registers the algorithms of plugins
    corpus : cases that are run before any other
    examples, seconds : the limits for all jobs together; None is no limit
    """

    algorithms: tuple[str, ...]
    directions: tuple[Direction, ...]
    device: str
    prepare: Callable[[], None]
    seed: int = 0
    jobs: int = 1
    corpus: tuple[FuzzCase, ...] = ()
    examples: int | None = None
    seconds: float | None = None
    keep_going: bool = False

    def examples_of(self, job: int) -> float:
        """The number of cases that one job runs."""
        return inf if self.examples is None else (self.examples + self.jobs - 1 - job) // self.jobs


@dataclass(frozen=True)
class Progress:
    """The figures of a job so far, and the pairs of axes that are new since its last report."""

    figures: dict[str, Figures]
    pairs: set[Pair]
    replayed: int  # number of cases of the corpus that were run


@dataclass(frozen=True)
class Found:
    """A failure. It is sent as soon as it is found, and again, with `final`, when it is shrunk."""

    finding: Finding
    final: bool
    from_corpus: bool = False


@dataclass(frozen=True)
class Ended:
    """A job has ended. `lost` has the reason if it did not end normally."""

    lost: str | None = None


Message = Progress | Found | Ended
