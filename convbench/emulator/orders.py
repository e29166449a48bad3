"""Varying what hardware may vary: the order in which threads and blocks run."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from convbench.emulator.errors import OrderDependenceError

Order = Literal["forward", "reverse", "random"]


def permutation(count: int, order: Order, seed: int) -> npt.NDArray[np.int64]:
    """The numbers below `count`, in an order; "random" is the same for the same seed."""
    if order == "random":
        return np.random.default_rng(seed).permutation(count)
    forward = np.arange(count, dtype=np.int64)
    return forward if order == "forward" else forward[::-1].copy()


def run_in_every_order(
    kernel: str, run: Callable[[Order], None], arrays: Sequence[npt.NDArray[Any]], first: Order
) -> None:
    """Run from the same memory in every order, and leave the result of the first.

    Raises OrderDependenceError, with array, element and values, if another order gives another bit.
    """
    before = [array.copy() for array in arrays]
    run(first)
    after = [array.copy() for array in arrays]
    for order in get_args(Order):
        if order == first:
            continue
        _restore(arrays, before)
        run(order)
        for number, (array, expected) in enumerate(zip(arrays, after, strict=True)):
            if array.tobytes() != expected.tobytes():
                message = _difference(number, array, expected, order, first)
                _restore(arrays, after)
                raise OrderDependenceError(f"{kernel}: {message}")
    _restore(arrays, after)


def _restore(arrays: Sequence[npt.NDArray[Any]], contents: Sequence[npt.NDArray[Any]]) -> None:
    for array, content in zip(arrays, contents, strict=True):
        if array.flags.writeable:
            array[...] = content


def _difference(number: int, actual: npt.NDArray[Any], expected: npt.NDArray[Any], order: Order, first: Order) -> str:
    a = np.ascontiguousarray(actual).reshape(-1).view(np.uint8).reshape(actual.size, -1)
    b = np.ascontiguousarray(expected).reshape(-1).view(np.uint8).reshape(expected.size, -1)
    flat = int(np.argmax((a != b).any(axis=1)))
    index = tuple(int(i) for i in np.unravel_index(flat, actual.shape))
    return (
        f"the result depends on the order of threads: array argument {number}, element {list(index)}, is "
        f"{expected[index]!r} with threads and blocks in {first} order, and {actual[index]!r} in {order} order"
    )
