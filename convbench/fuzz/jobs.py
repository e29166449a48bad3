"""The jobs of a call: campaigns in processes of their own, as their parent sees them.

A worker ignores Ctrl-C: its parent tells it to stop, and gets what it has. The case that a worker runs is written to
shared memory first, so that a process which an algorithm takes down leaves its case behind.
"""

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryDirectory
from typing import Any, Self

from convbench.fuzz.cases import FuzzCase
from convbench.fuzz.orders import Ended, Found, Message, Orders
from convbench.fuzz.verdicts import Finding, ended
from convbench.fuzz.worker import LAST_BYTES, work
from convbench.interrupts import without_interrupts

LOOK_S = 0.25
STOP_S = 20.0  # a worker that is told to stop may compile a kernel


class Crew:
    """The jobs, as their parent sees them."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        context = multiprocessing.get_context("spawn")  # a fork has no working driver, and no threads of the emulator
        self._jobs: dict[Connection, _Job] = {}
        self._folder = TemporaryDirectory(prefix="convbench-fuzz-")  # what Hypothesis would write into the current one
        with without_interrupts():  # which a process inherits, before it can say so itself
            for number in range(orders.jobs):
                ours, theirs = context.Pipe()
                last = context.RawArray("c", LAST_BYTES)
                process = context.Process(
                    target=work, args=(theirs, orders, number, last, self._folder.name), daemon=True
                )
                process.start()
                theirs.close()
                self._jobs[ours] = _Job(number, process, last)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def is_working(self) -> bool:
        """Whether any job goes on."""
        return bool(self._jobs)

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        """What the jobs tell within that time, with their numbers."""
        for connection in wait(list(self._jobs), timeout_s):
            assert isinstance(connection, Connection)
            job = self._jobs[connection]
            try:
                message: Message = connection.recv()
            except (EOFError, OSError):
                yield from job.epitaph()
                message = Ended(job.cause_of_death())
            if isinstance(message, Ended):
                del self._jobs[connection]
                connection.close()
            yield job.number, message

    def tell(self, finding: Finding) -> None:
        """Have no job shrink a failure that is known by now."""
        self._send(finding)

    def stop(self, *, but: int | None = None) -> None:
        """Ask all to end, or all but one; they still tell what they have."""
        self._send(None, but)

    def drain(self, timeout_s: float = STOP_S) -> Iterator[tuple[int, Message]]:
        """What is told until all have ended, or that time is over and they are ended."""
        deadline = time.monotonic() + timeout_s
        while self.is_working and time.monotonic() < deadline:
            yield from self.messages(LOOK_S)
        self.kill()

    def kill(self) -> None:
        """End all processes that are left."""
        for connection, job in self._jobs.items():
            job.process.kill()
            job.process.join()
            connection.close()
        self._jobs.clear()
        self._folder.cleanup()

    def _send(self, what: Finding | None, but: int | None = None) -> None:
        for connection, job in self._jobs.items():
            if job.number != but:
                with suppress(OSError):  # it has ended, as we shall read
                    connection.send(what)


@dataclass(frozen=True)
class _Job:
    number: int
    process: Any
    last: Any

    def cause_of_death(self) -> str:
        self.process.join()
        code = self.process.exitcode
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def epitaph(self) -> Iterator[tuple[int, Message]]:
        """The case that the process ran when it ended."""
        if line := self.last.value.decode(errors="replace"):
            yield self.number, Found(ended(FuzzCase.read(line), self.cause_of_death()), final=True)
