"""The processes that a task leaves running: copies of its worker that it has forked, and programs that it has started.

They would take time and memory from the tasks after it, which would be blamed for that.
"""

import ctypes
import os
import sys
import time
from contextlib import suppress

import psutil

ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
MOST_S = 2.0  # how long to wait until killed processes have ended


def adopt_orphans() -> None:
    """Have a process whose parent ends become a child of this one, so that `end_children` ends it. Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)


def end_children() -> None:
    """Kill all processes that this one and they have started. Where there is none, this takes a microsecond."""
    deadline = time.monotonic() + MOST_S
    while _has_child() and time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
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
