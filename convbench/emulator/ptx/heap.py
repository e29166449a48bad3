"""The device's heap, from which kernels allocate: `malloc` and `free`, as callbacks of machine code.

It lives as long as the process, so that one kernel may free what another has allocated. Its size is CUDA's default
(CUDA C++ Programming Guide, "Dynamic Global Memory Allocation and Operations"); `malloc` returns 0 when it is full.
"""

import ctypes
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

PREFIX = "emu_heap_"
BYTES = 8 * 2**20
ALIGNMENT = 16

_lock = threading.Lock()


class Heap:
    """A part of memory, and which pieces of it are in use.

    Parameters
    ----------
    size : its bytes
    """

    def __init__(self, size: int = BYTES) -> None:
        raw = np.zeros(size + ALIGNMENT, np.uint8)
        first = -raw.ctypes.data % ALIGNMENT
        self.memory = raw[first : first + size]
        self._used: dict[int, int] = {}  # bytes by address
        self._holes = [(self.memory.ctypes.data, size)]  # by address

    def allocate(self, size: int) -> int:
        """The address of a new piece, the first that fits; 0 if there is none, or for no bytes."""
        size = -(-size // ALIGNMENT) * ALIGNMENT
        for number, (begin, room) in enumerate(self._holes):
            if 0 < size <= room:
                rest = [(begin + size, room - size)] if room > size else []
                self._holes[number : number + 1] = rest
                self._used[begin] = size
                return begin
        return 0

    def free(self, address: int) -> bool:
        """Give a piece back. Returns whether it was one; address 0 is no piece, and may be given back."""
        if address == 0:
            return True
        size = self._used.pop(address, 0)
        if not size:
            return False
        joined: list[tuple[int, int]] = []
        for begin, room in sorted([*self._holes, (address, size)]):
            if joined and sum(joined[-1]) == begin:
                joined[-1] = joined[-1][0], joined[-1][1] + room
            else:
                joined.append((begin, room))
        self._holes = joined
        return True


_heap: list[Heap] = []  # made when a kernel first needs it


def memory() -> list[npt.NDArray[Any]]:
    """The memory of the heap, for a list of all memory that kernels may touch; empty before any kernel needs it."""
    return [heap.memory for heap in _heap]


@ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)
def _malloc(size: int) -> int:
    with _lock:
        return _heap[0].allocate(size)


@ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_uint64)
def _free(address: int) -> int:
    with _lock:
        return int(_heap[0].free(address))


def address(name: str) -> int:
    """The address of `emu_heap_malloc` or `emu_heap_free`; 0 if there is none of this name."""
    with _lock:
        if not _heap:
            _heap.append(Heap())
    found = {"malloc": _malloc, "free": _free}.get(name.removeprefix(PREFIX))
    return (ctypes.cast(found, ctypes.c_void_p).value or 0) if found else 0
