"""`print` in a kernel: the device's `vprintf(format, values)`, as a callback that prints to Python's standard output.

The values lie one after another, each aligned to its size (CUDA C++ Programming Guide, "Formatted Output"). numba-cuda
uses only `%lld`, `%llu`, `%d`, `%f` and `%s`. A thread that is `muted` prints nothing: it repeats a launch.
"""

import ctypes
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CONVERSION = re.compile(r"%(%|lld|llu|d|f|s)")
_TYPES: dict[str, Any] = {
    "lld": ctypes.c_int64,
    "llu": ctypes.c_uint64,
    "d": ctypes.c_int32,
    "f": ctypes.c_double,
    "s": ctypes.c_char_p,
}


_thread = threading.local()


@contextmanager
def muted(is_muted: bool) -> Iterator[None]:
    """Whether kernels that this thread runs print nothing."""
    before, _thread.is_muted = getattr(_thread, "is_muted", False), is_muted
    try:
        yield
    finally:
        _thread.is_muted = before


@ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p, ctypes.c_void_p)
def _vprintf(form: bytes, values: int | None) -> int:
    if getattr(_thread, "is_muted", False):
        return 0
    place = values or 0

    def text(match: re.Match[str]) -> str:
        nonlocal place
        if match[1] == "%":
            return "%"
        kind = _TYPES[match[1]]
        size = ctypes.sizeof(kind)
        place = -(-place // size) * size
        value = kind.from_address(place).value
        place += size
        return f"{value:f}" if match[1] == "f" else value.decode() if isinstance(value, bytes) else str(value)

    sys.stdout.write(_CONVERSION.sub(text, form.decode()))
    return 0


def address() -> int:
    """The address at which machine code calls `vprintf`."""
    return ctypes.cast(_vprintf, ctypes.c_void_p).value or 0
