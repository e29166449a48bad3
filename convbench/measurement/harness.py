"""The harness: it verifies algorithms on the layers of a workload, then times them, and gives a record of each result.

A result that is wrong, refused or crashed is recorded at once. The algorithms that compute a layer correctly are timed
together and take turns (`convbench.measurement.sampling`), as far as the device has memory for all of them.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, Self

import numpy as np

from convbench.algorithm import Algorithm, contract
from convbench.devices import Device
from convbench.errors import (
    DeviceError,
    message_of,
    shown,
)
from convbench.measurement.case import Case
from convbench.measurement.contest import Contender, hold
from convbench.measurement.execution import Execution
from convbench.measurement.floor import floor_us
from convbench.measurement.job import Facts, Job, Judgement, Space, by_layer, failure, pass_on
from convbench.measurement.sampling import Effort
from convbench.measurement.verification import digest_of, verify
from convbench.problem import ConvProblem, Direction
from convbench.records import Cache, Predicted, Record, Timing, environment, key_of
from convbench.workload import Layer, Workload


class TunedConfigs(Protocol):
    """The methods of a database of tuned configs that a harness calls."""

    def config(self, algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device) -> Any:
        """The config found for a problem on a device; None where there is none."""

    def drop(self, algorithm: str, problem: ConvProblem, direction: Direction, device: Device, reason: str) -> None:
        """Stop using the config of a problem on a device, and report the reason."""


class Forecaster(Protocol):
    """Predicts times for a GPU, as `convbench.profiling.Forecast` does."""

    gpu: str  # its name

    def predict(self, algorithm: Algorithm, problem: ConvProblem, direction: Direction, config: Any) -> Predicted:
        """The time of one run, or the reason why there is none; it raises nothing."""


@dataclass(frozen=True)
class Ready:
    """A job whose result is right, and the contender that times it."""

    given: Job  # as it was asked for
    job: Job  # with its tuned config
    judgement: Judgement
    contender: Contender
    compile_s: float


class Harness:
    """Verifies and measures algorithms on one device.

    Parameters
    ----------
    device : the device that runs the algorithms
    seed : seed of the data
    effort : how often to run; the default depends on the device
    now : gives the time for the field `when` of a record
    database : tuned configs, which `records` uses; None: every algorithm runs with its default
    forecast : predicts the time of each result that passed; None: none is predicted
    case : makes the data and references of a problem
    """

    def __init__(
        self,
        device: Device,
        *,
        seed: int = 0,
        effort: Effort | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        database: TunedConfigs | None = None,
        forecast: Forecaster | None = None,
        case: Callable[[ConvProblem, int, Direction], Case] = Case,
    ) -> None:
        self.device, self.seed, self.now, self.database, self.forecast = device, seed, now, database, forecast
        self.effort = Effort.for_device(device) if effort is None else effort
        self.description, self.environment = device.describe(), environment.capture()
        self.watch: Callable[[Job], None] = lambda _job: None  # called before each call of a job's code
        self._make_case = case
        self._case: Case | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """A harness that has worker processes ends them."""

    def keys(self, todo: Sequence[Job]) -> list[tuple[object, ...]]:
        """The keys that the jobs' records will have, known before the records exist: `Record.key` and the seed."""
        found = []
        for job in todo:
            self.watch(job)
            found.append(self.key(job))
        return found

    def name(self, job: Job) -> tuple[str, ...]:
        """What names a job before any of its code was called, on this device and with this seed."""
        (problem, direction), config = job.layer.work, "" if job.config is None else shown(job.config)
        return str(problem), direction, job.algorithm.name, config, str(self.description["name"]), str(self.seed)

    def key(self, job: Job) -> tuple[object, ...]:
        """The key that the job's record will have."""
        problem, direction = job.layer.work
        config = self.facts(job).config
        return *key_of(str(problem), direction, job.algorithm.name, config, self.description), self.seed

    def facts(self, job: Job) -> Facts:
        """The facts about a job's algorithm; it never raises what the algorithm does."""
        try:
            precision = job.algorithm.precision_of(job.layer.problem)
        except BaseException as error:  # noqa: BLE001  (the judgement has the reason)
            pass_on(error)
            precision = job.layer.problem.dtype
        return Facts(family=job.algorithm.family, precision=precision, config=self._config_of(job))

    def spaces(self, todo: Sequence[Job]) -> list[Space]:
        """The configs that each job's algorithm offers for its layer."""
        return [self.space(job) for job in todo]

    def space(self, job: Job) -> Space:
        """The configs that a job's algorithm offers for its layer; it never raises what the algorithm does."""
        work, algorithm = job.layer.work, job.algorithm
        try:
            if reason := algorithm.refuses(*work) or self.device.refuses(work[0]):
                return Space(refusal=reason)
            default = algorithm.resolved(*work, None, self.device)
            return Space(configs=tuple(algorithm.space_for(*work)), default=default)
        except BaseException as error:  # noqa: BLE001  (the code of a plugin may raise anything)
            found = failure(error)
            return Space(refusal=found.reason, is_failure=found.outcome != "refused")

    def records(self, workload: Workload, todo: Sequence[Job]) -> Iterator[Record]:
        """Yield the records of `measured`, without their jobs."""
        return (record for _, record in self.measured(workload, todo))

    def verified(self, workload: Workload, todo: Sequence[Job]) -> Iterator[tuple[Job, Record]]:
        """Verify the jobs, in order, and yield each with its record, which has no timing.

        Raises DeviceError when the device itself is lost, after the record of the job that caused it.
        """
        for job in todo:
            self.watch(job)
            record = self.record(job, workload, self.judge(job))
            yield job, record
            if record.outcome == "crashed":
                self._check_alive(job)

    def measured(self, workload: Workload, todo: Sequence[Job]) -> Iterator[tuple[Job, Record]]:
        """Yield each job with its record: failures at once, times after all algorithms of the layer are measured.

        Consecutive jobs of one direction whose problems differ only in their memory layouts belong to one layer here.

        Raises DeviceError when the device itself is lost, after the record of the job that caused it.
        """
        for (problem, _), group in by_layer(todo):
            random = np.random.default_rng([self.seed, zlib.crc32(str(problem).encode())])
            ready: list[Ready] = []
            for job in group:
                result = self._ready_or_record(workload, job)
                if isinstance(result, Record) and result.outcome == "out_of_memory" and ready:
                    yield from self._measured(workload, ready, random)  # measuring them first frees their memory
                    ready = []
                    result = self._ready_or_record(workload, job)
                if isinstance(result, Record):
                    yield job, result
                    if result.outcome == "crashed":
                        self._check_alive(job)
                else:
                    ready.append(result)
            yield from self._measured(workload, ready, random)

    def judge(self, job: Job) -> Judgement:
        """Run a job and compare its result with the reference, unless it is refused.

        An error of the algorithm becomes part of the judgement; it is never raised.
        """
        problem, direction = job.layer.work
        try:
            if reason := job.algorithm.refuses(problem, direction) or self.device.refuses(problem):
                return Judgement(outcome="refused", reason=reason)
            job.algorithm.precision_of(problem)  # a record needs it, so its fault is found now
            verdict = verify(job.algorithm, self._case_of(job.layer), self.device, config=job.config)
        except BaseException as error:  # noqa: BLE001  (the code of a plugin may raise anything)
            return failure(error)
        return Judgement(
            outcome="passed" if verdict.passed else "wrong", reason=verdict.explained,
            exact=verdict.exact, fraction=verdict.fraction, error=verdict.error, digest=verdict.digest,
        )  # fmt: skip

    def _ready_or_record(self, workload: Workload, job: Job) -> "Ready | Record":
        """The job, verified and ready to be timed; or its final record, if it cannot be timed."""
        compiled_before, given = self.device.compile_s, job
        self.watch(given)
        job = self._with_config(given)
        judgement = self.judge(job)
        if judgement.outcome == "refused" and job.config is not given.config and self.database is not None:
            self.database.drop(job.algorithm.name, *job.layer.work, self.device, str(judgement.reason))
            job, judgement = given, self.judge(given)
        if judgement.outcome != "passed":
            return self.record(job, workload, judgement)
        try:
            tensors, _ = self._case_of(job.layer).of("uniform")
            self.watch(given)
            execution = Execution(job.algorithm, *job.layer.work, self.device, tensors, job.config)
            contender = Contender(execution, self.effort)
        except BaseException as error:  # noqa: BLE001  (the code of a plugin may raise anything)
            return self.record(job, workload, failure(error))
        return Ready(given, job, judgement, contender, self.device.compile_s - compiled_before)

    def _measured(
        self, workload: Workload, ready: "list[Ready]", random: np.random.Generator
    ) -> Iterator[tuple[Job, Record]]:
        """Time jobs together and yield their records. Jobs that a lost device left unfinished have no record."""
        hold([each.contender for each in ready], random, lambda place: self.watch(ready[place].given))
        lost = [each for each in ready if each.contender.error is not None]
        for each in ready:
            if each in lost or each.contender.is_measured:
                self.watch(each.given)
                yield each.given, self._finished(workload, each)
        for each in lost:
            self._check_alive(each.job)

    def _finished(self, workload: Workload, ready: "Ready") -> Record:
        """The record of a job that was timed, or that failed while it was timed."""
        job, judgement, contender = ready.job, ready.judgement, ready.contender
        try:
            if contender.error is not None:
                raise contender.error
            timing = contender.timing(lambda cache: self._floor_us(job, cache), ready.compile_s)
            digest = digest_of(contender.execution.results())
            workspace_bytes = contract.workspace_of(contender.execution.plan)
        except BaseException as error:  # noqa: BLE001  (the code of a plugin may raise anything)
            return self.record(job, workload, failure(error))
        reason = self._under_floor(job, timing)
        if digest != judgement.digest:
            reason = "the timed runs gave another result than the verified runs"
        if reason is not None:
            return self.record(job, workload, replace(judgement, outcome="wrong", reason=reason))
        return self.record(job, workload, judgement, timing, workspace_bytes)

    def _floor_us(self, job: Job, cache: Cache) -> float | None:
        problem, algorithm = job.layer.problem, job.algorithm
        precision = algorithm.precision_of(problem)
        return floor_us(problem, job.layer.direction, algorithm.family, precision, self.description, cache)

    def _under_floor(self, job: Job, timing: Timing) -> str | None:
        """The reason why the times cannot be true; None if they can."""
        for series in timing.series:
            floor = self._floor_us(job, series.cache)
            if floor is not None and series.median_us < floor:
                return (
                    f"{series.cache} runs of {job.layer.problem} take {series.median_us:.3g} µs by the clock, but "
                    f"{self.description['name']} needs {floor:.3g} µs for the bytes and FLOPs: the time is wrong"
                )
        return None

    def _case_of(self, layer: Layer) -> Case:
        """The data and references of a layer. They are kept until another problem or direction is asked for."""
        if self._case is None or (self._case.problem, self._case.direction) != layer.work:
            self._case = self._make_case(layer.problem, self.seed, layer.direction)
        return self._case

    def _check_alive(self, job: Job) -> None:
        try:
            self.device.synchronize()
        except Exception as error:
            raise DeviceError(
                f"{job.algorithm.name} on {job.layer.problem} took the device down ({message_of(error)}); "
                "its record is kept, and --resume continues after it"
            ) from error

    def record(
        self,
        job: Job,
        workload: Workload,
        judgement: Judgement,
        timing: Timing | None = None,
        workspace_bytes: int | None = None,
        known: Facts | None = None,
    ) -> Record:
        """The record of a judgement, with the timing of a job that was timed.

        Parameters
        ----------
        known : the facts about the algorithm; None: it is asked for them
        """
        errors = judgement.error_ulp
        asked = None if timing is None else self.forecast
        predicted = None if asked is None else asked.predict(job.algorithm, *job.layer.work, job.config)
        known = self.facts(job) if known is None else known
        return Record(
            problem=str(job.layer.problem), direction=job.layer.direction, algorithm=job.algorithm.name,
            family=known.family, precision=known.precision, config=known.config, device=self.description,
            outcome=judgement.outcome, reason=judgement.reason, exact=judgement.exact, fraction=judgement.fraction,
            rms_error_ulp=errors["rms_error_ulp"], worst_error_ulp=errors["worst_error_ulp"],
            workload=workload.name, layer=job.layer.name, count=job.layer.count, seed=self.seed, timing=timing,
            predicted=predicted, workspace_bytes=workspace_bytes, environment=self.environment,
            when=self.now().isoformat(timespec="seconds"),
        )  # fmt: skip

    def _with_config(self, job: Job) -> Job:
        """The job with its tuned config, if the job names no config and the database has one for it."""
        if self.database is None or job.config is not None:
            return job
        try:
            if job.algorithm.refuses(*job.layer.work) is not None:
                return job
        except BaseException as error:  # noqa: BLE001  (the code of a plugin may fail; the judgement has the reason)
            pass_on(error)
            return job
        return replace(job, config=self.database.config(job.algorithm, *job.layer.work, self.device))

    def _config_of(self, job: Job) -> dict[str, Any]:
        """The fields of the config that the job runs with; empty if it is refused or its algorithm's code fails."""
        try:
            if job.algorithm.refuses(*job.layer.work) is not None:
                return {}
            config = self._with_config(job).config
            return asdict(job.algorithm.resolved(*job.layer.work, config, self.device))
        except BaseException as error:  # noqa: BLE001  (the judgement has the reason)
            pass_on(error)
            return {}
