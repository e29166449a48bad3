"""Vector loads without the last elements, if nobody uses them.

NVVM reads three neighbours by one load of four. On a GPU the fourth is in the same aligned 16 bytes, and never faults.
Here it may lie behind the end of an array, or be memory that nobody wrote.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from convbench.emulator.ptx.kinds import STRONG, kinds_of
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Label, Operand, Pair, Vector, bytes_of


def without_gaps(function: Function) -> Function:
    """Load elements up to the last used one, in the function's own body: a second time changes nothing."""
    uses = Counter(name for i in function.body if isinstance(i, Instruction) for name in _names(i))
    function.body = [part for i in function.body for part in _parts(i, uses)]
    return function


def _names(i: Instruction) -> Iterator[str]:
    yield i.predicate
    for operand in i.operands:
        yield from _names_of(operand)


def _names_of(operand: Operand) -> Iterator[str]:
    if isinstance(operand, Vector):
        yield from operand.items
    elif isinstance(operand, Pair):
        yield from (operand.first, operand.second)
    else:
        yield (operand.base if isinstance(operand, Address) else operand).removeprefix("!")


def _parts(i: Instruction | Label, uses: Counter[str]) -> Iterator[Instruction | Label]:
    """The instruction itself, or loads of its elements up to the last that is used."""
    if not isinstance(i, Instruction) or i.opcode != "ld" or STRONG & set(i.modifiers) or "param" in i.modifiers:
        yield i
        return
    to, address, *more = i.operands
    items = to.items if isinstance(to, Vector) else ()
    used = max((number for number, item in enumerate(items, 1) if uses[item] > 1), default=len(items))
    if not isinstance(address, Address) or used == len(items):
        yield i
        return
    size = bytes_of(kinds_of(i.modifiers)[-1])
    words = tuple(word for word in i.modifiers if word not in ("v2", "v4", "v8"))
    place = 0
    while place < used:
        count = 1 << ((used - place).bit_length() - 1)  # 3 elements are 2 and 1
        yield replace(
            i,
            modifiers=words if count == 1 else (*words[:-1], f"v{count}", words[-1]),
            operands=(
                items[place] if count == 1 else Vector(items[place : place + count]),
                Address(address.base, address.offset + place * size),
                *more,
            ),
            align=0 if place else size * len(items),
        )
        place += count
