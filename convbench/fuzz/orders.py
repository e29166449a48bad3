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
    timeout_s : time for each case; None: from the size of its problem
    memory : bytes that each job may have in use
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
    timeout_s: float | None = None
    memory: int | None = None

    def examples_of(self, share: int) -> float:
        """The number of cases of one share of the work."""
        return inf if self.examples is None else (self.examples + self.jobs - 1 - share) // self.jobs

    def algorithms_of(self, share: int) -> tuple[str, ...]:
        """The algorithms in the order in which one share of the work takes them: each share begins with another."""
        turn = share * len(self.algorithms) // self.jobs
        return self.algorithms[turn:] + self.algorithms[:turn]

    def corpus_of(self, share: int) -> tuple[FuzzCase, ...]:
        """The cases of the corpus of one share of the work."""
        return self.corpus[share :: self.jobs]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One process's part of the work. A process that is lost is replaced by one with another job of the same share.

    Parameters
    ----------
    number : of the job; no other job of the call draws the same cases
    share : which of the equal shares of cases it works on
    corpus : the cases of the corpus that it runs first
    examples : the number of cases that it runs then
    algorithms : the names of those that it runs, in this order
    known : findings that are not reported again
    """

    number: int
    share: int
    algorithms: tuple[str, ...]
    corpus: tuple[FuzzCase, ...]
    examples: float
    known: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """What is done once, beside the jobs: algorithms are asked which cases they may have.

    Parameters
    ----------
    number : it is none of a job's
    algorithms : the names of those that are asked
    """

    number: int
    algorithms: tuple[str, ...]


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
class Possible:
    """The pairs of axes that cases of an algorithm may have, and whether it can have a case at all."""

    algorithm: str
    pairs: set[Pair]
    is_able: bool


@dataclass(frozen=True)
class Ended:
    """A job has ended. `lost` has the reason if it did not end normally."""

    lost: str | None = None


Message = Progress | Found | Possible | Ended
