"""A campaign: draw cases of some algorithms and run them one after the other, in one process.

    for step in campaign.steps():       # endless; the same for the same seed, whatever the verdicts are
        if finding := campaign.new(step):
            finding = campaign.shrunk(step, finding)

The caller decides when to stop. `fuzz` stops after a number of cases, or at a failure.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from convbench.algorithm import Algorithm
from convbench.devices import Device
from convbench.fuzz import shrinking
from convbench.fuzz.again import MOST_CALLS, calls_needed, depends, is_same
from convbench.fuzz.cases import Announce, FuzzCase
from convbench.fuzz.drawing import BYTES, Drawer, sibling
from convbench.fuzz.rows import blocks
from convbench.fuzz.suiting import Suit
from convbench.fuzz.tour import Tour
from convbench.fuzz.verdicts import Fault, Finding, Verdict, judge
from convbench.measurement import contest
from convbench.problem import DIRECTIONS, Direction

AGAIN_EVERY = 10  # of so many draws, after one a case that passed is run again
MOST_AGAIN = 4  # cases that are run again when a case fails, or one or two more
SIBLING_EVERY = 16  # of so many draws, one is a sibling of the case before it
# faults that calls before it may cause
STATEFUL: tuple[Fault, ...] = (
    "wrong values", "elements never written", "two runs differ", "keeps its first run", "depends on calls before it",
    "crash",
)  # fmt: skip


@dataclass(kw_only=True)
class Figures:
    """Counts and times of the cases of one algorithm."""

    cases: int = 0
    repeated: int = 0  # passed cases that were run again
    refused: int = 0  # draws that the algorithm refused, and cases that the device refused
    run_s: float = 0.0  # drawing and running, compiling included
    compile_s: float = 0.0
    fraction: float | None = None  # the largest fraction of the error bound that a case used

    def add(self, other: "Figures") -> None:
        """Add the figures of another."""
        self.cases += other.cases
        self.repeated += other.repeated
        self.refused += other.refused
        self.run_s += other.run_s
        self.compile_s += other.compile_s
        self.fraction = max((f for f in (self.fraction, other.fraction) if f is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A case that was run. If the draw was refused instead, `case` is None.

    A case that failed only because of the calls before it is a step of its own, with `is_again`.
    """

    algorithm: Algorithm
    case: FuzzCase | None
    verdict: Verdict
    is_again: bool = False  # whether the case had passed before


class Campaign:
    """The cases of one process.

    Parameters
    ----------
    algorithms, device, directions : what to run, and on which device
    seed, job : the seed, and the number of this job. The cases of a job depend only on these.
    known : earlier findings, which are not reported again
    announce : called with every case before it is run, with the plainest case of every problem before the algorithm is
        asked about it, and with None when that is over
    fresh : the verdict on the last of some cases, run in their order in a new process; None: nothing is run there
    """

    def __init__(
        self,
        algorithms: Sequence[Algorithm],
        device: Device,
        *,
        directions: Sequence[Direction] = DIRECTIONS,
        seed: int = 0,
        job: int = 0,
        known: Iterable[Finding] = (),
        announce: Announce = lambda _: None,
        fresh: Callable[[Sequence[FuzzCase]], Verdict | None] | None = None,
    ) -> None:
        self.fresh, self.history = fresh, deque[FuzzCase](maxlen=MOST_CALLS)
        self.device, self.seed, self.job, self.known, self.announce = device, seed, job, list(known), announce
        self.suits = [Suit(algorithm, device, directions, announce) for algorithm in algorithms]
        self.figures: dict[str, Figures] = {algorithm.name: Figures() for algorithm in algorithms}

    def steps(self) -> Iterator[Step]:
        """Run cases and yield them: a block of each algorithm in turn, then a longer block of each, and so on.

        This ends only if every algorithm refuses everything that is drawn.
        """
        waiting, queues = list(self.suits), dict[str, _Queue]()
        while waiting:
            for suit in tuple(waiting):
                ran, name = False, suit.algorithm.name
                if name not in queues and suit.rows:  # an algorithm is asked when its turn comes, and no earlier
                    queues[name] = _Queue(suit, f"{self.seed} {self.job} {name}")
                for step in self._block(queues[name]) if name in queues else ():
                    ran |= step.case is not None
                    yield step
                if not ran:
                    waiting.remove(suit)

    def replay(self, case: FuzzCase, algorithm: Algorithm) -> Step:
        """Run a given case, such as one of the corpus. It is not counted in `figures`."""
        return Step(algorithm=algorithm, case=case, verdict=self._judged(case, algorithm))

    def new(self, step: Step) -> Finding | None:
        """The failure of a step; None if it did not fail, or if a known finding explains the failure."""
        if step.case is None or step.verdict.cause is None:
            return None
        finding = Finding(case=step.case, cause=step.verdict.cause, reason=step.verdict.reason or "")
        return None if self._is_known(finding) else finding

    def shrunk(self, step: Step, finding: Finding, *, until: Callable[[], bool] = lambda: False) -> Finding:
        """The smallest case of the same failure. It is known from now on.

        If no case fails again, the finding keeps its case.

        Parameters
        ----------
        until : called before every trial; if it returns true, the search ends with the smallest case so far
        """
        if (found := self._of_calls_before(finding, until)) is not None:
            self.known.append(found)
            return found
        verdicts: dict[FuzzCase, Verdict] = {}

        def fails(case: FuzzCase) -> bool:
            verdict = self._judged(case, step.algorithm)
            if verdict.cause != finding.cause or self._is_known(replace(finding, case=case)):
                return False
            verdicts[case] = verdict
            return True

        if contest.is_alive(self.device):
            case, ended = shrinking.shrink(finding.case, fails, until=until)
            if case is not None:
                finding = replace(finding, case=case, reason=verdicts[case].reason or "", shrunk=ended)
            elif ended:
                finding = replace(finding, reason=f"{finding.reason} (it did not fail again)")
            finding = replace(finding, explanation=verdicts.get(finding.case, step.verdict).explanation)
        self.known.append(finding)
        return finding

    def _is_known(self, finding: Finding) -> bool:
        return any(known.explains(finding.case, finding.cause) for known in self.known)

    def _of_calls_before(self, finding: Finding, until: Callable[[], bool]) -> Finding | None:
        """The finding with the calls that it needs; None if its case fails by itself, or if this cannot be told."""
        is_again = finding.cause.fault == "depends on calls before it"
        if self.fresh is None or finding.cause.fault not in STATEFUL:
            return finding if is_again else None
        fresh, case, history = self.fresh, finding.case, list(self.history)
        if not is_again:
            alone = fresh([case])
            if alone is None or alone.outcome != "passed":
                return None

        def fails(cases: Sequence[FuzzCase]) -> bool:
            verdict = fresh(cases)
            return verdict is not None and verdict.outcome == "failed"

        # the calls before the failing one; where the case passed before, it is among them
        while history and history.pop() != case:
            pass
        before = calls_needed(case, history, fails, until)
        cause = finding.cause._replace(fault="depends on calls before it", words="the same case gives another result")
        reason = finding.reason
        if not is_again:
            reason = f"it passes in a new process, and in this one {reason}"
        return replace(finding, cause=cause, reason=reason, before=before or (), shrunk=before is not None)

    def _block(self, queue: "_Queue") -> Iterator[Step]:
        block, algorithm = next(queue.blocks), queue.suit.algorithm
        drawer = Drawer(queue.suit, block.rows, queue.tour if queue.turns else None)
        queue.turns += 1
        for _ in range(block.cases):
            queue.draws += 1
            source = queue.sources.randbytes(BYTES)
            last = queue.last if queue.draws % SIBLING_EVERY == 0 else None
            step = self._step(queue.suit, lambda: (last and sibling(queue.suit, last)) or drawer.draw(source))  # noqa: B023
            queue.last = step.case or queue.last
            if step.case is not None and step.verdict.outcome == "passed":
                queue.passed.append((step.case, step.verdict))
            elif self.new(step) is not None:  # what passed before may fail now for the same reason
                again = (
                    self._again(algorithm, *one) for one in queue.passed[:: max(1, len(queue.passed) // MOST_AGAIN)]
                )
                step = next((one for one in again if one.verdict.outcome == "failed"), step)
            yield step
            if queue.draws % AGAIN_EVERY == 0 and queue.passed:
                step = self._again(algorithm, *queue.order.choice(queue.passed))
                if step.verdict.outcome == "failed":
                    yield step

    def _again(self, algorithm: Algorithm, case: FuzzCase, first: Verdict) -> Step:
        """Run a case that has passed once more. It must pass with the same bits."""
        start, compiled = time.perf_counter(), self.device.compile_s
        verdict = self._judged(case, algorithm)
        if not is_same(first, verdict):
            verdict = depends(case, verdict, len(self.history) - 1)
        self.figures.setdefault(algorithm.name, Figures()).add(
            Figures(repeated=1, run_s=time.perf_counter() - start, compile_s=self.device.compile_s - compiled)
        )
        return Step(algorithm=algorithm, case=case, verdict=verdict, is_again=True)

    def _judged(self, case: FuzzCase, algorithm: Algorithm) -> Verdict:
        self.history.append(case)
        self.announce(case)
        verdict = judge(case, algorithm, self.device)
        self.announce(None)
        return verdict

    def _step(self, suit: Suit, draw: Callable[[], FuzzCase | None]) -> Step:
        algorithm = suit.algorithm
        figures = self.figures.setdefault(algorithm.name, Figures())
        start, compiled = time.perf_counter(), self.device.compile_s
        case = draw()
        suit.rest()
        verdict = Verdict(outcome="refused") if case is None else self._judged(case, algorithm)
        run, passed = verdict.outcome != "refused", verdict.outcome == "passed"
        figures.add(
            Figures(
                cases=int(run), refused=int(not run), run_s=time.perf_counter() - start,
                compile_s=self.device.compile_s - compiled, fraction=verdict.fraction if passed else None,
            )
        )  # fmt: skip
        return Step(algorithm=algorithm, case=case if run else None, verdict=verdict)


class _Queue:
    """The random sources of one algorithm: for its blocks, and for its cases."""

    def __init__(self, suit: Suit, key: str) -> None:
        self.suit, self.blocks = suit, blocks(suit.rows, Random(f"rows {key}"))
        self.sources, self.tour = Random(f"cases {key}"), Tour(suit, Random(f"tour {key}"))
        self.order, self.draws = Random(f"order {key}"), 0
        self.passed: list[tuple[FuzzCase, Verdict]] = []
        self.last: FuzzCase | None = None
        self.turns = 0  # blocks so far; the first is without the tour, so that each algorithm has cases soon


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of fuzzing one algorithm."""

    findings: tuple[Finding, ...]
    figures: Figures
    fractions: tuple[tuple[FuzzCase, float], ...]  # fraction of the error bound, for each passed case that has one

    @property
    def failure(self) -> Finding | None:
        """The first finding; None if there is none."""
        return self.findings[0] if self.findings else None


def fuzz(
    algorithm: Algorithm,
    device: Device,
    *,
    examples: int = 200,
    seed: int = 0,
    directions: Sequence[Direction] = DIRECTIONS,
    shrink: bool = False,
    keep_going: bool = False,
    watch: Callable[[Step], None] | None = None,
) -> Result:
    """Fuzz an algorithm in this process, for a number of cases or until a failure is found.

    Parameters
    ----------
    examples : number of cases
    shrink : whether to shrink the case of each failure
    keep_going : whether to look for other failures after the first
    watch : called with every step, refused draws included

    The cases are those of `convbench fuzz --seed SEED --algorithm NAME`.
    """
    campaign = Campaign([algorithm], device, directions=directions, seed=seed)
    figures, findings, fractions = campaign.figures[algorithm.name], [], []
    for step in campaign.steps():
        if watch is not None:
            watch(step)
        if step.case is not None and step.verdict.outcome == "passed" and step.verdict.fraction is not None:
            fractions.append((step.case, step.verdict.fraction))
        if finding := campaign.new(step):
            findings.append(campaign.shrunk(step, finding) if shrink else finding)
            if not keep_going:
                break
            campaign.known += [] if shrink else [finding]
        if figures.cases >= examples:
            break
    return Result(findings=tuple(findings), figures=figures, fractions=tuple(fractions))
