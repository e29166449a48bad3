"""The processes that a task leaves running: copies of its worker that it has forked, and programs that it has started.

They would take time and memory from the tasks after it, which would be blamed for that.
"""

import ctypes
import os
import sys
import time
from collections.abc import Set as AbstractSet
from contextlib import suppress

import psutil

ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
MOST_S = 2.0  # how long to wait until killed processes have ended


def adopt_orphans() -> None:
    """Have a process whose parent ends become a child of this one, so that `end_children` ends it. Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)


def children() -> frozenset[int]:
    """The children of this process, by their ids. Where there is none, this takes a microsecond."""
    return frozenset(child.pid for child in psutil.Process().children()) if _has_child() else frozenset()


def end_children(kept: AbstractSet[int] = frozenset()) -> None:
    """Kill the children of this process, except for those that are kept, and all that they have started."""
    deadline = time.monotonic() + MOST_S
    while (left := children() - kept) and time.monotonic() < deadline:
        for number in left:
            with suppress(psutil.Error):
                child = psutil.Process(number)
                for process in (*child.children(recursive=True), child):
                    process.kill()
        time.sleep(0.001)


def _has_child() -> bool:
    """Whether there is a child that has not ended; those that have are no longer kept by the system."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
