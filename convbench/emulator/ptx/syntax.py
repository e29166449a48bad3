"""What PTX is made of: modules, functions, variables, instructions and operands (PTX ISA, "Syntax")."""

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Address:
    """An address operand, `[base+offset]`: a register, a variable, or "" for an absolute address."""

    base: str
    offset: int = 0


@dataclass(frozen=True)
class Vector:
    """A vector operand, `{a, b}`."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Two destinations, `a|b`."""

    first: str
    second: str


Operand = str | Address | Vector | Pair


@dataclass(frozen=True)
class Line:
    """A place in a source file, of a `.loc` directive."""

    file: int = 0
    line: int = 0
    caller: "Line | None" = None  # the place of the call, if the function is inlined


@dataclass(frozen=True)
class Instruction:
    """One instruction, for example `@!%p1 ld.global.v2.f32 {%f1, %f2}, [%rd1+8];`."""

    opcode: str  # the first word: ld
    modifiers: tuple[str, ...]  # the others: global, v2, f32
    operands: tuple[Operand, ...]
    predicate: str = ""  # the register of its guard
    negated: bool = False
    line: Line = Line()
    align: int = 0  # bytes that its address is a multiple of, if they are more than it accesses (`gaps`)

    def __str__(self) -> str:
        guard = f"@{'!' * self.negated}{self.predicate} " if self.predicate else ""
        return f"{guard}{self.name} {', '.join(map(_shown, self.operands))}".rstrip() + ";"

    @property
    def name(self) -> str:
        """The opcode with all its modifiers."""
        return ".".join((self.opcode, *self.modifiers))


@dataclass(frozen=True)
class Label:
    """A place that branches lead to."""

    name: str


@dataclass(frozen=True)
class Variable:
    """A declared variable: its state space, type, alignment, shape and initial values."""

    name: str
    space: str  # global, const, shared, local or param
    kind: str  # f32, b8, …
    align: int
    count: int  # elements; 0 for a dynamic shared array
    values: tuple[str, ...] = ()
    external: bool = False
    is_array: bool = False
    visible: bool = False  # whether other modules and the host know it by its name

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * bytes_of(self.kind)


_FIRST_FUNCTION = 0x7FFF_F000_0000_0000


@dataclass
class Function:
    """An entry or a device function."""

    name: str
    is_entry: bool
    parameters: list[Variable] = field(default_factory=list)
    results: list[Variable] = field(default_factory=list)
    registers: dict[str, str] = field(default_factory=dict)  # type by name
    variables: dict[str, Variable] = field(default_factory=dict)
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)  # labels of `.branchtargets`
    body: list[Instruction | Label] = field(default_factory=list)
    directives: dict[str, tuple[int, ...]] = field(default_factory=dict)  # maxntid and others
    copies: dict[int, dict[str, str]] = field(
        default_factory=dict
    )  # registers to copy before an instruction (`fusion`)
    has_body: bool = True
    visible: bool = False  # whether other modules know it by its name
    _families: list[tuple[str, int, str]] = field(default_factory=list)

    def register(self, name: str) -> str | None:
        """The type of a register; None if the function has none of this name."""
        found = self.registers.get(name)
        if found is None:
            for prefix, number, kind in self._families:
                rest = name.removeprefix(prefix)
                if rest != name and rest.isdigit() and int(rest) < number:
                    found = self.registers[name] = kind
                    break
        return found


@dataclass
class Module:
    """A parsed PTX module."""

    version: str = ""
    target: str = ""
    files: dict[int, str] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    storage: Any = None  # the memory of its variables (`storage`), once a kernel needs it

    def declare(self, variable: Variable) -> None:
        """Add a variable; a definition takes the place of an external declaration."""
        known = self.variables.get(variable.name)
        if known is None or known.external:
            self.variables[variable.name] = variable

    def entries(self) -> list[str]:
        """The names of the kernels."""
        return [name for name, function in self.functions.items() if function.is_entry and function.has_body]

    def address(self, name: str) -> int:
        """The number that stands for the address of a function. No memory has such an address."""
        return _FIRST_FUNCTION + 16 * list(self.functions).index(name)


@cache
def bytes_of(kind: str) -> int:
    """Bytes of a fundamental type, such as f32 or b128; a predicate has one."""
    digits = re.search(r"(\d+)(x\d+)?$", kind)
    if digits is None:
        return 1
    return int(digits[1]) // 8 * (int(digits[2][1:]) if digits[2] else 1)


def integer(token: str) -> int:
    """The value of an integer literal."""
    text = token.rstrip("U")
    if text[:2] in ("0x", "0X", "0b", "0B"):
        return int(text, 0)
    return int(text, 8) if len(text) > 1 and text[0] == "0" else int(text)


def _shown(operand: Operand) -> str:
    if isinstance(operand, Address):
        return f"[{operand.base}{f'+{operand.offset}' if operand.offset else ''}]"
    if isinstance(operand, Vector):
        return f"{{{', '.join(operand.items)}}}"
    return f"{operand.first}|{operand.second}" if isinstance(operand, Pair) else operand
