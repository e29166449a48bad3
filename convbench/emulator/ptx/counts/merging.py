"""Find the loads from shared memory that ptxas makes one wider load of.

NVVM often writes four loads of neighbouring words where the machine has one of 128 bits. ptxas merges loads in one
block whose addresses are one register and constants. It must prove that the whole is aligned, and no write to shared
memory and no barrier may lie between. The rules are those of ptxas 13.5, read from its machine code for sm_86 and
sm_90.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from convbench.emulator.ptx.kinds import kinds_of
from convbench.emulator.ptx.memory import space_of
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Operand, Variable, bytes_of, integer

Rest = tuple[int, int]  # bits and a value: a number is this value modulo 2 ** bits
NOTHING: Rest = (0, 0)
_WIDEST, _BITS = 16, 4  # bytes of a load, and the bits of an address that tell where it begins in them
_FENCES = ("st", "atom", "red", "bar", "barrier", "cp", "call", "membar", "fence", "mbarrier", "stmatrix", "wgmma")
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
    known = _rests(function, variables)
    found: dict[int, Merged] = {}
    for block in blocks:
        waiting: dict[str, dict[int, int]] = defaultdict(dict)  # the place of a load, by register and offset
        for place in block:
            i = function.body[place]
            if not isinstance(i, Instruction):
                continue
            if i.opcode in _FENCES:
                _merge(function, waiting, known, found)
            size, address = _size(i), i.operands[1] if len(i.operands) > 1 else None
            if size and isinstance(address, Address):
                waiting[address.base].setdefault(address.offset, place)
            for name in _written(i):
                if name in waiting:
                    _merge(function, {name: waiting.pop(name)}, known, found)
        _merge(function, waiting, known, found)
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
    function: Function, waiting: dict[str, dict[int, int]], known: dict[str, Rest], found: dict[int, Merged]
) -> None:
    """Merge the loads that wait, and forget them."""
    for base, places in waiting.items():
        bits, rest = known.get(base, NOTHING)
        for width in (_WIDEST, _WIDEST // 2):
            if width <= 1 << bits:
                for first in sorted(places):
                    if (first + rest) % width == 0:
                        _merge_from(function, places, first, width, found)
    waiting.clear()


def _merge_from(function: Function, places: dict[int, int], first: int, width: int, found: dict[int, Merged]) -> None:
    """Merge the loads of `width` bytes from the offset `first` on, if all are there and free."""
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


def _rests(function: Function, variables: Mapping[str, Variable]) -> dict[str, Rest]:
    """What is known of the lowest bits of each integer register, whoever wrote it."""
    writers: dict[str, list[Instruction]] = defaultdict(list)
    for i in function.body:
        if isinstance(i, Instruction):
            for name in _written(i):
                writers[name].append(i)
    found: dict[str, Rest] = {}
    for _ in range(_MOST_ROUNDS):
        before = dict(found)
        for name, instructions in writers.items():
            results = [rest for i in instructions if (rest := _of_result(i, found, writers, variables)) is not None]
            if results:
                found[name] = reduce(_either, results)
        if found == before:
            return found
    return {}


def _of_result(
    i: Instruction, known: dict[str, Rest], writers: Mapping[str, object], variables: Mapping[str, Variable]
) -> Rest | None:
    """What is known of the result of an instruction; None while an operand has no value yet."""
    given = [_of_operand(operand, known, writers, variables) for operand in i.operands[1:]]
    if i.opcode == "selp":
        given = given[:2]
    if any(rest is None for rest in given):
        values = [rest for rest in given if rest is not None]
        return reduce(_either, values) if i.opcode == "selp" and values else None
    rests = [rest for rest in given if rest is not None]
    if i.opcode in ("mov", "cvta") or (i.opcode == "cvt" and not {"f16", "bf16", "f32", "f64"} & set(i.modifiers)):
        return rests[0]
    if i.opcode == "selp":
        return reduce(_either, rests)
    if i.opcode in ("add", "sub", "or", "xor", "and"):
        return _combined(i.opcode, rests[0], rests[1])
    if i.opcode == "mul" and "hi" not in i.modifiers:
        return _product(rests[0], rests[1])
    if i.opcode == "mad" and "hi" not in i.modifiers:
        return _combined("add", _product(rests[0], rests[1]), rests[2])
    if i.opcode == "shl" and isinstance(i.operands[2], str) and i.operands[2].isdigit():
        amount = integer(i.operands[2])
        return _rest(rests[0][0] + amount, rests[0][1] << amount)
    return NOTHING


def _of_operand(
    operand: Operand, known: dict[str, Rest], writers: Mapping[str, object], variables: Mapping[str, Variable]
) -> Rest | None:
    if not isinstance(operand, str):
        return NOTHING
    if operand in writers:
        return known.get(operand)
    name, _, offset = operand.partition("+")
    if name in variables:
        variable = variables[name]
        # ptxas places shared arrays itself, and better aligned than they ask for
        align = max(variable.align, _WIDEST) if variable.space == "shared" and variable.size else variable.align
        return _rest(align.bit_length() - 1, int(offset or 0))
    try:
        number = integer(operand.removeprefix("-"))
    except ValueError:
        return NOTHING
    return _rest(_BITS, -number if operand.startswith("-") else number)


def _rest(bits: int, rest: int) -> Rest:
    bits = min(bits, _BITS)
    return bits, rest % (1 << bits)


def _either(a: Rest, b: Rest) -> Rest:
    bits = min(a[0], b[0])
    while (a[1] - b[1]) % (1 << bits):
        bits -= 1
    return _rest(bits, a[1])


def _combined(opcode: str, a: Rest, b: Rest) -> Rest:
    if opcode == "and":
        bits = max(min(a[0], b[0]), *(_zeros(rest) for rest in (a, b)))
        return _rest(bits, a[1] & b[1])
    rest = {"add": a[1] + b[1], "sub": a[1] - b[1], "or": a[1] | b[1], "xor": a[1] ^ b[1]}[opcode]
    return _rest(min(a[0], b[0]), rest)


def _product(a: Rest, b: Rest) -> Rest:
    return _rest(min(a[0] + _zeros(b), b[0] + _zeros(a)), a[1] * b[1])


def _zeros(rest: Rest) -> int:
    """How many of the lowest bits are known to be zero."""
    bits, value = rest
    return min(bits, (value & -value).bit_length() - 1) if value else bits
