"""A kernel of a PTX module, and the conversion of its arguments."""

import ctypes
import operator
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.emulator.arguments import Arguments, Passed, also, words_of
from convbench.emulator.errors import CompilationError
from convbench.emulator.ptx.kinds import bits
from convbench.emulator.ptx.memory import WORD
from convbench.emulator.ptx.syntax import Function, Module, Variable


@dataclass(frozen=True, eq=False)
class PtxKernel:
    """An entry of a PTX module."""

    module: Module
    entry: str
    names: tuple[str, ...] = ()  # of its parameters, where somebody knows them
    shown: str = ""  # its name in the source, where somebody knows it

    @property
    def name(self) -> str:
        """The name in the source, or of the entry."""
        return self.shown or self.entry

    @property
    def function(self) -> Function:
        """What the module says of it."""
        return self.module.functions[self.entry]

    @property
    def most_threads(self) -> int | None:
        """The threads that a block may have, of `.maxntid` or `.reqntid`; None if the module sets no limit."""
        for name in ("reqntid", "maxntid"):
            if name in self.function.directives:
                return int(np.prod(self.function.directives[name]))
        return None

    def marshal(self, args: tuple[Any, ...], memory: Sequence[npt.NDArray[Any]] = ()) -> Arguments:
        """Convert arguments to words, by the types of the entry's parameters.

        `memory` has the arrays that the kernel reaches through pointers in structures or in other arrays.

        An array stands for its address. An aggregate (`.b8 name[n]`) takes a structure of ctypes, a record of NumPy or
        bytes. Raises CompilationError for a wrong number of arguments, and for one that does not fit.
        """
        parameters = self.function.parameters
        if len(args) != len(parameters):
            raise CompilationError(f"{self.name} takes {len(parameters)} arguments, not {len(args)}")
        words: list[int] = []
        arrays: list[Passed] = []
        for number, (parameter, value) in enumerate(zip(parameters, args, strict=True)):
            name = self.names[number] if number < len(self.names) else f"number {number}"
            if isinstance(value, np.ndarray) and not parameter.is_array:
                if bits(parameter.kind) != 64:
                    raise self._wrong(number, parameter, "an array")
                arrays.append(Passed(name, value, len(words)))
                words.append(value.ctypes.data)
            elif parameter.is_array:
                words += self._aggregate(number, parameter, value)
            else:
                words.append(self._number(number, parameter, value))
        return Arguments(words_of(words), [*arrays, *also(memory)])

    def _wrong(self, number: int, parameter: Variable, what: str) -> CompilationError:
        return CompilationError(f"{self.name}: argument number {number} is .{parameter.kind} and cannot take {what}")

    def _number(self, number: int, parameter: Variable, value: Any) -> int:
        kind = parameter.kind
        try:
            if kind in ("f32", "f64"):
                form = {"f32": "<f", "f64": "<d"}[kind]
                return int.from_bytes(struct.pack(form, float(value)), "little")
            if isinstance(value, float | np.floating):
                dtype = np.dtype(type(value)) if isinstance(value, np.floating) else None
                if dtype is None or dtype.itemsize * 8 != bits(kind):
                    raise self._wrong(number, parameter, f"the number {value!r}")
                return int.from_bytes(np.asarray(value).tobytes(), "little")
            if isinstance(value, np.bool_):
                value = bool(value)
            return operator.index(value) & ((1 << bits(kind)) - 1)
        except (TypeError, OverflowError) as error:
            raise self._wrong(number, parameter, f"{value!r}") from error

    def _aggregate(self, number: int, parameter: Variable, value: Any) -> list[int]:
        if isinstance(value, ctypes.Structure | ctypes.Array | bytes | bytearray | memoryview):
            raw = bytes(value)
        elif isinstance(value, np.generic | np.ndarray):
            raw = value.tobytes()
        else:
            raise self._wrong(number, parameter, f"{value!r}: pass a structure of ctypes, a record of NumPy or bytes")
        if len(raw) != parameter.size:
            raise CompilationError(
                f"{self.name}: argument number {number} has {parameter.size} bytes, and was given {len(raw)}"
            )
        raw = raw.ljust(-(-len(raw) // WORD) * WORD, b"\0")
        return [int.from_bytes(raw[place : place + WORD], "little") for place in range(0, len(raw), WORD)]
