"""A harness whose jobs run in worker processes, so that no algorithm ends, hangs or fills the process of its caller.

It gives what `Harness` gives, and calls no code of an algorithm here. Each worker has a `Harness` of its own, and says
which job it has begun. If the worker is lost, that job gets a record which says what became of it; the other jobs of
its layer go on in a new worker.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Self

from convbench.crew import Ended, Posted, StartError, Workforce
from convbench.devices import DistantDevice
from convbench.errors import DeviceError
from convbench.interrupts import Interruption
from convbench.measurement.harness import Harness
from convbench.measurement.job import Facts, Job, Judgement, Space, by_layer
from convbench.measurement.parts import Dropped, FoundThere, Part, Result, Sentence, What
from convbench.measurement.sampling import Effort
from convbench.records import Record
from convbench.workload import Layer, Workload

ALIKE = 2  # times that a part may end without a job to blame before all that is left of it is given up
QUICK = 100  # jobs in a part that asks an algorithm something, and runs no kernel
MOST_LOSSES = 2  # machines that a job may be lost with


def distant_device(workers: Workforce[Part]) -> DistantDevice:
    """The device that the workers have. Raises ConvbenchError if there is none, and StartError."""
    nothing = Workload(name="", source="", layers=())
    workers.add(Part("device", {}, nothing, Effort(maximum=1, max_seconds=0.0)))
    for event in workers.events():
        if isinstance(event, Ended):
            if event.fate == "done":
                assert isinstance(event.result, DistantDevice)
                return event.result
            raise StartError(f"a worker cannot tell which device it has: {event.reason}")
    raise AssertionError  # a part always ends


class IsolatedHarness(Harness):
    """A harness that does its jobs in a worker process.

    Parameters
    ----------
    workers : do the jobs; they were started by `StartParts`, with a harness of the same device, seed, database and
        forecast as this one
    apart : whether jobs of one layer may be done by several workers, because their times are not compared
    visible : makes a text harmless, before it is printed: what the algorithms print is printed here, too

    Methods raise StartError if no worker can be started, and DeviceError if a GPU cannot be used again after a worker
    on it was lost. Use it as a context manager: its end ends the workers.
    """

    def __init__(
        self, harness: Harness, workers: Workforce[Part], *, visible: Callable[[str], str], apart: bool = False
    ) -> None:
        super().__init__(
            harness.device, seed=harness.seed, effort=harness.effort, now=harness.now, database=harness.database,
            forecast=harness.forecast,
        )  # fmt: skip
        self._crew, self._visible, self._apart = workers, visible, apart
        self._facts: dict[tuple[Layer, str, str], Facts] = {}
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._crew.close()

    def keys(self, todo: Sequence[Job]) -> list[tuple[object, ...]]:
        """The keys that the jobs' records will have."""
        self._learn(todo)
        return super().keys(todo)

    def facts(self, job: Job) -> Facts:
        """The facts about a job's algorithm, as a worker has found them."""
        if _identity(job) not in self._facts:
            self._learn([job])
        return self._facts[_identity(job)]

    def spaces(self, todo: Sequence[Job]) -> list[Space]:
        """The configs that each job's algorithm offers for its layer, as workers have found them."""
        nothing = Workload(name="", source="", layers=())
        found = dict(self._results("space", nothing, dict(enumerate(todo))))
        return [space for _, space in sorted(found.items()) if isinstance(space, Space)]

    def space(self, job: Job) -> Space:
        """The configs that a job's algorithm offers for its layer."""
        return self.spaces([job])[0]

    def judge(self, job: Job) -> Judgement:
        """Not here: a judgement holds arrays, which stay in the worker. `verified` gives its record."""
        raise NotImplementedError

    def verified(self, workload: Workload, todo: Sequence[Job]) -> Iterator[tuple[Job, Record]]:
        """Verify the jobs, and yield each with its record, which has no timing, as soon as it is known."""
        return self._done("verify", workload, todo)

    def measured(self, workload: Workload, todo: Sequence[Job]) -> Iterator[tuple[Job, Record]]:
        """Yield each job with its record, as `Harness.measured` does. A lost device costs a worker, and no error."""
        return self._done("measure", workload, todo)

    def _learn(self, todo: Sequence[Job]) -> None:
        """Have a worker find the facts about jobs. A worker that is lost by it leaves the facts of that job unknown."""
        unknown = [job for job in todo if _identity(job) not in self._facts]
        nothing = Workload(name="", source="", layers=())
        for number, found in self._results("facts", nothing, dict(enumerate(unknown))):
            assert isinstance(found, Facts)
            self._facts[_identity(unknown[number])] = found

    def _done(self, what: What, workload: Workload, todo: Sequence[Job]) -> Iterator[tuple[Job, Record]]:
        self._learn(todo)  # before any job, whose record may have to be made here
        for number, found in self._results(what, workload, dict(enumerate(todo))):
            assert isinstance(found, Record)
            # a tuned config may have turned out to be of no use
            known = Facts(family=found.family, precision=found.precision, config=found.config)
            self._facts[_identity(todo[number])] = known
            yield todo[number], found

    def _results(self, what: What, workload: Workload, todo: dict[int, Job]) -> Iterator[tuple[int, FoundThere]]:
        places = {id(job): number for number, job in todo.items()}
        name = replace(workload, layers=(), skipped=(), notes=())  # a worker needs its name alone
        for group in self._groups(what, list(todo.values())):
            jobs = {places[id(job)]: (job.layer, job.algorithm.name, job.config) for job in group}
            self._crew.add(Part(what, jobs, name, self.effort))
        try:
            for event in self._crew.events():
                if isinstance(event, Posted):
                    yield from self._heard(event, todo)
                elif isinstance(event, Ended) and event.fate == "left_out":  # by a signal that ends all
                    raise Interruption
                elif isinstance(event, Ended) and event.fate != "done":
                    yield from self._mourned(event, todo)
                self._look(todo)
        finally:
            self._crew.cancel()  # nothing is left, unless the caller has stopped before the end

    def _look(self, todo: dict[int, Job]) -> None:
        """Call `watch` with the job that a worker has begun, as far as it can be seen a few times in a second."""
        for part, what in self._crew.under_way():
            if int(what) in part.jobs:
                self.watch(todo[int(what)])

    def _groups(self, what: What, todo: list[Job]) -> Iterator[Iterable[Job]]:
        """The jobs of each part."""
        if what in ("facts", "space"):
            return (todo[first : first + QUICK] for first in range(0, len(todo), QUICK))
        return ([job] for job in todo) if self._apart else (group for _, group in by_layer(todo))

    def _heard(self, event: Posted[Part], todo: dict[int, Job]) -> Iterator[tuple[int, FoundThere]]:
        match event.content:
            case Result(number, found, compile_s) if number in event.task.jobs:  # else a lost machine has told it
                self.device.compile_s += compile_s
                del event.task.jobs[number]
                self._print(event.output)
                if isinstance(found, Record):
                    self._check_device(found)
                    layer = todo[number].layer  # another caller, who wanted the same, may have other names for it
                    found = replace(
                        found, workload=event.task.workload.name, layer=layer.name, count=layer.count,
                        output=event.output or None,
                    )  # fmt: skip
                yield number, found
            case Sentence(text):
                self._tell(text)
            case Dropped((algorithm, problem, direction, reason)) if self.database is not None:
                self.database.drop(algorithm, problem, direction, self.device, reason)

    def _check_device(self, record: Record) -> None:
        if record.device["name"] != self.description["name"]:
            raise DeviceError(
                f"workers have unlike devices, {self.description['name']} and {record.device['name']}, whose results "
                "cannot be told apart in one file; use those of one kind"
            )

    def _mourned(self, ended: Ended[Part], todo: dict[int, Job]) -> Iterator[tuple[int, FoundThere]]:
        """The results of the jobs that a lost worker leaves undone, or that are given up; the others go on."""
        part = ended.task
        self._print(ended.output)
        if ended.fate == "lost":
            yield from self._lost(ended, todo)
            return
        blamed = [int(ended.doing)] if ended.doing is not None and int(ended.doing) in part.jobs else []
        if blamed and part.what in ("facts", "space") and ended.fate == "crashed" and part.suspect != blamed[0]:
            # asked again, for its process may have been killed from outside: without facts its record has another key
            (part.suspect,) = blamed
            blamed = []
        elif not blamed:
            part.blameless += 1
            if part.blameless >= ALIKE:
                blamed = list(part.jobs)
        for number in blamed:
            del part.jobs[number]
            yield number, self._epitaph(part, todo[number], ended)
        if part.jobs:
            self._crew.add(part, first=True)

    def _lost(self, ended: Ended[Part], todo: dict[int, Job]) -> Iterator[tuple[int, FoundThere]]:
        """Have jobs that were lost with a machine done elsewhere: one by one, so that the next loss has one to blame.

        The result of a job that was lost before.
        """
        part = ended.task
        self._tell(f"{ended.reason}; its jobs are done elsewhere")
        if len(part.jobs) == 1 and part.losses + 1 >= MOST_LOSSES:
            (number,) = part.jobs
            yield number, self._epitaph(part, todo[number], ended)
            return
        alone = (replace(part, jobs={number: job}, losses=part.losses + 1) for number, job in part.jobs.items())
        self._crew.add(*alone, first=True)

    def _epitaph(self, part: Part, job: Job, ended: Ended[Part]) -> FoundThere:
        if part.what == "facts":
            return Facts(family=job.algorithm.family, precision=job.layer.problem.dtype, config={})
        if part.what == "space":
            return Space(refusal=ended.reason, is_failure=True)
        reason = f"{ended.reason} (--timeout)" if ended.fate == "timed_out" else ended.reason
        if ended.fate == "lost":
            judgement = Judgement(outcome="crashed", reason=f"{reason}, as another one was before, while it did this")
        else:
            judgement = Judgement(outcome=ended.loss, reason=reason)
        found = replace(self.record(job, part.workload, judgement), output=ended.output or None)
        if ended.host is None:
            return found
        # of the worker on a cluster no more is known: it may have another GPU of the same model
        device = {name: value for name, value in found.device.items() if name != "uuid"}
        return replace(found, device=device, environment=found.environment | {"host": ended.host})

    def _print(self, output: str) -> None:
        if output:
            print(self._visible(output), end="" if output.endswith("\n") else "\n", flush=True)

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:  # each worker tells it
            self._told.add(sentence)
            print(f"convbench: {sentence}", file=sys.stderr)


def _identity(job: Job) -> tuple[Layer, str, str]:
    return job.layer, job.algorithm.name, repr(job.config)
