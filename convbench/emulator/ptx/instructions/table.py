"""The table of instructions: which function lowers which opcode, and the section of the PTX ISA that defines it."""

from collections.abc import Callable
from typing import Any

Handler = Callable[[Any, Any], None]  # an `Emitter` and an `Instruction`; each module says what it needs

INTEGER, FLOATING, ANY = "integer", "floating", "any"

TABLE: dict[tuple[str, str], Handler] = {}
SECTIONS: dict[tuple[str, str], str] = {}


def lowers(*opcodes: str, section: str, family: str = ANY) -> Callable[[Handler], Handler]:
    """Enter a function into the table for these opcodes.

    `family` tells instructions of one name apart: those of integers and bits from those of floating-point numbers.
    """

    def enter(handler: Handler) -> Handler:
        for opcode in opcodes:
            assert (opcode, family) not in TABLE, opcode
            TABLE[opcode, family] = handler
            SECTIONS[opcode, family] = section
        return handler

    return enter


def handler_of(opcode: str, *, is_floating: bool) -> Handler | None:
    """The function that lowers an opcode for operands of a floating or another type; None if there is none."""
    return TABLE.get((opcode, FLOATING if is_floating else INTEGER)) or TABLE.get((opcode, ANY))
