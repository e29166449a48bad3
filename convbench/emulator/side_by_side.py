"""Run the blocks of a launch side by side, because they may wait for each other.

A block that does nothing but spin, or that waits for the whole grid, is parked. The next blocks begin meanwhile, each
with a worker of its own, and parked blocks go on in turn. All run in one operating-system thread, one after another, so
that a launch gives the same result each time. If nobody gets on and no memory changes, they would wait for ever.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from convbench.emulator.arguments import Arguments
from convbench.emulator.errors import LaunchError, UnsupportedError
from convbench.emulator.faults import Stop, waiting
from convbench.emulator.schedule import PARK, PARKED
from convbench.emulator.source import Sites
from convbench.emulator.state import REMARKS, TURNS, FaultKind, Status
from convbench.emulator.workers import Worker

MOST_BYTES = 2 << 30  # of the workers of blocks that are parked
FEWEST, MOST = 16, 1 << 14  # most parked blocks, however large or small they are
QUIET = 128  # passes over all parked blocks in which nobody gets on, after which they count as stuck
EPOCHS, RANGE = 1 << 26, 1 << 16  # of a launch, and most of a parked block: it has one for each barrier
MOST_TOLD = 8  # places of waiting threads in a message

# faults after which a thread goes on; any other ends it
_RACES = FaultKind.RACE_READ, FaultKind.RACE_WRITE, FaultKind.RACE_OVERWRITE
_GOES_ON = {*_RACES, FaultKind.UNWRITTEN, *REMARKS}

_NO_BLOCKS = np.zeros(0, np.int64)


class Residents:
    """The blocks of one launch.

    Parameters
    ----------
    first, make : a worker, and the function that makes others like it
    enter : goes on with the parked block of a worker, then runs blocks; returns as `schedule.run_blocks`
    blocks : in the order in which they begin
    budget : turns of a loop that everybody may spin
    checked : whether epochs are kept in the shadow of memory, which has room for so many
    """

    def __init__(
        self,
        first: Worker,
        make: Callable[[], Worker],
        enter: Callable[[Worker, npt.NDArray[np.int64]], tuple[int, int]],
        blocks: npt.NDArray[np.int64],
        budget: int,
        arguments: Arguments,
        sites: Sites,
        *,
        checked: bool,
    ) -> None:
        self._first, self._make, self._enter, self._blocks = first, make, enter, blocks
        self._budget, self._arguments, self._sites, self._checked = budget, arguments, sites, checked
        self.workers = [first]
        self._idle, self._parked = [first], list[Worker]()
        self._next = self._epoch = self._spent = 0
        self._finished = 0
        self._most = min(max(MOST_BYTES // first.bytes, FEWEST), MOST)
        self._range = min(RANGE, EPOCHS // (blocks.size + 1))

    def run(self, kernel: str, *, grid: bool) -> Stop | None:
        """Run all blocks. Returns a fault, or None. Raises LaunchError if too many would wait for a grid."""
        if grid and self._blocks.size > self._most:
            raise LaunchError(
                f"{kernel}: {self._blocks.size} blocks cannot be on a device at once, as a grid synchronisation needs; "
                f"launch at most {self._most}"
            )
        quiet, mark = 0, 0
        while self._next < self._blocks.size or self._parked:
            if self._first.header["stop"][0]:
                return None
            progress, stop = self._pass(quiet=quiet > 0 or grid)
            if stop:
                return stop
            if self._parked and self._next == self._blocks.size and all(w.header["at_grid"][0] for w in self._parked):
                if self._finished:
                    if self._has_broken():
                        return None
                    return self._stop(self._parked[0], FaultKind.INCOMPLETE_BARRIER, 0)
                self._release_grid()
                progress = True
            quiet = 0 if progress else quiet + 1
            most = max(2, min(QUIET, self._budget // (TURNS * PARK)))
            if quiet == 1:
                mark = self._mark()
            elif quiet == most:
                self._spent += most * PARK * TURNS
                if self._mark() == mark or self._spent >= self._budget:
                    return None if self._has_broken() else self._stuck()
                quiet = 0
        return None

    def _pass(self, *, quiet: bool) -> tuple[bool, Stop | None]:
        """Begin blocks, and let each parked block go on once. Returns whether anybody got on, and a fault."""
        progress = False
        begun = self._most if quiet else FEWEST  # some make room for others, unless they wait for them
        while self._next < self._blocks.size and len(self._parked) < begun:
            progress = True
            worker = self._worker()
            worker.header["epoch"] = self._epoch
            fault, who = self._enter(worker, self._blocks[self._next :])
            if fault == PARKED:
                self._finished += who
                self._next += who + 1
                self._parked.append(worker)
                begin = int(worker.header["block_epoch"][0])
                worker.header["range_end"] = self._epoch = begin + self._range
                self._keep_in_range(worker)
            elif fault:
                return True, self._stop(worker, FaultKind(fault), who)
            else:
                self._finished += self._blocks.size - self._next
                self._next = self._blocks.size
                self._epoch = int(worker.header["epoch"][0])
                self._idle.append(worker)
        self._parked.reverse()  # whichever way they wait for each other, one of two passes lets all go on
        for worker in list(self._parked):
            if worker.header["at_grid"][0]:
                continue
            worker.header["progress"] = 0
            fault, who = self._enter(worker, _NO_BLOCKS)
            progress |= bool(worker.header["progress"][0])
            if fault == PARKED:
                self._keep_in_range(worker)
            elif fault:
                return True, self._stop(worker, FaultKind(fault), who)
            else:
                progress = True
                self._finished += 1
                self._parked.remove(worker)
                self._idle.append(worker)
        return progress, None

    def _worker(self) -> Worker:
        if self._idle:
            return self._idle.pop()
        self.workers.append(self._make())
        return self.workers[-1]

    def _keep_in_range(self, worker: Worker) -> None:
        if self._checked and worker.header["epoch"][0] > worker.header["range_end"][0]:
            raise UnsupportedError(f"a block that waits for other blocks has more than {self._range} barriers")

    def _release_grid(self) -> None:
        """Let all threads go on behind a grid synchronisation, which orders all accesses of all blocks."""
        last = self._epoch
        for worker in self._parked:
            header = worker.header
            header["grid_epoch"] = last
            header["range_begin"] = header["epoch"] = self._epoch + 1
            self._epoch += self._range
            header["range_end"], header["at_grid"], header["rounds"] = self._epoch, 0, 0
            waiting = worker.threads["status"] == Status.GRID  # the others have returned
            worker.threads["status"][waiting], worker.threads["sync"][waiting] = Status.READY, 0
            worker.clocks[:] = 0
        if self._checked and self._epoch > EPOCHS:
            raise UnsupportedError(f"a grid of {self._blocks.size} blocks synchronises too often for the checks")

    def _mark(self) -> int:
        """A number that changes with the memory of the launch."""
        found = 0
        arrays: Sequence[npt.NDArray[np.generic]] = [item.array for item in self._arguments.arrays]
        for array in (*arrays, *(worker.shared for worker in self._parked)):
            found = zlib.crc32(array.tobytes(), found)
        return found

    def _has_broken(self) -> bool:
        """Whether a fault has ended a thread of a launch that goes on. It is no fault that others wait for it."""
        return any(kind not in _GOES_ON for worker in self.workers for kind in worker.noted["kind"])

    def _stuck(self) -> Stop:
        """The fault of a launch in which nobody gets on, told by a thread that spins."""
        for worker in self._parked:
            for who, row in enumerate(worker.threads):
                if row["status"] == Status.READY:
                    row["fault_site"] = row["site"]
                    return self._stop(worker, FaultKind.SPINNING, who)
        return self._stop(self._parked[0], FaultKind.INCOMPLETE_BARRIER, 0)

    def _stop(self, worker: Worker, kind: FaultKind, who: int) -> Stop:
        rows, header = worker.threads, worker.header[0]
        others: list[str] = []
        if kind == FaultKind.SPINNING:
            for other in [worker, *(parked for parked in self._parked if parked is not worker)]:
                others += waiting(other.header[0], other.threads, self._sites)
                if len(others) > MOST_TOLD:
                    others = [*others[:MOST_TOLD], f"and more, in {len(self._parked)} blocks in all"]
                    break
        return Stop(kind, rows[who].copy(), rows.copy(), header.copy(), tuple(others))
