"""What surrounds launches: tracebacks that end at the user's line, and processes that are started with the emulator."""

import importlib
import multiprocessing.spawn
import os
import re
import sys
import threading
from types import TracebackType
from typing import Any

from convbench.emulator.errors import EmulatorError
from convbench.emulator.install import launches

_OURS = "convbench.emulator", "numba.cuda"
_DOOR = "import convbench.emulator.install; "

_get_command_line = multiprocessing.spawn.get_command_line
_get_preparation_data = multiprocessing.spawn.get_preparation_data


def without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback that ends at the line of the user's that launched a kernel or called numba-cuda."""
    frames: list[TracebackType] = []
    while trace is not None and trace.tb_frame.f_code is not launches._call.__code__:
        frames.append(trace)
        trace = trace.tb_next
    while frames and _is_ours(frames[-1]):
        frames.pop()
    kept: TracebackType | None = None
    for frame in reversed(frames):
        kept = TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def _is_ours(trace: TracebackType) -> bool:
    module = str(trace.tb_frame.f_globals.get("__name__", ""))
    return any(module == package or module.startswith(f"{package}.") for package in _OURS)


def _hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """`sys.excepthook`: the traceback of an error of the emulator ends at the user's line."""
    ours = isinstance(error, EmulatorError | KeyboardInterrupt)
    if ours and (shorter := without_our_frames(trace)) is not None:
        error.__traceback__ = trace = shorter
    notes = getattr(error, "__notes__", None)
    if isinstance(error, EmulatorError) and notes and coloured():
        del error.__notes__  # they are printed here
        sys.__excepthook__(kind, error, trace)
        print("\n".join(map(_painted, notes)), file=sys.stderr)
        error.__notes__ = notes
    else:
        sys.__excepthook__(kind, error, trace)


def _thread_hook(given: threading.ExceptHookArgs) -> None:
    """`threading.excepthook`: the same for a thread of the program."""
    error, trace = given.exc_value, given.exc_traceback
    if isinstance(error, EmulatorError) and (shorter := without_our_frames(trace)) is not None:
        error.__traceback__ = trace = shorter
    threading.__excepthook__(threading.ExceptHookArgs((given.exc_type, error, trace, given.thread)))


def coloured() -> bool:
    """Whether standard error is a terminal that shows colours."""
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _painted(line: str) -> str:
    """A line of a note: marks in red, the lines of source in bold."""
    if "^" in line and not line.strip("|^ "):
        return f"\x1b[31m{line}\x1b[0m"
    return f"\x1b[1m{line}\x1b[0m" if re.match(r" +\d+ \| ", line) else line


def _command_line(**given: Any) -> list[str]:
    """The command line of a process that `multiprocessing` spawns: the emulator is installed there first."""
    words = list(_get_command_line(**given))
    if "-c" in words:
        place = words.index("-c") + 1
        words[place] = _DOOR + words[place]
    return words


class _Installed:
    """Installs the emulator in the process that reads it."""

    def __reduce__(self) -> Any:
        return importlib.import_module, ("convbench.emulator.install",)


def _preparation_data(name: str) -> dict[str, Any]:
    """What a process reads before it imports the program. One of a fork server has no command line of its own."""
    return {"convbench": _Installed(), **_get_preparation_data(name)}


def install() -> None:
    """Set the hooks. An excepthook of the user's own stays."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _hook
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _thread_hook
    multiprocessing.spawn.get_command_line = _command_line
    multiprocessing.spawn.get_preparation_data = _preparation_data
