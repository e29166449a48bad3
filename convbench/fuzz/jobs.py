"""The jobs of a call: a crew of workers runs a campaign each, and a lost worker is replaced, so that all goes on.

No code of an algorithm runs in the parent. One more worker asks the algorithms which cases they may have; if the jobs
end soon, one of theirs does.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from tempfile import TemporaryDirectory
from typing import ClassVar, Self

from convbench.crew import Crew, Ended, Posted, Workforce
from convbench.devices import check_after_loss
from convbench.errors import CaseError
from convbench.fuzz import orders as told
from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.orders import Found, Inquiry, Job, Message, Orders, Progress
from convbench.fuzz.verdicts import Finding, lost
from convbench.fuzz.worker import Start

ASK_AFTER_S = 5.0  # of the campaign: a shorter one is not worth the start of another worker
LOOK_S = 0.1  # how long to wait for a message before the caller may look at something else
MOST_DEATHS = 3  # workers that an algorithm may take down before it is left out

Hire = Callable[[Start], Workforce[Job | Inquiry]]

NO_LONGER = "{name} took {deaths} processes down, and is no longer run"


class Jobs:
    """The jobs of a call, for their parent. Use it as a context manager: its end ends all workers.

    Parameters
    ----------
    hire : gives the workers; None: processes of this machine
    """

    STOP_S: ClassVar[float] = 20.0  # how long to wait for jobs that were told to stop: one may be compiling a kernel

    def __init__(self, orders: Orders, hire: Hire | None = None) -> None:
        self.orders, self.end = orders, time.time() + (orders.seconds or inf)
        # Hypothesis would otherwise write into the current folder
        self._folder = TemporaryDirectory(prefix="convbench-fuzz-", ignore_cleanup_errors=True)
        self._crew = (hire or self._processes)(Start(orders, self._folder.name, self.end))
        self._done: dict[int, dict[str, int]] = {}  # cases by job and by algorithm
        self._deaths: Counter[str] = Counter()  # workers by the algorithm that took them down
        self._blameless = 0  # machines that were lost with no algorithm under way
        self._known: list[Finding] = []
        self._hired, self._stopped, self._interrupted = orders.jobs + 1, False, False
        self._jobs_left, self._ask_at = orders.jobs, time.monotonic() + ASK_AFTER_S
        self._inquiry: Inquiry | None = Inquiry(number=orders.jobs, algorithms=orders.algorithms)
        self._crew.add(
            *(
                Job(
                    number=share,
                    share=share,
                    algorithms=orders.algorithms_of(share),
                    corpus=orders.corpus_of(share),
                    examples=orders.examples_of(share),
                )
                for share in range(orders.jobs)
            )
        )

    def _processes(self, start: Start) -> Workforce[Job | Inquiry]:
        orders = self.orders
        return Crew(
            start, orders.jobs + 1, memory=orders.memory, fails_allocations=not orders.device.startswith("cuda"),
            after_loss=partial(check_after_loss, orders.device),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._crew.close()
        self._folder.cleanup()

    def messages(self) -> Iterator[tuple[int, Message, str] | None]:
        """Yield each message with the number of its job and with what the job printed; None if none comes for a while.

        It ends when all jobs have ended.
        """
        for event in self._crew.events(look_s=LOOK_S):
            match event:
                case None:
                    yield None
                case Posted(job, message, output):
                    if isinstance(message, Progress):
                        self._done[job.number] = {name: one.cases for name, one in message.figures.items()}
                    elif isinstance(message, Found) and message.final:
                        self._known.append(message.finding)
                    yield job.number, message, output
                case Ended(task=job, fate="done", result=reason, output=output):
                    self._jobs_left -= isinstance(job, Job)
                    yield job.number, told.Ended(reason), output
                case Ended(task=job, fate="left_out"):  # by a signal that ends all
                    self._jobs_left -= isinstance(job, Job)
                    yield job.number, told.Ended(None), ""
                case Ended(task=job, fate="lost") as ended:
                    self._jobs_left -= isinstance(job, Job)
                    yield self._lost_with_machine(job, ended)
                case Ended(task=job) as ended:
                    self._jobs_left -= isinstance(job, Job)
                    yield from self._lost(job, ended)
            if self._inquiry is not None and (not self._jobs_left or time.monotonic() > self._ask_at):
                self._crew.add(self._inquiry)
                self._inquiry = None

    def tell(self, finding: Finding) -> None:
        """Tell all jobs about a finding, so that none shrinks the same failure again."""
        self._crew.tell(finding)

    def stop(self, *, but: int | None = None) -> None:
        """Ask all jobs to end, or all but the one of a number. They still send their last results.

        A job that is lost is not replaced.
        """
        self._stopped, self._interrupted = True, self._interrupted or but is None
        self._inquiry = None if self._interrupted else self._inquiry
        self._crew.tell(None, but=lambda job: but is not None and (isinstance(job, Inquiry) or job.number == but))

    def _lost(self, job: Job | Inquiry, ended: Ended[Job | Inquiry]) -> Iterator[tuple[int, Message, str]]:
        """The messages for a job whose worker was lost; another job takes its place."""
        case = _case(ended)
        if case is None:  # no case is to blame
            yield job.number, told.Ended(ended.reason), ended.output
            return
        finding, reason = lost(case, ended.loss, str(ended.reason)), self._blamed(case.algorithm)
        # its case is not shrunk, so its traits tell nothing: one finding of a cause is enough
        if finding.cause not in {known.cause for known in self._known}:
            self._known.append(finding)
            is_known = isinstance(job, Job) and case in job.corpus
            yield job.number, Found(finding, final=True, from_corpus=is_known), ended.output
        yield job.number, told.Ended(reason), ""
        if isinstance(job, Inquiry) or self.orders.keep_going:
            self._add_next(job, case)

    def _lost_with_machine(self, job: Job | Inquiry, ended: Ended[Job | Inquiry]) -> tuple[int, Message, str]:
        """The message for a job whose worker was lost with a machine of the cluster; another job takes its place.

        The case under way is not run again, and no finding is made of it, for the machine may have been the cause. But
        an algorithm that was under way at several losses is left out.
        """
        case = _case(ended)
        self._blameless += case is None
        reason = None if case is None else self._blamed(case.algorithm)
        goes_on = self._blameless <= MOST_DEATHS * self.orders.jobs and self._add_next(job, case)
        if reason is None and not goes_on and not self._stopped:
            reason = ended.reason
        elsewhere = "; its share goes on elsewhere" if goes_on else ""
        return job.number, told.Ended(reason), f"{ended.reason}{elsewhere}\n"

    def _blamed(self, algorithm: str) -> str | None:
        """Count a worker that an algorithm has taken down. A sentence if the algorithm is left out from now on."""
        self._deaths[algorithm] += 1
        if self._deaths[algorithm] != MOST_DEATHS:
            return None
        return NO_LONGER.format(name=algorithm, deaths=MOST_DEATHS)

    def _add_next(self, job: Job | Inquiry, case: FuzzCase | None) -> bool:
        """Have another job go on where one was lost, with a case under way or with none. Whether there is one."""
        if isinstance(job, Inquiry):
            asked = 0 if case is None else job.algorithms.index(case.algorithm) + 1
            if not self._interrupted:
                self._crew.add(replace(job, algorithms=job.algorithms[asked:]))
            return not self._interrupted
        if self._stopped or time.time() >= self.end:
            return False
        self._crew.add(self._next(job, case))
        self._jobs_left += 1
        return True

    def _next(self, job: Job, case: FuzzCase | None) -> Job:
        """The job that goes on where another was lost.

        It begins with the algorithms that have had the fewest cases, so that one which takes down each worker does not
        keep the others from their turn.
        """
        done = sum(self._done.get(job.number, {}).values())
        if case is None:
            left = () if done else job.corpus
        else:
            left = job.corpus[job.corpus.index(case) + 1 :] if case in job.corpus else ()  # the corpus comes first
            done += case not in job.corpus
        number, self._hired = self._hired, self._hired + 1
        had = sum(map(Counter, self._done.values()), self._deaths.copy())
        alive = [name for name in self.orders.algorithms if self._deaths[name] < MOST_DEATHS]
        return replace(
            job, number=number, algorithms=tuple(sorted(alive, key=lambda name: had[name])), corpus=left,
            examples=max(0, job.examples - done), known=tuple(self._known),
        )  # fmt: skip


def _case(ended: Ended[Job | Inquiry]) -> FuzzCase | None:
    """The case that was under way when a worker was lost."""
    with suppress(CaseError):
        return FuzzCase.read(ended.doing or "")
    return None
