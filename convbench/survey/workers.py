"""The workers of a survey: they compile at the same time, and take turns to have the GPU to themselves.

On the emulator with built-in algorithms alone there is only the current process. Elsewhere the tasks go to the workers
of a crew. A worker is replaced by a new one if it ends, if its device stops working, or if a run is not finished in
time. The run that did it has an outcome then, and the other runs of its task go on in the new worker.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from convbench import devices
from convbench.crew import Crew, Desk, Ended, Posted
from convbench.devices import Device
from convbench.records import Record
from convbench.survey.tasks import Alone, Lost, Outcome, Task, run

Prepare = Callable[[], object]  # called first in every process; it registers the algorithms of plugins


class Workers(Protocol):
    """Carries out tasks, in one process or in several."""

    def done(self, tasks: Sequence[Task], until: float) -> Iterator[tuple[Task, Outcome | None]]:
        """Carry out tasks. Yield each with its outcome, or with None if there was no time to begin it.

        Parameters
        ----------
        until : the time, by `time.time`, after which no task is begun
        """

    def close(self) -> None:
        """End all processes; no more tasks will follow."""


class Here:
    """Carries out tasks in the current process."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def done(self, tasks: Sequence[Task], until: float) -> Iterator[tuple[Task, Outcome | None]]:
        longest = 0.0
        for task in tasks:
            start = time.time()
            if start + longest >= until:
                yield task, None
                continue
            yield task, run(task, self.device, Alone())
            longest = max(longest, time.time() - start)

    def close(self) -> None:
        pass


class Processes:
    """Carries out tasks in several processes that share a GPU.

    Parameters
    ----------
    memory : bytes that each process may have in use
    """

    def __init__(self, count: int, device: str, prepare: Prepare, *, memory: int | None = None) -> None:
        self._crew: Crew[_Given] = Crew(
            _Start(device, prepare), count, memory=memory, after_loss=partial(devices.check_after_loss, device)
        )

    def done(self, tasks: Sequence[Task], until: float) -> Iterator[tuple[Task, Outcome | None]]:
        self._crew.add(*(_Given(task) for task in tasks))
        for event in self._crew.events(until):
            match event:
                case Posted(given, (key, found)):
                    given.known[key] = found
                case Ended(task=given, fate="done", result=outcome):
                    yield given.task, given.joined(outcome)
                case Ended(task=given, fate="left_out"):
                    yield given.task, given.joined(None)
                case Ended(task=given) as ended:
                    if (outcome := given.lost(ended, is_late=time.time() > until)) is not None:
                        yield given.task, outcome
                    else:
                        self._crew.add(given, first=True)

    def close(self) -> None:
        self._crew.close()


@dataclass(eq=False)
class _Given:
    """A task, and what is known of it from the workers that were lost by it.

    Parameters
    ----------
    known : the rows and records by the keys of their runs, from the current worker
    over : the runs and questions that are over
    kept : the rows and records from the workers before
    """

    task: Task
    known: dict[str, Any] = field(default_factory=dict)
    over: dict[str, Lost | None] = field(default_factory=dict)
    kept: Outcome = field(default_factory=Outcome)

    def lost(self, ended: "Ended[_Given]", *, is_late: bool) -> Outcome | None:
        """The outcome of a task whose worker was lost, if nothing of it can go on; else None."""
        before, key = dict(self.over), ended.doing
        self._keep()
        if key is not None and self.over.get(key, ...) is not None:
            self.over[key] = Lost(ended.loss, str(ended.reason))
        if not is_late and self.over != before:
            return None
        self.kept.notes.append(f"{self.task}: {ended.reason}")
        return self.joined(None)

    def joined(self, outcome: Outcome | None) -> Outcome | None:
        """The outcome of all workers that had the task; None if none of them had begun it."""
        if outcome is None:
            if not (self.kept.rows or self.kept.records or self.kept.notes):
                return None
            outcome = Outcome(left_out=1)
        outcome.rows = [*self.kept.rows, *outcome.rows]
        outcome.records = [*self.kept.records, *outcome.records]
        outcome.notes = [*self.kept.notes, *outcome.notes]
        return outcome

    def _keep(self) -> None:
        for key, found in self.known.items():
            self.over[key] = None
            (self.kept.records if isinstance(found, Record) else self.kept.rows).append(found)
        self.known = {}


@dataclass(frozen=True)
class _Start:
    """Makes what does tasks in a worker."""

    device: str
    prepare: Prepare

    def __call__(self, desk: Desk) -> "Callable[[_Given], Outcome]":
        self.prepare()
        device = devices.select(self.device)
        return lambda given: run(given.task, device, desk, given.over)
