"""Logic, shifts, masks and permutations of bytes, as the PTX ISA defines them. A shift is clamped."""

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.instructions.table import lowers
from convbench.emulator.ptx.kinds import is_signed, kind_of, llvm
from convbench.emulator.ptx.syntax import Instruction, Pair

_ARITHMETIC = "Integer Arithmetic Instructions"
_LOGIC = "Logic and Shift Instructions"


@lowers("and", "or", "xor", section=f"{_LOGIC}: and, or, xor")
def logic(e: Emitter, i: Instruction) -> None:
    """Set d = a op b, bit by bit."""
    kind = kind_of(i)
    e.set(
        i.operands[0], kind,
        e.op(f"{i.opcode} {llvm(kind)} {e.bits(i.operands[1], kind)}, {e.bits(i.operands[2], kind)}"),
    )  # fmt: skip


@lowers("not", section=f"{_LOGIC}: not")
def invert(e: Emitter, i: Instruction) -> None:
    """Set d = ~a."""
    kind = kind_of(i)
    ones = "true" if kind == "pred" else "-1"
    e.set(i.operands[0], kind, e.op(f"xor {llvm(kind)} {e.bits(i.operands[1], kind)}, {ones}"))


@lowers("cnot", section=f"{_LOGIC}: cnot")
def is_zero(e: Emitter, i: Instruction) -> None:
    """Set d = 1 if a is 0, else 0."""
    kind = kind_of(i)
    own = llvm(kind)
    zero = e.op(f"icmp eq {own} {e.get(i.operands[1], kind)}, 0")
    e.set(i.operands[0], kind, e.op(f"zext i1 {zero} to {own}"))


@lowers("lop3", section=f"{_LOGIC}: lop3")
def three_way(e: Emitter, i: Instruction) -> None:
    """Set d = the function of a, b and c whose truth table is the immediate: bit 4a + 2b + c of it is the result."""
    destination, operands = i.operands[0], i.operands[1:5]
    table = int(e.get(operands[3], "u32")) & 0xFF
    a, b, c = (e.bits(operand, "b32") for operand in operands[:3])
    inverse = {value: e.op(f"xor i32 {value}, -1") for value in (a, b, c)}
    found = "0"
    for row in range(8):
        if table >> row & 1:
            chosen = [value if row >> place & 1 else inverse[value] for value, place in ((a, 2), (b, 1), (c, 0))]
            both = e.op(f"and i32 {chosen[0]}, {chosen[1]}")
            found = e.op(f"or i32 {found}, {e.op(f'and i32 {both}, {chosen[2]}')}")
    if isinstance(destination, Pair):  # d|p = lop3.BoolOp a, b, c, table, q
        other = e.get(i.operands[5], "pred")
        boolean = "or" if "or" in i.modifiers else "and"
        nonzero = e.op(f"icmp ne i32 {found}, 0")
        e.set(destination.second, "pred", e.op(f"{boolean} i1 {nonzero}, {other}"))
        destination = destination.first
    e.set(destination, "b32", found)


@lowers("shl", "shr", section=f"{_LOGIC}: shl, shr")
def shift(e: Emitter, i: Instruction) -> None:
    """Set d = a << b or a >> b. Amounts above the width are clamped to it."""
    kind = kind_of(i)
    operation = "shl" if i.opcode == "shl" else "ashr" if is_signed(kind) else "lshr"
    own = llvm(kind)
    amount = e.get(i.operands[2], "u32")
    e.set(i.operands[0], kind, _clamped_shift(e, operation, e.bits(i.operands[1], kind), amount, own))


def _clamped_shift(e: Emitter, operation: str, value: str, amount: str, own: str) -> str:
    """A shift by a u32 that may be as large as the width or larger."""
    width = int(own[1:])
    if amount.lstrip("-").isdigit():
        number = int(amount) & 0xFFFFFFFF
        if number < width:
            return e.op(f"{operation} {own} {value}, {number}")
        return e.op(f"ashr {own} {value}, {width - 1}") if operation == "ashr" else "0"
    inside = e.op(f"icmp ult i32 {amount}, {width}")
    most = e.op(f"select i1 {inside}, i32 {amount}, i32 {width - 1}")
    if width != 32:
        most = e.op(f"{'zext' if width > 32 else 'trunc'} i32 {most} to {own}")
    shifted = e.op(f"{operation} {own} {value}, {most}")
    return shifted if operation == "ashr" else e.op(f"select i1 {inside}, {own} {shifted}, {own} 0")


@lowers("shf", section=f"{_LOGIC}: shf")
def funnel_shift(e: Emitter, i: Instruction) -> None:
    """Set d = 32 bits of b:a, shifted left or right by c; c is clamped at 32 or taken modulo 32."""
    a, b = e.bits(i.operands[1], "b32"), e.bits(i.operands[2], "b32")
    amount = e.get(i.operands[3], "u32")
    is_wrapped = "wrap" in i.modifiers
    amount = e.op(f"and i32 {amount}, 31") if is_wrapped else e.intrinsic("umin", "i32", amount, "32")
    low, high = e.op(f"zext i32 {a} to i64"), e.op(f"zext i32 {b} to i64")
    both = e.op(f"or i64 {low}, {e.op(f'shl i64 {high}, 32')}")
    wide = e.op(f"zext i32 {amount} to i64")
    if i.modifiers[0] == "l":
        found = e.op(f"lshr i64 {e.op(f'shl i64 {both}, {wide}')}, 32")
    else:
        found = e.op(f"lshr i64 {both}, {wide}")
    e.set(i.operands[0], "b32", e.op(f"trunc i64 {found} to i32"))


@lowers("prmt", section="Data Movement and Conversion Instructions: prmt")
def permute(e: Emitter, i: Instruction) -> None:
    """Set d = four bytes of b:a, which the selectors in c name; the modes are f4e, b4e, rc8, ecl, ecr and rc16."""
    a, b, c = (e.bits(operand, "b32") for operand in i.operands[1:])
    mode = next((word for word in i.modifiers if word != "b32"), "")
    e.set(i.operands[0], "b32", e.call("i32", f"emu.ptx.prmt{mode and '.' + mode}", f"i32 {a}", f"i32 {b}", f"i32 {c}"))


@lowers("bmsk", section=f"{_ARITHMETIC}: bmsk")
def make_mask(e: Emitter, i: Instruction) -> None:
    """Set d = a mask of b bits from bit a on; `.clamp` ends at bit 31, `.wrap` takes both modulo 32."""
    a, b = e.get(i.operands[1], "u32"), e.get(i.operands[2], "u32")
    if "wrap" in i.modifiers:
        a, b = e.op(f"and i32 {a}, 31"), e.op(f"and i32 {b}, 31")
    ones = e.op(f"sub i32 {_clamped_shift(e, 'shl', '1', b, 'i32')}, 1")
    e.set(i.operands[0], "b32", _clamped_shift(e, "shl", ones, a, "i32"))
