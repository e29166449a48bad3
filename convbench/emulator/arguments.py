"""Convert the arguments of a launch from Python values to the words of the kernel's parameters.

The words are in numba-cuda's order. An array becomes (0, 0, size, item size, address, *shape, *strides). A tuple
becomes its items, a record the address of its bytes, and a complex number two words.
"""

import ctypes
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.cuda import types as numba_types
from numba.cuda.typing.typeof import typeof

from convbench.emulator.declared import declared_types
from convbench.emulator.errors import CompilationError, UnsupportedError

_CONTIGUOUS = 0x0003  # NumPy's flags: C_CONTIGUOUS and F_CONTIGUOUS
_FLAGS = 0x0503  # those, ALIGNED and WRITEABLE
_LEAST, _MOST = 1 - 2**63, 2**63 - 1  # integers whose Numba type is int64


def _bits_of(value: Any) -> int:
    return int.from_bytes(value.tobytes(), "little", signed=value.itemsize == np.int64().itemsize)


def _bits_of_float(value: float) -> int:
    return int(_WORD.unpack(_DOUBLE.pack(value))[0])


_DOUBLE, _WORD = Struct("=d"), Struct("=q")
_PLAIN_WORDS: dict[type, Callable[[Any], int]] = {
    int: int, bool: int, float: _bits_of_float, np.bool_: int, np.float32: _bits_of, np.float64: _bits_of,
    **dict.fromkeys((np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32), int),
}  # fmt: skip

# Python's containers and texts: Numba has types for some of them on a CPU, but no kernel can take them
NOT_PASSED = (list, set, frozenset, dict, str, bytes, bytearray)


class Passed(NamedTuple):
    """An array that an argument is, or contains."""

    name: str  # of the parameter
    array: npt.NDArray[Any]
    word: int  # index of the word that is its address; -1 if only other pointers lead to it

    @property
    def range(self) -> tuple[str, str]:
        """The name of its range of memory, as the table of ranges knows it."""
        return ("argument", str(self.word)) if self.word >= 0 else ("memory", self.name)


class Flat(NamedTuple):
    """The arguments of a launch that are plain arrays and numbers."""

    kinds: tuple[Any, ...]  # what their Numba types depend on, and which arrays begin at their lowest address
    words: list[int]  # as `marshal` finds them, with signs
    extents: list[tuple[int, int]]  # lowest address and bytes of each array


class Pointers(NamedTuple):
    """Which words of the arguments are addresses of arrays, and which of these are their array's lowest address.

    They differ where a stride is negative. Code is compiled for one such pattern.
    """

    words: tuple[int, ...]
    begins: frozenset[int]


@dataclass
class Arguments:
    """The words of all parameters, and the arrays that they point to."""

    words: npt.NDArray[np.int64]
    arrays: list[Passed] = field(default_factory=list)

    @property
    def pointers(self) -> Pointers:
        """The words that are addresses of arrays."""
        passed = [item for item in self.arrays if item.word >= 0]
        lowest = np.lib.array_utils.byte_bounds
        begins = (item.word for item in passed if lowest(item.array)[0] == item.array.ctypes.data)
        return Pointers(tuple(item.word for item in passed), frozenset(begins))

    @property
    def scalars(self) -> tuple[int, ...]:
        """The words, with 0 for each address of an array, so that they are the same for other arrays."""
        addresses = {item.word for item in self.arrays}
        return tuple(0 if word in addresses else int(value) for word, value in enumerate(self.words))


def types_of(kernel: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The Numba types of the arguments; of a kernel with declared signatures, those that the arguments become.

    Raises UnsupportedError for a value that has none, and CompilationError for one that no kernel can take, or that the
    kernel is not declared for. The message names the argument.
    """
    found = []
    for index, value in enumerate(args):
        if (wrong := _not_passed(value)) is not None:
            raise CompilationError(
                f"{kernel.py_func.__name__}: argument {_name(kernel, index)}: a kernel cannot take a "
                f"{type(wrong).__name__}: pass a NumPy array, a number, or a tuple of them"
            )
        try:
            found.append(typeof(value))
        except Exception as error:
            raise UnsupportedError(
                f"{kernel.py_func.__name__}: argument {_name(kernel, index)}: numba-cuda has no type for {value!r}"
            ) from error
    return declared_types(kernel, tuple(found))


def _not_passed(value: Any) -> Any:
    """The value, or the first item of a tuple, that no kernel can take; None if there is none."""
    if isinstance(value, tuple):
        return next((wrong for item in value if (wrong := _not_passed(item)) is not None), None)
    return value if isinstance(value, NOT_PASSED) and not isinstance(value, np.generic) else None


def raw_pointer(kernel: Any, types: tuple[Any, ...]) -> str | None:
    """The name of an argument that is a raw pointer, whose indices cannot be checked; None if there is none."""
    found = (index for index, kind in enumerate(types) if isinstance(kind, numba_types.CPointer))
    return next((_name(kernel, index) for index in found), None)


def marshal(kernel: Any, types: tuple[Any, ...], args: tuple[Any, ...]) -> Arguments:
    """Convert `args` to words. Raises UnsupportedError, naming the argument, for a type that cannot be passed."""
    words: list[int] = []
    found = Arguments(np.empty(0, np.int64))
    for index, (kind, value) in enumerate(zip(types, args, strict=True)):
        name = _name(kernel, index)
        try:
            _flatten(kind, value, name, words, found.arrays, kernel.py_func.__name__)
        except (TypeError, ValueError, OverflowError) as error:  # a declared type that the value cannot become
            raise CompilationError(
                f"{kernel.py_func.__name__}: argument {name} is {kind} and cannot take {value!r}: {error}"
            ) from error
    found.words = words_of(words)
    return found


def flat(args: tuple[Any, ...]) -> Flat | None:
    """The words of arguments, for a launch that ran with the same kinds before; None if one is not plain.

    It gives what `types_of` and `marshal` give, in a small part of the time.
    """
    kinds: list[Any] = []
    words: list[int] = []
    extents: list[tuple[int, int]] = []
    for value in args:
        kind = type(value)
        if kind is np.ndarray:
            flags, dtype, shape = value.flags.num & _FLAGS, value.dtype, value.shape
            address, size = value.ctypes.data, value.size
            kinds += (dtype, len(shape), flags)
            words += (0, 0, size, dtype.itemsize, address, *shape, *value.strides)
            if flags & _CONTIGUOUS:
                extents.append((address, size * dtype.itemsize))
            else:
                low, high = np.lib.array_utils.byte_bounds(value)
                kinds.append(low == address)
                extents.append((low, high - low))
            continue
        word = _PLAIN_WORDS.get(kind)
        if word is None or (kind is int and not _LEAST <= value <= _MOST):
            return None
        kinds.append(kind)
        words.append(word(value))
    return Flat(tuple(kinds), words, extents)


def also(memory: Sequence[npt.NDArray[Any]]) -> list[Passed]:
    """Arrays that a kernel reaches through pointers alone, as `memory` of a launch names them."""
    return [Passed(f"memory[{number}]", array, -1) for number, array in enumerate(memory)]


def words_of(words: list[int]) -> npt.NDArray[np.int64]:
    """Words of 64 bits from integers of any sign; one word at least, so that there is an address."""
    return np.array([word & 0xFFFF_FFFF_FFFF_FFFF for word in words] or [0], np.uint64).view(np.int64)


def _name(kernel: Any, index: int) -> str:
    code = kernel.py_func.__code__
    return str(code.co_varnames[index]) if index < code.co_argcount else f"number {index}"


def _flatten(kind: Any, value: Any, name: str, words: list[int], arrays: list[Passed], kernel: str) -> None:
    if isinstance(kind, numba_types.Array) and isinstance(value, np.ndarray):
        arrays.append(Passed(name, value, len(words) + 4))
        words += [0, 0, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides]
    elif isinstance(kind, numba_types.BaseTuple):
        for index, (item_kind, item) in enumerate(zip(kind, value, strict=True)):
            _flatten(item_kind, item, f"{name}[{index}]", words, arrays, kernel)
    elif isinstance(kind, numba_types.Record):
        array = value if isinstance(value, np.ndarray) else _bytes_of(value)
        arrays.append(Passed(name, array, len(words)))
        words.append(array.ctypes.data)
    elif isinstance(kind, numba_types.Float):
        words.append(_bits(value, kind.bitwidth))
    elif isinstance(kind, numba_types.Complex):
        words += [_bits(part, kind.bitwidth // 2) for part in (complex(value).real, complex(value).imag)]
    elif isinstance(kind, numba_types.EnumMember):
        _flatten(kind.dtype, value.value, name, words, arrays, kernel)
    elif isinstance(kind, numba_types.NPDatetime | numba_types.NPTimedelta):
        words.append(int(np.asarray(value).astype(np.int64)))
    elif isinstance(kind, numba_types.Boolean):
        words.append(bool(value))
    elif isinstance(kind, numba_types.Integer | numba_types.CPointer):
        words.append(operator.index(value))
    else:
        raise UnsupportedError(
            f"{kernel}: argument {name}: a value of type {kind} cannot be passed to an emulated kernel"
        )


def _bytes_of(record: np.void) -> npt.NDArray[Any]:
    """A writable view of the bytes of a record, which lie in an array or in the record itself.

    The view that NumPy gives is read-only.
    """
    address = np.frombuffer(record, np.uint8).ctypes.data
    return np.ctypeslib.as_array((ctypes.c_uint8 * record.dtype.itemsize).from_address(address))


def _bits(value: float, width: int) -> int:
    dtype, bits = {16: (np.float16, np.uint16), 32: (np.float32, np.uint32), 64: (np.float64, np.uint64)}[width]
    with np.errstate(over="ignore"):
        return int(np.asarray(value, dtype).view(bits))
