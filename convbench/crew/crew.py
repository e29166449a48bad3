"""The parent's side of a crew: it hands out tasks, watches the workers, and replaces those that are lost.

Each task goes to an idle worker. A worker is lost if its process ends, if the code of its task raises, if what it does
takes longer than it may, or if it takes too much memory. It is then killed with all that it has started, and a new one
takes its place. A worker that ends while it starts, or before it begins its task, is replaced, too.

A batch system ends a job by a signal to each of its processes, in any order. So if such a signal has ended a worker,
the parent waits a moment for its own before it says that the task has done it.
"""

import pickle
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, Self, TypeVar

from convbench.crew.desk import Desk
from convbench.crew.ends import Ended, Fate, Posted, StartError
from convbench.crew.member import Handed, Member
from convbench.crew.memory import taken_bytes
from convbench.crew.messages import (
    Begun,
    Done,
    FromWorker,
    GivesTurn,
    NotStarted,
    Order,
    Post,
    Raised,
    Started,
    Told,
    WantsTurn,
)
from convbench.crew.turns import Turns
from convbench.interrupts import ENDING, has_come_since

T = TypeVar("T")

Start = Callable[[Desk], Callable[[Any], Any]]  # called in a worker; gives what does a task there

MEMORY_S = 0.5  # between two looks at the memory of all workers, for which the system lists all processes
LOOK_S = 0.25  # how long to wait for messages before the workers are looked at again
GRACE_S = 15.0  # how long a task may go on after the end of the time
MOST_HANDED = 3  # how many workers a task is given to, if each ends before it begins the task
MOST_STARTS = 3  # how many workers in a row may end while they start
START_S = 300.0  # longest start of a worker
# how long to wait for the parent's own signal
SPARE_S: dict[int, float] = {**dict.fromkeys(ENDING, 1.0), signal.SIGKILL: 0.2}
NEARLY = 0.9  # of its memory: a process that is killed with so much in use has probably run out of it


class Crew(Generic[T]):
    """Worker processes, as many as `count`, of which each does one task at a time.

    Parameters
    ----------
    start : called in each worker, before its first task; it must be picklable. If it raises a ConvbenchError, `events`
        raises that.
    memory : bytes that each worker with its children may have in use; None: no limit
    after_loss : called with the process ID of each worker that was lost, or ended with its task, before another one
        takes its place. The worker led a session of its own. What it raises ends `events`.
    fails_allocations : whether allocations beyond the memory also fail in the worker, with a MemoryError. The address
        space that a GPU's driver reserves counts too, so it does not suit workers that use one.
    """

    def __init__(
        self,
        start: Start,
        count: int = 1,
        *,
        memory: int | None = None,
        fails_allocations: bool = False,
        after_loss: Callable[[int], None] = lambda _process: None,
    ) -> None:
        self._start, self._count, self._memory, self._fails = pickle.dumps(start), count, memory, fails_allocations
        self._folder = TemporaryDirectory(prefix="convbench-crew-", ignore_cleanup_errors=True)
        self._members: dict[Connection, Member[T]] = {}
        self._left: deque[Handed[T]] = deque()
        self._after_loss, self._unchecked = after_loss, deque[int]()  # process IDs of lost workers
        self._turns = Turns()
        self._hired, self._weighed = 0, 0.0
        self._failed_starts = 0  # in a row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, *tasks: T, first: bool = False) -> None:
        """Add tasks, after all others or before them."""
        handed = [Handed(task) for task in tasks]
        if first:
            self._left.extendleft(reversed(handed))
        else:
            self._left.extend(handed)

    def tell(self, content: object, *, but: Callable[[T], bool] = lambda _task: False) -> None:
        """Tell all workers that have a task, except those with a task for which `but` is true, for `Desk.told`."""
        for connection, member in self._members.items():
            if member.handed is not None and not but(member.handed.task):
                with suppress(OSError):  # it has ended; `events` will notice
                    connection.send(Told(content))

    def events(self, until: float = inf, *, look_s: float = LOOK_S) -> Iterator[Posted[T] | Ended[T] | None]:
        """Do the tasks. Yield their messages and ends as they come, and None whenever `look_s` passes without any.

        It ends when all tasks have ended; the caller may add tasks until then.

        Parameters
        ----------
        until : the time, by `time.time`, after which no task is begun: it ends as left out. Nor is one begun if less
            time is left than the longest turn so far took. Tasks still under way `GRACE_S` later are ended.
        """
        self._turns.until = until
        while self._left or self.is_busy:
            if not self._turns.there_is_time():
                while self._left:
                    yield Ended(task=self._left.popleft().task, fate="left_out", reason="there was no time left")
            self._hand_out()
            yielded = False
            for event in self._heard(look_s):
                yielded = True
                yield event
            for event in self._watched():
                yielded = True
                yield event
            if not yielded:
                yield None

    def under_way(self) -> list[tuple[T, str]]:
        """The tasks under way, each with what its worker has begun, in the words of `Desk.begin`."""
        having = [member for member in self._members.values() if member.handed is not None]
        doings = [(member.task, member.notice.read()) for member in having]
        return [(task, doing.what) for task, doing in doings if doing is not None]

    @property
    def is_busy(self) -> bool:
        """Whether a worker has a task."""
        return any(member.handed is not None for member in self._members.values())

    def cancel(self) -> None:
        """Drop all tasks that have not ended, and end their workers. New tasks may follow."""
        self._left.clear()
        for member in list(self._members.values()):
            if member.handed is not None:
                self._replace(member)

    def close(self) -> None:
        """End all workers and what they have started. No more tasks follow."""
        for member in self._members.values():
            member.end()
        self._members = {}
        self._folder.cleanup()

    # ---- tasks

    def _hand_out(self) -> None:
        while self._left:
            idle = next((one for one in self._members.values() if one.is_ready and one.handed is None), None)
            starting = sum(not member.is_ready for member in self._members.values())
            if idle is None:
                room = self._count - len(self._members)
                for _ in range(min(room, len(self._left) - starting)):
                    self._hire()
                return
            idle.handed = self._left.popleft()
            idle.handed.times += 1
            idle.has_begun = False
            with suppress(OSError):  # it has ended; `_heard` will notice
                idle.connection.send(Order(idle.handed.task))

    def _heard(self, look_s: float) -> Iterator[Posted[T] | Ended[T]]:
        """Wait for messages for `look_s`, and yield what they mean to the caller."""
        for connection in wait(list(self._members), look_s):
            assert isinstance(connection, Connection)
            if (member := self._members.get(connection)) is None:
                continue  # it was lost by the handling of an earlier message
            try:
                message: FromWorker = connection.recv()
            except (EOFError, OSError, pickle.UnpicklingError):  # a message may be cut off, too
                yield from self._gone(member)
                continue
            match message:
                case Started():
                    member.is_ready, self._failed_starts = True, 0
                case NotStarted(error):
                    raise error
                case Begun():
                    member.has_begun = True
                case WantsTurn():
                    self._turns.ask(connection)
                case GivesTurn():
                    self._turns.release(connection)
                case Post(content, output):
                    yield Posted(member.task, content, member.output.with_cut(output))
                case Done(result, output):
                    task, member.handed = member.task, None
                    self._turns.release(connection)
                    yield Ended(task=task, fate="done", result=result, output=member.output.with_cut(output))
                case Raised(reason, is_memory, output):
                    fate: Fate = "out_of_memory" if is_memory else "crashed"
                    yield self._lost(member, fate, reason, member.output.with_cut(output))

    def _watched(self) -> Iterator[Ended[T]]:
        """Look at all workers, and yield the ends of tasks that take too much time or memory."""
        weighs = self._memory is not None and time.monotonic() > self._weighed + MEMORY_S
        self._weighed = time.monotonic() if weighs else self._weighed
        for member in list(self._members.values()):
            member.output.cut_back()
            if member.process.poll() is not None:  # what it has forked may hold its connection open
                if not member.connection.poll():
                    yield from self._gone(member)
                continue
            if member.handed is None:
                if not member.is_ready and time.monotonic() - member.since > START_S:
                    raise StartError(
                        f"a worker did not start within {START_S:.0f} s; it printed: {member.output.take()}"
                    )
                continue
            doing = member.notice.read()
            if doing is not None and doing.is_over:
                yield self._lost(member, "timed_out", f"it did not end within {doing.limit_s:g} s")
            elif time.time() > self._turns.until + GRACE_S:
                yield self._lost(member, "timed_out", "it was ended because the time for all was over")
            elif weighs and self._memory is not None:
                member.taken = taken_bytes(member.process.pid)
                if member.taken > self._memory:
                    took = f"it took {_gib(member.taken)} of memory, and may take {_gib(self._memory)}"
                    yield self._lost(member, "out_of_memory", took)

    def _gone(self, member: Member[T]) -> Iterator[Ended[T]]:
        """Handle the end of a worker's process."""
        with suppress(subprocess.TimeoutExpired):  # it has closed its connection, and lives
            member.process.wait(1.0)
        if _is_the_end_of_all(member.process.returncode):
            task = member.handed
            self._replace(member)
            if task is not None:
                yield Ended(task=task.task, fate="left_out", reason="the whole command was ended by a signal")
            return
        if member.handed is None:
            self._replace(member)
            self._failed_starts += not member.is_ready
            if self._failed_starts >= MOST_STARTS:
                raise StartError(
                    f"a worker ended while it started, {member.death()}; it printed: {member.output.take()}"
                )
            return
        if not member.has_begun and member.handed.times < MOST_HANDED:
            self._left.appendleft(member.handed)
            self._replace(member)
            return
        death, killed = member.death(), member.process.returncode == -signal.SIGKILL
        if self._memory is not None and member.taken > NEARLY * self._memory:
            yield self._lost(member, "out_of_memory", f"{death}, with {_gib(member.taken)} of memory in use")
        else:
            by_system = "; the system kills processes when its memory is exhausted" if killed else ""
            yield self._lost(member, "crashed", f"{death}{by_system}")

    def _lost(self, member: Member[T], fate: Fate, reason: str, output: str | None = None) -> Ended[T]:
        """Replace a worker, and give the end of its task."""
        doing, task = member.notice.read(), member.task
        self._replace(member)
        return Ended(
            task=task, fate=fate, reason=reason, doing=None if doing is None else doing.what,
            output=member.output.take() if output is None else output,
        )  # fmt: skip

    def _replace(self, member: Member[T]) -> None:
        """End a worker. `_hand_out` starts another one when there is a task for it."""
        del self._members[member.connection]
        self._turns.release(member.connection)
        member.end()
        self._unchecked.append(member.process.pid)

    def _hire(self) -> None:
        while self._unchecked:
            self._after_loss(self._unchecked.popleft())
        self._hired += 1
        limit = self._memory if self._fails and self._memory is not None else 0
        member: Member[T] = Member.hired(Path(self._folder.name), self._hired, self._start, limit)
        self._members[member.connection] = member


def _is_the_end_of_all(status: int | None) -> bool:
    """Whether the signal that has ended a worker is also sent to this process, for which it waits a moment.

    If the signal raises an exception here, or kills, this does not return.
    """
    if status is None or (spare_s := SPARE_S.get(-status)) is None:
        return False
    now = time.monotonic()
    while not (has_come := has_come_since(now - spare_s)) and time.monotonic() < now + spare_s:
        time.sleep(0.01)
    return has_come


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
