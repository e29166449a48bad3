"""Defines how signals end a command: SIGTERM and SIGHUP do what Ctrl-C does, and child processes ignore all three.

Batch systems, `timeout`, and terminals that are closed send these signals to every process of a run. Its main process
ends in order, keeps what was measured and ends the others.
"""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED = 130  # the exit status after any of the three: 128 + SIGINT, as shells have it
CLOSED_PIPE = 141  # the exit status if nobody reads the output any more: 128 + SIGPIPE
ENDING = signal.SIGTERM, signal.SIGHUP  # end a command as Ctrl-C does, which is SIGINT


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does at that moment, while this context lasts.

    A signal that is ignored from the start stays ignored; `nohup` sees to this. In any other thread than the main one,
    it changes nothing.
    """
    with _handled({number: _interrupt for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN}):
        yield


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Make processes that are started inside this context ignore Ctrl-C from the moment they start.

    Call `ignore` first in such a process. In any other thread than the main one, it changes nothing.
    """
    with _handled({signal.SIGINT: signal.SIG_IGN}):
        yield


def ignore() -> None:
    """Ignore Ctrl-C, SIGTERM and SIGHUP from now on, in a process that its parent ends, by SIGKILL or a message."""
    for number in (signal.SIGINT, *ENDING):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does; if Ctrl-C is ignored, as in the background of a shell, interrupt all the same."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        raise KeyboardInterrupt
    handler(number, frame)


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    """Handle signals in this way inside the context, and as before after it."""
    if threading.current_thread() is not threading.main_thread():  # Python sets signal handlers in that thread only
        yield
        return
    usual = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
