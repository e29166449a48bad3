"""What a worker of a cluster does: it has a crew of one process for each of its threads, and passes messages on.

Messages go to all clients that hear the topic. So two callers that want the same task, by its name, get its messages
both, although it is done once.
"""

import itertools
import pickle
import platform
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from distributed import get_worker

from convbench.crew.cluster.sealed import Sealed
from convbench.crew.crew import Crew, Ended, Fate, Posted

TOPIC = "convbench"

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
    content: Any  # bytes or text: what was posted; a pickled `End`; what is under way; or where it has begun
    output: str


class End(NamedTuple):
    """How a task has ended, as in `crew.Ended`."""

    fate: Fate
    result: bytes | None = None
    reason: str | None = None
    doing: str | None = None


def work(order: Order) -> list[Message]:
    """Do a task of a cluster, in one of its workers. Raises what the start of a process for it raises.

    The answer is the last message, with those posted before if the order wants to keep them: for a caller that has
    missed them, because another one gave the same task before it.
    """
    worker, numbers, kept = get_worker(), itertools.count(), list[Message]()
    execution = f"{worker.id}-{next(_executions)}"

    def say(kind: Kind, content: bytes | str, output: str = "") -> None:
        message = Message(order.name, execution, next(numbers), kind, content, output)
        worker.log_event(TOPIC, tuple(message))
        if kind == "ended" or (order.keeps and kind == "posted"):
            kept.append(message)

    with _room.taken(alone=order.alone), _crew(order) as crew:
        say("begun", f"{platform.node()} ({worker.address})")
        crew.add(order.task)
        doing: list[str] = []
        for event in crew.events():
            if _is_cancelled(worker, order.name):
                break
            for content in _told.pop(order.name, ()):
                crew.tell(content)
            if (now := crew.doing()) != doing:
                doing = now
                say("doing", ", ".join(doing))
            match event:
                case Posted(content=content, output=output):
                    say("posted", content, output)
                case Ended(fate=fate, result=result, reason=reason, doing=was, output=output):
                    say("ended", pickle.dumps(End(fate, result, reason, was)), output)
    return kept


def tell(names: list[str], content: bytes) -> None:
    """Tell the tasks of these names that this worker does. Called in each worker, by way of `Client.run`."""
    for name in names:
        _told[name].append(content)


class _Room:
    """Lets tasks be done at the same time, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside, self._is_alone = 0, False

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone and not (alone and self._inside))
            self._inside, self._is_alone = self._inside + 1, alone
        try:
            yield
        finally:
            with self._changed:
                self._inside, self._is_alone = self._inside - 1, False
                self._changed.notify_all()


@contextmanager
def _crew(order: Order) -> Iterator[Crew[bytes]]:
    """The crew of this thread. It stays for the next task if that needs the same; its process has warmed up."""
    key = order.start, order.memory, order.fails_allocations
    crew: Crew[bytes] | None = getattr(_own, "crew", None)
    if crew is not None and _own.key != key:
        crew.close()
        crew = None
    if crew is None:
        crew = Crew(Sealed(order.start), memory=order.memory, fails_allocations=order.fails_allocations)
        _own.crew, _own.key = crew, key
    try:
        yield crew
    except BaseException:
        crew.close()
        _own.crew = None
        raise
    finally:
        crew.cancel()  # nothing is left, unless the task was cancelled


def _is_cancelled(worker: Any, name: str) -> bool:
    """Whether no client wants a task any more, or the cluster has given it to another worker."""
    task = worker.state.tasks.get(name)
    return task is None or task.state == "cancelled"


_executions = itertools.count()
_room = _Room()
_own = threading.local()  # the crew of a thread, and what it was made for
_told: defaultdict[str, list[bytes]] = defaultdict(list)  # by the name of a task
