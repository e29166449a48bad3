"""The options of this process, and how often each kernel was launched."""

import threading
from collections import Counter
from typing import Any

from convbench.emulator.install.options import OptionError, Options

_lock = threading.Lock()
_options = Options()
_changes = 0
_launches: Counter[str] = Counter()
_code: list[str] = []  # what numba-cuda was made to run; it cannot be changed afterwards


def options() -> Options:
    """How kernels run now."""
    return _options


def choose(**given: Any) -> Options:
    """Change options from now on, and return those before. Raises OptionError."""
    global _options, _changes
    with _lock:
        before, wanted = _options, _options.but(**given)
        if _code and wanted.runs() != _code[0]:
            raise OptionError(f"kernels of this process run as {_code[0]}: choose it before the emulator is installed")
        _options = wanted
        _changes += 1
    return before


def use(chosen: Options) -> None:
    """Use these options from now on."""
    global _options, _changes
    _options = chosen
    _changes += 1


def changes() -> int:
    """How often the options were set: what was found with them holds until this changes."""
    return _changes


def fix_code() -> str:
    """The code that kernels run as, for the rest of the process."""
    if not _code:
        _code.append(_options.runs())
    return _code[0]


def count(kernel: str) -> int:
    """Count a launch of a kernel. Returns its number, from 1."""
    with _lock:
        _launches[kernel] += 1
        return _launches[kernel]


def launches() -> dict[str, int]:
    """How often each kernel was launched."""
    with _lock:
        return dict(_launches)
