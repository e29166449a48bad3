"""Comparison and selection, as the PTX ISA defines them; `floats` compares floating-point numbers."""

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.instructions.table import ANY, INTEGER, lowers
from convbench.emulator.ptx.kinds import is_signed, kind_of, kinds_of, llvm
from convbench.emulator.ptx.syntax import Instruction, Pair

_COMPARISON = "Comparison and Selection Instructions"
_SIGNED = {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge"}
_UNSIGNED = {"lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge", "lo": "ult", "ls": "ule", "hi": "ugt", "hs": "uge"}


def compared(e: Emitter, comparison: str, kind: str, a: str, b: str) -> str:
    """The i1 of a comparison of integers or bits."""
    order = comparison if comparison in ("eq", "ne") else (_SIGNED if is_signed(kind) else _UNSIGNED)[comparison]
    return e.op(f"icmp {order} {llvm(kind)} {a}, {b}")


@lowers("setp", section=f"{_COMPARISON}: setp", family=INTEGER)
def set_predicate(e: Emitter, i: Instruction) -> None:
    """Set p = (a op b) boolOp c; q = !(a op b) boolOp c."""
    kind = kind_of(i)
    a, b = e.bits(i.operands[1], kind), e.bits(i.operands[2], kind)
    store_predicates(e, i, compared(e, i.modifiers[0], kind, a, b))


def store_predicates(e: Emitter, i: Instruction, found: str) -> None:
    """Combine the result of a comparison with a third operand, and store it and its opposite."""
    destination = i.operands[0]
    opposite = e.op(f"xor i1 {found}, true") if isinstance(destination, Pair) else ""
    if len(i.operands) > 3:
        other = e.get(i.operands[3], "pred")
        boolean = i.modifiers[1]
        found = e.op(f"{boolean} i1 {found}, {other}")
        if opposite:
            opposite = e.op(f"{boolean} i1 {opposite}, {other}")
    if isinstance(destination, Pair):
        e.set(destination.first, "pred", found)
        e.set(destination.second, "pred", opposite)
    else:
        e.set(destination, "pred", found)


@lowers("set", section=f"{_COMPARISON}: set", family=INTEGER)
def set_value(e: Emitter, i: Instruction) -> None:
    """Set d = all bits set, or 1.0, if (a op b) boolOp c."""
    kind = kind_of(i)
    found = compared(e, i.modifiers[0], kind, e.bits(i.operands[1], kind), e.bits(i.operands[2], kind))
    store_set(e, i, found)


def store_set(e: Emitter, i: Instruction, found: str) -> None:
    """Store the result of a comparison as a number of the first type."""
    if len(i.operands) > 3:
        found = e.op(f"{i.modifiers[1]} i1 {found}, {e.get(i.operands[3], 'pred')}")
    result = kinds_of(i.modifiers)[0]
    if result == "f32":
        value = e.op(f"uitofp i1 {found} to float")
    elif result in ("f16", "bf16"):
        value = e.op(f"select i1 {found}, i16 {0x3C00 if result == 'f16' else 0x3F80}, i16 0")
    else:
        value = e.op(f"sext i1 {found} to {llvm(result)}")
    e.set(i.operands[0], result, value)


@lowers("selp", section=f"{_COMPARISON}: selp", family=ANY)
def select(e: Emitter, i: Instruction) -> None:
    """Set d = c ? a : b."""
    kind = kind_of(i)
    own = llvm(kind)
    take = e.get if i.operands[0] in e.canonical else e.bits
    a, b, c = take(i.operands[1], kind), take(i.operands[2], kind), e.get(i.operands[3], "pred")
    e.set(i.operands[0], kind, e.op(f"select i1 {c}, {own} {a}, {own} {b}"))


@lowers("slct", section=f"{_COMPARISON}: slct", family=ANY)
def select_by_sign(e: Emitter, i: Instruction) -> None:
    """Set d = a if c ≥ 0, else b; a NaN selects b."""
    kind, by = kinds_of(i.modifiers)[:2]
    own = llvm(kind)
    a, b, c = e.bits(i.operands[1], kind), e.bits(i.operands[2], kind), e.get(i.operands[3], by)
    if by == "f32":
        # ftz flushes a negative subnormal to −0, which is ≥ 0
        edge = "bitcast (i32 -2139095040 to float)" if "ftz" in i.modifiers else "-0.0"
        order = "ogt" if "ftz" in i.modifiers else "oge"
        chosen = e.op(f"fcmp {order} float {c}, {edge}")
    else:
        chosen = e.op(f"icmp sge i32 {c}, 0")
    e.set(i.operands[0], kind, e.op(f"select i1 {chosen}, {own} {a}, {own} {b}"))
