"""The memory of a module's variables in global memory, which all its kernels share for as long as the module lives.

Machine code is made for one kernel and one shape of block, so it cannot hold the variables itself: a kernel would not
see what another one wrote. Constants that no other module can name stay in the code, where LLVM sees their values.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.emulator.ptx.kinds import bits, literal
from convbench.emulator.ptx.syntax import Module, Variable
from convbench.emulator.state import aligned_bytes

ALIGNMENT = 256  # of the whole memory; no variable needs more
LEAST_ALIGNMENT = 16


def stored(module: Module) -> dict[str, Variable]:
    """The variables whose memory is the module's and not a part of the machine code, with numbers for functions."""
    named = {value.partition("+")[0] for variable in module.variables.values() for value in variable.values}
    return {
        name: with_numbers(module, variable)
        for name, variable in module.variables.items()
        if not variable.external
        and (variable.space == "global" or (variable.space == "const" and (variable.visible or name in named)))
    }


def with_numbers(module: Module, variable: Variable) -> Variable:
    """The variable with the numbers that stand for functions (`Module.address`) among its initial values."""
    values = tuple(str(module.address(v)) if v in module.functions else v for v in variable.values)
    return replace(variable, values=values)


class Storage:
    """The memory of a module's variables, with their initial values."""

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        places: dict[str, tuple[int, int]] = {}
        end = 0
        for name, variable in variables.items():
            align = max(variable.align, LEAST_ALIGNMENT)
            begin = -(-end // align) * align
            places[name] = begin, variable.size
            end = begin + variable.size
        self._memory = aligned_bytes(max(end, 1), ALIGNMENT)
        self._memory[:] = 0
        self._places = places
        for name, variable in variables.items():
            if variable.values:
                raw = b"".join(self._value(value, variable.kind) for value in variable.values)
                self.bytes_of(name)[: len(raw)] = np.frombuffer(raw, np.uint8)

    def __reduce__(self) -> Any:
        raise TypeError("the memory of variables belongs to a process")

    def _value(self, text: str, kind: str) -> bytes:
        """The bytes of an initial value: a number, or the address of another variable and an offset."""
        base, _, more = text.partition("+")
        width = bits(kind)
        number = self.address(base) + int(more or 0) if base in self._places else _bits(text, kind)
        return (number & ((1 << width) - 1)).to_bytes(width // 8, "little")

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def address(self, name: str) -> int:
        """The address of a variable."""
        return int(self._memory.ctypes.data) + self._places[name][0]

    def bytes_of(self, name: str) -> npt.NDArray[np.uint8]:
        """The bytes of a variable, which kernels and the host read and write in place."""
        begin, size = self._places[name]
        return self._memory[begin : begin + size]


def _bits(text: str, kind: str) -> int:
    """The bits of an immediate."""
    found = literal(text, kind)
    if found.startswith("bitcast"):  # as LLVM writes the bits of a float
        found = re.findall(r"-?\d+", found)[1]
    return int(found, 0)
