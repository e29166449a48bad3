"""Fuse products and sums as ptxas does, where the PTX leaves it open.

The ISA says of mul, add and sub without a rounding modifier that the code optimiser may fuse them ("add", "mul" in
"Floating Point Instructions"). NVVM writes most fused sums itself, as `fma.rn`. It leaves some to ptxas, for example
all of half precision. The rules here are those of ptxas, seen in its machine code for sm_90:

- a product is fused if every use of it is a sum in the same block; through mov and neg a use is seen;
- a sum of two such products takes its first operand's, and the other is rounded, for all its uses;
- both have no rounding modifier, and flush subnormals alike; the product is not saturated.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

from convbench.emulator.ptx.kinds import kinds_of
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Label, Operand, Pair, Vector

_KINDS = ("f32", "f64", "f16", "f16x2", "bf16", "bf16x2")
_ROUNDINGS = {"rn", "rz", "rm", "rp"}
_ENDS = ("bra", "brx", "ret", "exit", "trap")


@dataclass(frozen=True)
class _Use:
    """A sum that a product enters."""

    place: int
    operand: int  # 1 or 2
    negated: bool


def fused(function: Function) -> Function:
    """The function with fused sums of products."""
    function = replace(function, body=[*function.body], registers=dict(function.registers), copies={})
    body = function.body
    blocks = _blocks(function)
    products_of = [[index for index, place in enumerate(block) if _is_product(body[place])] for block in blocks]
    if not any(products_of):
        return function
    read = [_read(i) if isinstance(i, Instruction) else frozenset() for i in body]
    home: dict[str, set[int]] = defaultdict(set)  # the blocks that read a register
    for number, block in enumerate(blocks):
        for place in block:
            for name in read[place]:
                home[name].add(number)
    for number, block in enumerate(blocks):
        products = {}
        for index in products_of[number]:
            place = block[index]
            uses = _uses(body, read, block, index, number, home)
            if uses:
                products[place] = uses
        _rewrite(function, products)
    return function


def _blocks(function: Function) -> list[list[int]]:
    """The places of the instructions of each block. A label that nobody goes to does not end one."""
    reached = {label for targets in function.tables.values() for label in targets}
    reached |= {str(i.operands[0]) for i in function.body if isinstance(i, Instruction) and i.opcode == "bra"}
    blocks: list[list[int]] = [[]]
    for place, statement in enumerate(function.body):
        if isinstance(statement, Label):
            if statement.name in reached:
                blocks.append([])
            continue
        blocks[-1].append(place)
        if statement.opcode in _ENDS:
            blocks.append([])
    return blocks


def _names(operand: Operand) -> tuple[str, ...]:
    if isinstance(operand, Vector):
        return operand.items
    if isinstance(operand, Pair):
        return operand.first, operand.second
    return (operand.base,) if isinstance(operand, Address) else (operand.lstrip("!-"),)


def _read(i: Instruction) -> frozenset[str]:
    """The names that an instruction may read; of a store and the like, all of them."""
    operands = i.operands[1:] if _writes(i) else i.operands
    found = frozenset(name for operand in operands for name in _names(operand))
    return found | {i.predicate} if i.predicate else found


def _writes(i: Instruction) -> bool:
    """Whether the first operand is written, and no address."""
    return bool(i.operands) and i.opcode not in ("st", "red", "call") and not isinstance(i.operands[0], Address)


def _is_open(i: Instruction) -> bool:
    """Whether the ISA lets the optimiser fuse this product or sum."""
    kinds = kinds_of(i.modifiers)
    return len(kinds) == 1 and kinds[0] in _KINDS and not _ROUNDINGS & set(i.modifiers)


def _is_product(statement: object) -> bool:
    return (
        isinstance(statement, Instruction)
        and statement.opcode == "mul"
        and not statement.predicate
        and "sat" not in statement.modifiers
        and _is_open(statement)
    )


def _uses(
    body: list[Instruction | Label],
    read: list[frozenset[str]],
    block: list[int],
    index: int,
    number: int,
    home: dict[str, set[int]],
) -> list[_Use] | None:
    """The sums that a product enters; None if it is used in another way, too. `read` has the names of each place."""
    product = body[block[index]]
    assert isinstance(product, Instruction)
    found: list[_Use] = []
    waiting = [(str(product.operands[0]), index, False)]
    while waiting:
        name, start, negated = waiting.pop()
        ended = False
        for later in range(start + 1, len(block)):
            place = block[later]
            i = body[place]
            assert isinstance(i, Instruction)
            if name in read[place]:
                if i.opcode in ("mov", "neg") and not i.predicate and i.operands[1] == name:
                    waiting.append((str(i.operands[0]), later, negated != (i.opcode == "neg")))
                elif i.opcode in ("add", "sub") and _is_open(i) and _matches(product, i) and name not in i.predicate:
                    found += [_Use(place, n, negated) for n in (1, 2) if i.operands[n] == name]
                else:
                    return None
            if _writes(i) and name in _names(i.operands[0]):
                ended = not i.predicate
                if ended:
                    break
        if not ended and home[name] - {number}:
            return None
        if not ended and any(name in read[place] for place in block[: start + 1]):
            return None  # the next iteration of a loop reads it
    return found


def _matches(product: Instruction, total: Instruction) -> bool:
    kinds = kinds_of(product.modifiers)[-1], kinds_of(total.modifiers)[-1]
    return kinds[0] == kinds[1] and ("ftz" in product.modifiers) == ("ftz" in total.modifiers)


def _rewrite(function: Function, products: dict[int, list[_Use]]) -> None:
    by_sum: dict[int, dict[int, tuple[int, bool]]] = defaultdict(dict)  # product and sign, by sum and operand
    for place, uses in products.items():
        for use in uses:
            by_sum[use.place][use.operand] = place, use.negated
    chosen = {place: min(operands) for place, operands in by_sum.items()}
    taken = {
        place
        for place, uses in products.items()
        if all(chosen[use.place] == use.operand for use in uses) and len({use.place for use in uses}) == len(uses)
    }
    for place, operand in chosen.items():
        product, negated = by_sum[place][operand]
        if product in taken:
            function.body[place] = _fused(function, product, place, operand, negated=negated)


def _fused(function: Function, product: int, place: int, operand: int, *, negated: bool) -> Instruction:
    left, total = function.body[product], function.body[place]
    assert isinstance(left, Instruction)
    assert isinstance(total, Instruction)
    a, b = (_kept(function, product, place, number) for number in (1, 2))
    c = str(total.operands[3 - operand])
    if total.opcode == "sub":
        if operand == 1:
            c = _minus(c)
        else:
            negated = not negated
    modifiers = ("rn", *(word for word in total.modifiers if word not in _ROUNDINGS))
    return replace(
        total, opcode="fma", modifiers=modifiers, operands=(total.operands[0], _minus(a) if negated else a, b, c)
    )


def _kept(function: Function, product: int, place: int, number: int) -> str:
    """An operand of the product, copied if its register is written again before the sum."""
    body = function.body
    i = body[product]
    assert isinstance(i, Instruction)
    name = str(i.operands[number])
    between = (other for other in body[product:place] if isinstance(other, Instruction))
    if not any(_writes(other) and name in _names(other.operands[0]) for other in between):
        return name
    kind = kinds_of(i.modifiers)[-1]
    copy = f"%fused.{product}.{number}"
    function.registers[copy] = function.register(name) or kind
    function.copies.setdefault(product, {})[copy] = name
    return copy


def _minus(operand: str) -> str:
    return operand[1:] if operand.startswith("-") else f"-{operand}"
