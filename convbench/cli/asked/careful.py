"""Runs jobs so that --resume knows which one ended the command, if one does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

from convbench.cli.streams import tell

if TYPE_CHECKING:
    from convbench.measurement import Harness, Job
    from convbench.records import BegunFile, Record
    from convbench.workload import Workload

TRIES = 2  # how often a job is begun, if the command ends each time before the job does


class Careful:
    """Notes each job before it begins. Use it as a context manager, within that of the records file.

    A job that was under way when an earlier command ended without a word is tried once more, in a worker process
    whatever the isolation of the others, and this is told. If that command ended in the same way, the job is recorded
    as crashed, and does not run.

    Parameters
    ----------
    harness : runs the jobs
    isolated : makes a harness whose jobs run in a worker process; not called if `harness` is such a one
    begun : the file of what was begun; None: nothing is noted
    """

    def __init__(self, harness: "Harness", isolated: "Callable[[], Harness]", begun: "BegunFile | None") -> None:
        self.harness, self._isolated, self._begun = harness, isolated, begun
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._begun is not None:
            self._stack.enter_context(self._begun)
            self._watch(self.harness)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def keys(self, todo: "Sequence[Job]") -> "list[tuple[object, ...]]":
        """The keys that the jobs' records will have. To find them runs code of the jobs."""
        marked = [job for job in todo if self._times(job)]
        rest = [job for job in todo if not self._times(job)]
        found = dict(zip(map(id, rest), self.harness.keys(rest), strict=True))
        if marked:
            found |= zip(map(id, marked), self._worker.keys(marked), strict=True)
        return [found[id(job)] for job in todo]

    def results(
        self, what: Literal["verified", "measured"], workload: "Workload", todo: "Sequence[Job]", *, retries: bool
    ) -> "Iterator[tuple[Job, Record]]":
        """The jobs, each with its record, as `Harness.verified` or `Harness.measured` gives them.

        Parameters
        ----------
        retries : whether a job that ended two commands is tried again, too
        """
        from convbench.measurement import Judgement

        given_up = [job for job in todo if self._times(job) >= TRIES and not retries]
        apart = [job for job in todo if self._times(job) and job not in given_up]
        rest = [job for job in todo if not self._times(job)]
        for job in given_up:
            reason = f"it was begun {self._times(job)} times, and each time the whole command ended before it did"
            yield job, self._worker.record(job, workload, Judgement(outcome="crashed", reason=reason))
            self.end(job)
        if apart:
            named = ", ".join(f"{job.algorithm.name} on {job.layer.problem}" for job in apart)
            tell(f"{named}: under way when an earlier command ended; tried once more, in a worker process")
        for part in (apart, rest):
            harness = self._worker if part is apart and apart else self.harness
            harness.effort = self.harness.effort
            for job, record in (harness.verified if what == "verified" else harness.measured)(workload, part):
                yield job, record
                self.end(job)

    def end(self, job: "Job") -> None:
        """Note that a job has ended: its record is kept."""
        if self._begun is not None:
            self._begun.end(self.harness.name(job))

    @cached_property
    def _worker(self) -> "Harness":
        from convbench.measurement import IsolatedHarness

        if isinstance(self.harness, IsolatedHarness):
            return self.harness
        worker = self._stack.enter_context(self._isolated())
        self._watch(worker)
        return worker

    def _watch(self, harness: "Harness") -> None:
        usual = harness.watch
        harness.watch = self._begin
        self._stack.callback(setattr, harness, "watch", usual)

    def _times(self, job: "Job") -> int:
        return 0 if self._begun is None else self._begun.times.get(self.harness.name(job), 0)

    def _begin(self, job: "Job") -> None:
        if self._begun is not None:
            self._begun.begin(self.harness.name(job))
