"""What a worker of a cluster does: it has a crew of one process for each of its threads, and passes messages on.

Messages go to all clients that hear the topic. So two callers that want the same task, by its name, get its messages
both, although it is done once.
"""

import itertools
import pickle
import platform
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from distributed import get_worker

from convbench.crew.cluster.sealed import Sealed
from convbench.crew.crew import Crew
from convbench.crew.ends import Ended, Fate, Posted

TOPIC = "convbench"
IDLE_S = 10.0  # how long a process waits for its next task: it may have a GPU

Kind = Literal["begun", "doing", "posted", "ended"]


@dataclass(frozen=True)
class Order:
    """A task for the cluster.

    Parameters
    ----------
    name : of the task, for Dask
    start : the pickled function that makes what does tasks
    task : pickled
    memory : bytes that it may take
    fails_allocations : as for `Crew`
    alone : whether the worker may do nothing else at the same time
    keeps : whether the messages are to be in the answer, too, for a caller that has missed some
    """

    name: str
    start: bytes
    task: bytes
    memory: int
    fails_allocations: bool
    alone: bool
    keeps: bool


class Message(NamedTuple):
    """A message about a task. Those of one execution have numbers from 0."""

    name: str
    execution: str  # a task whose worker was lost may be executed again
    number: int
    kind: Kind
    content: Any  # bytes or text: what was posted; a pickled `End`; what is under way; or the host and the worker
    output: str


class End(NamedTuple):
    """How a task has ended, as in `crew.Ended`."""

    fate: Fate
    result: bytes | None = None
    reason: str | None = None
    doing: str | None = None


def work(order: Order) -> list[Message]:
    """Do a task of a cluster, in one of its workers. Raises what the start of a process for it raises.

    The answer is the first message and the last, and those posted between if the order wants to keep them: for a caller
    that has missed them, because another one gave the same task before it.
    """
    worker, numbers, kept = get_worker(), itertools.count(), list[Message]()
    execution = f"{worker.id}-{next(_executions)}"

    def say(kind: Kind, content: bytes | str, output: str = "") -> None:
        message = Message(order.name, execution, next(numbers), kind, content, output)
        worker.log_event(TOPIC, tuple(message))
        if kind in ("begun", "ended") or (order.keeps and kind == "posted"):
            kept.append(message)

    with _told.heard(order.name) as told, _room.taken(alone=order.alone), _crew(order) as crew:
        say("begun", pickle.dumps((platform.node(), worker.address)))
        crew.add(order.task)
        doing: list[str] = []
        for event in crew.events():
            if _is_cancelled(worker, order.name):
                break
            while told and crew.is_busy:  # before, nobody would hear it
                crew.tell(told.popleft())
            if (now := [what for _, what in crew.under_way()]) != doing:
                doing = now
                say("doing", ", ".join(doing))
            match event:
                case Posted(content=content, output=output):
                    say("posted", content, output)
                case Ended(fate=fate, result=result, reason=reason, doing=was, output=output):
                    say("ended", pickle.dumps(End(fate, result, reason, was)), output)
    return kept


async def tell(names: list[str], content: bytes) -> None:
    """Tell the tasks of these names that this worker does. Called in each worker, by way of `Client.run`."""
    _told.add(names, content)


class _Told:
    """What callers tell the tasks under way."""

    def __init__(self) -> None:
        self._of: dict[str, deque[bytes]] = {}  # by the name of a task

    @contextmanager
    def heard(self, name: str) -> Iterator[deque[bytes]]:
        """What is told to a task while this context lasts."""
        self._of[name] = deque()
        try:
            yield self._of[name]
        finally:
            self._of.pop(name, None)

    def add(self, names: list[str], content: bytes) -> None:
        for name in names:
            if name in self._of:
                self._of[name].append(content)


class _Room:
    """Lets tasks be done at the same time, or one alone. Tasks that come while one waits to be alone wait behind it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside, self._alone, self._is_alone = 0, 0, False

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        with self._changed:
            self._alone += alone
            self._changed.wait_for(lambda: not self._inside if alone else not self._is_alone and not self._alone)
            self._alone -= alone
            self._inside, self._is_alone = self._inside + 1, alone
        try:
            yield
        finally:
            with self._changed:
                self._inside, self._is_alone = self._inside - 1, False
                self._changed.notify_all()


class _Own:
    """The crew of one thread. It stays for the next task, for its process has warmed up, and closes if none comes."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._crew: Crew[bytes] | None = None
        self._key: tuple[object, ...] = ()
        self._closing: threading.Timer | None = None

    @contextmanager
    def for_order(self, order: Order) -> Iterator[Crew[bytes]]:
        with self._lock:
            if self._closing is not None:
                self._closing.cancel()
            key = order.start, order.memory, order.fails_allocations
            if self._key != key:
                self._close()
            if self._crew is None:
                start = Sealed(order.start)
                self._crew = Crew(start, memory=order.memory, fails_allocations=order.fails_allocations)
                self._key = key
            try:
                yield self._crew
                self._crew.cancel()  # nothing is left, unless the task was cancelled
            except BaseException:
                self._close()
                raise
            self._closing = threading.Timer(IDLE_S, self._close)
            self._closing.daemon = True
            self._closing.start()

    def _close(self) -> None:
        with self._lock:
            if self._crew is not None:
                self._crew.close()
            self._crew, self._key = None, ()


def _crew(order: Order) -> AbstractContextManager[Crew[bytes]]:
    """The crew of this thread, for one task."""
    if not hasattr(_threads, "own"):
        _threads.own = _Own()
    own: _Own = _threads.own
    return own.for_order(order)


def _is_cancelled(worker: Any, name: str) -> bool:
    """Whether no client wants a task any more, or the cluster has given it to another worker."""
    task = worker.state.tasks.get(name)
    return task is None or task.state == "cancelled"


_executions = itertools.count()
_room = _Room()
_told = _Told()
_threads = threading.local()  # each has an `_Own`
