"""Verify, then time: from layers and algorithms to records.

What is wrong, refused or crashes is recorded at once. The algorithms that are right on one layer are timed together,
taking turns (`convbench.measurement.sampling`), as far as the device has room for all of them.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from convbench.algorithm import Algorithm
from convbench.devices import Device
from convbench.errors import ConfigError, DeviceError, KernelError, OutOfDeviceMemoryError, RefusedError
from convbench.measurement.contest import Contender, hold
from convbench.measurement.execution import Execution
from convbench.measurement.floor import floor_us
from convbench.measurement.sampling import Effort
from convbench.measurement.verification import Case, digest_of, verify
from convbench.problem import ConvProblem, Direction
from convbench.records import Cache, Outcome, Record, Timing, environment, key_of
from convbench.workload import Layer, Workload


class TunedConfigs(Protocol):
    """What a harness asks of a database of tuned configs."""

    def config(self, algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device) -> Any:
        """The config found for a problem on a device; None where there is none."""

    def drop(self, algorithm: str, problem: ConvProblem, direction: Direction, device: Device, reason: str) -> None:
        """Forget the config of a problem on a device, for a reason that is told."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One result to be had."""

    layer: Layer
    algorithm: Algorithm
    config: Any = None  # what it runs with; None: what the database has, or else the algorithm's default


def jobs(workload: Workload, algorithms: Sequence[Algorithm]) -> list[Job]:
    """Layer by layer, so that the references of a layer are computed once and kept no longer than needed."""
    return [Job(layer=layer, algorithm=algorithm) for layer in workload.layers for algorithm in algorithms]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What verification came to, with the words of a record."""

    outcome: Outcome
    reason: str | None
    exact: bool = False
    fraction: float | None = None
    digest: str | None = None  # of the verified output, for the timed runs to repeat


@dataclass(frozen=True)
class Ready:
    """A job that is right, and what times it."""

    job: Job
    judgement: Judgement
    contender: Contender
    compile_s: float


class Harness:
    """Judges and measures on one device.

    Parameters
    ----------
    device : where to run
    seed : of the data
    direction : which of the three convolutions of a layer
    effort : how often to run; by default as the device allows
    now : the clock of the records' `when`
    database : of tuned configs, for `records`; None: every algorithm runs with its default
    case : makes the data and references of a problem
    """

    def __init__(
        self,
        device: Device,
        *,
        seed: int = 0,
        direction: Direction = "forward",
        effort: Effort | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        database: TunedConfigs | None = None,
        case: Callable[[ConvProblem, int, Direction], Case] = Case,
    ) -> None:
        self.device, self.seed, self.direction, self.now, self.database = device, seed, direction, now, database
        self.effort = Effort.for_device(device) if effort is None else effort
        self.description, self.environment = device.describe(), environment.capture()
        self._make_case = case
        self._case: Case | None = None

    def key(self, job: Job) -> tuple[object, ...]:
        """What the job's record will be found by, before it is there: `Record.key` and the seed."""
        fields = str(job.layer.problem), self.direction, job.algorithm.name, self._config_of(job), self.description
        return *key_of(*fields), self.seed

    def records(self, workload: Workload, todo: Sequence[Job]) -> Iterator[Record]:
        """One record per job, as soon as it is known: failures at once, times when a layer's algorithms are measured.

        A layer that comes in several orders of memory one after the other is one layer here.

        Raises DeviceError when the device itself is lost; the record of the job that lost it came before.
        """
        for problem, group in groupby(todo, key=lambda job: job.layer.problem.packed()):
            random = np.random.default_rng([self.seed, zlib.crc32(str(problem).encode())])
            ready: list[Ready] = []
            for job in group:
                result = self._ready_or_record(workload, job)
                if isinstance(result, Record) and result.outcome == "out_of_memory" and ready:
                    yield from self._measured(workload, ready, random)  # what they hold may be what it lacks
                    ready = []
                    result = self._ready_or_record(workload, job)
                if isinstance(result, Record):
                    yield result
                    if result.outcome == "crashed":
                        self._check_alive(job)
                else:
                    ready.append(result)
            yield from self._measured(workload, ready, random)

    def judge(self, job: Job) -> Judgement:
        """Refused, or run and compared with the reference; never raises for what an algorithm does."""
        problem = job.layer.problem
        try:
            if reason := job.algorithm.refuses(problem, self.direction) or self.device.refuses(problem):
                return Judgement(outcome="refused", reason=reason)
            verdict = verify(job.algorithm, self._case_of(problem), self.device, config=job.config)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (an algorithm is anyone's code)
            return _failure(error)
        return Judgement(
            outcome="passed" if verdict.passed else "wrong", reason=verdict.reason,
            exact=verdict.exact, fraction=verdict.fraction, digest=verdict.digest,
        )  # fmt: skip

    def _ready_or_record(self, workload: Workload, job: Job) -> "Ready | Record":
        """The job, right and ready to be timed; or the record of why it is not."""
        compiled_before, given = self.device.compile_s, job
        job = self._with_config(given)
        judgement = self.judge(job)
        if judgement.outcome == "refused" and job.config is not given.config and self.database is not None:
            self.database.drop(
                job.algorithm.name, job.layer.problem, self.direction, self.device, str(judgement.reason)
            )
            job, judgement = given, self.judge(given)
        if judgement.outcome != "passed":
            return self._record(job, workload, judgement)
        try:
            tensors, _ = self._case_of(job.layer.problem).of("uniform")
            execution = Execution(job.algorithm, job.layer.problem, self.direction, self.device, tensors, job.config)
            contender = Contender(execution, self.effort)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (an algorithm is anyone's code)
            return self._record(job, workload, _failure(error))
        return Ready(job, judgement, contender, self.device.compile_s - compiled_before)

    def _measured(self, workload: Workload, ready: "list[Ready]", random: np.random.Generator) -> Iterator[Record]:
        """The records of jobs that are timed together; no record of those that a lost device keeps from an end."""
        hold([each.contender for each in ready], random)
        lost = [each for each in ready if each.contender.error is not None]
        for each in ready:
            if each in lost or each.contender.is_measured:
                yield self._finished(workload, each)
        for each in lost:
            self._check_alive(each.job)

    def _finished(self, workload: Workload, ready: "Ready") -> Record:
        """The record of what was timed, or failed meanwhile."""
        job, judgement, contender = ready.job, ready.judgement, ready.contender
        try:
            if contender.error is not None:
                raise contender.error
            timing = contender.timing(lambda cache: self._floor_us(job, cache), ready.compile_s)
            digest = digest_of(contender.execution.results())
        except (Exception, SystemExit) as error:  # noqa: BLE001  (an algorithm is anyone's code)
            return self._record(job, workload, _failure(error))
        reason = self._under_floor(job, timing)
        if digest != judgement.digest:
            reason = "the timed runs left another result than the verified ones"
        if reason is not None:
            return self._record(job, workload, replace(judgement, outcome="wrong", reason=reason))
        return self._record(job, workload, judgement, timing, contender.execution.plan.workspace_bytes)

    def _floor_us(self, job: Job, cache: Cache) -> float | None:
        problem, algorithm = job.layer.problem, job.algorithm
        precision = algorithm.precision(problem)
        return floor_us(problem, self.direction, algorithm.family, precision, self.description, cache)

    def _under_floor(self, job: Job, timing: Timing) -> str | None:
        """Why the times cannot be true, or None."""
        for series in timing.series:
            floor = self._floor_us(job, series.cache)
            if floor is not None and series.median_us < floor:
                return (
                    f"{series.cache} runs of {job.layer.problem} take {series.median_us:.3g} µs by the clock, but "
                    f"{self.description['name']} needs {floor:.3g} µs for the bytes and FLOPs: the time is wrong"
                )
        return None

    def _case_of(self, problem: ConvProblem) -> Case:
        """The data and references of a problem, kept until another problem's turn."""
        if self._case is None or self._case.problem != problem:
            self._case = self._make_case(problem, self.seed, self.direction)
        return self._case

    def _check_alive(self, job: Job) -> None:
        try:
            self.device.synchronize()
        except Exception as error:
            raise DeviceError(
                f"{job.algorithm.name} on {job.layer.problem} took the device down ({error}); "
                "its record is kept, and --resume goes on behind it"
            ) from error

    def _record(
        self,
        job: Job,
        workload: Workload,
        judgement: Judgement,
        timing: Timing | None = None,
        workspace_bytes: int | None = None,
    ) -> Record:
        return Record(
            problem=str(job.layer.problem), direction=self.direction, algorithm=job.algorithm.name,
            family=job.algorithm.family, precision=job.algorithm.precision(job.layer.problem),
            config=self._config_of(job), device=self.description,
            outcome=judgement.outcome, reason=judgement.reason, exact=judgement.exact, fraction=judgement.fraction,
            workload=workload.name, layer=job.layer.name, count=job.layer.count, seed=self.seed, timing=timing,
            workspace_bytes=workspace_bytes, environment=self.environment,
            when=self.now().isoformat(timespec="seconds"),
        )  # fmt: skip

    def _with_config(self, job: Job) -> Job:
        """The job with the config that the database has for it, if it has one and the job names none."""
        problem = job.layer.problem
        if self.database is None or job.config is not None:
            return job
        try:
            if job.algorithm.refuses(problem, self.direction) is not None:
                return job
        except (Exception, SystemExit):  # noqa: BLE001  (an algorithm is anyone's code; the judgement has the reason)
            return job
        return replace(job, config=self.database.config(job.algorithm, problem, self.direction, self.device))

    def _config_of(self, job: Job) -> dict[str, Any]:
        """The config that the job runs with; empty where there is none, because it is refused or its code fails."""
        try:
            if job.algorithm.refuses(job.layer.problem, self.direction) is not None:
                return {}
            config = self._with_config(job).config
            return asdict(job.algorithm.resolved(job.layer.problem, self.direction, config, self.device))
        except (Exception, SystemExit):  # noqa: BLE001  (the judgement has the reason)
            return {}


def _failure(error: BaseException) -> Judgement:
    if isinstance(error, ConfigError | RefusedError):  # the launch was not made, for hardware or device cannot do it
        return Judgement(outcome="refused", reason=str(error))
    if isinstance(error, KernelError):
        return Judgement(outcome="wrong", reason=str(error))
    if isinstance(error, OutOfDeviceMemoryError | MemoryError):
        return Judgement(outcome="out_of_memory", reason=str(error) or "the host is out of memory")
    return Judgement(outcome="crashed", reason=f"{type(error).__name__}: {error}")
