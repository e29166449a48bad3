"""Find the loads from shared memory that ptxas makes one wider load of.

NVVM often writes four loads of neighbouring words where the machine has one of 128 bits. ptxas merges loads in one
block whose addresses are one register and constants. It must prove that the whole is aligned, and no write to shared
memory and no barrier may lie between. The rules are those of ptxas 13.5, read from its machine code for sm_86 and
sm_90.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from convbench.emulator.ptx.kinds import kinds_of
from convbench.emulator.ptx.memory import space_of
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Operand, Variable, bytes_of, integer

_WIDEST = 16  # bytes of a load
_KNOWN = 64  # as many zero bits as a number can have
_FENCES = ("st", "atom", "red", "bar", "barrier", "cp", "call", "membar", "fence", "mbarrier", "stmatrix", "wgmma")
_LEAST = ("add", "sub", "or", "xor", "min", "max", "mov", "cvta", "selp", "neg")
_MOST_ROUNDS = 100


@dataclass(frozen=True)
class Merged:
    """What becomes of a load: the place of the load that does its work, how far before its address, and the bytes."""

    leader: int
    back: int
    width: int


def find_merged(function: Function, blocks: list[range], variables: Mapping[str, Variable]) -> dict[int, Merged]:
    """The loads from shared memory that are merged, by their place in the function's body."""
    if not any(isinstance(i, Instruction) and _size(i) for i in function.body):
        return {}
    zeros = _zero_bits(function, variables)
    found: dict[int, Merged] = {}
    for block in blocks:
        waiting: dict[str, dict[int, int]] = defaultdict(dict)  # the place of a load, by register and offset
        for place in block:
            i = function.body[place]
            if not isinstance(i, Instruction):
                continue
            if i.opcode in _FENCES:
                _merge(function, waiting, zeros, found)
            size, address = _size(i), i.operands[1] if len(i.operands) > 1 else None
            if size and isinstance(address, Address):
                waiting[address.base].setdefault(address.offset, place)
            for name in _written(i):
                if name in waiting:
                    _merge(function, {name: waiting.pop(name)}, zeros, found)
        _merge(function, waiting, zeros, found)
    return found


def _size(i: Instruction) -> int:
    """Bytes of a load from shared memory that could be merged; 0 of any other instruction."""
    if i.opcode != "ld" or i.predicate or space_of(i) != "shared" or not isinstance(i.operands[0], str):
        return 0
    if {"volatile", "relaxed", "acquire"} & set(i.modifiers):
        return 0
    size = bytes_of(kinds_of(i.modifiers)[-1])
    return size if size in (4, 8) else 0


def _written(i: Instruction) -> list[str]:
    to = i.operands[0] if i.operands else ""
    return [to] if isinstance(to, str) and i.opcode not in _FENCES else []


def _merge(
    function: Function, waiting: dict[str, dict[int, int]], zeros: dict[str, int], found: dict[int, Merged]
) -> None:
    """Merge the loads that wait, and forget them."""
    for base, places in waiting.items():
        aligned = 1 << min(zeros.get(base, 0), 4)
        for width in (_WIDEST, _WIDEST // 2):
            if width > aligned:
                continue
            for first in sorted(places):
                _merge_from(function, places, first, width, found)
    waiting.clear()


def _merge_from(function: Function, places: dict[int, int], first: int, width: int, found: dict[int, Merged]) -> None:
    """Merge the loads of `width` bytes from the offset `first` on, if all are there and free."""
    if first % width or first not in places:
        return
    i = function.body[places[first]]
    assert isinstance(i, Instruction)
    size = _size(i)
    offsets = range(first, first + width, size)
    if len(offsets) < 2 or any(offset not in places or places[offset] in found for offset in offsets):
        return
    parts = [function.body[places[offset]] for offset in offsets]
    if any(not isinstance(part, Instruction) or _size(part) != size for part in parts):
        return
    leader = min(places[offset] for offset in offsets)
    for offset in offsets:
        found[places[offset]] = Merged(leader, offset - first, width)


def _zero_bits(function: Function, variables: Mapping[str, Variable]) -> dict[str, int]:
    """How many of the lowest bits of each integer register are known to be zero, whoever wrote it."""
    writers: dict[str, list[Instruction]] = defaultdict(list)
    for i in function.body:
        if isinstance(i, Instruction):
            for name in _written(i):
                writers[name].append(i)
    found = dict.fromkeys(writers, _KNOWN)
    for _ in range(_MOST_ROUNDS):
        changed = False
        for name, instructions in writers.items():
            new = min(_of_result(i, found, variables) for i in instructions)
            if new < found[name]:
                found[name], changed = new, True
        if not changed:
            return found
    return {}


def _of_result(i: Instruction, known: dict[str, int], variables: Mapping[str, Variable]) -> int:
    given = [_of_operand(operand, known, variables) for operand in i.operands[1:]]
    if i.opcode == "selp":
        return min(given[:2])
    if i.opcode in _LEAST:
        return min(given)
    if i.opcode == "and":
        return max(given)
    if i.opcode == "mul" and "hi" not in i.modifiers:
        return sum(given)
    if i.opcode == "mad" and "hi" not in i.modifiers:
        return min(given[0] + given[1], given[2])
    if i.opcode == "shl":
        amount = i.operands[2]
        return given[0] + (integer(amount) if isinstance(amount, str) and amount.isdigit() else 0)
    if i.opcode == "cvt" and not {"f16", "bf16", "f32", "f64"} & set(i.modifiers):
        return given[0]
    return 0


def _of_operand(operand: Operand, known: dict[str, int], variables: Mapping[str, Variable]) -> int:
    if not isinstance(operand, str):
        return 0
    if operand in known:
        return known[operand]
    name, _, offset = operand.partition("+")
    if name in variables:
        variable = variables[name]
        # ptxas places shared arrays itself, and better aligned than they ask for
        align = max(variable.align, _WIDEST) if variable.space == "shared" and variable.size else variable.align
        return min(_of_number(align), _of_number(int(offset or 0)))
    try:
        return _of_number(integer(operand.removeprefix("-")))
    except ValueError:
        return 0


def _of_number(number: int) -> int:
    return (number & -number).bit_length() - 1 if number else _KNOWN
