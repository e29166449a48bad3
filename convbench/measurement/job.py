"""A job of the harness, and what can be said of it: judgements, facts, the space of its configs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from typing import Any

from convbench.algorithm import Algorithm
from convbench.errors import (
    CompileError,
    ConfigError,
    ContractError,
    KernelError,
    OutOfDeviceMemoryError,
    RefusedError,
    last_place,
    message_of,
    told,
)
from convbench.interrupts import is_interruption
from convbench.measurement.true_error import TrueError
from convbench.problem import ConvProblem, Direction
from convbench.records import Outcome
from convbench.workload import Layer, Workload


@dataclass(frozen=True, kw_only=True)
class Job:
    """One result to measure."""

    layer: Layer
    algorithm: Algorithm
    config: Any = None  # the config to run; None: the database's, or else the algorithm's default


def jobs(workload: Workload, algorithms: Sequence[Algorithm]) -> list[Job]:
    """A job for every pair of layer and algorithm.

    They are ordered by layer, so that the references of a layer are computed once and kept no longer than needed.
    """
    return [Job(layer=layer, algorithm=algorithm) for layer in workload.layers for algorithm in algorithms]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The result of verification, in the terms of a record."""

    outcome: Outcome
    reason: str | None
    exact: bool = False
    fraction: float | None = None
    error: TrueError | None = None
    digest: str | None = None  # of the verified output; the timed runs must reproduce it

    @property
    def error_ulp(self) -> dict[str, float | None]:
        """The fields of a record for the true error. A size that is not finite is None, because JSON cannot hold it."""
        if self.error is None or not isfinite(self.error.worst):
            return {"rms_error_ulp": None, "worst_error_ulp": None}
        return {"rms_error_ulp": self.error.rms, "worst_error_ulp": self.error.worst}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the record of a job says of its algorithm, whatever becomes of the job."""

    family: str
    precision: str
    config: dict[str, Any]  # the fields of the config that it runs with; empty if it is refused or its code fails


@dataclass(frozen=True, kw_only=True)
class Space:
    """The configs that an algorithm offers for a layer; none, and a reason, if it refuses the layer."""

    configs: tuple[Any, ...] = ()
    default: Any = None
    refusal: str | None = None
    is_failure: bool = False  # whether its code failed when it was asked


def by_layer(todo: Iterable[Job]) -> Iterator[tuple[tuple[ConvProblem, Direction], Iterator[Job]]]:
    """Consecutive jobs that are measured together: of one direction, and of problems that differ in layouts alone."""
    return groupby(todo, key=lambda job: (job.layer.problem.packed(), job.layer.direction))


def pass_on(error: BaseException) -> None:
    """Raise again what is not the algorithm's: Ctrl-C of the user."""
    if is_interruption(error):
        raise error


def failure(error: BaseException) -> Judgement:
    """The judgement on a job whose code raised an error; Ctrl-C of the user is raised again."""
    pass_on(error)
    reason = message_of(error)
    if isinstance(error, ConfigError | RefusedError):  # the hardware or the device cannot make the launch
        return Judgement(outcome="refused", reason=reason)
    if isinstance(error, KernelError):
        return Judgement(outcome="wrong", reason=reason)
    if isinstance(error, OutOfDeviceMemoryError | MemoryError):
        return Judgement(outcome="out_of_memory", reason=reason or "the host is out of memory")
    if isinstance(error, CompileError | ContractError):
        return Judgement(outcome="crashed", reason=reason)
    place = last_place(error)
    return Judgement(outcome="crashed", reason=told(error) + (f" ({place})" if place else ""))
