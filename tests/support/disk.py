"""Faults of a disk that do no harm: it is full, or a folder may not be written."""

import os
import resource
import signal
from contextlib import contextmanager


@contextmanager
def files_up_to(size: int):
    """No file may become larger, in bytes. This acts like a full disk."""
    usual, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def as_somebody():
    """Without the rights of root, which may write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
