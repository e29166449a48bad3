"""Workers: each has the memory in which one block at a time runs, and runs in its own operating-system thread."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from convbench.emulator.arguments import Arguments
from convbench.emulator.building import Compiled
from convbench.emulator.checks.happens import LOG_BYTES
from convbench.emulator.checks.notes import FEW, MANY, NOTE
from convbench.emulator.checks.operands import WARPGROUP, row_words
from convbench.emulator.collectives.warpgroup import ROW_WORDS
from convbench.emulator.counting import traces
from convbench.emulator.counting.traces import Caches, Traces
from convbench.emulator.ranges import Ranges, WrittenMemory, bounds
from convbench.emulator.schedule import BARRIERS
from convbench.emulator.state import BULK, COPY, MOST_BULK, NEVER, THREAD, WARP, WORKER, aligned_bytes, copies_of_thread
from convbench.emulator.weave import FRAME_ALIGNMENT

STACK_BYTES = 16 * 2**20  # 32 times the largest local memory of a thread that hardware has
GRACE_S = 2.0  # time that running blocks get to end when a launch is interrupted

Result = TypeVar("Result")


@dataclass(frozen=True)
class Shape:
    """The sizes of a launch."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    dynamic_bytes: int

    @property
    def blocks(self) -> int:
        """Number of blocks of the grid."""
        return self.grid[0] * self.grid[1] * self.grid[2]

    @property
    def threads(self) -> int:
        """Number of threads of a block."""
        return self.block[0] * self.block[1] * self.block[2]


class Worker:
    """The rows, header, shared memory and frames for the threads of one block; in checked mode also the tables.

    `caches` are those of a profile.

    Blocks that run side by side have one each, `like` the first, with which it shares what is known of global memory.
    """

    def __init__(
        self,
        compiled: Compiled,
        arguments: Arguments,
        shape: Shape,
        memory: WrittenMemory,
        budget: int,
        like: "Worker | None" = None,
        *,
        keep_going: bool = False,
        caches: Caches = traces.DEFAULT,
    ) -> None:
        count = shape.threads // compiled.lanes
        self.arrived = np.zeros(BARRIERS, np.int64)
        self.header, self.threads = np.zeros(1, WORKER), np.zeros(count, THREAD)
        self.shared = aligned_bytes(compiled.shared_bytes + shape.dynamic_bytes)
        self.clocks = np.zeros((count if compiled.watch else 0, WARP), np.int64)
        row, (x, y, _) = np.arange(count), shape.block
        index = row * compiled.lanes
        rows, header = self.threads, self.header
        rows["worker"] = header.ctypes.data
        rows["index"], rows["lane"] = index, index % WARP
        rows["tid_x"], rows["tid_y"], rows["tid_z"] = index % x, index // x % y, index // (x * y)
        for axis, blocks, threads in zip("xyz", shape.grid, shape.block, strict=True):
            header[f"nctaid_{axis}"], header[f"ntid_{axis}"] = blocks, threads
        header["shared"], header["dynamic_bytes"] = self.shared.ctypes.data, shape.dynamic_bytes
        header["shared_bytes"], header["preempt"] = self.shared.size, NEVER
        header["may_return"] = compiled.watch is None  # hardware lets them since Volta; checked mode is strict
        self.tables = np.zeros((count, ROW_WORDS), np.int64) if compiled.warpgroups else None
        header["arguments"], header["clocks"] = arguments.words.ctypes.data, self.clocks.ctypes.data
        self._frame_bytes = 0
        if compiled.suspends:
            pitch = -(-compiled.frame_bytes(rows) // FRAME_ALIGNMENT) * FRAME_ALIGNMENT
            self.frames = aligned_bytes(count * pitch, FRAME_ALIGNMENT)
            self._frame_bytes = count * pitch
            rows["frame"] = self.frames.ctypes.data + row * pitch
        if compiled.pointers is not None:
            header["anywhere"], header["budget"] = 1, budget
            self.bounds = bounds(compiled.pointers, arguments, self.shared)
            header["ranges"], header["n_ranges"] = self.bounds.ctypes.data, self.bounds.size
        self.traces: Traces | None = None
        if compiled.tables:
            passed = sorted(arguments.arrays, key=lambda item: item.word < 0)
            pointers = sum(item.word >= 0 for item in passed)
            arrays = [item.array for item in passed]
            first = like.traces if like else None
            self.traces = Traces(compiled.tables, count, arrays, pointers, first, caches)
        if compiled.watch:
            self.ranges: Ranges = Ranges(
                compiled, arguments, memory, self.shared, shape.dynamic_bytes, like.ranges if like else None
            )
            header["ranges"], header["n_ranges"] = self.ranges.table.ctypes.data, self.ranges.table.size
            header["syncwarps"], header["budget"] = compiled.watch.syncwarps, budget
            most = copies_of_thread(count)
            self.copies, header["most_copies"] = np.zeros(count * most if compiled.watch.copies else 0, COPY), most
            header["copies"] = self.copies.ctypes.data
            self.bulk = np.zeros(MOST_BULK if compiled.watch.copies else 0, BULK)
            header["bulk"] = self.bulk.ctypes.data
            if self.tables is not None:
                header["warpgroups"], words = count // WARPGROUP, row_words(self.shared.size)
                self.operands = np.zeros((count // WARPGROUP, words), np.int64)
                header["operands"], header["operand_words"] = self.operands.ctypes.data, words
                header["products"] = self.tables.ctypes.data
            self.notes = np.zeros(MANY if keep_going else FEW, NOTE)
            header["notes"], header["most_notes"] = self.notes.ctypes.data, self.notes.size
            header["keep_going"] = keep_going
            if compiled.watch.atomics and compiled.watch.fences:
                self.log: npt.NDArray[np.uint8] = like.log if like else np.zeros(LOG_BYTES, np.uint8)
                header["order"] = self.log.ctypes.data

    @property
    def bytes(self) -> int:
        """Memory of a block, about."""
        return int(self.shared.nbytes + self.threads.nbytes + self.clocks.nbytes + self._frame_bytes)

    @property
    def noted(self) -> npt.NDArray[Any]:
        """The rows of the table of notes, without those that were dropped; in fast mode there are none."""
        if not self.header["notes"][0]:
            return np.zeros(0, NOTE)
        rows: npt.NDArray[Any] = self.notes[: int(self.header["n_notes"][0])]
        kept: npt.NDArray[Any] = rows[rows["kind"] != 0]
        return kept

    def preempt(self, seed: int) -> None:
        """Let other blocks run at atomics."""
        self.header["preempt"], self.header["random"] = 1, seed

    def stop(self) -> None:
        """Make the running block end at its next barrier, and let no other block begin."""
        self.header["stop"] = 1


class _Thread:
    """An operating-system thread that waits for work, because starting a new one takes longer than most launches.

    It is a daemon, so that a kernel that never ends does not keep the interpreter from ending.
    """

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        with _starting:
            before = threading.stack_size(STACK_BYTES)
            try:
                threading.Thread(target=self._serve, daemon=True, name="emulator").start()
            finally:
                threading.stack_size(before)

    def do(self, work: Callable[[], None]) -> None:
        """Run `work`, which must not raise, then wait for more."""
        self._inbox.put(work)

    def _serve(self) -> None:
        while True:
            work = self._inbox.get()
            work()
            del work  # frees the memory that it refers to
            _idle.append(self)


_starting = threading.Lock()
_idle: list[_Thread] = []
os.register_at_fork(after_in_child=_idle.clear)  # a child process has none of its parent's threads


class _Task(Generic[Result]):
    """A function that runs in another thread. Its result, or its exception, is known when it is done."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._done = threading.Lock()  # held until it is done: an Event takes three times as long
        self._done.acquire()
        self._result: list[Result] = []
        self._error: BaseException | None = None
        try:
            thread = _idle.pop()
        except IndexError:
            thread = _Thread()
        thread.do(self._run)

    def _run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:  # noqa: BLE001  (raised again by the thread that waits)
            self._error = error
        self._done.release()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is done, at most for this time. Returns whether it is done."""
        is_done = self._done.acquire(timeout=-1 if timeout_s is None else timeout_s)
        if is_done:
            self._done.release()
        return is_done

    def result(self) -> Result:
        """The result of the function. Raises its exception, if it raised one."""
        if self._error is not None:
            raise self._error
        return self._result[0]


def run_all(workers: Sequence[Worker], work: Callable[[Worker], Result]) -> list[Result]:
    """Run `work` for all workers at once, and return the results. An interruption stops all of them."""
    tasks = [_Task(_bind(work, worker)) for worker in workers]
    try:
        for task in tasks:
            task.wait()
    except BaseException:
        for worker in workers:
            worker.stop()
        for task in tasks:
            task.wait(GRACE_S)
        raise
    return [task.result() for task in tasks]


def run_one(worker: Worker, work: Callable[[Worker], Result]) -> Result:
    """Run `work` for one worker, and return the result. An interruption stops it."""
    task = _Task(_bind(work, worker))
    try:
        task.wait()
    except BaseException:
        worker.stop()
        task.wait(GRACE_S)
        raise
    return task.result()


def _bind(work: Callable[[Worker], Result], worker: Worker) -> Callable[[], Result]:
    return lambda: work(worker)
