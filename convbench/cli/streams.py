"""The standard streams of the program: all text is made harmless, and with --json only the JSON is on standard output.

A text from a file, a plugin or the command line may contain control characters, which a terminal would obey, or be a
megabyte long. Here is the one place that all text on standard output and standard error passes. Control characters
become escapes. A message on standard error has at most 4,000 characters. A cell of a table has at most 1,000
(`convbench.report.inert`).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from inspect import currentframe
from typing import Any, TextIO

from convbench.errors import CONTROLS, MOST_SHOWN, shortened
from convbench.errors import visible as visible

MOST_CHARACTERS = MOST_SHOWN  # of one message; at its end it is told how many were cut off
_OURS = ("convbench.cli", "typer", "click")  # the packages that print the answer of a command


message = shortened


def tell(sentence: str) -> None:
    """Tell the user a sentence on standard error."""
    print(f"convbench: {sentence}", file=sys.stderr)


def visible_json(text: str) -> str:
    r"""JSON with its control characters as JSON escapes, such as `\u009b`: it means the same."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Stream:
    """A stream that behaves as another one, except for what is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Shown(_Stream):
    """Standard output for people, on which every text is shown as `visible` gives it."""

    @property
    def rich_proxied_file(self) -> TextIO:
        """The stream itself, to which Rich writes instead of this one: its colours and bars are control characters."""
        return self._stream

    def write(self, text: str) -> int:
        self._stream.write(visible(text))
        return len(text)


class _Messages(_Shown):
    """Standard error, on which every text is shown as `message` gives it."""

    def write(self, text: str) -> int:
        self._stream.write(message(text))
        return len(text)


class _Answer(_Stream):
    """Standard output for the answer of a command alone: the text of anybody else goes to standard error."""

    def write(self, text: str) -> int:
        frame = currentframe()
        caller = frame.f_back.f_globals.get("__name__", "") if frame and frame.f_back else ""
        if any(caller == package or caller.startswith(f"{package}.") for package in _OURS):
            return self._stream.write(visible_json(text))
        return sys.stderr.write(text) if sys.stderr is not None else 0


@contextmanager
def guarded(*, only_json: bool) -> Iterator[None]:
    """Make all text harmless; with `only_json`, plugins and kernels that print do so on standard error."""
    out: Any = sys.stdout and (_Answer if only_json else _Shown)(sys.stdout)
    messages: Any = sys.stderr and _Messages(sys.stderr)
    with redirect_stdout(out), redirect_stderr(messages):
        yield
