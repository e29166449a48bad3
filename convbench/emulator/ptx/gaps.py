"""Vector loads without the elements that nobody uses.

NVVM reads three neighbours, or two with a gap between them, by one load of four. On a GPU that element is in the
same aligned 16 bytes, and so never faults. Here it may lie behind the end of an array, or be memory that nobody wrote.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from convbench.emulator.ptx.kinds import STRONG, kinds_of
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Label, Operand, Pair, Vector, bytes_of


def without_gaps(function: Function) -> Function:
    """Load the used elements alone, in the function's own body: a second time changes nothing."""
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
    """The instruction itself, or loads of its used elements."""
    if not isinstance(i, Instruction) or i.opcode != "ld" or STRONG & set(i.modifiers) or "param" in i.modifiers:
        yield i
        return
    to, address, *more = i.operands
    used = [number for number, item in enumerate(to.items) if uses[item] > 1] if isinstance(to, Vector) else []
    if not isinstance(to, Vector) or not isinstance(address, Address) or len(used) in (0, len(to.items)):
        yield i
        return
    size = bytes_of(kinds_of(i.modifiers)[-1])
    words = tuple(word for word in i.modifiers if word not in ("v2", "v4", "v8"))
    for first, count in _pieces(used):
        items = to.items[first : first + count]
        yield replace(
            i,
            modifiers=words if count == 1 else (*words[:-1], f"v{count}", words[-1]),
            operands=(
                items[0] if count == 1 else Vector(items),
                Address(address.base, address.offset + first * size),
                *more,
            ),
        )


def _pieces(used: list[int]) -> Iterator[tuple[int, int]]:
    """The first element and the count of each load: powers of two, as aligned as the whole vector is."""
    place = 0
    while place < len(used):
        first, count = used[place], 1
        while first % (2 * count) == 0 and used[place : place + 2 * count] == list(range(first, first + 2 * count)):
            count *= 2
        yield first, count
        place += count
