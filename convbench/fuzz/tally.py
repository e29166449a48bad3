"""The tally: the results of all jobs of a call, added up."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from convbench.fuzz.campaign import Figures
from convbench.fuzz.coverage import Pair
from convbench.fuzz.orders import Ended, Found, Message, Possible, Progress
from convbench.fuzz.verdicts import Finding


@dataclass(kw_only=True)
class Tally:
    """Adds up the messages of jobs: counts, and findings, each bug once.

    Parameters
    ----------
    algorithms : the names of all algorithms of the call
    unable : the names of those that have no problem at all for the directions and the device
    possible : the possible pairs of axes
    found : called as soon as a finding is final, with the finding and whether it came from the corpus
    """

    UNABLE: ClassVar[str] = "refuses everything"

    algorithms: tuple[str, ...] = ()
    unable: set[str] = field(default_factory=set)
    possible: set[Pair] = field(default_factory=set)
    found: Callable[[Finding, bool], None] = lambda _finding, _from_corpus: None
    findings: list[Finding] = field(default_factory=list)
    seen: set[Pair] = field(default_factory=set)
    lost: list[str] = field(default_factory=list)
    start: float = field(default_factory=time.monotonic)
    _figures: dict[int, dict[str, Figures]] = field(default_factory=dict)
    _replayed: dict[int, int] = field(default_factory=dict)
    _shrinking: dict[int, Finding] = field(default_factory=dict)

    def take(self, job: int, message: Message) -> None:
        """Add a message of a job."""
        match message:
            case Progress():
                self._figures[job], self._replayed[job] = message.figures, message.replayed
                self.seen |= message.pairs
            case Found():
                if not message.final:
                    self._shrinking[job] = message.finding
                    return
                cause = message.finding.cause
                # what depends on earlier calls may have looked like another fault at first
                if job in self._shrinking and (
                    self._shrinking[job].cause == cause or cause.fault == "depends on calls before it"
                ):
                    del self._shrinking[job]
                self._add(message.finding, message.from_corpus)
            case Possible():
                self.possible |= message.pairs
                if not message.is_able:
                    self.unable.add(message.algorithm)
            case Ended():
                self._keep(job)
                if message.lost:
                    self.lost.append(f"job {job}: {message.lost}")

    def finish(self) -> None:
        """Keep the findings that were still being shrunk."""
        for job in list(self._shrinking):
            self._keep(job)

    @property
    def figures(self) -> dict[str, Figures]:
        """The figures of each algorithm, over all jobs."""
        total: dict[str, Figures] = {}
        for figures in self._figures.values():
            for name, one in figures.items():
                total.setdefault(name, Figures()).add(one)
        return total

    @property
    def total(self) -> Figures:
        """The figures of all algorithms together."""
        total = Figures()
        for one in self.figures.values():
            total.add(one)
        return total

    @property
    def without_case(self) -> dict[str, str]:
        """The algorithms for which no case was drawn and run, each with the reason. A failure counts as a case."""
        figures, failed = self.figures, {finding.case.algorithm for finding in self.findings}
        found = {}
        for name in self.algorithms:
            one = figures.get(name, Figures())
            if not one.cases and name not in failed:
                refused = f"refused all {one.refused:,} draws" if one.refused else "the end came before its turn"
                found[name] = self.UNABLE if name in self.unable else refused
        return found

    @property
    def all_refused(self) -> bool:
        """Whether every algorithm refused whatever was drawn for it."""
        figures = self.figures
        return all(name in self.unable or figures.get(name, Figures()).refused for name in self.without_case)

    @property
    def replayed(self) -> int:
        """The number of cases of the corpus that were run."""
        return sum(self._replayed.values())

    @property
    def shrinking(self) -> int:
        """The number of failures that are being shrunk."""
        return len(self._shrinking)

    @property
    def rate(self) -> float:
        """Cases per second in one job, without the time for compiling and shrinking."""
        total = self.total
        return total.cases / max(total.run_s - total.compile_s, 1e-9)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self.start

    @property
    def covered(self) -> tuple[int, int]:
        """The number of pairs that cases had, and the number of possible pairs."""
        return len(self.seen), len(self.possible | self.seen)

    def unseen(self, most: int) -> list[Pair]:
        """At most `most` pairs that no case had, spread evenly over the axes."""
        left = sorted(self.possible - self.seen)
        return left[:: max(1, -(-len(left) // most))]

    def _keep(self, job: int) -> None:
        if finding := self._shrinking.pop(job, None):
            self._add(finding, from_corpus=False)

    def _add(self, finding: Finding, from_corpus: bool) -> None:
        if not any(other.explains(finding.case, finding.cause) for other in self.findings):
            self.findings.append(finding)
            self.found(finding, from_corpus)
