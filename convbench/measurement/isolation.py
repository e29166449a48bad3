"""A harness whose jobs run in worker processes, so that no algorithm ends, hangs or fills the process of its caller.

It gives what `Harness` gives, and calls no code of an algorithm here. Each worker has a `Harness` of its own, and says
which job it has begun. If the worker is lost, that job gets a record which says what became of it; the other jobs of
its layer go on in a new worker.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from convbench.algorithm import Algorithm, registry
from convbench.crew import Crew, Desk, Ended, Posted
from convbench.devices import Device
from convbench.measurement.harness import Harness, TunedConfigs
from convbench.measurement.job import Facts, Job, Judgement, Space, by_layer
from convbench.measurement.limits import memory_reason, time_limit_s
from convbench.measurement.sampling import Effort
from convbench.problem import ConvProblem, Direction
from convbench.records import Record
from convbench.workload import Layer, Workload

Tell = Callable[[str], None]  # tells the user a sentence
MakeHarness = Callable[[Tell], Harness]  # called in each worker; picklable

What = Literal["facts", "space", "verify", "measure"]
FoundThere = Record | Facts | Space
ALIKE = 2  # times that a part may end without a job to blame before all that is left of it is given up


@dataclass(frozen=True)
class Limits:
    """What a worker may take.

    Parameters
    ----------
    timeout_s : seconds for each job, and again for each of its samples; None: from the size of the problem
    memory : bytes in use by a worker and what it starts
    """

    timeout_s: float | None = None
    memory: int | None = None


@dataclass(eq=False)
class _Part:
    """Jobs that a worker does together, by their numbers."""

    what: What
    jobs: dict[int, tuple[Layer, str, Any]]  # layer, name of the algorithm, config
    workload: Workload
    effort: Effort
    blameless: int = 0  # times that it has ended without a job to blame


@dataclass(frozen=True)
class _Result:
    """What one job of a part gave."""

    number: int
    found: FoundThere
    compile_s: float  # since the last result


@dataclass(frozen=True)
class _Sentence:
    """A sentence for the user."""

    text: str


@dataclass(frozen=True)
class _Dropped:
    """A tuned config that turned out to be of no use."""

    what: tuple[str, ConvProblem, Direction, str]


class IsolatedHarness(Harness):
    """A harness that does its jobs in a worker process.

    Parameters
    ----------
    make : makes the harness of a worker, with the same device, seed, database and forecast as this one
    limits : of each worker
    visible : makes a text harmless, before it is printed: what the algorithms print is printed here, too

    Methods raise StartError if no worker can be started. Use it as a context manager: its end ends the workers.
    """

    def __init__(self, harness: Harness, make: MakeHarness, *, limits: Limits, visible: Callable[[str], str]) -> None:
        super().__init__(
            harness.device, seed=harness.seed, effort=harness.effort, now=harness.now, database=harness.database,
            forecast=harness.forecast,
        )  # fmt: skip
        self.limits, self._visible = limits, visible
        self._crew: Crew[_Part] = Crew(
            _Start(make, limits), memory=limits.memory, fails_allocations=not harness.device.is_gpu
        )
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
        places, of_layers = {id(job): number for number, job in todo.items()}, by_layer(list(todo.values()))
        name = replace(workload, layers=(), skipped=(), notes=())  # a worker needs its name alone
        for _, group in of_layers:
            jobs = {places[id(job)]: (job.layer, job.algorithm.name, job.config) for job in group}
            self._crew.add(_Part(what, jobs, name, self.effort))
        try:
            for event in self._crew.events():
                if isinstance(event, Posted):
                    yield from self._heard(event)
                elif isinstance(event, Ended) and event.fate != "done":
                    yield from self._mourned(event, todo)
        finally:
            self._crew.cancel()  # nothing is left, unless the caller has stopped before the end

    def _heard(self, event: Posted[_Part]) -> Iterator[tuple[int, FoundThere]]:
        match event.content:
            case _Result(number, found, compile_s):
                self.device.compile_s += compile_s
                del event.task.jobs[number]
                self._print(event.output)
                if isinstance(found, Record) and event.output:
                    found = replace(found, output=event.output)
                yield number, found
            case _Sentence(text):
                self._tell(text)
            case _Dropped((algorithm, problem, direction, reason)) if self.database is not None:
                self.database.drop(algorithm, problem, direction, self.device, reason)

    def _mourned(self, ended: Ended[_Part], todo: dict[int, Job]) -> Iterator[tuple[int, FoundThere]]:
        """The results of the jobs that a lost worker leaves undone, or that are given up; the others go on."""
        part = ended.task
        self._print(ended.output)
        blamed = [int(ended.doing)] if ended.doing is not None and int(ended.doing) in part.jobs else []
        if not blamed:
            part.blameless += 1
            if part.blameless >= ALIKE:
                blamed = list(part.jobs)
        for number in blamed:
            del part.jobs[number]
            yield number, self._epitaph(part, todo[number], ended)
        if part.jobs:
            self._crew.add(part, first=True)

    def _epitaph(self, part: _Part, job: Job, ended: Ended[_Part]) -> FoundThere:
        if part.what == "facts":
            return Facts(family=job.algorithm.family, precision=job.layer.problem.dtype, config={})
        if part.what == "space":
            return Space(refusal=ended.reason, is_failure=True)
        reason = f"{ended.reason} (--timeout)" if ended.fate == "timed_out" else ended.reason
        judgement = Judgement(outcome=ended.loss, reason=reason)
        return replace(self.record(job, part.workload, judgement), output=ended.output or None)

    def _print(self, output: str) -> None:
        if output:
            print(self._visible(output), end="" if output.endswith("\n") else "\n", flush=True)

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:  # each worker tells it
            self._told.add(sentence)
            print(f"convbench: {sentence}", file=sys.stderr)


@dataclass(frozen=True)
class _Start:
    """Makes what does parts in a worker."""

    make: MakeHarness
    limits: Limits

    def __call__(self, desk: Desk) -> Callable[[_Part], None]:
        harness = self.make(lambda sentence: desk.post(_Sentence(sentence)))
        if harness.database is not None:
            harness.database = _Reporting(harness.database, desk)
        return _Worker(desk, harness, self.limits)


class _Worker:
    """Does parts in a worker."""

    def __init__(self, desk: Desk, harness: Harness, limits: Limits) -> None:
        self.desk, self.harness, self.limits = desk, harness, limits

    def __call__(self, part: _Part) -> None:
        harness, desk, compiled = self.harness, self.desk, self.harness.device.compile_s
        jobs = {
            number: Job(layer=layer, algorithm=registry.get(name), config=config)
            for number, (layer, name, config) in part.jobs.items()
        }
        numbers = {id(job): number for number, job in jobs.items()}

        def watch(job: Job) -> None:
            limit_s = self.limits.timeout_s or time_limit_s(job.layer.problem, harness.device)
            desk.begin(str(numbers[id(job)]), limit_s)

        harness.watch, harness.effort = watch, part.effort
        for job, found in self._found(part, list(jobs.values())):
            desk.end_children()
            desk.post(_Result(numbers[id(job)], found, harness.device.compile_s - compiled))
            compiled = harness.device.compile_s

    def _found(self, part: _Part, todo: list[Job]) -> Iterator[tuple[Job, FoundThere]]:
        harness = self.harness
        if part.what in ("facts", "space"):
            for job in todo:
                harness.watch(job)
                yield job, harness.facts(job) if part.what == "facts" else harness.space(job)
            return
        fit = []
        for job in todo:
            reason = memory_reason(job.layer.problem, job.layer.direction, self.limits.memory)
            if reason is None:
                fit.append(job)
            else:
                harness.watch(job)
                yield job, harness.record(job, part.workload, Judgement(outcome="out_of_memory", reason=reason))
        yield from (harness.verified if part.what == "verify" else harness.measured)(part.workload, fit)


class _Reporting:
    """A database of tuned configs that reports to the parent what it drops."""

    def __init__(self, database: TunedConfigs, desk: Desk) -> None:
        self.database, self.desk = database, desk

    def config(self, algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device) -> Any:
        return self.database.config(algorithm, problem, direction, device)

    def drop(self, algorithm: str, problem: ConvProblem, direction: Direction, device: Device, reason: str) -> None:
        self.database.drop(algorithm, problem, direction, device, reason)
        self.desk.post(_Dropped((algorithm, problem, direction, reason)))


def _identity(job: Job) -> tuple[Layer, str, str]:
    return job.layer, job.algorithm.name, repr(job.config)
