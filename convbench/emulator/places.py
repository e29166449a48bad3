"""Name memory for the report of a fault: turn an address into the array and the element that the source names."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from convbench.emulator.arguments import Arguments
from convbench.emulator.building import Compiled


class HasShared(Protocol):
    """A worker. Only the shared memory of its block matters here."""

    shared: npt.NDArray[np.uint8]


class Places:
    """The arrays of one launch: arguments, shared arrays, local arrays."""

    def __init__(self, compiled: Compiled, arguments: Arguments, workers: Sequence[HasShared]) -> None:
        self._compiled, self._arguments, self._workers = compiled, arguments, workers

    def element(self, address: int) -> tuple[str, str]:
        """The name of the array that holds an address, and of the element there; "" for both if no array does."""
        for name, array, _ in self._arguments.arrays:
            if array.size:
                low, high = np.lib.array_utils.byte_bounds(array)
                if low <= address < high:
                    return name, name + _index(array, address)
        for name, begin, size, itemsize in self._shared():
            if begin <= address < begin + size:
                place = address - begin
                return name, f"{name}[{place // itemsize}]" if itemsize else f"byte {place} of {name}"
        return "", ""

    def array(self, data: int) -> str:
        """The name of the array whose data begins at an address, or that holds it; "" if there is none."""
        for name, array, _ in self._arguments.arrays:
            if array.ctypes.data == data:
                return name
        return next((name for name, begin, _, _ in self._shared() if begin == data), "") or self.element(data)[0]

    def nearest(self, address: int) -> tuple[str, str]:
        """The array that an address is closest to, and how far outside it is."""
        found: list[tuple[str, int, int]] = []
        for name, array, _ in self._arguments.arrays:
            if array.size:
                low, high = np.lib.array_utils.byte_bounds(array)
                found.append((name, low, high))
        found += [(name, begin, begin + size) for name, begin, size, _ in self._shared()]
        if not found:
            return "", "no array is near"
        name, low, high = min(found, key=lambda item: max(item[1] - address, address - item[2] + 1))
        where = f"{low - address} bytes before" if address < low else f"{address - high} bytes behind the end of"
        return name, f"{where} {name}"

    def local(self, number: int) -> str:
        """The name of a local array, by its number."""
        watch = self._compiled.watch
        assert watch is not None
        return watch.local[number].variable

    def _shared(self) -> list[tuple[str, int, int, int]]:
        """The shared arrays of each worker: name, first address, bytes, and bytes of an element; 0 if PTX has none."""
        found = []
        for worker in self._workers:
            for name, (place, size) in self._compiled.layout.shared.items():
                array = self._compiled.shared[name]
                begin = worker.shared.ctypes.data + place
                bytes_of = worker.shared.size - place if array.dynamic else size
                itemsize = size // array.count if array.count else _bytes_of(array.element)
                found.append((array.variable, begin, bytes_of, 0 if array.label else max(itemsize, 1)))
        return found


def _bytes_of(element: str) -> int:
    """Bytes of an element of a dynamic array, of LLVM's type; 1 for a type that is not plain."""
    if element.startswith("i") and element[1:].isdigit():
        return int(element[1:]) // 8
    return {"half": 2, "float": 4, "double": 8}.get(element, 1)


def _index(array: npt.NDArray[Any], address: int) -> str:
    """The index of the element at an address, as Python writes it; "" if the array is not contiguous."""
    if not array.flags.c_contiguous:
        return ""
    flat = (address - array.ctypes.data) // array.itemsize
    return f"[{', '.join(str(int(i)) for i in np.unravel_index(flat, array.shape))}]" if array.ndim else ""
