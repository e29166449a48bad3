"""Defines how signals end a command: SIGTERM and SIGHUP do what Ctrl-C does.

Batch systems, `timeout`, and terminals that are closed send these signals. The command ends in order: it keeps what was
measured, and ends its workers.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # the exit status after any of the three: 128 + SIGINT, as shells have it
CLOSED_PIPE = 141  # the exit status if nobody reads the output any more: 128 + SIGPIPE
ENDING = signal.SIGTERM, signal.SIGHUP  # end a command as Ctrl-C does, which is SIGINT


_last_s = float("-inf")  # when a signal of `ENDING` last came, by `time.monotonic`


class Interruption(KeyboardInterrupt):
    """SIGTERM or SIGHUP has come."""


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does at that moment, while this context lasts.

    A signal that is ignored from the start stays ignored; `nohup` sees to this. In any other thread than the main one,
    it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():  # Python sets signal handlers in that thread only
        yield
        return
    usual = {number: signal.getsignal(number) for number in ENDING}
    heeded = [number for number, handler in usual.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, usual[number])


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does; if Ctrl-C is ignored, as in the background of a shell, interrupt all the same."""
    global _last_s
    _last_s = time.monotonic()
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or handler is signal.default_int_handler:
        raise Interruption
    handler(number, frame)


def has_come_since(moment_s: float) -> bool:
    """Whether this process was told to end by SIGTERM or SIGHUP after a moment, by `time.monotonic`."""
    return _last_s >= moment_s


def is_interruption(error: BaseException) -> bool:
    """Whether an exception is a signal to end, and not one that the code under test has raised by itself.

    Where Ctrl-C is ignored, as in every worker, a KeyboardInterrupt is that code's own. Elsewhere nobody can tell.
    """
    if isinstance(error, Interruption):
        return True
    return isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) != signal.SIG_IGN
