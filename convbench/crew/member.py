"""A worker, as its parent sees it: its process, what it says, and the task that it has."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Generic, Self, TypeVar

from convbench.crew.notice import Notice
from convbench.crew.output import Output

T = TypeVar("T")

END_S = 5.0  # how long to wait for the end of a process that was killed


@dataclass
class Handed(Generic[T]):
    """A task, and how many workers it was given to."""

    task: T
    times: int = 0


@dataclass(eq=False)
class Member(Generic[T]):
    """A worker, as its parent sees it."""

    connection: Connection
    process: "subprocess.Popen[bytes]"
    notice: Notice
    output: Output
    handed: Handed[T] | None = None
    is_ready: bool = False  # for tasks
    has_begun: bool = False  # its task
    taken: int = 0  # bytes of memory, when it was last looked at
    since: float = field(default_factory=time.monotonic)  # when it was hired

    @classmethod
    def hired(cls, folder: Path, number: int, start: bytes, limit: int) -> Self:
        """Start a process.

        Parameters
        ----------
        folder : for its notice and its output
        start : the pickled function that makes what does its tasks
        limit : bytes beyond which allocations fail in it; 0 is none
        """
        notice, output = Notice(folder / f"{number}.notice"), Output(folder / f"{number}.output")
        ours, theirs = Pipe()
        descriptor = output.open()
        words = [sys.executable, "-m", "convbench.crew.worker", str(theirs.fileno()), str(folder), str(number)]
        process = subprocess.Popen(
            [*words, str(limit)], stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor,
            pass_fds=[theirs.fileno()], start_new_session=True, env=_environment(),
        )  # fmt: skip
        os.close(descriptor)
        theirs.close()
        with suppress(OSError):  # it has ended; `Crew.events` will notice
            ours.send(sys.path)
            ours.send_bytes(start)
        return cls(ours, process, notice, output)

    @property
    def task(self) -> T:
        """Its task; it must have one."""
        assert self.handed is not None
        return self.handed.task

    def end(self) -> None:
        """Kill the process and all of its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # it waits for a driver, and nothing can end it
            self.process.wait(END_S)
        self.connection.close()
        self.notice.close()

    def death(self) -> str:
        """How the process ended."""
        code = self.process.returncode
        if code is None:
            return "it closed the connection to its parent"
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"it ended its process, with status {code}"


def _environment() -> dict[str, str]:
    """The environment of a worker, which must find this package where it was found here."""
    here = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}
