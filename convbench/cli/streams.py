"""The standard streams of the program: messages are made harmless, and with --json only the JSON is on standard output.

A text from a file, a plugin or the command line may contain control characters, which a terminal would obey, or be a
megabyte long. Here is the one place that all messages on standard error pass.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from inspect import currentframe
from typing import Any, TextIO

MOST_CHARACTERS = 4_000  # of one message; at its end it is told how many were cut off

# control characters except line ends and tabs, and characters that change the direction of the text around them
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_OURS = ("convbench.cli", "typer", "click")  # the packages that print the answer of a command


def visible(text: str) -> str:
    r"""The text with its control characters as escapes, such as `\x1b`."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def message(text: str) -> str:
    """The text as a message: control characters as escapes, and no longer than `MOST_CHARACTERS`."""
    shown = visible(text)
    if len(shown) <= MOST_CHARACTERS:
        return shown
    return f"{shown[:MOST_CHARACTERS]}… ({len(shown) - MOST_CHARACTERS:,} more characters)"


class _Stream:
    """A stream that behaves as another one, except for what is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Messages(_Stream):
    """Standard error, on which every text is shown as `message` gives it."""

    @property
    def rich_proxied_file(self) -> TextIO:
        """The stream itself, to which Rich writes instead of this one: its bars consist of control characters."""
        return self._stream

    def write(self, text: str) -> int:
        self._stream.write(message(text))
        return len(text)


class _Answer(_Stream):
    """Standard output for the answer of a command alone: the text of anybody else goes to standard error."""

    def write(self, text: str) -> int:
        frame = currentframe()
        caller = frame.f_back.f_globals.get("__name__", "") if frame and frame.f_back else ""
        if any(caller == package or caller.startswith(f"{package}.") for package in _OURS):
            return self._stream.write(text)
        return sys.stderr.write(text) if sys.stderr is not None else 0


@contextmanager
def guarded(*, only_json: bool) -> Iterator[None]:
    """Make messages harmless; with `only_json`, plugins and kernels that print do so on standard error."""
    out: Any = _Answer(sys.stdout) if only_json and sys.stdout is not None else sys.stdout
    messages: Any = sys.stderr and _Messages(sys.stderr)
    with redirect_stdout(out), redirect_stderr(messages):
        yield
