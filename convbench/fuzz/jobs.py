"""The jobs of a call: the parent starts a process for each campaign, receives its messages, and ends it.

A worker ignores Ctrl-C. Its parent tells it to stop, and then receives its last results. A worker writes each case to
shared memory before it runs it, so that the case is known if an algorithm takes the process down.
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

LOOK_S = 0.25  # how long to wait for a message before the time is looked at again
STOP_S = 20.0  # how long to wait for workers that were told to stop: one may be compiling a kernel


class Crew:
    """The jobs of a call, for their parent."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        context = multiprocessing.get_context("spawn")  # a fork has no working driver, and no threads of the emulator
        self._jobs: dict[Connection, _Job] = {}
        # Hypothesis would otherwise write into the current folder
        self._folder = TemporaryDirectory(prefix="convbench-fuzz-")
        try:
            self._start(context)
        except BaseException:  # a signal while processes start must leave none of them behind
            self.kill()
            raise

    def _start(self, context: Any) -> None:
        with without_interrupts():  # a process inherits this, and needs it before it can ignore Ctrl-C itself
            for number in range(self.orders.jobs):
                ours, theirs = context.Pipe()
                last = context.RawArray("c", LAST_BYTES)
                process = context.Process(
                    target=work, args=(theirs, self.orders, number, last, self._folder.name), daemon=True
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
        """Whether any job is still running."""
        return bool(self._jobs)

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        """Wait for messages for `timeout_s`, and yield each with the number of its job."""
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
        """Tell all jobs about a finding, so that none shrinks the same failure again."""
        self._send(finding)

    def stop(self, *, but: int | None = None) -> None:
        """Ask all jobs to end, or all except one. They still send their last results."""
        self._send(None, but)

    def drain(self, timeout_s: float = STOP_S) -> Iterator[tuple[int, Message]]:
        """Yield messages until all jobs have ended; after `timeout_s`, kill those that are left."""
        deadline = time.monotonic() + timeout_s
        while self.is_working and time.monotonic() < deadline:
            yield from self.messages(LOOK_S)
        self.kill()

    def kill(self) -> None:
        """Kill all processes that are left."""
        for connection, job in self._jobs.items():
            job.process.kill()
            job.process.join()
            connection.close()
        self._jobs.clear()
        self._folder.cleanup()

    def _send(self, what: Finding | None, but: int | None = None) -> None:
        for connection, job in self._jobs.items():
            if job.number != but:
                with suppress(OSError):  # it has ended; `messages` will notice
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
        """Yield the case that the process was running when it ended, as a finding."""
        if line := self.last.value.decode(errors="replace"):
            yield self.number, Found(ended(FuzzCase.read(line), self.cause_of_death()), final=True)
