"""`print` and `printf` in a kernel: the device's `vprintf(format, values)`, a callback that prints to `sys.stdout`.

The values lie one after another, each aligned to its size. Conversions are those of C, which the C library makes (CUDA
C++ Programming Guide, "Formatted Output"). Values and strings are read so that a wrong address does not end the
process. A thread that is `muted` prints nothing: it repeats a launch.
"""

import ctypes
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_CONVERSION = re.compile(r"%[-+ #0]*(?:\*|\d*)(?:\.(?:\*|\d*))?(?:hh|h|ll|l|j|z|t)?(?P<type>[%diouxXcspfFeEgGaA])")
_LONG = re.compile(r"(?:l|ll|j|z|t)[diouxX]$")
_C = ctypes.CDLL(None)
_LONGEST = 4096  # bytes of a format or a string, and of one converted value


_thread = threading.local()


@contextmanager
def muted(is_muted: bool) -> Iterator[None]:
    """Whether kernels that this thread runs print nothing."""
    before, _thread.is_muted = getattr(_thread, "is_muted", False), is_muted
    try:
        yield
    finally:
        _thread.is_muted = before


@cache
def _memory(process: int) -> int:
    """A descriptor of the process's own memory."""
    return os.open(f"/proc/{process}/mem", os.O_RDONLY | os.O_CLOEXEC)


def _read(place: int, size: int) -> bytes:
    """The bytes at an address, up to the end of the memory that can be read."""
    try:
        return os.pread(_memory(os.getpid()), size, place)
    except (OSError, OverflowError):
        return b""


def _string(place: int) -> bytes:
    """The string at an address."""
    found, _, _ = _read(place, _LONGEST).partition(b"\0")
    return found or (b"" if _read(place, 1) else b"(not an address)")


class _Values:
    """The values that a `printf` is given, read one by one."""

    def __init__(self, place: int) -> None:
        self._place = place

    def take(self, kind: type[Any]) -> Any:
        size = ctypes.sizeof(kind)
        self._place = -(-self._place // size) * size
        found = _read(self._place, size).ljust(size, b"\0")
        self._place += size
        return kind.from_buffer_copy(found)

    def convert(self, match: re.Match[str]) -> str:
        """The text of the next value, as a conversion asks for it."""
        if match["type"] == "%":
            return "%"
        form = match[0]
        while "*" in form:
            form = form.replace("*", str(self.take(ctypes.c_int32).value), 1)
        value: Any
        if match["type"] in "diouxXc":
            value = self.take(ctypes.c_int64 if _LONG.search(form) else ctypes.c_int32)
        elif match["type"] in "ps":
            place = self.take(ctypes.c_uint64)
            value = ctypes.c_void_p(place.value) if match["type"] == "p" else ctypes.c_char_p(_string(place.value))
        else:
            value = self.take(ctypes.c_double)
        text = ctypes.create_string_buffer(_LONGEST)
        _C.snprintf(text, ctypes.c_size_t(_LONGEST), ctypes.c_char_p(form.encode()), value)
        return text.value.decode(errors="replace")


@ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)
def _vprintf(form: int | None, values: int | None) -> int:
    if not getattr(_thread, "is_muted", False):
        text = _string(form or 0).decode(errors="replace")
        sys.stdout.write(_CONVERSION.sub(_Values(values or 0).convert, text))
    return 0


def address() -> int:
    """The address at which machine code calls `vprintf`."""
    return ctypes.cast(_vprintf, ctypes.c_void_p).value or 0
