"""Parts of the work of an isolated harness: what a worker is asked to do, what it answers, and how it does it.

A part is some jobs that one worker does together. The worker has a `Harness` of its own. It says which job it begins,
and posts each result as soon as it is known.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from convbench.algorithm import Algorithm, registry
from convbench.crew import Desk
from convbench.devices import Device, DistantDevice
from convbench.measurement.harness import Harness, TunedConfigs
from convbench.measurement.job import Facts, Job, Judgement, Space
from convbench.measurement.limits import memory_reason, time_limit_s
from convbench.measurement.sampling import Effort
from convbench.problem import ConvProblem, Direction
from convbench.records import Record
from convbench.workload import Layer, Workload

Tell = Callable[[str], None]  # tells the user a sentence
MakeHarness = Callable[[Tell], Harness]  # called in each worker; picklable

What = Literal["device", "facts", "space", "verify", "measure"]
FoundThere = Record | Facts | Space


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
class Part:
    """Jobs that a worker does together, by their numbers."""

    what: What
    jobs: dict[int, tuple[Layer, str, Any]]  # layer, name of the algorithm, config
    workload: Workload
    effort: Effort
    blameless: int = 0  # times that it has ended without a job to blame
    losses: int = 0  # machines that its jobs were lost with
    suspect: int | None = None  # the job that was under way when an answer was lost with its process

    @property
    def content(self) -> str:
        """What is to be done: parts of one content have the same results, but for the names of layers."""
        jobs = [(number, *map(str, layer.work), name, repr(c)) for number, (layer, name, c) in self.jobs.items()]
        return f"{self.what} {jobs} {self.effort}"


@dataclass(frozen=True)
class Result:
    """What one job of a part gave."""

    number: int
    found: FoundThere
    compile_s: float  # since the last result


@dataclass(frozen=True)
class Sentence:
    """A sentence for the user."""

    text: str


@dataclass(frozen=True)
class Dropped:
    """A tuned config that turned out to be of no use."""

    what: tuple[str, ConvProblem, Direction, str]


@dataclass(frozen=True)
class StartParts:
    """Makes what does parts in a worker.

    Parameters
    ----------
    make : makes the harness there
    limits : of each worker
    """

    make: MakeHarness
    limits: Limits

    def __call__(self, desk: Desk) -> "_Worker":
        harness = self.make(lambda sentence: desk.post(Sentence(sentence)))
        if harness.database is not None:
            harness.database = _Reporting(harness.database, desk)
        return _Worker(desk, harness, self.limits)


class _Worker:
    """Does parts in a worker."""

    def __init__(self, desk: Desk, harness: Harness, limits: Limits) -> None:
        self.desk, self.harness, self.limits = desk, harness, limits

    def __call__(self, part: Part) -> DistantDevice | None:
        if part.what == "device":
            return DistantDevice(self.harness.device.name, self.harness.description)
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
            desk.post(Result(numbers[id(job)], found, harness.device.compile_s - compiled))
            compiled = harness.device.compile_s
        return None

    def _found(self, part: Part, todo: list[Job]) -> Iterator[tuple[Job, FoundThere]]:
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
        self.desk.post(Dropped((algorithm, problem, direction, reason)))
