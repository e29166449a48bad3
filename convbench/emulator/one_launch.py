"""Run the blocks of one launch, on as many workers as there are cores, and tell what was found."""

import itertools
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from convbench.emulator import faults, schedule
from convbench.emulator.arguments import Arguments
from convbench.emulator.building import Compiled
from convbench.emulator.counting import traces
from convbench.emulator.counting.tally import Tally
from convbench.emulator.counting.traces import Caches
from convbench.emulator.errors import KernelFault, Remark
from convbench.emulator.orders import Order, permutation
from convbench.emulator.places import Places
from convbench.emulator.ranges import WrittenMemory
from convbench.emulator.side_by_side import Residents
from convbench.emulator.state import REMARKS, FaultKind
from convbench.emulator.support import printing
from convbench.emulator.workers import Shape, Worker, run_all

PIECES_PER_WORKER = 8  # blocks are handed out in pieces, because some take longer than others


@dataclass(frozen=True)
class How:
    """How a launch runs: the options of an `Emulator` that say so, and what it gets back.

    Parameters
    ----------
    memory : what the host and earlier launches have written
    remarks : gets those of the launch
    tally : of a profile: chooses the blocks that run, and gets what was counted
    """

    workers: int
    budget: int
    keep_going: bool
    strict_return: bool
    strict_store: bool
    memory: WrittenMemory
    remarks: list[Remark]
    tally: Tally | None


class OneLaunch:
    """One launch, which may run several times."""

    def __init__(self, how: How, compiled: Compiled, arguments: Arguments, shape: Shape, *, muted: bool) -> None:
        self.how, self.compiled, self.arguments, self.shape = how, compiled, arguments, shape
        self.muted = muted  # whether `print` in the kernel prints nothing, because an earlier run printed it

    def run(self, order: Order, seed: int) -> list[KernelFault]:
        """Run it once, with threads and blocks in this order. Raises KernelFault, or returns faults if it goes on."""
        compiled = self.compiled
        threads = permutation(self.shape.threads // compiled.lanes, order, seed)
        blocks = permutation(self.shape.blocks, order, seed)
        preempts = order == "random" and compiled.watch is not None and compiled.watch.preempts
        aside = compiled.spins or compiled.grid or preempts
        if self.how.tally is not None:
            blocks = self.how.tally.choose(blocks, self.shape.grid, waits=aside)
        budget, tally = self.how.budget, self.how.tally
        caches = tally.caches if tally else traces.DEFAULT
        used = 1 if compiled.watch or aside or caches.l2 else min(self.how.workers, blocks.size)
        keep_going = self.how.keep_going and compiled.watch is not None
        count = blocks.size if keep_going else min(blocks.size, used * PIECES_PER_WORKER) if used > 1 else 1
        pieces = np.array_split(blocks, count)
        turns = itertools.count()  # next() is atomic
        make = partial(self._worker, budget, keep_going=keep_going, caches=caches)
        workers = [make() for _ in range(used)]

        def enter(worker: Worker, some: npt.NDArray[np.int64]) -> tuple[int, int]:
            rows = worker.threads
            fault, who = schedule.run_blocks(
                compiled.start, compiled.resume, rows, rows.ctypes.data, threads, some,
                worker.header, worker.shared, worker.shared.size, worker.clocks, worker.tables, worker.arrived,
                worker.traces.arguments if worker.traces else None,
            )  # fmt: skip
            return int(fault), int(who)

        def run_pieces(worker: Worker) -> list[faults.Stop]:
            rows, stops = worker.threads, list[faults.Stop]()
            while (turn := next(turns)) < len(pieces):
                fault, who = enter(worker, pieces[turn])
                if fault == FaultKind.STOPPED:
                    return stops
                if fault:
                    stops.append(faults.Stop(FaultKind(fault), rows[who].copy(), rows.copy(), worker.header[0].copy()))
                    if keep_going:
                        continue
                    for other in workers:
                        other.stop()
                    return stops
            return stops

        def work(worker: Worker) -> list[faults.Stop]:
            with printing.muted(self.muted):
                if aside:
                    stop = residents.run(compiled.name, grid=compiled.grid)
                    return [stop] if stop else []
                return run_pieces(worker)

        def another() -> Worker:
            worker = make(workers[0])
            if preempts:
                worker.preempt(seed)
            return worker

        if preempts:
            workers[0].preempt(seed)
        checked = compiled.watch is not None
        residents = Residents(
            workers[0], another, enter, blocks, budget, self.arguments, compiled.sites, checked=checked
        )
        stops = [stop for several in run_all(workers, work) for stop in several]
        if tally is not None and not stops:
            tally.add(compiled.tables, [worker.traces for worker in workers], self.arguments)
        if compiled.watch is None and not stops:
            return []
        ran = residents.workers if aside else workers
        places = Places(compiled, self.arguments, ran)
        noted = faults.noted([(worker.noted, worker.header, worker.threads) for worker in ran], keep_going=keep_going)
        remarks = [faults.remark(stop, compiled, places) for stop in noted if stop.kind in REMARKS]
        known = {(remark.file, remark.line) for remark in self.how.remarks}
        self.how.remarks.extend(remark for remark in remarks if (remark.file, remark.line) not in known)
        found = [stop for stop in noted if stop.kind not in REMARKS] + stops
        if found and not keep_going:
            raise faults.report(stops[0], compiled, places)
        return [faults.report(stop, compiled, places) for stop in found]

    def worker(self) -> Worker:
        """A worker for one block of this launch."""
        return self._worker(self.how.budget)

    def _worker(
        self, budget: int, like: Worker | None = None, *, keep_going: bool = False, caches: Caches = traces.DEFAULT
    ) -> Worker:
        worker = Worker(
            self.compiled, self.arguments, self.shape, self.how.memory, budget, like,
            keep_going=keep_going, caches=caches,
        )  # fmt: skip
        if not self.how.strict_return:
            worker.header["may_return"] = 1
        worker.header["same_value"] = not self.how.strict_store
        return worker
