"""The caller's side of a cluster: it hands tasks to Dask, and reads what the workers tell of them.

A task whose worker is lost with its machine ends with the fate `lost`; the caller decides what becomes of it. Dask
itself would do it again, from its beginning, and again.
"""

import pickle
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar
from uuid import uuid4

from distributed import Future, KilledWorker

from convbench.crew.cluster.connection import Cluster
from convbench.crew.cluster.place import TOPIC, Message, Order, tell, work
from convbench.crew.crew import LOOK_S, Start
from convbench.crew.ends import Ended, Posted, StartError
from convbench.errors import ConvbenchError, told

T = TypeVar("T")

AHEAD = 2  # tasks that Dask has for each slot, so that no worker waits for its next one
LOOK_AT_CLUSTER_S = 5.0
MENDED_S = 15.0  # how long Dask may take to start a lost worker again
EMPTY_S = 300.0  # how long the cluster may have no worker


@dataclass(eq=False)
class _Given(Generic[T]):
    """A task that Dask has."""

    task: T
    future: Future
    execution: str | None = None  # that has begun
    where: tuple[str, str] | None = None  # it has begun: host and worker
    seen: set[int] = field(default_factory=set)  # numbers of messages
    doing: str | None = None


class Team(Generic[T]):
    """The workers of a cluster, of which each does a task at a time in each of its threads. It closes the cluster.

    Parameters
    ----------
    start : as for `Crew`
    name : the name of a task. Tasks of one name are the same task to the cluster, also if several callers give them:
        it is done once. None: every task is another one.
    memory : bytes that each task may take
    fails_allocations : as for `Crew`
    alone : whether a worker may do nothing else while it does a task
    """

    def __init__(
        self,
        cluster: Cluster,
        start: Start,
        *,
        memory: int,
        fails_allocations: bool,
        name: Callable[[T], str] | None = None,
        alone: bool = False,
    ) -> None:
        self._cluster, self._client, self._most = cluster, cluster.client, AHEAD * cluster.slots
        self._start, self._name, self._alone = pickle.dumps(start), name, alone
        self._memory, self._fails = memory, fails_allocations
        self._left: deque[T] = deque()
        self._given: dict[str, _Given[T]] = {}
        self._heard: SimpleQueue[Message | Future] = SimpleQueue()
        self._times = Counter[str]()  # that a task of a name was given
        self._told: list[tuple[bytes, Callable[[T], bool]]] = []
        self._looked, self._inhabited, self._whole = 0.0, time.monotonic(), time.monotonic()
        self._client.subscribe_topic(TOPIC, self._hear)

    def add(self, *tasks: T, first: bool = False) -> None:
        """Add tasks, after all others or before them."""
        if first:
            self._left.extendleft(reversed(tasks))
        else:
            self._left.extend(tasks)

    def tell(self, content: object, *, but: Callable[[T], bool] = lambda _task: False) -> None:
        """Tell all workers that have a task, except those with a task for which `but` is true, for `Desk.told`.

        Tasks that begin later are told, too: Dask has had some of them for a while.
        """
        self._told.append((pickle.dumps(content), but))
        self._tell([name for name, given in self._given.items() if given.execution is not None], self._told[-1:])

    def events(self, *, look_s: float = LOOK_S) -> Iterator[Posted[T] | Ended[T] | None]:
        """Do the tasks. Yield their messages and ends as they come, and None whenever `look_s` passes without any.

        It ends when all tasks have ended; the caller may add tasks until then. Raises StartError if the cluster is
        lost.
        """
        while self._left or self._given:
            self._look()
            while self._left and len(self._given) < self._most:
                self._give(self._left.popleft())
            try:
                heard = self._heard.get(timeout=look_s)
            except Empty:
                yield None
                continue
            yield from self._ended(heard) if isinstance(heard, Future) else self._read(heard)

    def under_way(self) -> list[tuple[T, str]]:
        """None: what is under way in the processes of a cluster does not end that of the caller."""
        return []

    def cancel(self) -> None:
        """Drop all tasks that have not ended. New tasks may follow."""
        self._left.clear()
        for name in list(self._given):
            self._drop(name)

    def close(self) -> None:
        """Drop all tasks, and end the connection. No more tasks follow."""
        self.cancel()
        self._cluster.close()

    def _give(self, task: T) -> None:
        """Give a task to Dask. The second time it has another name, so that it is done a second time."""
        name = f"convbench-{uuid4()}" if self._name is None else self._name(task)
        self._times[name] += 1
        if self._times[name] > 1:
            name = f"{name}-again-{self._times[name] - 1}"
        order = Order(
            name, self._start, pickle.dumps(task), memory=self._memory, fails_allocations=self._fails,
            alone=self._alone, keeps=self._name is not None,
        )  # fmt: skip
        future = self._client.submit(work, order, key=name)
        self._given[name] = _Given(task, future)
        future.add_done_callback(self._heard.put)

    def _tell(self, names: list[str], contents: Sequence[tuple[bytes, Callable[[T], bool]]]) -> None:
        for content, but in contents:
            if told := [name for name in names if not but(self._given[name].task)]:
                self._client.run(tell, told, content, wait=False)

    def _hear(self, event: tuple[float, Any]) -> None:
        self._heard.put(Message(*event[1]))

    def _read(self, message: Message, *, is_answer: bool = False) -> Iterator[Posted[T] | Ended[T]]:
        """What a message means to the caller. Some may have been missed before it, which the answer has."""
        given = self._given.get(message.name)
        if given is None:
            return  # another caller's, or of an execution that was lost
        if message.kind == "begun" and given.execution not in (None, message.execution):
            yield self._lost(message.name)
            return
        if given.execution not in (None, message.execution) or message.number in given.seen:
            return
        given.execution = message.execution
        if message.kind == "ended" and not is_answer and len(given.seen) < message.number:
            return  # the answer follows
        given.seen.add(message.number)
        if message.kind == "begun":
            given.where = pickle.loads(message.content)
            self._tell([message.name], self._told)
        elif message.kind == "doing":
            given.doing = str(message.content) or None
        elif message.kind == "posted":
            yield Posted(given.task, pickle.loads(message.content), message.output)
        elif message.kind == "ended":
            del self._given[message.name]
            fate, result, reason, doing = pickle.loads(message.content)
            yield Ended(
                task=given.task, fate=fate, result=None if result is None else pickle.loads(result), reason=reason,
                doing=doing, output=message.output, host=given.where and given.where[0],
            )  # fmt: skip

    def _ended(self, future: Future) -> Iterator[Posted[T] | Ended[T]]:
        """The end of a task for Dask; its last message may have told it already, or not have been heard."""
        given = self._given.get(future.key)
        if given is None or given.future is not future:
            return
        if future.status == "finished":
            messages: list[Message] = future.result()
            if messages and given.execution != messages[-1].execution:
                given.execution, given.seen = messages[-1].execution, set()
            for message in messages:
                yield from self._read(message, is_answer=True)
            if future.key in self._given:  # it was dropped there
                yield self._lost(future.key)
        elif future.status == "cancelled":
            if self._client.status != "running":
                raise StartError("the connection to the scheduler of the cluster was lost")
            yield self._lost(future.key)
        elif isinstance(error := future.exception(), KilledWorker):
            yield self._lost(future.key)
        elif isinstance(error, ConvbenchError):
            raise error
        else:
            raise StartError(f"a worker of the cluster cannot do a task: {told(error)}")

    def _lost(self, name: str) -> Ended[T]:
        """The end of a task whose worker was lost."""
        given = self._given[name]
        self._drop(name)
        where = (
            "a worker that had not begun it" if given.where is None else "the worker on {} ({})".format(*given.where)
        )
        return Ended(
            task=given.task, fate="lost", doing=given.doing, reason=f"{where} was lost",
            host=given.where and given.where[0],
        )  # fmt: skip

    def _drop(self, name: str) -> None:
        self._given.pop(name).future.cancel()

    def _look(self) -> None:
        """Look at the cluster now and then: it may grow, and a local one may need a worker in place of a lost one.

        Dask does not start one again if it is lost while it starts. Raises StartError if there was no worker for long.
        """
        now = time.monotonic()
        if now < self._looked + LOOK_AT_CLUSTER_S:
            return
        self._looked = now
        slots = self._client.scheduler_info(n_workers=0)["total_threads"]  # of before, if the scheduler is lost
        if slots:
            self._inhabited, self._most = now, AHEAD * slots
        if slots >= self._cluster.slots:
            self._whole = now
        elif now > self._whole + MENDED_S:
            self._cluster.start_workers(self._cluster.slots - slots)
            self._whole = now
        if not slots and now > self._inhabited + EMPTY_S:
            raise StartError(f"the cluster has had no worker for {EMPTY_S:.0f} s")
