"""The tally: what the jobs of a call have come to, together."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from convbench.fuzz.campaign import Figures
from convbench.fuzz.coverage import Pair
from convbench.fuzz.orders import Ended, Found, Message, Progress
from convbench.fuzz.verdicts import Finding


@dataclass(kw_only=True)
class Tally:
    """Counts, and the findings, each bug once.

    Parameters
    ----------
    possible : the pairs of axes that there are
    found : called with each finding and whether it came from the corpus, as soon as it is final
    """

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
        """Count what a job tells."""
        match message:
            case Progress():
                self._figures[job], self._replayed[job] = message.figures, message.replayed
                self.seen |= message.pairs
            case Found():
                if not message.final:
                    self._shrinking[job] = message.finding
                    return
                if job in self._shrinking and self._shrinking[job].cause == message.finding.cause:
                    del self._shrinking[job]
                self._add(message.finding, message.from_corpus)
            case Ended():
                self._keep(job)
                if message.lost:
                    self.lost.append(f"job {job}: {message.lost}")

    def finish(self) -> None:
        """Keep what was still being shrunk."""
        for job in list(self._shrinking):
            self._keep(job)

    @property
    def figures(self) -> dict[str, Figures]:
        """By algorithm, of all jobs."""
        total: dict[str, Figures] = {}
        for figures in self._figures.values():
            for name, one in figures.items():
                total.setdefault(name, Figures()).add(one)
        return total

    @property
    def total(self) -> Figures:
        """Of all algorithms."""
        total = Figures()
        for one in self.figures.values():
            total.add(one)
        return total

    @property
    def replayed(self) -> int:
        """Lines of the corpus that were run."""
        return sum(self._replayed.values())

    @property
    def shrinking(self) -> int:
        """How many failures are being made smaller."""
        return len(self._shrinking)

    @property
    def rate(self) -> float:
        """Cases a second and job, without compiling and shrinking."""
        total = self.total
        return total.cases / max(total.run_s - total.compile_s, 1e-9)

    @property
    def elapsed_s(self) -> float:
        """Since the call began."""
        return time.monotonic() - self.start

    @property
    def covered(self) -> tuple[int, int]:
        """Pairs seen, and pairs that there are."""
        return len(self.seen), len(self.possible | self.seen)

    def unseen(self, most: int) -> list[Pair]:
        """Some pairs that no case had, from all over the axes."""
        left = sorted(self.possible - self.seen)
        return left[:: max(1, -(-len(left) // most))]

    def _keep(self, job: int) -> None:
        if finding := self._shrinking.pop(job, None):
            self._add(finding, from_corpus=False)

    def _add(self, finding: Finding, from_corpus: bool) -> None:
        if not any(other.explains(finding.case, finding.cause) for other in self.findings):
            self.findings.append(finding)
            self.found(finding, from_corpus)
