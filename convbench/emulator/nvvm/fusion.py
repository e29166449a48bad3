"""Fuse products and sums where NVVM and ptxas do, in LLVM IR that is otherwise finished.

Both work on one basic block at a time. The rules were seen in their output for sm_90 (CUDA 13.5):

- NVVM fuses a product into an addition if all uses of the product are additions, and they are fewer than five. Of two
  such products it takes the first operand's. It leaves subtractions to ptxas.
  Which operand is the first one is what `ranks` tells.
- ptxas fuses what is left, and all sums of 16 bits, as `ptx.fusion` says: a product is fused if every use of it is a
  sum or a difference. A sum of two such products takes its first operand's, and the other is rounded, for all its uses.

Blocks that only a check of the emulator separates are one block on a GPU, and here. But the optimiser is not NVVM's.
So a block may have other bounds here than there, for example after unrolling, and a product that is used in another
block than its own may be fused in one code and not in the other.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from convbench.emulator.nvvm.ranks import Ranks

_FEWEST_NOT_FUSED = 5  # uses
_NAME = r'%(?:"[^"]+"|[\w.$-]+)'
_OPERATION = re.compile(
    rf"^  (?P<result>{_NAME}) = (?P<operation>fmul|fadd|fsub|fneg)"
    r"(?: (?:fast|nnan|ninf|nsz|arcp|contract|afn|reassoc))* "
    r"(?P<kind>float|double) (?P<a>[^,\s]+)(?:, (?P<b>[^,\s]+))?(?P<tail>.*)$"
)
# of 16 bits: a product is computed in double, rounded, and widened again for the sum
_ROUNDING = re.compile(
    rf"^  (?P<result>{_NAME}) = (?:tail )?call (?:i16|double) @emu\.(?:half|bfloat16)\.(?:rn|wide)\("
    rf"(?:double|i16) (?P<a>{_NAME})\)"
)
SUM_TO_ODD = "emu.ptx.sum.to.odd"
_NAMES = re.compile(_NAME)
_LABEL = re.compile(r'^("[^"]+"|[\w.$-]+):')
_TARGET = re.compile(r'label %("[^"]+"|[\w.$-]+)')
_SHORT = {"float": "f32", "double": "f64"}


@dataclass
class _Operation:
    """A product, a sum, a difference or a negation."""

    line: int
    block: int
    result: str
    name: str
    kind: str
    operands: tuple[str, ...]
    tail: str
    uses: list["_Use"] = field(default_factory=list)
    only_sums: bool = True  # whether nothing but sums and differences of its block uses it

    @property
    def is_sum(self) -> bool:
        return self.name in ("fadd", "fsub")


@dataclass(frozen=True)
class _Use:
    """A sum that a product enters."""

    total: str
    operand: int  # 0 or 1
    negated: bool
    rounded: bool = False  # whether the product is rounded to 16 bits in between


def fused(text: str) -> str:
    """The text of a module with `llvm.fma` in the place of the sums that a GPU fuses."""
    lines = text.splitlines()
    begin = None
    declared = set()
    for number, line in enumerate(lines):
        if line.startswith("define "):
            begin = number
        elif line == "}" and begin is not None:
            declared |= _rewrite(lines, begin + 1, number)
            begin = None
    known = {kind for kind in declared if f"declare {kind} @llvm.fma.{_SHORT[kind]}(" in text}
    more = [f"declare {k} @llvm.fma.{_SHORT[k]}({k}, {k}, {k})" for k in sorted(declared - known)]
    return "\n".join([*lines, *more])


def _rewrite(lines: list[str], begin: int, end: int) -> set[str]:
    """Rewrite the sums of one function; the types of which some were fused."""
    blocks = _blocks(lines, begin, end)
    operations = _operations(lines, begin, end, blocks)
    products = [found for found in operations.values() if found.name == "fmul"]
    if not products:
        return set()
    ranks = Ranks(lines[begin - 1], lines[begin:end], blocks)
    for operation in operations.values():
        if operation.name == "fadd":
            operation.operands = ranks.ordered(*operation.operands)
    _find_uses(lines, begin, end, operations)
    chosen: dict[str, tuple[_Operation, _Use]] = {}  # the product that a sum takes
    for rule in (_nvvm, _ptxas):
        for total, product, use in rule(operations, products, chosen):
            chosen[total] = product, use
    for total, (product, use) in chosen.items():
        _fuse(lines, operations[total], product, use)
    return {product.kind for product, use in chosen.values() if not use.rounded}


def _operations(lines: list[str], begin: int, end: int, blocks: list[int]) -> dict[str, _Operation]:
    found = {}
    for number in range(begin, end):
        if match := _ROUNDING.match(lines[number]):
            block = blocks[number - begin]
            found[match["result"]] = _Operation(number, block, match["result"], "round", "i16", (match["a"],), "")
        elif match := _OPERATION.match(lines[number]):
            operands = tuple(value for value in (match["a"], match["b"]) if value)
            found[match["result"]] = _Operation(
                number,
                blocks[number - begin],
                match["result"],
                match["operation"],
                match["kind"],
                operands,
                match["tail"],
            )
    return found


def _blocks(lines: list[str], begin: int, end: int) -> list[int]:
    """The number of each line's block, where checks that end in a fault or note something do not end a block."""
    names, of_line = [""], []  # of the blocks
    for number in range(begin, end):
        if match := _LABEL.match(lines[number]):
            names.append(match[1])
        of_line.append(len(names) - 1)
    targets: dict[int, set[str]] = defaultdict(set)
    aside = set()
    for block, line in zip(of_line, lines[begin:end], strict=True):
        if line.startswith("  br ") or "label %" in line:
            targets[block].update(_TARGET.findall(line))
        elif line.startswith("  unreachable") or "call void @emu.note(" in line:
            aside.add(names[block])
    entered = Counter(t for block, found in targets.items() if names[block] not in aside for t in found)
    whole = list(range(len(names)))
    number_of = {name: number for number, name in enumerate(names)}
    for block in range(len(names)):  # a block that only one leads to may come before it in the text
        others = targets[block] - aside
        if names[block] not in aside and len(others) == 1 and entered[target := others.pop()] == 1:
            whole[number_of[target]] = block
    for block in range(len(names)):
        while whole[whole[block]] != whole[block]:
            whole[block] = whole[whole[block]]
    return [whole[block] for block in of_line]


def _find_uses(lines: list[str], begin: int, end: int, operations: dict[str, _Operation]) -> None:
    """Note which sums use each product, through a negation too, and whether anything else does."""
    users: dict[str, list[int]] = defaultdict(list)
    for number in range(begin, end):
        line = lines[number]
        if line.lstrip().startswith("#dbg_"):
            continue
        names = _NAMES.findall(line)
        for name in set(names[1:] if line.startswith("  %") else names):
            if name in operations:
                users[name].append(number)
    by_line = {operation.line: operation for operation in operations.values()}
    for product in operations.values():
        if product.name != "fmul":
            continue
        waiting = [(product.result, False, False)]
        while waiting:
            name, negated, rounded = waiting.pop()
            for number in users[name]:
                user = by_line.get(number)
                if user is None or user.block != product.block or user.name == "fmul":
                    product.only_sums = False
                elif user.name == "fneg":
                    waiting.append((user.result, not negated, rounded))
                elif user.name == "round":
                    waiting.append((user.result, negated, True))
                else:
                    operands = (number for number in (0, 1) if user.operands[number] == name)
                    product.uses += [_Use(user.result, number, negated, rounded) for number in operands]


_Choice = tuple[str, _Operation, _Use]


def _nvvm(operations: dict[str, _Operation], products: list[_Operation], _chosen: object) -> Iterator[_Choice]:
    """The additions that NVVM fuses."""
    by_sum: dict[str, list[tuple[int, _Operation, _Use]]] = defaultdict(list)
    for product in products:
        places = {use.total for use in product.uses}
        is_plain = product.only_sums and not any(use.negated or use.rounded for use in product.uses)
        if is_plain and len(places) < _FEWEST_NOT_FUSED and all(operations[t].name == "fadd" for t in places):
            for use in product.uses:
                by_sum[use.total].append((use.operand, product, use))
    for total, candidates in by_sum.items():
        _, product, use = min(candidates, key=lambda found: found[0])
        yield total, product, use


def _ptxas(
    operations: dict[str, _Operation], products: list[_Operation], chosen: dict[str, tuple[_Operation, _Use]]
) -> Iterator[_Choice]:
    """The sums that ptxas fuses besides."""
    by_sum: dict[str, dict[int, tuple[_Operation, _Use]]] = defaultdict(dict)
    open_products = []
    for product in products:
        is_open = product.only_sums and bool(product.uses) and not any(use.total in chosen for use in product.uses)
        if is_open and len({use.total for use in product.uses}) == len(product.uses):
            open_products.append(product)
            for use in product.uses:
                by_sum[use.total][use.operand] = product, use
    first = {total: min(operands) for total, operands in by_sum.items()}
    for product in open_products:
        if all(first[use.total] == use.operand for use in product.uses):
            for use in product.uses:
                yield use.total, product, use


def _fuse(lines: list[str], total: _Operation, product: _Operation, use: _Use) -> None:
    """Write a sum as a call of `llvm.fma`. A subtracted product is negated at its first factor, an addend in front.

    A sum of 16 bits is that of the product and the addend in double, prepared to be rounded again.
    """
    kind, (a, b), c = total.kind, product.operands, total.operands[1 - use.operand]
    negated = use.negated != (total.name == "fsub" and use.operand == 1)
    before = []
    if use.rounded:
        a = product.result
    if negated:
        before.append(f"  {_new(total.result, 'minus')} = fneg {kind} {a}")
        a = _new(total.result, "minus")
    if total.name == "fsub" and use.operand == 0:
        before.append(f"  {_new(total.result, 'less')} = fneg {kind} {c}")
        c = _new(total.result, "less")
    if use.rounded:  # a double holds the product
        call = f"call double @{SUM_TO_ODD}(double {a}, double {c})"
    else:
        call = f"call {kind} @llvm.fma.{_SHORT[kind]}({kind} {a}, {kind} {b}, {kind} {c})"
    lines[total.line] = "\n".join([*before, f"  {total.result} = {call}{total.tail}"])


def _new(name: str, suffix: str) -> str:
    """A name beside that of a value."""
    return f'%"fma.{name[1:].strip(chr(34))}.{suffix}"'
