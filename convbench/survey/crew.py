"""The processes of a survey: they compile side by side, and have the GPU to themselves in turns.

A task goes to a process that is idle. One that wants to time asks for the GPU, and has it until it tells what came of
its task. One that ends while it works leaves a note of the task, and another takes its place; so does one whose device
does nothing any more, and one that does not come to an end. On the emulator there is one process, this one: there a
kernel that goes wrong takes nothing down.
"""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from math import inf
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from convbench import devices
from convbench.devices import Device
from convbench.interrupts import without_interrupts
from convbench.survey.tasks import Outcome, Task, run

LOOK_S = 0.25
GRACE_S = 15.0  # that a task may go on when time is over

Prepare = Callable[[], object]  # called first in every process; it registers what plugins bring


class Workers(Protocol):
    """Whoever does tasks."""

    def done(self, tasks: Sequence[Task], until: float) -> Iterator[tuple[Task, Outcome | None]]:
        """Each task with what came of it; None for one that was not begun, or not ended, in time.

        Parameters
        ----------
        until : when to begin no more, by `time.time`
        """

    def close(self) -> None:
        """Nothing more will be done."""


class Here:
    """One process: the one that asks."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def done(self, tasks: Sequence[Task], until: float) -> Iterator[tuple[Task, Outcome | None]]:
        longest = 0.0
        for task in tasks:
            start = time.time()
            if start + longest >= until:
                yield task, None
                continue
            yield task, run(task, self.device, lambda: nullcontext(True))
            longest = max(longest, time.time() - start)

    def close(self) -> None:
        pass


class Crew:
    """So many processes with a GPU between them."""

    def __init__(self, count: int, device: str, prepare: Prepare) -> None:
        self._context, self._orders = multiprocessing.get_context("spawn"), (device, prepare)
        self._idle: list[_Member] = []
        self._busy: dict[Connection, _Member] = {}
        self._waiting: list[Connection] = []  # for the GPU, in the order in which they asked
        self._holder: Connection | None = None
        self._longest, self._until = 0.0, inf
        self._idle += [self._hired() for _ in range(count)]

    def done(self, tasks: Sequence[Task], until: float) -> Iterator[tuple[Task, Outcome | None]]:
        left, self._longest, self._until = list(tasks), 0.0, until
        while left or self._busy:
            while left and self._idle and self._there_is_time():
                self._begin(left.pop(0))
            if not self._there_is_time():
                yield from ((task, None) for task in left)
                left = []
            for member, outcome in self._told():
                self._longest = max(self._longest, outcome.seconds)
                assert member.task is not None
                yield member.task, outcome
            if time.time() > until + GRACE_S:
                for member in list(self._busy.values()):
                    assert member.task is not None
                    yield member.task, self._lost(member, "was ended, for its time was over")

    def close(self) -> None:
        for member in [*self._idle, *self._busy.values()]:
            member.end()
        self._idle, self._busy, self._waiting, self._holder = [], {}, [], None

    def _begin(self, task: Task) -> None:
        member = self._idle.pop()
        member.task = task
        self._busy[member.connection] = member
        with suppress(OSError):  # it has ended, as we shall read
            member.connection.send(task)

    def _told(self) -> Iterator[tuple["_Member", Outcome]]:
        """What the members tell within a moment."""
        for connection in wait(list(self._busy), LOOK_S):
            assert isinstance(connection, Connection)
            member = self._busy[connection]
            try:
                told: Outcome | None = connection.recv()
            except (EOFError, OSError):
                member.process.join()
                yield member, self._lost(member, f"ended its process, with status {member.process.exitcode}")
                continue
            if told is None:
                self._waiting.append(connection)
                self._grant()
                continue
            if told.is_lost:
                yield member, self._lost(member, None, told)
                continue
            del self._busy[connection]
            self._idle.append(member)
            self._release(connection)
            yield member, told

    def _lost(self, member: "_Member", reason: str | None, outcome: Outcome | None = None) -> Outcome:
        """The outcome of a member that is replaced."""
        outcome = outcome or Outcome(is_lost=True)
        if reason is not None:
            outcome.notes.append(f"{member.task} {reason}")
        del self._busy[member.connection]
        self._release(member.connection)
        member.end()
        self._idle.append(self._hired())
        return outcome

    def _release(self, connection: Connection) -> None:
        self._waiting = [other for other in self._waiting if other is not connection]
        if self._holder is connection:
            self._holder = None
        self._grant()

    def _grant(self) -> None:
        """Give the GPU to who waits first, or tell all that there is no time left."""
        while self._holder is None and self._waiting:
            first = self._waiting.pop(0)
            if granted := self._there_is_time():
                self._holder = first
            with suppress(OSError):  # it has ended, as we shall read
                first.send(granted)

    def _there_is_time(self) -> bool:
        """Whether the longest turn so far could begin once more."""
        return time.time() + self._longest < self._until

    def _hired(self) -> "_Member":
        ours, theirs = self._context.Pipe()
        with without_interrupts():  # which a process inherits, before it can say so itself
            process = self._context.Process(target=_work, args=(theirs, *self._orders), daemon=True)
            process.start()
        theirs.close()
        return _Member(ours, process)


class _Member:
    """A process, the line to it, and what it does."""

    def __init__(self, connection: Connection, process: Any) -> None:
        self.connection, self.process = connection, process
        self.task: Task | None = None

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _work(connection: Connection, device_name: str, prepare: Prepare) -> None:
    """What a process does until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare()
    device = devices.select(device_name)

    @contextmanager
    def turn() -> Iterator[bool]:
        connection.send(None)
        granted: bool = connection.recv()
        yield granted

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task: Task = connection.recv()
            try:
                outcome = run(task, device, turn)
            except Exception as error:  # noqa: BLE001  (a bug of ours is told, and the survey goes on)
                outcome = Outcome(notes=[f"{task}: {error!r}\n{traceback.format_exc()}"])
            connection.send(outcome)
