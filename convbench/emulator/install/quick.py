"""The words of a launch whose arguments are arrays of the device and numbers, and the launch with them.

numba-cuda prepares the words of each launch one by one. Here each array of the device keeps those that numba-cuda has
prepared for it, and a launch that ran before runs again (`ready`). What has other arguments is launched as ever.
"""

import operator
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from struct import Struct
from typing import Any

import numpy as np
from numba.cuda import types
from numba.cuda.cudadrv import devicearray

from convbench.emulator.arguments import Arguments, Passed, also
from convbench.emulator.install import settings
from convbench.emulator.install.host_memory import MEMORY
from convbench.emulator.ready import LAUNCHES, Given

_ADDRESS = 4  # the place of the address among the words of an array
_NUMBERS = frozenset({int, float, np.float32, np.float64})
_WORD, _HALF, _DOUBLE, _SINGLE = Struct("=q"), Struct("=I"), Struct("=d"), Struct("=f")


@dataclass
class Found:
    """A launch, and what it is given."""

    key: Hashable
    words: list[int]
    pattern: list[int]  # the words that are addresses of allocations
    extents: list[tuple[int, int]]  # address and bytes of each


class _NotPlainError(Exception):
    """An argument that numba-cuda must prepare."""


def find(kernel: Any, args: Any, grid: Any, block: Any, shared_bytes: int) -> Found | None:
    """What tells a launch of numba-cuda from others, and its words; None if it is not plain."""
    plan = kernel.__dict__.get("_plan_of_words")
    if plan is None:
        plan = kernel._plan_of_words = _plan(kernel)
    if len(plan) != len(args):
        return None
    words: list[int] = []
    pattern: list[int] = []
    extents: list[tuple[int, int]] = []
    changes = MEMORY.changes
    try:
        for make, value in zip(plan, args, strict=True):
            if make is not _array:
                words.append(make(value))
                continue
            kept = getattr(value, "_words_of_launch", None)
            if kept is None or kept.is_old(value, changes):
                kept = _array(value, kernel, changes)
            if kept.size:
                pattern.append(len(words) + _ADDRESS)
                extents.append(kept.extent)
            words += kept.words
    except (_NotPlainError, TypeError, OverflowError):
        return None
    key = kernel, grid, block, shared_bytes, tuple(pattern), settings.changes()
    return Found(key, words, pattern, extents)


def run(found: Found, names: tuple[str, ...]) -> bool:
    """Run a launch again; `names` are those of the kernel and of its words. Returns False if it must be launched."""
    ready = LAUNCHES.get(found.key)
    if ready is None:
        return False

    def arguments() -> Arguments:
        shown = dict(enumerate(names[1:]))
        arrays = [
            Passed(shown.get(word, f"number {word}"), MEMORY.beginning_at(address), word)
            for word, (address, _) in zip(found.pattern, found.extents, strict=True)
        ]
        return Arguments(np.array(found.words, np.int64), [*arrays, *also(MEMORY.arrays())])

    return ready.run(Given(found.words, found.extents, arguments), MEMORY.others())


def _plan(kernel: Any) -> list[Callable[..., Any]]:
    """How each argument becomes words; an empty list if numba-cuda must prepare one."""
    if kernel.extensions or kernel.debug:
        return []
    plan = [_maker(kind) for kind in kernel.argument_types]
    return [] if None in plan else plan  # type: ignore[return-value]


def _maker(kind: Any) -> Callable[..., Any] | None:
    if isinstance(kind, types.Array):
        return _array
    if kind == types.boolean:
        return _boolean
    if isinstance(kind, types.Integer):
        return _integer(kind.bitwidth)
    return {types.float64: _double, types.float32: _single}.get(kind)


@dataclass(eq=False)
class _Array:
    """The words of an array of the device, which it keeps until its memory or its shape changes."""

    words: tuple[int, ...]
    extent: tuple[int, int]  # address and bytes of the allocation that begins there
    size: int  # these bytes; 0 if none begins there
    made_of: tuple[Any, Any, Any]
    changes: int

    def is_old(self, array: Any, changes: int) -> bool:
        memory, shape, strides = self.made_of
        return (
            self.changes != changes
            or array.gpu_data is not memory
            or array.shape is not shape
            or array.strides is not strides
        )


def _array(value: Any, kernel: Any, changes: int) -> _Array:
    if not isinstance(value, devicearray.DeviceNDArray):
        raise _NotPlainError
    given: list[Any] = []
    kernel._prepare_args(_ANY, value, 0, [], given)
    words = tuple(int(word or 0) for word in given)
    size = MEMORY.bytes_at(words[_ADDRESS])
    made_of = value.gpu_data, value.shape, value.strides
    value._words_of_launch = made = _Array(words, (words[_ADDRESS], size), size, made_of, changes)
    return made


_ANY = types.Array(types.uint8, 1, "A")  # numba-cuda asks only whether it is an array


def _boolean(value: Any) -> int:
    if type(value) is not bool:
        raise _NotPlainError
    return int(value)


def _integer(bits: int) -> Callable[[Any], int]:
    """An integer of so many bits, as ctypes wraps it."""
    most, mask = 1 << (bits - 1), (1 << bits) - 1

    def word(value: Any) -> int:
        found = operator.index(value) & mask
        return found - (mask + 1) if bits == 64 and found >= most else found

    return word


def _double(value: Any) -> int:
    if type(value) not in _NUMBERS:
        raise _NotPlainError
    return int(_WORD.unpack(_DOUBLE.pack(value))[0])


def _single(value: Any) -> int:
    if type(value) not in _NUMBERS:
        raise _NotPlainError
    return int(_HALF.unpack(_SINGLE.pack(value))[0])  # an OverflowError for one that is too large
