"""The tasks of a survey, each done by one process: to plan it, to check an algorithm, or to time a layer.

A task is data that is sent to a process. The process sends back rows of checks, records of times, and notes about
problems. It compiles kernels and draws data first, and then has the GPU to itself while it takes times. It says which
run of the task it has begun, so that a run that ends the process is known, and the others can go on in a new one. So it
does with each question to an algorithm about what it computes.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from convbench.algorithm import Algorithm, registry
from convbench.crew import Loss
from convbench.devices import Device
from convbench.errors import ContractError, DeviceError
from convbench.measurement import Case, Effort, Facts, Harness, Job, Judgement, SampledCase, contest
from convbench.problem import ConvProblem, Direction, Dtype
from convbench.problem.notation import parse
from convbench.records import CACHES, Record
from convbench.survey.ahead import compile_ahead, give_back, load_library
from convbench.survey.layers import Measured, may_take, plan
from convbench.tuning import Database
from convbench.workload import Layer, Workload

# small problems of every kind, then problems that fill large tiles; a dtype is appended to each
PROBLEMS = (
    "n2c3h7w9-k4r3s3-pad1", "n1c1h1w1-k1r1s1", "n2c5h9w7-k7r1s1", "n1c4h11w10-k6r5s5-pad2", "n2c6h8w8-k6r3s3-pad1-g6",
    "n2c3h13w12-k5r3s3-pad1-stride2", "n1c3h12w11-k4r3s3-pad2-dil2", "n1c3h15w17-k4r7s7-pad3-stride2",
    "n1c4h9w9-k6r3s3-pad1-g2-bias", "n1c2h6w5-k3r3s2-pad0.1x2.0", "n2c4h6w7-k3r3s3-pad1-NHWC",
    "n2c64h28w28-k64r3s3-pad1", "n4c128h28w28-k128r1s1", "n1c48h35w35-k64r5s5-pad2", "n1c128h57w57-k128r3s3-pad1-g128",
)  # fmt: skip
MANY_CONFIGS = PROBLEMS[-4:]  # on these, every config that an algorithm offers is checked, in its first dtype

EFFORT = Effort(maximum=100, max_seconds=0.1, caches=CACHES)

RUN_S = 120.0  # longest run of a task: one that compiles slowly, then verifies or takes one sample


class Place(Protocol):
    """Where a task is done: a worker's desk, or `Alone`."""

    def begin(self, what: str, limit_s: float = 0.0) -> None:
        """Say which run or question begins."""

    def rest(self) -> None:
        """Say that no code of an algorithm runs."""

    def end_children(self) -> None:
        """End what a run has left running."""

    def post(self, content: object) -> None:
        """Tell a result as soon as it is known."""

    def turn(self) -> AbstractContextManager[bool]:
        """Have the GPU alone; the value is False if there is no time left."""


@dataclass
class Alone:
    """The place of a task in the current process, which has the device to itself."""

    granted: bool = True  # whether there is time left

    def begin(self, what: str, limit_s: float = 0.0) -> None: ...

    def rest(self) -> None: ...

    def end_children(self) -> None: ...

    def post(self, content: object) -> None: ...

    def turn(self) -> AbstractContextManager[bool]:
        return nullcontext(self.granted)


@dataclass(frozen=True)
class Lost:
    """A run, or a question, that took its process down."""

    outcome: Loss
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Find out which algorithms compete on which layers, and the order of measurement."""

    layers: tuple[Layer, ...]
    algorithms: tuple[str, ...] | None  # None: those that may be the fastest


@dataclass(frozen=True, kw_only=True)
class Check:
    """Check one algorithm, direction and dtype on all problems. Runs that do not begin by the deadline are left out."""

    algorithm: str
    direction: Direction
    dtype: Dtype
    problems: tuple[str, ...]
    seed: int
    deadline: float  # by `time.time`, which all processes share


@dataclass(frozen=True, kw_only=True)
class Times:
    """Time one layer, by all algorithms that compete on it."""

    measured: Measured
    workload: str
    seed: int
    effort: Effort
    database: Path | None  # of tuned configs


Task = Plan | Check | Times
Over = Mapping[str, Lost | None]  # runs and questions of a task by their keys; None: what came of it is known


@dataclass(kw_only=True)
class Outcome:
    """The outcome of a task."""

    planned: list[Measured] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: int = 0  # number of runs, or 1 for a layer, for which there was no time
    compile_s: float = 0.0
    seconds: float = 0.0  # with the GPU to itself


def run(task: Task, device: Device, place: Place, over: Over = MappingProxyType({})) -> Outcome:
    """Do a task, without the runs and questions that are over. Raises DeviceError if the device stops working.

    Each row or record is posted with the key of its run.
    """
    match task:
        case Plan():
            return _plan(task, place, over)
        case Check():
            return _check(task, device, place, over)
        case Times():
            return _times(task, device, place, over)


def _plan(task: Plan, place: Place, over: Over) -> Outcome:
    """The key of a question is the name of its algorithm."""

    def takes(algorithm: Algorithm, problem: ConvProblem, direction: Direction) -> bool:
        if algorithm.name in over:
            return True  # its run asks again, and records what becomes of it
        place.begin(algorithm.name, RUN_S)
        return may_take(algorithm, problem, direction)

    return Outcome(planned=plan(task.layers, task.algorithms, takes))


def _check(task: Check, device: Device, place: Place, over: Over) -> Outcome:
    algorithm, done, compiled = registry.get(task.algorithm), Outcome(), device.compile_s
    harness = Harness(device, seed=task.seed)
    for key, text, config in _runs(algorithm, task, device, place, over):
        lost = over.get(key)
        if key in over and lost is None:
            continue
        if lost is None and time.time() >= task.deadline:
            done.left_out += 1
            continue
        layer = Layer(name=text, problem=parse(text), direction=task.direction)
        before, job = device.compile_s, Job(layer=layer, algorithm=algorithm, config=config)
        if lost is not None:
            verdict = Judgement(outcome=lost.outcome, reason=lost.reason)
        else:
            place.begin(key, RUN_S)
            verdict = harness.judge(job)
            place.end_children()
        row = {
            "algorithm": task.algorithm, "direction": task.direction, "dtype": task.dtype, "problem": text,
            "config": None if config is None else asdict(config), "outcome": verdict.outcome,
            "exact": verdict.exact, "fraction_of_bound": verdict.fraction, **verdict.error_ulp,
            "reason": verdict.reason,
            "compile_s": round(device.compile_s - before, 3),
        }  # fmt: skip
        done.rows.append(row)
        place.post((key, row))
        if verdict.outcome == "crashed" and not contest.is_alive(device):
            raise DeviceError(f"{task.algorithm} took the device down on {task.direction} of {text}")
    done.compile_s = device.compile_s - compiled
    return done


def _runs(algorithm: Algorithm, task: Check, device: Device, place: Place, over: Over) -> list[tuple[str, str, Any]]:
    """The key, problem and config of each run of a check: every problem with the default config, then some problems
    with the other configs, or with what became of the question for them.
    """
    texts = {text: text if task.dtype == "float32" else f"{text}-{task.dtype}" for text in task.problems}
    found: list[tuple[str, str, Any]] = [(f"{number}", text, None) for number, text in enumerate(texts.values())]
    for number, (plain, text) in enumerate(texts.items()):
        if plain not in MANY_CONFIGS or task.dtype != algorithm.dtypes[0]:
            continue
        key, problem, others = f"{number} configs", parse(text), list[Any]()
        if key in over:
            found.append((key, text, None))
            continue
        place.begin(key, RUN_S)
        if may_take(algorithm, problem, task.direction):
            with suppress(ContractError):  # the run with the default config asks again, and has the reason
                others += algorithm.configs_for(problem, task.direction)[1:]
                others += algorithm.rivals_on(problem, task.direction, device)
        found += [(f"{number} {each}", text, config) for each, config in enumerate(others)]
    place.rest()
    return found


def _times(task: Times, device: Device, place: Place, over: Over) -> Outcome:
    done, compiled = Outcome(), device.compile_s
    jobs = _jobs(task, device, place, over, done.notes)
    keys = {id(job): key for key, job in jobs.items()}
    workload = Workload(name=task.workload, source="survey", layers=tuple(job.layer for job in jobs.values()))
    left = [job for key, job in jobs.items() if key not in over]
    cases = {problem: _case(problem, task) for problem in dict.fromkeys(job.layer.problem for job in left)}
    harness = Harness(device, seed=task.seed, effort=task.effort, case=lambda problem, *_: cases[problem])
    harness.watch = lambda job: place.begin(keys[id(job)], RUN_S)
    for key, lost in over.items():
        if lost is not None and key in jobs:
            done.records.append(_record_of(lost, jobs[key], harness, workload))
            place.post((key, done.records[-1]))
    done.compile_s += compile_ahead(left, device, done.notes, harness.watch)
    if device.is_gpu and (theirs := [job for job in left if job.algorithm.family == "baseline"]):
        harness.watch(theirs[0])
        done.notes += load_library(device)
    place.rest()
    with place.turn() as there_is_time:
        start = time.perf_counter()
        if there_is_time:
            for job, record in harness.measured(workload, left):
                done.records.append(record)
                place.end_children()
                place.post((keys[id(job)], record))
        else:
            done.left_out = 1
        done.seconds = time.perf_counter() - start
        del harness
        if device.is_gpu:
            give_back()
    done.compile_s += device.compile_s - compiled
    return done


def _jobs(task: Times, device: Device, place: Place, over: Over, notes: list[str]) -> dict[str, Job]:
    """The jobs of a layer by their keys. A question that is over gives one, with the default config, in its place."""
    measured, direction = task.measured, task.measured.layer.direction
    known = None if task.database is None else Database(task.database, notes.append)
    found = dict[str, Job]()
    for problem in measured.problems:
        layer = replace(measured.layer, problem=problem)
        for algorithm in map(registry.get, measured.algorithms):
            key = f"{problem.layout} {algorithm.name}"
            if key in over:
                found[key] = Job(layer=layer, algorithm=algorithm)
                continue
            place.begin(key, RUN_S)
            if _takes(algorithm, problem, direction):
                configs = _configs(algorithm, problem, direction, device, known)
                found |= {
                    f"{key} {number}": Job(layer=layer, algorithm=algorithm, config=config)
                    for number, config in enumerate(configs)
                }
    place.rest()
    return found


def _record_of(lost: Lost, job: Job, harness: Harness, workload: Workload) -> Record:
    """The record of a job that has taken a process down, whose algorithm is asked nothing more."""
    config = {} if job.config is None else asdict(job.config)
    known = Facts(family=job.algorithm.family, precision=job.layer.problem.dtype, config=config)
    return harness.record(job, workload, Judgement(outcome=lost.outcome, reason=lost.reason), known=known)


def _takes(algorithm: Algorithm, problem: ConvProblem, direction: Direction) -> bool:
    """Whether an algorithm is timed in a problem's memory layout.

    In NHWC, an algorithm of strict float32 is only timed if it reads that layout in place.
    """
    if not may_take(algorithm, problem, direction):
        return False
    if problem.layout == "NCHW" or algorithm.family == "baseline" or algorithm.any_order:
        return True
    try:
        return algorithm.precision_of(problem) != "float32"  # tensor cores' operands lie along the channels
    except ContractError:
        return True  # its run asks again, and records it


def _configs(
    algorithm: Algorithm, problem: ConvProblem, direction: Direction, device: Device, known: Database | None
) -> tuple[Any, ...]:
    """The tuned config, or None for the default one; then those that only this device has."""
    try:
        tuned = None if known is None else known.config(algorithm, problem, direction, device)
        return tuned, *algorithm.rivals_on(problem, direction, device)
    except ContractError:
        return (None,)  # its run asks again, and records it


def _case(problem: ConvProblem, task: Times) -> Case:
    """The data and references of a problem. They are made now, not within a turn."""
    case = SampledCase(problem, task.seed, task.measured.layer.direction)
    case.of("uniform")
    return case
