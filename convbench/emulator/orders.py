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
        self._after = self._copy()

    def again(self, order: Order, run: Callable[[], None]) -> None:
        """Make another run, which must leave the same result."""
        self._restore(self._before)
        run()
        for (name, array), expected in zip(self._arrays, self._after, strict=False):  # the maps come last
            if array.tobytes() != expected.tobytes():
                difference = _difference(name, array, expected, order, self._first)
                raise OrderDependenceError(f"{self._kernel}: {difference}")

    def _copy(self) -> list[npt.NDArray[Any]]:
        return [array.copy() for array in self._memory()]

    def _restore(self, contents: list[npt.NDArray[Any]]) -> None:
        for array, content in zip(self._memory(), contents, strict=True):
            array[...] = content

    def _memory(self) -> list[npt.NDArray[Any]]:
        return [*(array for _, array in self._arrays), *self._maps]


def _difference(name: str, actual: npt.NDArray[Any], expected: npt.NDArray[Any], order: Order, first: Order) -> str:
    a = np.ascontiguousarray(actual).reshape(-1).view(np.uint8).reshape(actual.size, -1)
    b = np.ascontiguousarray(expected).reshape(-1).view(np.uint8).reshape(expected.size, -1)
    flat = int(np.argmax((a != b).any(axis=1)))
    index = tuple(int(i) for i in np.unravel_index(flat, actual.shape))
    return (
        f"the result depends on the order of threads: {name}{list(index)} is "
        f"{expected[index]!r} with threads and blocks in {first} order, and {actual[index]!r} in {order} order"
    )
