"""The memory that a launch may touch: which of its bytes are written, and the table of ranges for the checks."""

import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.emulator.arguments import Arguments
from convbench.emulator.building import Compiled
from convbench.emulator.checks.shadow import ATOMIC_BYTES, CELL_BYTES
from convbench.emulator.ptx import heap
from convbench.emulator.state import RANGE


class WrittenMemory:
    """Which bytes have been written, for some arrays. All other arrays count as written.

    An array is recognised by the memory behind it, so that its views and reshapes share its bytes.
    """

    def __init__(self) -> None:
        self._maps: dict[int, npt.NDArray[np.uint8]] = {}  # by the first address of the memory

    def forget(self, array: npt.NDArray[Any]) -> None:
        """Declare that nobody has written the array."""
        owner = _owner(array)
        begin = owner.ctypes.data
        if begin not in self._maps:
            self._maps[begin] = np.ones(owner.nbytes, np.uint8)
            weakref.finalize(owner, self._maps.pop, begin, None)
        self._set(array, 0)

    def wrote(self, array: npt.NDArray[Any]) -> None:
        """Declare that the host has written the array."""
        if _owner(array).ctypes.data in self._maps:
            self._set(array, 1)

    def map_of(self, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8] | None:
        """The map of the array's bytes, from its first to its last; None if they count as written."""
        owner = _owner(array)
        found = self._maps.get(owner.ctypes.data)
        if found is None:
            return None
        low, high = np.lib.array_utils.byte_bounds(array)
        return found[low - owner.ctypes.data : high - owner.ctypes.data]

    def _set(self, array: npt.NDArray[Any], value: int) -> None:
        found = self.map_of(array)
        assert found is not None
        low, _ = np.lib.array_utils.byte_bounds(array)
        first = array.ctypes.data - low
        bytes_of = np.lib.stride_tricks.as_strided(
            found[first:], (*array.shape, array.itemsize), (*array.strides, 1), subok=False
        )
        bytes_of[...] = value


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array that owns the memory, as far as NumPy knows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Ranges:
    """The table of ranges of one worker, with shadow cells for all memory that threads share."""

    def __init__(
        self,
        compiled: Compiled,
        arguments: Arguments,
        memory: WrittenMemory,
        shared: npt.NDArray[np.uint8],
        dynamic_bytes: int,
        like: "Ranges | None" = None,
    ) -> None:
        watch = compiled.watch
        assert watch is not None
        passed = {item.range: item.array for item in arguments.arrays}
        rows = list(dict.fromkeys([*watch.rows, *(key for key in passed if key[0] == "memory")]))
        self.table = np.zeros(len(rows), RANGE)
        self.shift = watch.shift
        self._kept: list[npt.NDArray[Any]] = []  # kept alive, because the table has only addresses
        self._atomics = watch.atomics
        places = _GlobalCells([item.array for item in arguments.arrays], watch.shift)
        # blocks that run side by side have the same
        self.global_cells: tuple[int, int] = like.global_cells if like else self._cells(places.count)
        cells, atomics = self.global_cells
        dynamic: tuple[int, int] | None = None  # cells of dynamic shared memory: its arrays are all the same memory
        for row, (kind, name) in zip(self.table, rows, strict=True):
            array = passed.get((kind, name))
            if array is not None and array.size:
                low, high = np.lib.array_utils.byte_bounds(array)
                first = places.of(low)
                row["begin"], row["size"], row["cells"] = low, high - low, cells + first * CELL_BYTES
                row["atomics"] = atomics + first * ATOMIC_BYTES if atomics else 0
                written = memory.map_of(array)
                if written is not None:
                    self._kept.append(written)
                    row["written"] = written.ctypes.data
            elif kind == "shared":
                place, size = compiled.layout.shared[name]
                row["begin"] = shared.ctypes.data + place
                is_dynamic = compiled.shared[name].dynamic
                row["size"] = dynamic_bytes if is_dynamic else size
                made = dynamic if is_dynamic and dynamic else self._cells((int(row["size"]) >> watch.shift) + 2)
                row["cells"], row["atomics"] = made
                dynamic = made if is_dynamic else dynamic
                row["is_shared"] = 1
        self.table["shift"] = watch.shift

    def _cells(self, count: int) -> tuple[int, int]:
        """Addresses of new cells, and of the table of their atomics; 0 if the kernel has no atomics."""
        addresses = []
        for size in (CELL_BYTES, ATOMIC_BYTES if self._atomics else 0):
            made = np.zeros(count * size, np.uint8)
            self._kept.append(made)
            addresses.append(made.ctypes.data if size else 0)
        return addresses[0], addresses[1]


def bounds(pointers: tuple[int, ...], arguments: Arguments, shared: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """The bounds of the memory that PTX may touch: each array that is passed, the block's memory, the other arrays."""
    passed = {item.word: item.array for item in arguments.arrays if item.word >= 0}
    others = [*(item.array for item in arguments.arrays if item.word < 0), *heap.memory()]
    arrays = [*(passed[word] for word in pointers), shared, *others]
    table = np.zeros(len(arrays), RANGE)
    for row, array in zip(table, arrays, strict=True):
        if array.size:
            low, high = np.lib.array_utils.byte_bounds(array)
            row["begin"], row["size"] = low, high - low
    return table


class _GlobalCells:
    """Shadow cells for the arguments' memory. Where two arguments overlap, they share cells."""

    def __init__(self, arrays: list[npt.NDArray[Any]], shift: int) -> None:
        self._shift = shift
        bounds = sorted(np.lib.array_utils.byte_bounds(array) for array in arrays if array.size)
        self._spans: list[tuple[int, int, int]] = []  # first address, last, number of the first cell
        total = 0
        for low, high in bounds:
            low &= -(1 << shift)
            if self._spans and low < self._spans[-1][1]:
                begin, end, first = self._spans[-1]
                self._spans[-1] = begin, max(end, high), first
                total = first + ((self._spans[-1][1] - begin) >> shift) + 2
            else:
                self._spans.append((low, high, total))
                total += ((high - low) >> shift) + 2
        self.count = total

    def of(self, address: int) -> int:
        """The number of the cell of a byte."""
        for low, high, first in self._spans:
            if low <= address < high:
                return first + ((address - low) >> self._shift)
        raise AssertionError(f"no cell for address {address}")
