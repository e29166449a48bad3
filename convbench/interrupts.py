"""Makes child processes ignore Ctrl-C, where their parent tells them when to end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Make processes that are started inside this context ignore Ctrl-C from the moment they start.

    In any other thread than the main one, it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():  # Python sets signal handlers in that thread only
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
