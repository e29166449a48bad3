"""Verify, then time: from layers and algorithms to records, one after the other, none held back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from convbench.algorithm import Algorithm
from convbench.devices.device import Device
from convbench.environment import capture
from convbench.errors import ConfigError, DeviceError, KernelError, OutOfDeviceMemoryError, RefusedError
from convbench.execution import Execution
from convbench.problem import ConvProblem, Direction
from convbench.record import Outcome, Record, Timing, key_of
from convbench.verify import Case, digest_of, verify
from convbench.workload import Layer, Workload


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How often to run: `warmup` runs uncounted, then samples until `samples` or `max_seconds` is reached."""

    warmup: int = 2
    samples: int = 30
    max_seconds: float = 2.0

    @classmethod
    def for_device(cls, device: Device) -> "Effort":
        """A GPU's kernels take microseconds, an emulated one's up to seconds."""
        return cls() if device.is_gpu else cls(warmup=1, samples=5, max_seconds=0.5)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One result to be had."""

    layer: Layer
    algorithm: Algorithm


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


class Harness:
    """Judges and measures on one device.

    Parameters
    ----------
    device : where to run
    seed : of the data
    direction : which of the three convolutions of a layer
    effort : how often to run; by default as the device allows
    now : the clock of the records' `when`
    """

    def __init__(
        self,
        device: Device,
        *,
        seed: int = 0,
        direction: Direction = "forward",
        effort: Effort | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.device, self.seed, self.direction, self.now = device, seed, direction, now
        self.effort = Effort.for_device(device) if effort is None else effort
        self.description, self.environment = device.describe(), capture()
        self._case: Case | None = None

    def key(self, job: Job) -> tuple[object, ...]:
        """What the job's record will be found by, before it is there: `Record.key` and the seed."""
        fields = str(job.layer.problem), self.direction, job.algorithm.name, self._config_of(job), self.description
        return *key_of(*fields), self.seed

    def records(self, workload: Workload, todo: Sequence[Job]) -> Iterator[Record]:
        """One record per job, each as soon as it is known.

        Raises DeviceError when the device itself is lost; the record of the job that lost it came before.
        """
        for job in todo:
            compiled_before = self.device.compile_s
            judgement, timing, workspace_bytes = self.judge(job), None, None
            if judgement.outcome == "passed":
                judgement, timing, workspace_bytes = self._timed(job, judgement, compiled_before)
            yield self._record(job, workload.name, judgement, timing, workspace_bytes)
            if judgement.outcome == "crashed":
                self._check_alive(job)

    def judge(self, job: Job) -> Judgement:
        """Refused, or run and compared with the reference; never raises for what an algorithm does."""
        problem = job.layer.problem
        try:
            if reason := job.algorithm.refuses(problem, self.direction) or self.device.refuses(problem):
                return Judgement(outcome="refused", reason=reason)
            verdict = verify(job.algorithm, self._case_of(problem), self.device)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (an algorithm is anyone's code)
            return _failure(error)
        return Judgement(
            outcome="passed" if verdict.passed else "wrong", reason=verdict.reason,
            exact=verdict.exact, fraction=verdict.fraction, digest=verdict.digest,
        )  # fmt: skip

    def _timed(
        self, job: Job, judgement: Judgement, compiled_before: float
    ) -> tuple[Judgement, Timing | None, int | None]:
        try:
            timing, workspace_bytes, digest = self._time(job, compiled_before)
        except (Exception, SystemExit) as error:  # noqa: BLE001  (an algorithm is anyone's code)
            return _failure(error), None, None
        if digest != judgement.digest:
            reason = "the timed runs left another result than the verified ones"
            return replace(judgement, outcome="wrong", reason=reason), None, None
        return judgement, timing, workspace_bytes

    def _time(self, job: Job, compiled_before: float) -> tuple[Timing, int, str]:
        device, problem = self.device, job.layer.problem
        tensors, _ = self._case_of(problem).of("uniform")
        execution = Execution(job.algorithm, problem, self.direction, device, tensors)
        prepare_us = device.elapsed_us(execution.load)
        samples = self._samples(execution)
        timing = Timing(
            clock=device.clock,
            method=f"{self.effort.warmup} warm-up runs, then each run timed alone, same buffers (warm cache)",
            samples_us=tuple(samples),
            prepare_us=prepare_us,
            phases_us={str(phase): us for phase, us in device.phases_us(execution.run).items()},
            compile_s=device.compile_s - compiled_before,
        )
        return timing, execution.plan.workspace_bytes, digest_of(execution.results())

    def _samples(self, execution: Execution) -> list[float]:
        for _ in range(self.effort.warmup):
            execution.run()
        self.device.synchronize()
        samples: list[float] = []
        while len(samples) < self.effort.samples and sum(samples) < self.effort.max_seconds * 1e6:
            samples.append(self.device.elapsed_us(execution.run))
        return samples

    def _case_of(self, problem: ConvProblem) -> Case:
        """The data and references of a problem, kept until another problem's turn."""
        if self._case is None or self._case.problem != problem:
            self._case = Case(problem, self.seed, self.direction)
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
        workload: str,
        judgement: Judgement,
        timing: Timing | None = None,
        workspace_bytes: int | None = None,
    ) -> Record:
        return Record(
            problem=str(job.layer.problem), direction=self.direction, algorithm=job.algorithm.name,
            family=job.algorithm.family, config=self._config_of(job), device=self.description,
            outcome=judgement.outcome, reason=judgement.reason, exact=judgement.exact, fraction=judgement.fraction,
            workload=workload, layer=job.layer.name, count=job.layer.count, seed=self.seed, timing=timing,
            workspace_bytes=workspace_bytes, environment=self.environment,
            when=self.now().isoformat(timespec="seconds"),
        )  # fmt: skip

    def _config_of(self, job: Job) -> dict[str, Any]:
        """The config that the job runs with; empty where there is none, because it is refused or its code fails."""
        try:
            if job.algorithm.refuses(job.layer.problem, self.direction) is not None:
                return {}
            return asdict(job.algorithm.resolved(job.layer.problem, self.direction))
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
