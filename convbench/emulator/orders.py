"""Run a launch in several orders of threads and blocks, all of which hardware may use, and compare the results."""

from collections.abc import Callable
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from convbench.emulator.arguments import Arguments
from convbench.emulator.errors import OrderDependenceError
from convbench.emulator.ranges import WrittenMemory

Order = Literal["forward", "reverse", "random"]
ORDERS: tuple[Order, ...] = get_args(Order)


def permutation(count: int, order: Order, seed: int) -> npt.NDArray[np.int64]:
    """The numbers below `count` in an order. "random" gives the same permutation for the same seed."""
    if order == "random":
        return np.random.default_rng(seed).permutation(count)
    forward = np.arange(count, dtype=np.int64)
    return forward if order == "forward" else forward[::-1].copy()


class Repetition:
    """Runs one launch several times from the same memory, and checks that each run leaves the same result.

    At the end the arrays hold the result of the first run. Raises OrderDependenceError, with array, element and values,
    if another run differs in any bit.
    """

    def __init__(self, kernel: str, arguments: Arguments, memory: WrittenMemory) -> None:
        self._kernel = kernel
        self._arrays = [(item.name, item.array) for item in arguments.arrays if item.array.flags.writeable]
        maps = (memory.map_of(item.array) for item in arguments.arrays)
        self._maps = [written for written in maps if written is not None]  # a launch changes these too
        self._before = self._copy()
        self._after: list[npt.NDArray[Any]] = []
        self._expected: list[npt.NDArray[Any]] = []  # what further runs must leave
        self._first: Order = "forward"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._after:
            self._restore(self._after)

    def first(self, order: Order, run: Callable[[], None]) -> None:
        """Make the first run, whose result is kept."""
        self._first = order
        run()
        self._after = self._expected = self._copy()

    def other_code(self, run: Callable[[], None]) -> None:
        """Make a run in the first order by the code of the further runs, which are then compared with it.

        Code without checks may fuse other products of a sum than code with checks, so its last bits may differ.
        """
        self._restore(self._before)
        run()
        self._expected = self._copy()

    def again(self, order: Order, run: Callable[[], None], compares: Callable[[], bool] = lambda: True) -> None:
        """Make another run, which must leave the same result, unless `compares` then tells that faults were found."""
        self._restore(self._before)
        run()
        if not compares():
            return
        for (name, array), expected in zip(self._arrays, self._expected, strict=False):  # the maps come last
            if (_bytes_of(array) != _bytes_of(expected)).any():
                difference = _difference(name, array, expected, order, self._first)
                raise OrderDependenceError(f"{self._kernel}: {difference}")

    def repeat(self, run: Callable[[], None]) -> None:
        """Make another run, whose result does not matter."""
        self._restore(self._before)
        run()

    def _copy(self) -> list[npt.NDArray[Any]]:
        return [array.copy() for array in self._memory()]

    def _restore(self, contents: list[npt.NDArray[Any]]) -> None:
        for array, content in zip(self._memory(), contents, strict=True):
            array[...] = content

    def _memory(self) -> list[npt.NDArray[Any]]:
        return [*(array for _, array in self._arrays), *self._maps]


def _difference(name: str, actual: npt.NDArray[Any], expected: npt.NDArray[Any], order: Order, first: Order) -> str:
    flat = int(np.argmax((_bytes_of(actual) != _bytes_of(expected)).any(axis=1)))
    index = tuple(int(i) for i in np.unravel_index(flat, actual.shape))
    return (
        f"the result depends on the order of threads: {name}{list(index)} is "
        f"{expected[index]!r} with threads and blocks in {first} order, and {actual[index]!r} in {order} order"
    )


def _bytes_of(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The bytes of each element, without the padding of records, in which a kernel may leave anything."""
    whole = np.frombuffer(bytearray(array.tobytes()), np.uint8).reshape(array.size, array.itemsize)
    return whole[:, _used(array.dtype)] if array.dtype.names else whole


def _used(dtype: np.dtype[Any]) -> npt.NDArray[np.bool_]:
    """Which bytes of an element hold values."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.tile(_used(base), int(np.prod(shape)))
    used = np.zeros(dtype.itemsize, np.bool_)
    if dtype.fields is None:
        used[:] = True
    else:
        for kind, place in (field[:2] for field in dtype.fields.values()):
            used[place : place + kind.itemsize] |= _used(kind)
    return used
