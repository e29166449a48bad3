"""The processes of a survey: they compile at the same time, and take turns to have the GPU to themselves.

Each task goes to an idle process. A process that wants to take times asks for the GPU, and keeps it until it sends the
outcome of its task. A process is replaced by a new one if it ends during a task, if its device stops working, or if it
is not finished in time; a note about the task is kept. On the emulator there is only the current process, because a
faulty kernel does not take the emulator down.
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

LOOK_S = 0.25  # how long to wait for a message before the time is looked at again
GRACE_S = 15.0  # how long a running task may go on after the end of the time

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
                    yield member.task, self._lost(member, "was ended because its time was over")

    def close(self) -> None:
        for member in [*self._idle, *self._busy.values()]:
            member.end()
        self._idle, self._busy, self._waiting, self._holder = [], {}, [], None

    def _begin(self, task: Task) -> None:
        member = self._idle.pop()
        member.task = task
        self._busy[member.connection] = member
        with suppress(OSError):  # it has ended; `_told` will notice
            member.connection.send(task)

    def _told(self) -> Iterator[tuple["_Member", Outcome]]:
        """Wait for messages of the members for `LOOK_S`. Yield each member whose task is over, with the outcome."""
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
        """Replace a member that is lost, and give the outcome of its task."""
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


class _Member:
    """A process, the connection to it, and its current task."""

    def __init__(self, connection: Connection, process: Any) -> None:
        self.connection, self.process = connection, process
        self.task: Task | None = None

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _work(connection: Connection, device_name: str, prepare: Prepare) -> None:
    """The main loop of a process. It ends when the parent closes the connection."""
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
            except Exception as error:  # noqa: BLE001  (a bug in the survey itself is reported, and the survey goes on)
                outcome = Outcome(notes=[f"{task}: {error!r}\n{traceback.format_exc()}"])
            connection.send(outcome)
