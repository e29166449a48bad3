"""The twins of the warpgroup intrinsics, which the simulator runs in their place.

A product is computed when it is issued, but its sums stay NaN until the wait. As an attribute of its greenlet, each
thread keeps the products that it has under way, and the places of its shared arrays in the window that descriptors
use. Fences do nothing here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.errors import DeviceError
from convbench.intrinsics.lanes import WARPGROUP, of_warpgroup
from convbench.intrinsics.memory import place
from convbench.intrinsics.tensor import cut

ALIGNMENT = 1024
_ROW_BYTES, _K_BYTES = 128, 32  # bytes of a row in shared memory, and of its part that one product reads
_THREADS = np.arange(WARPGROUP)
_G, _T, _W = _THREADS % 32 // 4, _THREADS % 4, _THREADS // 32


@dataclass
class _UnderWay:
    sums: Any  # the kernel's array
    values: npt.NDArray[np.float32]
    group: int


class _Own:
    """The state of one thread."""

    def __init__(self) -> None:
        self.window: list[tuple[int, npt.NDArray[np.uint8]]] = []
        self.under_way: list[_UnderWay] = []
        self.group = 0


def _own() -> _Own:
    from greenlet import getcurrent  # only the simulator needs it, so kernels load without it

    thread: Any = getcurrent()
    if not hasattr(thread, "warpgroup"):
        thread.warpgroup = _Own()
    found: _Own = thread.warpgroup
    return found


def shared_address(array: Any, index: Any) -> Any:
    """The address of an element. Arrays lie in the window in the order in which the thread first asks for them."""
    first, window, end = place(array, index), _own().window, 0
    for begin, seen in window:
        if seen.ctypes.data == array.ctypes.data:
            return np.uint32(begin + first * array.itemsize)
        end = begin + -(-seen.size // ALIGNMENT) * ALIGNMENT
    window.append((end, array.view(np.uint8)))
    return np.uint32(end + first * array.itemsize)


def commit() -> None:
    """Close the group of the products issued since the last one."""
    _own().group += 1


def wait(sums: Any, pending: int) -> None:
    """Give these sums their values, unless their group is one of the last `pending`."""
    own = _own()
    for found in own.under_way:
        if found.sums is sums and found.group < own.group - pending:
            sums[...] = found.values
    own.under_way = [found for found in own.under_way if found.group >= own.group - pending]


def multiply(
    sums: Any,
    a: Any,
    b: Any,
    *,
    numbers: Callable[[npt.NDArray[np.uint32]], npt.NDArray[np.float64]],
    width: int,
    begins: bool,
) -> None:
    """Compute a product and keep its result for the wait; until then the sums are NaN."""
    own = _own()

    def together(brought: list[Any]) -> list[Any]:
        lefts, rights = zip(*brought, strict=True)
        if len(set(rights)) > 1 or (not isinstance(a, tuple) and len(set(lefts)) > 1):
            raise DeviceError("threads of one warpgroup bring different descriptors")
        words = _of_registers(lefts) if isinstance(a, tuple) else _read(own.window, int(a), 64)
        left = numbers(words).reshape(64, -1)
        right = numbers(_read(own.window, int(b), width)).reshape(width, -1)
        product = left @ right.T
        j, h, e = np.arange(width // 8)[:, None, None], np.arange(2)[:, None], np.arange(2)
        return [
            product[16 * _W[i] + _G[i] + 8 * h, 8 * j + 2 * _T[i] + e].reshape(-1) for i in range(WARPGROUP)
        ]  # fmt: skip

    added = of_warpgroup((a, b), together)
    before = next((found for found in own.under_way if found.sums is sums), None)
    if before is None:
        before = _UnderWay(sums, np.array(sums[: width // 2]), own.group)
        own.under_way.append(before)
    elif begins or not np.isnan(sums[: width // 2]).all():
        raise DeviceError("sums are touched between a product and the wait for it")
    start = 0.0 if begins else before.values.astype(np.float64)
    before.values, before.group = cut(start + added), own.group
    sums[...] = np.nan


def _of_registers(lefts: Any) -> npt.NDArray[np.uint32]:
    """The matrix A from the registers of all lanes, as 64 rows of eight words."""
    words, i = np.empty((64, 8), np.uint32), np.arange(4)
    words[(16 * _W + _G)[:, None] + 8 * (i % 2), _T[:, None] + 4 * (i // 2)] = np.array(lefts)
    return words


def _read(window: list[tuple[int, npt.NDArray[np.uint8]]], descriptor: int, rows: int) -> npt.NDArray[np.uint32]:
    """Read rows of eight words by a descriptor. Raises DeviceError where hardware would read other memory."""
    row, byte = np.arange(rows)[:, None], np.arange(_K_BYTES)
    stride = (descriptor >> 32 & 0x3FFF) << 4
    at = ((descriptor & 0x3FFF) << 4) + row // 8 * stride + row % 8 * _ROW_BYTES + byte
    at ^= (at >> 7 & 7) << 4
    for begin, array in window:
        if begin <= at.min() and at.max() < begin + array.size:
            return np.ascontiguousarray(array[at - begin]).view(np.uint32)
    raise DeviceError(f"a descriptor of {rows} rows from address {at.min()} on leads out of shared memory")
