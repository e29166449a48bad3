"""Launches that are ready to run again, with other arguments and no more work than these need.

The first launch of a kernel finds types, limits, machine code and the memory of a worker. All of that is the same for
every launch with the same kernel, shape and kinds of arguments, in fast mode and forward order. So it is kept here, and
the next such launch writes its words into the worker's memory and enters the machine code.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from convbench.emulator import faults, schedule
from convbench.emulator.arguments import Arguments
from convbench.emulator.building import Compiled
from convbench.emulator.places import Places
from convbench.emulator.ptx import heap
from convbench.emulator.state import RANGE, WORKER, FaultKind, offset
from convbench.emulator.workers import Shape, Worker, run_one

KEPT = 64  # launches that are ready; the least recently used one is forgotten first
KEPT_BYTES = 1 << 20  # most memory of a worker that is kept
KEPT_WORKERS = 4  # of one launch, for launches from several threads at once
MOST_NOTED = 1000  # launches with different integers whose times are counted
ALONE_S = 2e-3  # a launch that takes longer on one core is spread over all
HERE_THREADS = 1 << 14  # most threads of a launch that runs in the thread that launches it
HERE_BYTES = 1 << 14  # most local memory of such a thread, which comes from that thread's stack

_ROW = RANGE.itemsize // 8
_BEGIN = offset(RANGE, "begin") // 8
_SPAN = slice(_BEGIN, _BEGIN + 2)  # begin and size stand side by side
_ARGUMENTS, _RANGES, _N_RANGES = (offset(WORKER, name) // 8 for name in ("arguments", "ranges", "n_ranges"))


class Given(NamedTuple):
    """The arguments of a launch."""

    words: Sequence[int]  # those of `Arguments`, with signs
    extents: Sequence[tuple[int, int]]  # address and bytes of each array that a word names, in the order of the words
    arguments: Callable[[], Arguments]  # what the report of a fault needs


class Again(NamedTuple):
    """How to find a launch again."""

    key: Hashable
    words: int  # how many words its arguments have


class Others(NamedTuple):
    """The memory that PTX may touch beside its arguments: address and bytes of each piece."""

    version: Hashable  # another one for other pieces
    spans: npt.NDArray[np.int64]


NO_OTHERS = Others(None, np.zeros((0, 2), np.int64))


class _Place:
    """A worker, with the memory for the words and the bounds of a launch."""

    def __init__(self, worker: Worker, words: int, pointers: int | None) -> None:
        self.worker = worker
        self._words = np.zeros(max(words, 1), np.int64)
        self._bytes, self._pack = self._words.data.cast("B"), Struct(f"={words}q").pack_into
        self._header = worker.header.view(np.int64)
        self._header[_ARGUMENTS] = self._words.ctypes.data
        self._fresh = self._header.copy()
        self._pointers = pointers
        self._version: Hashable = self  # of no table yet
        self._table, self._spans = np.zeros((0, _ROW), np.int64), NO_OTHERS.spans
        self.rows_at = worker.threads.ctypes.data

    def renew(self, given: Given, others: Others) -> None:
        """Write what the launch is given. Raises struct.error for a word of more than 64 bits."""
        if self._pointers is not None:
            version = others.version, len(heap.memory())
            if version != self._version:
                self._lay_out(others)
                self._version = version
            if given.extents:
                self._spans[...] = given.extents
        self._header[:] = self._fresh
        self._pack(self._bytes, 0, *given.words)

    def _lay_out(self, others: Others) -> None:
        """Make the table of ranges, in the order of `ranges.bounds`."""
        pointers = self._pointers or 0
        own = [(array.ctypes.data, array.nbytes) for array in (self.worker.shared, *heap.memory())]
        self._table = np.zeros((pointers + len(own) + len(others.spans), _ROW), np.int64)
        self._spans = self._table[:pointers, _SPAN]
        self._table[pointers, _SPAN] = own[0]
        self._table[pointers + 1 :, _SPAN] = np.concatenate([others.spans, np.reshape(own[1:], (-1, 2))])
        self._fresh[_RANGES], self._fresh[_N_RANGES] = self._table.ctypes.data, len(self._table)


class Ready:
    """A launch that has run before and ended well. It may run in several threads at once.

    Parameters
    ----------
    words : number of words of the arguments
    pays_s : tells how long it must run with the same integers until code for these alone is worth a compilation
    cores : on how many cores a long launch would run
    """

    def __init__(self, compiled: Compiled, shape: Shape, words: int, pays_s: Callable[[], float], cores: int) -> None:
        self._compiled, self._words, self._pays_s = compiled, words, pays_s
        self._threads = np.arange(shape.threads // compiled.lanes, dtype=np.int64)
        self._blocks = np.arange(shape.blocks, dtype=np.int64) if shape.blocks <= HERE_THREADS else None
        self._spreads = cores > 1 and shape.blocks > 1
        is_small = shape.blocks * shape.threads <= HERE_THREADS and compiled.local_bytes <= HERE_BYTES
        self._is_here = is_small and compiled.is_brief
        self._is_long = self._blocks is None
        self._idle: list[_Place] = []
        self._specialises = compiled.pointers is not None and compiled.scalars is None and compiled.tables is None
        self._ran_s: dict[bytes, float] = {}
        self._special: dict[bytes, Ready] = {}

    @staticmethod
    def is_possible(compiled: Compiled) -> bool:
        """Whether launches of this code are simple enough."""
        waits = compiled.spins or compiled.grid
        return not (waits or compiled.watch or compiled.tables or compiled.variables or compiled.raises)

    def keep(self, worker: Worker) -> None:
        """Keep a new worker, if there is room for it."""
        if worker.bytes <= KEPT_BYTES and len(self._idle) < KEPT_WORKERS:
            pointers = self._compiled.pointers
            self._idle.append(_Place(worker, self._words, None if pointers is None else len(pointers)))

    def special(self, scalars: tuple[int, ...], make: Callable[[], "Ready"]) -> "Ready":
        """The launch of the code for these integers alone."""
        return self._special.setdefault(np.array(scalars, np.int64).tobytes(), make())

    @property
    def lacks_worker(self) -> bool:
        """Whether all workers are busy."""
        return not self._idle and not self._is_long

    def took(self, seconds: float) -> None:
        """Note how long a launch took on all cores."""
        self._is_long = self._blocks is None or (self._spreads and seconds > 0.75 * ALONE_S)

    def run(self, given: Given, others: Others = NO_OTHERS) -> bool:
        """Run it. Returns False if it must be launched in the ordinary way.

        Raises KernelFault.
        """
        if self._is_long or self._blocks is None:
            return False
        key = b""
        if self._specialises:
            integers = list(given.words)
            for word in self._compiled.pointers or ():
                integers[word] = 0
            key = np.array(integers, np.int64).tobytes()
            if key in self._special:
                return self._special[key].run(given, others)
            if self._ran_s.get(key, 0.0) >= self._pays_s():
                self._compiled.ran_s[tuple(integers)] = self._ran_s.pop(key, 0.0)
                return False
        try:
            place = self._idle.pop()
        except IndexError:
            return False
        place.renew(given, others)
        begin = time.perf_counter()
        fault, who = self._enter(place)
        seconds = time.perf_counter() - begin
        worker = place.worker
        if fault:
            rows, header = worker.threads, worker.header[0]
            stop = faults.Stop(FaultKind(fault), rows[who].copy(), rows, header)
            raise faults.report(stop, self._compiled, Places(self._compiled, given.arguments(), [worker]))
        self._idle.append(place)
        self._is_long = self._spreads and seconds > ALONE_S
        if self._specialises:
            if len(self._ran_s) > MOST_NOTED:
                self._ran_s.clear()
            self._ran_s[key] = self._ran_s.get(key, 0.0) + seconds
        return True

    def _enter(self, place: _Place) -> tuple[int, int]:
        """Run all blocks. A launch that surely ends soon runs in this thread, which Ctrl-C could not interrupt."""
        compiled, worker = self._compiled, place.worker

        def blocks(_: Worker) -> tuple[int, int]:
            found: tuple[int, int] = schedule.run_blocks(
                compiled.start, compiled.resume, worker.threads, place.rows_at, self._threads, self._blocks,
                worker.header, worker.shared, worker.shared.size, worker.clocks, worker.tables, worker.arrived, None,
            )  # fmt: skip
            return found

        return blocks(worker) if self._is_here else run_one(worker, blocks)


class Launches:
    """The launches that are ready, by what tells them apart."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Ready] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Ready | None:
        """The launch; None if there is none yet."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def keep(self, key: Hashable, ready: Ready) -> None:
        """Keep a launch."""
        with self._lock:
            self._kept[key] = ready
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


LAUNCHES = Launches()
