"""The survey as a whole: its two parts, the time that each has, and the files that it writes.

Checks come first and have a share of the time. Times take the rest, in the order of `convbench.survey.layers.plan`.
Each result is written as soon as it is known. Tables and pages are written at the end, also when the survey is ended
early. There are at most six files, all in one folder.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from convbench.algorithm import Algorithm, registry
from convbench.crew import GRACE_S, default_bytes
from convbench.devices import Device
from convbench.errors import ConvbenchError
from convbench.measurement import Effort
from convbench.records import FAILURES, Record, RecordsFile, environment, one_writer
from convbench.report import to_markdown
from convbench.survey import ratios
from convbench.survey.layers import Measured
from convbench.survey.tasks import EFFORT, PROBLEMS, Check, Outcome, Plan, Task, Times
from convbench.survey.workers import Here, Prepare, Processes, Workers
from convbench.workload import Workload

CHECKS_SHARE = 0.35  # share of the time for checks
CLOSING_S = 5.0  # time kept for writing the last files
MOST_NAMED = 10  # failures that a page names, and tasks left out; it counts the others
MOST_PROCESSES = 12  # more would fill the memory: each has a context on the GPU, and the data of a layer

CHECKS, RECORDS, PAGE, TABLE, REPORT, ENVIRONMENT = (
    "correctness.jsonl", "standard.jsonl", "ratios.md", "ratios.csv", "standard.md", "environment.json",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Orders:
    """The options of a survey.

    Parameters
    ----------
    seconds : time for the whole survey
    algorithms : names of the algorithms; None: all for checks, and those that may be the fastest for times
    problems : the problems of the checks
    effort : how often to run for times
    prepare : called first in every process; it registers the algorithms of plugins
    isolated : whether tasks are done in worker processes; the current process does them otherwise
    """

    out: Path
    workload: Workload
    seconds: float
    seed: int = 0
    algorithms: tuple[str, ...] | None = None
    problems: tuple[str, ...] = PROBLEMS
    effort: Effort = EFFORT
    database: Path | None = None  # of tuned configs
    prepare: Prepare = tuple
    isolated: bool = False


@dataclass(kw_only=True)
class Part:
    """The progress of one part of the survey: its checks, or its times."""

    planned: int  # number of tasks
    done: int = 0  # number of tasks
    seconds: float = 0.0
    compile_s: float = 0.0  # of all processes together
    alone_s: float = 0.0  # seconds in which a process had the GPU to itself
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of a task."""
        self.compile_s += outcome.compile_s
        self.alone_s += outcome.seconds
        self.notes += outcome.notes


class Survey:
    """A survey of one device.

    Parameters
    ----------
    clock : gives the time in seconds; all processes must share it, as they share `time.time`
    """

    def __init__(self, device: Device, orders: Orders, clock: Callable[[], float] = time.time) -> None:
        self.device, self.orders, self.clock = device, orders, clock
        self.start = clock()
        self.rows: list[dict[str, Any]] = []
        self.records: list[Record] = []
        self.description, self.environment = device.describe(), environment.capture()
        names = registry.names() if orders.algorithms is None else orders.algorithms
        self.algorithms = [registry.get(name) for name in names]
        self.checks = Part(planned=0)
        clear(orders.out)
        self._workers = self._made_workers()
        self.planned = self._plan()
        self.times = Part(planned=len(self.planned))

    @property
    def deadline(self) -> float:
        """The time at which the last files must be written."""
        return self.start + self.orders.seconds - CLOSING_S

    def run(self) -> Iterator[str]:
        """Run the survey, and yield a short text on each task that is over. An early end writes all files too."""
        with one_writer(self.orders.out / PAGE):
            try:
                yield from self._check()
                yield from self._time()
            finally:
                self._workers.close()
                self.write()

    def tasks(self) -> list[Task]:
        """All planned tasks, in order."""
        until = self.start + CHECKS_SHARE * self.orders.seconds
        return [*_checks(self.algorithms, self.orders, until), *self._layers()]

    def _made_workers(self) -> Workers:
        if not self.orders.isolated:
            return Here(self.device)
        # off the GPU, one: several would disturb each other's times
        count = max(1, min(MOST_PROCESSES, environment.cores() - 1)) if self.device.is_gpu else 1
        return Processes(count, self.device.name, self.orders.prepare, memory=default_bytes(count))

    def _plan(self) -> list[Measured]:
        """The layers to be timed. Raises ConvbenchError if no process can find out."""
        task = Plan(layers=self.orders.workload.layers, algorithms=self.orders.algorithms)
        try:
            ((_, outcome),) = self._workers.done([task], inf)
        except BaseException:
            self._workers.close()
            raise
        if outcome is None or outcome.left_out:
            self._workers.close()
            notes = "" if outcome is None else "; ".join(outcome.notes)
            raise ConvbenchError(f"no process could ask the algorithms what they compute: {notes}")
        return outcome.planned

    def _check(self) -> Iterator[str]:
        until, begun = self.start + CHECKS_SHARE * self.orders.seconds, self.clock()
        tasks = _checks(self.algorithms, self.orders, until)
        self.checks.planned = len(tasks)
        with (self.orders.out / CHECKS).open("a", encoding="utf-8") as file:
            for task, outcome in self._workers.done(tasks, until):
                assert isinstance(task, Check)
                what = f"{task.algorithm} {task.direction} {task.dtype}"
                self.checks.seconds = self.clock() - begun
                if outcome is None or outcome.left_out:
                    self.checks.left_out.append(what if outcome is None else f"{what}: {outcome.left_out} of its runs")
                if outcome is not None:
                    self.checks.add(outcome)
                    self.checks.done += not outcome.left_out
                    self.rows += outcome.rows
                    file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in outcome.rows)
                    file.flush()
                yield what

    def _layers(self) -> list[Times]:
        orders = self.orders
        return [
            Times(
                measured=one, workload=orders.workload.name, seed=orders.seed, effort=orders.effort,
                database=orders.database,
            )
            for one in self.planned
        ]  # fmt: skip

    def _time(self) -> Iterator[str]:
        begun = self.clock()
        with RecordsFile(self.orders.out / RECORDS) as file:
            for task, outcome in self._workers.done(self._layers(), self.deadline - GRACE_S):
                assert isinstance(task, Times)
                layer = task.measured.layer
                what = f"{layer.name} {layer.problem}" + ("" if layer.direction == "forward" else f" {layer.direction}")
                self.times.seconds = self.clock() - begun
                if outcome is None or outcome.left_out:
                    self.times.left_out.append(what)
                if outcome is not None:
                    self.times.add(outcome)
                    self.times.done += not outcome.left_out
                    for record in outcome.records:
                        file.append(record)
                    self.records += outcome.records
                yield what

    # ---- files

    def write(self) -> None:
        """Write the files that are made from the records: tables, a report, and the environment."""
        table = ratios.by_layer(self.records)
        rows = ratios.groups(table, self.planned)
        name = str(self.description["name"])
        page = ratios.to_markdown(rows, table, f"Survey of {name} ({self.description['clock']})", self.words())
        _write(self.orders.out / PAGE, page)
        if not table.empty:
            _write(self.orders.out / TABLE, table.to_csv(index=False))
        if self.records:
            _write(self.orders.out / REPORT, to_markdown(self.records, title=f"convbench: {name}"))
        _write(self.orders.out / ENVIRONMENT, json.dumps(self.facts(), indent=1, default=str) + "\n")

    def words(self) -> list[str]:
        """Sentences on the results, and on the tasks that were left out."""
        bad = [row for row in self.rows if row["outcome"] in FAILURES]
        failed = [record for record in self.records if record.outcome in FAILURES]
        passed, checks, times = sum(row["outcome"] == "passed" for row in self.rows), self.checks, self.times
        combinations = f"{checks.done} of {checks.planned} combinations of algorithm, direction and dtype"
        alone = f"of which the GPU was had alone for {times.alone_s:.0f} s"
        told = [
            *_died([*self.rows, *map(vars, self.records)]),
            f"Correctness: {passed:,} runs passed, {len(bad)} failed; {combinations} in {checks.seconds:.0f} s",
            f"Times: {times.done} of {times.planned} layers in {times.seconds:.0f} s, {alone}; {len(failed)} failed",
            f"Compiling took {checks.compile_s + times.compile_s:.0f} s, of all processes together",
            "Of timed layers the first and the last image are compared with the reference, on random numbers",
        ]
        checked = [f"{row['algorithm']} {row['direction']} {row['problem']}: {row['reason']}" for row in bad]
        told += _failed(checked, CHECKS)
        told += _failed([f"{record.algorithm} {record.problem}: {record.reason}" for record in failed], RECORDS)
        for part, what in ((checks, "combinations"), (times, "layers")):
            if part.left_out:
                some, more = part.left_out[:MOST_NAMED], len(part.left_out) - MOST_NAMED
                named = "; ".join([*some, f"and {more} more, in {ENVIRONMENT}"] if more > 0 else some)
                told.append(f"Left out for lack of time, {len(part.left_out)} {what}: {named}")
        return told

    def facts(self) -> dict[str, Any]:
        """Facts about the survey for other programs, written as JSON."""
        return {
            "device": self.description, "environment": self.environment, "library": _library(),
            "seconds": round(self.clock() - self.start, 1), "limit_s": self.orders.seconds, "seed": self.orders.seed,
            "workload": self.orders.workload.name, "database": self.orders.database,
            "correctness": vars(self.checks), "times": vars(self.times),
        }  # fmt: skip

    @property
    def failures(self) -> int:
        """The number of results that are wrong or failed."""
        outcomes = [row["outcome"] for row in self.rows] + [record.outcome for record in self.records]
        return sum(outcome in FAILURES for outcome in outcomes)


def clear(folder: Path) -> None:
    """Make the folder, and delete files of an earlier survey in it. Raises ConvbenchError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with one_writer(folder / PAGE):  # another survey may be under way there
            for name in (CHECKS, RECORDS, PAGE, TABLE, REPORT, ENVIRONMENT):
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConvbenchError(f"the survey cannot be written to {folder}: {error.strerror}") from error


def _checks(algorithms: Sequence[Algorithm], orders: Orders, until: float) -> list[Check]:
    """A check for each algorithm, direction and dtype: float32 first, and within each dtype forward first."""
    found = [
        Check(
            algorithm=one.name, direction=direction, dtype=dtype, problems=orders.problems, seed=orders.seed,
            deadline=until,
        )
        for one in algorithms for direction in one.plans for dtype in one.dtypes
    ]  # fmt: skip
    dtypes = list(dict.fromkeys(["float32", *(check.dtype for check in found)]))
    directions = list(dict.fromkeys(["forward", *(check.direction for check in found)]))
    return sorted(found, key=lambda check: (dtypes.index(check.dtype), directions.index(check.direction)))


def _died(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence on the algorithms that took a process down or did not end, if there are any."""
    dead = {
        f"{row['algorithm']} ({row['outcome'].replace('_', ' ')} on {row['problem']})": row["algorithm"]
        for row in reversed(rows)
        if row["outcome"] in ("crashed", "timed_out", "out_of_memory")
    }
    first = {name: text for text, name in dead.items()}
    if not first:
        return []
    return [f"Died or did not end: {'; '.join(reversed(list(first.values())))}; the others went on"]


def _failed(named: Sequence[str], file: str) -> list[str]:
    """Sentences on failures: the first of them, and how many more there are and where they are."""
    told = [f"Failed: {one}" for one in named[:MOST_NAMED]]
    if (more := len(named) - MOST_NAMED) > 0:
        told.append(f"Failed: {more} more, in {file}")
    return told


def _library() -> dict[str, Any]:
    """The versions of the library that the survey compares with."""
    try:  # PyTorch is an optional package
        import torch
    except ImportError as error:
        return {"torch": None, "why": str(error)}
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConvbenchError(f"the survey cannot be written to {path}: {error.strerror}") from error
