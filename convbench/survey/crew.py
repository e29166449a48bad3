"""The processes of a survey: they compile at the same time, and take turns to have the GPU to themselves.

Each task goes to an idle process. A process that wants to take times asks for the GPU, and keeps it until it sends the
outcome of its task. A process is replaced by a new one if it ends during a task, if its device stops working, or if it
is not finished in time; a note about the task is kept. A process that ends before it begins its task is replaced, too,
and another process gets the task. On the emulator there is only the current process, because a faulty kernel does not
take the emulator down.
"""

import multiprocessing
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from convbench import devices, interrupts
from convbench.devices import Device
from convbench.interrupts import without_interrupts
from convbench.survey.tasks import Outcome, Task, run

LOOK_S = 0.25  # how long to wait for a message before the time is looked at again
GRACE_S = 15.0  # how long a running task may go on after the end of the time
MOST_HANDED = 3  # how many processes a task is given to, if each ends before it begins the task

BEGUN, ASKED = "begun", "asked for the GPU"  # what a process tells before it tells the outcome

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
            yield task, run(task, self.device, lambda: nullcontext(True))
            longest = max(longest, time.time() - start)

    def close(self) -> None:
        pass


class Crew:
    """Carries out tasks in several processes that share a GPU."""

    def __init__(self, count: int, device: str, prepare: Prepare) -> None:
        self._context, self._orders = multiprocessing.get_context("spawn"), (device, prepare)
        self._idle: list[_Member] = []
        self._busy: dict[Connection, _Member] = {}
        self._left: deque[_Handed] = deque()
        self._waiting: list[Connection] = []  # for the GPU, in the order in which they asked
        self._holder: Connection | None = None
        self._longest, self._until = 0.0, inf
        self._idle += [self._hired() for _ in range(count)]

    def done(self, tasks: Sequence[Task], until: float) -> Iterator[tuple[Task, Outcome | None]]:
        self._left, self._longest, self._until = deque(_Handed(task) for task in tasks), 0.0, until
        while self._left or self._busy:
            while self._left and self._idle and self._there_is_time():
                self._begin(self._left.popleft())
            if not self._there_is_time():
                yield from ((handed.task, None) for handed in self._left)
                self._left.clear()
            for member, outcome in self._told():
                self._longest = max(self._longest, outcome.seconds)
                assert member.handed is not None
                yield member.handed.task, outcome
            if time.time() > until + GRACE_S:
                for member in list(self._busy.values()):
                    assert member.handed is not None
                    lost = self._lost(member, "was ended because its time was over")
                    yield member.handed.task, lost if member.has_begun else None

    def close(self) -> None:
        for member in [*self._idle, *self._busy.values()]:
            member.end()
        self._idle, self._busy, self._waiting, self._holder = [], {}, [], None

    def _begin(self, handed: "_Handed") -> None:
        member = self._idle.pop()
        handed.times += 1
        member.handed, member.has_begun = handed, False
        self._busy[member.connection] = member
        with suppress(OSError):  # it has ended; `_told` will notice
            member.connection.send(handed.task)

    def _told(self) -> Iterator[tuple["_Member", Outcome]]:
        """Wait for messages of the members for `LOOK_S`. Yield each member whose task is over, with the outcome."""
        for connection in wait(list(self._busy), LOOK_S):
            assert isinstance(connection, Connection)
            member = self._busy[connection]
            try:
                told: Outcome | str = connection.recv()
            except (EOFError, OSError):
                member.process.join()
                if not member.has_begun and member.handed is not None and member.handed.times < MOST_HANDED:
                    self._left.appendleft(member.handed)
                    self._replace(member)
                else:
                    yield member, self._lost(member, f"ended its process, with status {member.process.exitcode}")
                continue
            if told == BEGUN:
                member.has_begun = True
                continue
            if told == ASKED:
                self._waiting.append(connection)
                self._grant()
                continue
            assert isinstance(told, Outcome)
            if told.is_lost:
                yield member, self._lost(member, None, told)
                continue
            del self._busy[connection]
            self._idle.append(member)
            self._release(connection)
            yield member, told

    def _lost(self, member: "_Member", reason: str | None, outcome: Outcome | None = None) -> Outcome:
        """Replace a member that is lost, and give the outcome of its task."""
        assert member.handed is not None
        outcome = outcome or Outcome(is_lost=True)
        if reason is not None:
            outcome.notes.append(f"{member.handed.task} {reason}")
        self._replace(member)
        return outcome

    def _replace(self, member: "_Member") -> None:
        del self._busy[member.connection]
        self._release(member.connection)
        member.end()
        self._idle.append(self._hired())

    def _release(self, connection: Connection) -> None:
        self._waiting = [other for other in self._waiting if other is not connection]
        if self._holder is connection:
            self._holder = None
        self._grant()

    def _grant(self) -> None:
        """Give the GPU to the member that has waited longest; or tell all that wait that there is no time left."""
        while self._holder is None and self._waiting:
            first = self._waiting.pop(0)
            if granted := self._there_is_time():
                self._holder = first
            with suppress(OSError):  # it has ended; `_told` will notice
                first.send(granted)

    def _there_is_time(self) -> bool:
        """Whether the time that is left is enough for a turn as long as the longest so far."""
        return time.time() + self._longest < self._until

    def _hired(self) -> "_Member":
        ours, theirs = self._context.Pipe()
        with without_interrupts():  # the process inherits this, and needs it before it can ignore Ctrl-C itself
            process = self._context.Process(target=_work, args=(theirs, *self._orders), daemon=True)
            process.start()
        theirs.close()
        return _Member(ours, process)


@dataclass
class _Handed:
    """A task, and how many processes it was given to."""

    task: Task
    times: int = 0


class _Member:
    """A process, the connection to it, its task, and whether it has begun the task."""

    def __init__(self, connection: Connection, process: Any) -> None:
        self.connection, self.process = connection, process
        self.handed: _Handed | None = None
        self.has_begun = False

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _work(connection: Connection, device_name: str, prepare: Prepare) -> None:
    """The main loop of a process. It ends when the parent closes the connection."""
    interrupts.ignore()
    prepare()
    device = devices.select(device_name)

    @contextmanager
    def turn() -> Iterator[bool]:
        connection.send(ASKED)
        granted: bool = connection.recv()
        yield granted

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task: Task = connection.recv()
            connection.send(BEGUN)
            try:
                outcome = run(task, device, turn)
            except Exception as error:  # noqa: BLE001  (a bug in the survey itself is reported, and the survey goes on)
                outcome = Outcome(notes=[f"{task}: {error!r}\n{traceback.format_exc()}"])
            connection.send(outcome)
