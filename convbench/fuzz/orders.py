"""What the jobs of one call are told to do, and what they tell: all of it is sent from process to process."""

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
    """What the jobs of one call do together.

    Parameters
    ----------
    algorithms : by name
    device : by name
    prepare : called first in every process; it registers what the plugins bring
    corpus : run before all else
    examples, seconds : the limits; None is no limit
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
        """A job's part of the cases."""
        return inf if self.examples is None else (self.examples + self.jobs - 1 - job) // self.jobs


@dataclass(frozen=True)
class Progress:
    """All figures of a job so far, and the pairs of axes that are new since the last report."""

    figures: dict[str, Figures]
    pairs: set[Pair]
    replayed: int  # lines of the corpus


@dataclass(frozen=True)
class Found:
    """A failure: at once as it was found, and again when it is `final`."""

    finding: Finding
    final: bool
    from_corpus: bool = False


@dataclass(frozen=True)
class Ended:
    """A job is over; `lost` says of what it died, if it did not just reach its end."""

    lost: str | None = None


Message = Progress | Found | Ended
