"""Defines the exit status after Ctrl-C, and makes child processes ignore Ctrl-C, because their parent ends them."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130  # the exit status: 128 + SIGINT, as shells have it


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


def is_interruption(error: BaseException) -> bool:
    """Whether an exception is Ctrl-C of the user, and not one that the code under test has raised by itself.

    Where Ctrl-C is ignored, as in every worker, a KeyboardInterrupt is that code's own. Elsewhere nobody can tell.
    """
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) != signal.SIG_IGN
