"""Integer arithmetic, as the PTX ISA defines it.

No instruction here traps on the CPU: a divisor of 0 or −1 is replaced before LLVM's division.
"""

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.instructions.table import INTEGER, lowers
from convbench.emulator.ptx.kinds import bits, is_signed, kind_of, kinds_of, llvm
from convbench.emulator.ptx.syntax import Instruction

_ARITHMETIC = "Integer Arithmetic Instructions"
_EXTENDED = "Extended-Precision Integer Arithmetic Instructions"


@lowers("add", "sub", section=f"{_ARITHMETIC}: add, sub", family=INTEGER)
def add(e: Emitter, i: Instruction) -> None:
    """Set d = a ± b; `.cc` writes the carry, `.sat` clamps, u16x2 and s16x2 are two sums."""
    kind = kind_of(i)
    a, b = e.get(i.operands[1], kind), e.get(i.operands[2], kind)
    if "cc" in i.modifiers:
        _carried(e, i, kind, a, b, None)
    elif "sat" in i.modifiers:
        name = f"{'s' if is_signed(kind) else 'u'}{i.opcode}.sat"
        e.set(i.operands[0], kind, e.intrinsic(name, llvm(kind), a, b))
    elif kind.endswith("x2"):
        e.set(i.operands[0], kind, _in_halves(e, i.opcode, a, b))
    else:
        e.set(i.operands[0], kind, e.op(f"{i.opcode} {llvm(kind)} {a}, {b}"))


def _in_halves(e: Emitter, operation: str, a: str, b: str) -> str:
    pair = "<2 x i16>"
    a, b = (e.op(f"bitcast i32 {value} to {pair}") for value in (a, b))
    return e.op(f"bitcast {pair} {e.op(f'{operation} {pair} {a}, {b}')} to i32")


CARRY = "%CC.CF"  # the condition code's carry; no register of PTX has this name


@lowers("addc", "subc", section=f"{_EXTENDED}: addc, subc")
def add_with_carry(e: Emitter, i: Instruction) -> None:
    """Set d = a + b + carry, or a − b − borrow."""
    kind = kind_of(i)
    a, b = e.get(i.operands[1], kind), e.get(i.operands[2], kind)
    _carried(e, i, kind, a, b, e.op(f"load i1, ptr {_carry(e)}"))


def _carry(e: Emitter) -> str:
    return e.place(CARRY, "pred")


def _carried(e: Emitter, i: Instruction, kind: str, a: str, b: str, carry: str | None) -> None:
    """Add or subtract with a carry that enters, or None, and note the carry that leaves if `.cc` asks for it.

    A difference is a + ~b + carry, as in the machine code of ptxas: its carry is set where nothing is borrowed. Code
    may look at the carry of a difference by `addc`, for example NVVM's division of 128-bit integers.
    """
    own, wide = llvm(kind), f"i{bits(kind) + 1}"
    is_sum = i.opcode.startswith("add")
    a, b = (e.op(f"zext {own} {value} to {wide}") for value in (a, b if is_sum else e.op(f"xor {own} {b}, -1")))
    enters = e.op(f"zext i1 {carry} to {wide}") if carry is not None else "0" if is_sum else "1"
    total = e.op(f"add {wide} {e.op(f'add {wide} {a}, {b}')}, {enters}")
    if "cc" in i.modifiers:
        left = e.op(f"lshr {wide} {total}, {bits(kind)}")
        e.put(f"store i1 {e.op(f'trunc {wide} {left} to i1')}, ptr {_carry(e)}")
    e.set(i.operands[0], kind, e.op(f"trunc {wide} {total} to {own}"))


@lowers("mul", "mul24", section=f"{_ARITHMETIC}: mul, mul24", family=INTEGER)
def multiply(e: Emitter, i: Instruction) -> None:
    """Set d = a · b: its low half, its high half, or all of it."""
    kind = kind_of(i)
    value, result = _product(e, i, kind)
    e.set(i.operands[0], result, value, signed=is_signed(kind))


def _product(e: Emitter, i: Instruction, kind: str) -> tuple[str, str]:
    """A product, and its PTX type."""
    own, width = llvm(kind), bits(kind)
    a, b = e.get(i.operands[1], kind), e.get(i.operands[2], kind)
    if i.opcode.endswith("24"):
        a, b = (_low_24(e, value, kind) for value in (a, b))
    if "lo" in i.modifiers and not i.opcode.endswith("24"):
        return e.op(f"mul {own} {a}, {b}"), kind
    wide = f"i{2 * width}"
    extend = "sext" if is_signed(kind) else "zext"
    a, b = (e.op(f"{extend} {own} {value} to {wide}") for value in (a, b))
    product = e.op(f"mul {wide} {a}, {b}")
    if "wide" in i.modifiers:
        return product, f"{kind[0]}{2 * width}"
    shift = width
    if i.opcode.endswith("24"):
        shift = 16 if "hi" in i.modifiers else 0
    high = e.op(f"lshr {wide} {product}, {shift}")
    return e.op(f"trunc {wide} {high} to {own}"), kind


def _low_24(e: Emitter, value: str, kind: str) -> str:
    high = e.op(f"shl i32 {value}, 8")
    return e.op(f"{'ashr' if is_signed(kind) else 'lshr'} i32 {high}, 8")


@lowers("mad", "mad24", section=f"{_ARITHMETIC}: mad, mad24", family=INTEGER)
def multiply_add(e: Emitter, i: Instruction) -> None:
    """Set d = a · b + c; `.hi.sat.s32` clamps the sum."""
    kind = kind_of(i)
    value, result = _product(e, i, kind)
    c = e.get(i.operands[3], result)
    if "sat" in i.modifiers:
        total = e.intrinsic("sadd.sat", llvm(result), value, c)
    elif "cc" in i.modifiers:
        _carried_product(e, i, kind, value, c, None)
        return
    else:
        total = e.op(f"add {llvm(result)} {value}, {c}")
    e.set(i.operands[0], result, total, signed=is_signed(kind))


@lowers("madc", section=f"{_EXTENDED}: madc")
def multiply_add_with_carry(e: Emitter, i: Instruction) -> None:
    """Set d = a · b + c + carry."""
    kind = kind_of(i)
    value, _ = _product(e, i, kind)
    _carried_product(e, i, kind, value, e.get(i.operands[3], kind), e.op(f"load i1, ptr {_carry(e)}"))


def _carried_product(e: Emitter, i: Instruction, kind: str, product: str, c: str, carry: str | None) -> None:
    _carried(e, Instruction("add", i.modifiers, i.operands), kind, product, c, carry)


@lowers("sad", section=f"{_ARITHMETIC}: sad")
def sum_of_differences(e: Emitter, i: Instruction) -> None:
    """Set d = c + |a − b|."""
    kind = kind_of(i)
    own = llvm(kind)
    a, b, c = (e.get(operand, kind) for operand in i.operands[1:])
    sign = "s" if is_signed(kind) else "u"
    high, low = (e.intrinsic(f"{sign}{which}", own, a, b) for which in ("max", "min"))
    e.set(i.operands[0], kind, e.op(f"add {own} {c}, {e.op(f'sub {own} {high}, {low}')}"))


@lowers("div", "rem", section=f"{_ARITHMETIC}: div, rem", family=INTEGER)
def divide(e: Emitter, i: Instruction) -> None:
    """Set d = a / b, or the remainder, whose sign is that of a.

    Division by zero is unspecified in the ISA. Both have all bits set here, as ptxas folds them. The smallest number
    divided by −1 is itself, with remainder 0.
    """
    kind = kind_of(i)
    own, signed = llvm(kind), is_signed(kind)
    a, b = e.get(i.operands[1], kind), e.get(i.operands[2], kind)
    is_zero = e.op(f"icmp eq {own} {b}, 0")
    unsafe = is_zero
    if signed:
        minus_one = e.op(f"icmp eq {own} {b}, -1")
        unsafe = e.op(f"or i1 {is_zero}, {minus_one}")
    divisor = e.op(f"select i1 {unsafe}, {own} 1, {own} {b}")
    found = e.op(f"{'s' if signed else 'u'}{i.opcode} {own} {a}, {divisor}")
    if signed and i.opcode == "div":
        found = e.op(f"select i1 {minus_one}, {own} {e.op(f'sub {own} 0, {a}')}, {own} {found}")
    e.set(i.operands[0], kind, e.op(f"select i1 {is_zero}, {own} -1, {own} {found}"))


@lowers("abs", section=f"{_ARITHMETIC}: abs", family=INTEGER)
def absolute(e: Emitter, i: Instruction) -> None:
    """Set d = |a|."""
    kind = kind_of(i)
    own = llvm(kind)
    e.set(i.operands[0], kind, e.call(own, f"llvm.abs.{own}", f"{own} {e.get(i.operands[1], kind)}", "i1 false"))


@lowers("neg", section=f"{_ARITHMETIC}: neg", family=INTEGER)
def negate(e: Emitter, i: Instruction) -> None:
    """Set d = −a."""
    kind = kind_of(i)
    e.set(i.operands[0], kind, e.op(f"sub {llvm(kind)} 0, {e.get(i.operands[1], kind)}"))


@lowers("min", "max", section=f"{_ARITHMETIC}: min, max", family=INTEGER)
def extremum(e: Emitter, i: Instruction) -> None:
    """Set d = min(a, b) or max(a, b); `.relu` clamps at 0; u16x2 and s16x2 are two."""
    kind = kind_of(i)
    name = f"{'s' if is_signed(kind) else 'u'}{i.opcode}"
    a, b = e.get(i.operands[1], kind), e.get(i.operands[2], kind)
    own = llvm(kind)
    if kind.endswith("x2"):
        own = "<2 x i16>"
        a, b = (e.op(f"bitcast i32 {value} to {own}") for value in (a, b))
    short = own.replace("<2 x i16>", "v2i16")
    found = e.call(own, f"llvm.{name}.{short}", f"{own} {a}", f"{own} {b}")
    if "relu" in i.modifiers:
        found = e.call(
            own, f"llvm.smax.{short}", f"{own} {found}", f"{own} zeroinitializer" if "x2" in kind else f"{own} 0"
        )
    if kind.endswith("x2"):
        found = e.op(f"bitcast {own} {found} to i32")
    e.set(i.operands[0], kind, found)


@lowers("popc", "clz", section=f"{_ARITHMETIC}: popc, clz")
def count_bits(e: Emitter, i: Instruction) -> None:
    """Set d = the number of bits set in a, or of leading zeros, as u32."""
    kind = kind_of(i)
    own, a = llvm(kind), e.get(i.operands[1], kind)
    if i.opcode == "popc":
        found = e.intrinsic("ctpop", own, a)
    else:
        found = e.call(own, f"llvm.ctlz.{own}", f"{own} {a}", "i1 false")
    e.set(i.operands[0], kind, found) if bits(kind) == 32 else e.set(i.operands[0], "u32", _to_word(e, found, own))


def _to_word(e: Emitter, value: str, own: str) -> str:
    return e.op(f"trunc {own} {value} to i32")


@lowers("bfind", section=f"{_ARITHMETIC}: bfind")
def find_highest(e: Emitter, i: Instruction) -> None:
    """Set d = the place of the highest bit that is not the sign, or 0xffffffff; `.shiftamt` counts from the top."""
    kind = kind_of(i)
    own, width = llvm(kind), bits(kind)
    a = e.get(i.operands[1], kind)
    if is_signed(kind):
        a = e.op(f"xor {own} {a}, {e.op(f'ashr {own} {a}, {width - 1}')}")
    leading = e.call(own, f"llvm.ctlz.{own}", f"{own} {a}", "i1 false")
    found = leading if "shiftamt" in i.modifiers else e.op(f"sub {own} {width - 1}, {leading}")
    none = e.op(f"icmp eq {own} {a}, 0")
    word = found if width == 32 else _to_word(e, found, own)
    e.set(i.operands[0], "u32", e.op(f"select i1 {none}, i32 -1, i32 {word}"))


@lowers("brev", section=f"{_ARITHMETIC}: brev")
def reverse(e: Emitter, i: Instruction) -> None:
    """Set d = a with its bits in reverse."""
    kind = kind_of(i)
    e.set(i.operands[0], kind, e.intrinsic("bitreverse", llvm(kind), e.get(i.operands[1], kind)))


@lowers("fns", section=f"{_ARITHMETIC}: fns")
def find_nth(e: Emitter, i: Instruction) -> None:
    """Set d = the place of the n-th set bit of a mask, from a base on."""
    mask, base, number = (e.get(operand, "b32") for operand in i.operands[1:])
    e.set(i.operands[0], "b32", e.call("i32", "emu.ptx.fns", f"i32 {mask}", f"i32 {base}", f"i32 {number}"))


@lowers("bfe", section=f"{_ARITHMETIC}: bfe")
def extract_field(e: Emitter, i: Instruction) -> None:
    """Set d = the field of a from bit b on, of c bits, extended by its highest bit if the type is signed."""
    kind = kind_of(i)
    own = llvm(kind)
    a, b, c = e.get(i.operands[1], kind), e.get(i.operands[2], "u32"), e.get(i.operands[3], "u32")
    sign = "s" if is_signed(kind) else "u"
    e.set(i.operands[0], kind, e.call(own, f"emu.ptx.bfe.{sign}{own[1:]}", f"{own} {a}", f"i32 {b}", f"i32 {c}"))


@lowers("bfi", section=f"{_ARITHMETIC}: bfi")
def insert_field(e: Emitter, i: Instruction) -> None:
    """Set d = b with d bits of a in place of its own, from bit c on."""
    kind = kind_of(i)
    own = llvm(kind)
    a, b = e.get(i.operands[1], kind), e.get(i.operands[2], kind)
    c, d = e.get(i.operands[3], "u32"), e.get(i.operands[4], "u32")
    e.set(
        i.operands[0], kind, e.call(own, f"emu.ptx.bfi.b{own[1:]}", f"{own} {a}", f"{own} {b}", f"i32 {c}", f"i32 {d}")
    )


@lowers("szext", section=f"{_ARITHMETIC}: szext")
def extend_from(e: Emitter, i: Instruction) -> None:
    """Set d = the low b bits of a, extended by zeros or by their sign."""
    kind = kind_of(i)
    a, b = e.get(i.operands[1], kind), e.get(i.operands[2], "u32")
    if "wrap" in i.modifiers:
        b = e.op(f"and i32 {b}, 31")
    found = e.call("i32", f"emu.ptx.bfe.{kind}", f"i32 {a}", "i32 0", f"i32 {b}")
    if is_signed(kind):
        whole = e.op(f"icmp ugt i32 {b}, 31")
        found = e.op(f"select i1 {whole}, i32 {a}, i32 {found}")
    e.set(i.operands[0], kind, found)


@lowers("dp4a", "dp2a", section=f"{_ARITHMETIC}: dp4a, dp2a")
def dot_product(e: Emitter, i: Instruction) -> None:
    """Set d = c plus the products of four bytes of a and b, or of two halves of a and two bytes of b."""
    first, second = kinds_of(i.modifiers)[:2]
    a, b, total = (e.get(operand, "b32") for operand in i.operands[1:])
    count, width = (4, 8) if i.opcode == "dp4a" else (2, 16)
    skipped = 16 if "hi" in i.modifiers else 0
    for number in range(count):
        x = _part(e, a, number * width, width, signed=is_signed(first))
        y = _part(e, b, skipped + number * 8, 8, signed=is_signed(second))
        total = e.op(f"add i32 {total}, {e.op(f'mul i32 {x}, {y}')}")
    e.set(i.operands[0], "b32", total)


def _part(e: Emitter, word: str, first: int, width: int, *, signed: bool) -> str:
    high = e.op(f"shl i32 {word}, {32 - first - width}")
    return e.op(f"{'ashr' if signed else 'lshr'} i32 {high}, {32 - width}")
