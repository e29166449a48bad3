"""The process of a worker: `python -m convbench.crew.worker CONNECTION FOLDER NUMBER MEMORY`.

It leads a process group of its own, so that its parent can end it with all that it starts. It ignores Ctrl-C, which is
the parent's. It ends with its parent, also when that is killed.
"""

import ctypes
import fcntl
import os
import pickle
import re
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from convbench.crew.children import adopt_orphans
from convbench.crew.desk import Desk, OverError
from convbench.crew.messages import Begun, Done, NotStarted, Raised, Started
from convbench.crew.notice import Notice
from convbench.crew.output import Output
from convbench.errors import ConvbenchError, last_place, told

END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    """Do tasks until the parent closes the connection."""
    number = int(sys.argv[3])
    connection, folder, limit = Connection(int(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    adopt_orphans()
    notice, output = Notice(folder / f"{number}.notice"), Output(folder / f"{number}.output")
    desk = Desk(connection, notice, output, number)
    with suppress(OverError):
        _serve(desk, output, connection, limit)
    os._exit(0)  # threads that a task has started do not keep the process


def _serve(desk: Desk, output: Output, connection: Connection, limit: int) -> None:
    try:
        sys.path[:] = connection.recv()  # before the next message, whose content may be found by it alone
        start: Callable[[Desk], Callable[[Any], Any]] = pickle.loads(connection.recv_bytes())
        work = start(desk)
        desk.keep_children()
        if limit:
            _limit_memory(limit)
    except ConvbenchError as error:
        desk.send(NotStarted(error))
        return
    except EOFError:
        return
    desk.send(Started())
    home = Path.cwd()
    while True:
        task = desk.order().task
        desk.send(Begun())
        try:
            result = work(task)
            desk.end_children()
            desk.send(Done(result, _settled(output, home)))
            desk.rest()
        except OverError:
            raise
        except BaseException as error:  # noqa: BLE001  (the code of a task may raise anything, and KeyboardInterrupt is its own)
            desk.send(Raised(_reason(error), isinstance(error, MemoryError), output.take()))
            return


def _reason(error: BaseException) -> str:
    place = last_place(error)
    return told(error) + (f" ({place})" if place else "")


def _settled(output: Output, home: Path) -> str:
    """Undo what a task may have done to the process, and give what it printed."""
    with suppress(Exception):  # a task may have replaced them by anything
        sys.stdout.flush()
        sys.stderr.flush()
    os.chdir(home)
    opened = output.open()
    descriptor = fcntl.fcntl(opened, fcntl.F_DUPFD, 3)  # it may itself be 1 or 2, if a task has closed these
    os.close(opened)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return output.take()


def _end_with_parent() -> None:
    """Have the system kill this process when its parent ends. Linux only; elsewhere it ends before its next task."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)


def _limit_memory(limit: int) -> None:
    """Let allocations fail beyond the limit and what there is now, so that what wants too much gets a MemoryError."""
    status = Path("/proc/self/status")
    if not status.exists():  # another system; the parent watches the memory there, too
        return
    now = int(re.search(r"VmData:\s*(\d+) kB", status.read_text())[1]) * 1024  # type: ignore[index]
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = now + limit
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    main()
