"""Floating-point arithmetic, as the PTX ISA defines it: every rounding, flushing of subnormals, saturation, NaNs.

Numbers of 16 bits are computed in double, which holds every product of two exactly, and rounded once. Directed
roundings are those of the processor (`support.rounding`). An approximate instruction gives the value of the C library's
function, which lies inside the bound that the ISA states; a GPU may give another value inside the bound.
"""

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.instructions.comparison import store_predicates, store_set
from convbench.emulator.ptx.instructions.table import FLOATING, lowers
from convbench.emulator.ptx.kinds import CANONICAL_NAN, SIXTEEN, bits, kind_of, kinds_of, llvm
from convbench.emulator.ptx.syntax import Instruction, Operand

_FLOATING = "Floating Point Instructions"
_HALF = "Half Precision Floating Point Instructions"
ROUNDINGS = {"rz": 0, "rn": 1, "rp": 2, "rm": 3}  # as LLVM numbers them
_SIXTEEN_ROUNDINGS = {"rn": "rn", "rz": "rz", "rm": "rd", "rp": "ru"}
_LEAST = {"float": "0x3810000000000000", "double": "0x0010000000000000"}  # the smallest normal number


def _rounding(i: Instruction) -> str:
    return next((word for word in i.modifiers if word in ROUNDINGS), "rn")


# ---- operands and results


def taken(e: Emitter, i: Instruction, operand: Operand, kind: str) -> str:
    """An operand as float or double, with subnormals flushed if the instruction says `.ftz`."""
    if kind in SIXTEEN:
        return e.call("double", f"emu.{SIXTEEN[kind]}.wide", f"i16 {e.get(operand, kind)}")
    value = e.get(operand, kind)
    return flushed(e, value, llvm(kind)) if "ftz" in i.modifiers and kind == "f32" else value


def _operands(e: Emitter, i: Instruction, count: int) -> tuple[str, list[str]]:
    """The type that an instruction computes in, and its operands. All but the last may have sixteen bits (`.f32.f16`).

    See the PTX ISA, "Mixed Precision Floating Point Instructions".
    """
    first, *more = kinds_of(i.modifiers)
    kind = more[-1] if more else first
    if first != "f32" or kind not in SIXTEEN:
        return kind, [taken(e, i, operand, kind) for operand in i.operands[1 : count + 1]]
    narrow = [taken(e, i, operand, kind) for operand in i.operands[1:count]]
    wide = [e.op(f"fptrunc double {value} to float") for value in narrow]
    return first, [*wide, taken(e, i, i.operands[count], first)]


def flushed(e: Emitter, value: str, own: str) -> str:
    """A number, or the zero of its sign if it is subnormal."""
    size = e.intrinsic("fabs", own, value)
    is_small = e.op(f"fcmp olt {own} {size}, {_LEAST[own]}")
    zero = e.intrinsic("copysign", own, "0.0", value)
    return e.op(f"select i1 {is_small}, {own} {zero}, {own} {value}")


def given(e: Emitter, i: Instruction, operand: Operand, kind: str, value: str) -> None:
    """Store a result: saturated, flushed and rounded as the instruction says. Sixteen bits are given as double."""
    if kind in SIXTEEN:
        e.set(operand, kind, sixteen(e, i, kind, value))
        return
    own = llvm(kind)
    if "sat" in i.modifiers:
        value = saturated(e, value, own)
    elif "ftz" in i.modifiers and kind == "f32":
        value = flushed(e, value, own)
    e.set(operand, kind, value)


def saturated(e: Emitter, value: str, own: str) -> str:
    """A number clamped to [0, 1]; a NaN becomes +0."""
    low = e.op(f"fcmp ogt {own} {value}, 0.0")  # false for NaN
    value = e.op(f"select i1 {low}, {own} {value}, {own} 0.0")
    high = e.op(f"fcmp olt {own} {value}, 1.0")
    return e.op(f"select i1 {high}, {own} {value}, {own} 1.0")


def sixteen(e: Emitter, i: Instruction, kind: str, value: str) -> str:
    """A double as f16 or bf16."""
    is_nan = e.op(f"fcmp uno double {value}, {value}")
    if "sat" in i.modifiers:
        value = saturated(e, value, "double")
        is_nan = "false"
    if "relu" in i.modifiers:
        positive = e.op(f"fcmp ugt double {value}, 0.0")
        value = e.op(f"select i1 {positive}, double {value}, double 0.0")
    short = _SIXTEEN_ROUNDINGS[_rounding(i)]
    found = e.call("i16", f"emu.{SIXTEEN[kind]}.{short}", f"double {value}")
    if "ftz" in i.modifiers and kind == "f16":
        exponent = e.op(f"and i16 {found}, 31744")
        small = e.op(f"icmp eq i16 {exponent}, 0")
        found = e.op(f"select i1 {small}, i16 {e.op(f'and i16 {found}, -32768')}, i16 {found}")
    return e.op(f"select i1 {is_nan}, i16 {CANONICAL_NAN[kind]}, i16 {found}")


def _in_lanes(e: Emitter, i: Instruction, kind: str, one: str) -> bool:
    """Lower an instruction on two numbers in one register as two on one number. Returns whether it was one."""
    if not kind.endswith("x2"):
        return False
    from convbench.emulator.ptx.instructions.table import handler_of  # here, because the table is filled by this module

    single, width = kind[:-2], bits(kind) // 2
    whole, part = f"i{2 * width}", f"i{width}"
    halves = []
    for lane in range(2):
        names: list[Operand] = []
        for number, operand in enumerate(i.operands):
            kind_of = e.kind_of(operand)
            name = f"%half.{width}.{one}.{number}.{lane}"
            e.function.registers[name] = single if single == "f32" else "b16"
            if number and kind_of == "pred":
                names.append(operand)
                continue
            names.append(name)
            if number:
                word = e.get(operand, f"b{2 * width}")
                moved = e.op(f"lshr {whole} {word}, {width * lane}")
                e.set(name, f"b{width}", e.op(f"trunc {whole} {moved} to {part}"))
        modifiers = tuple(single if word == kind else word for word in i.modifiers)
        handler = handler_of(i.opcode, is_floating=True)
        assert handler is not None
        handler(e, Instruction(i.opcode, modifiers, tuple(names), line=i.line))
        found = e.canonical_nan(e.get(names[0], "f32")) if single == "f32" else e.get(names[0], "b16")
        halves.append(e.op(f"zext {part} {found} to {whole}"))
    high = e.op(f"shl {whole} {halves[1]}, {width}")
    e.set(i.operands[0], f"b{2 * width}", e.op(f"or {whole} {halves[0]}, {high}"))
    return True


# ---- sums and products


@lowers("add", "sub", "mul", section=f"{_FLOATING}: add, sub, mul; {_HALF}", family=FLOATING)
def arithmetic(e: Emitter, i: Instruction) -> None:
    """Set d = a op b."""
    if _in_lanes(e, i, kind_of(i), i.opcode):
        return
    kind, (a, b) = _operands(e, i, 2)
    given(e, i, i.operands[0], kind, rounded(e, f"f{i.opcode}", kind, _rounding(i), a, b))


def rounded(e: Emitter, operation: str, kind: str, rounding: str, *values: str) -> str:
    """An operation of LLVM on floats or doubles, rounded in one of the four directions."""
    own = "double" if kind in SIXTEEN else llvm(kind)
    if rounding == "rn" or kind in SIXTEEN:
        if operation in ("fma", "sqrt"):
            return e.intrinsic(operation, own, *values)
        return e.op(f"{operation} {own} {', '.join(values)}")
    arguments = (f"{own} {value}" for value in values)
    return e.call(own, f"emu_rounded_{operation}_{kind}", *arguments, f"i32 {ROUNDINGS[rounding]}")


@lowers("fma", section=f"{_FLOATING}: fma; {_HALF}", family=FLOATING)
@lowers("mad", section=f"{_FLOATING}: mad", family=FLOATING)
def fused(e: Emitter, i: Instruction) -> None:
    """Set d = a · b + c, rounded once."""
    if _in_lanes(e, i, kind_of(i), i.opcode):
        return
    kind, (a, b, c) = _operands(e, i, 3)
    if kind in SIXTEEN:  # a double holds the product, and not always the sum
        product = e.op(f"fmul double {a}, {b}")
        found = e.call("double", "emu.ptx.sum.to.odd", f"double {product}", f"double {c}")
    else:
        found = rounded(e, "fma", kind, _rounding(i), a, b, c)
    given(e, i, i.operands[0], kind, found)


@lowers("div", section=f"{_FLOATING}: div", family=FLOATING)
def divide(e: Emitter, i: Instruction) -> None:
    """Set d = a / b. `.approx` and `.full` are within 2 units of the last place; they are exact here."""
    kind = kind_of(i)
    a, b = (taken(e, i, operand, kind) for operand in i.operands[1:3])
    given(e, i, i.operands[0], kind, rounded(e, "fdiv", kind, _rounding(i), a, b))


@lowers("rcp", section=f"{_FLOATING}: rcp", family=FLOATING)
def reciprocal(e: Emitter, i: Instruction) -> None:
    """Set d = 1 / a. `.approx.ftz.f64` reads and writes the high 32 bits only."""
    kind = kind_of(i)
    a = _high_word(e, i, taken(e, i, i.operands[1], kind))
    found = rounded(e, "fdiv", kind, _rounding(i), "1.0", a)
    given(e, i, i.operands[0], kind, _high_word(e, i, found))


def _high_word(e: Emitter, i: Instruction, value: str) -> str:
    if not {"approx", "ftz", "f64"} <= set(i.modifiers):
        return value
    word = e.op(f"and i64 {e.op(f'bitcast double {value} to i64')}, -4294967296")
    return flushed(e, e.op(f"bitcast i64 {word} to double"), "double")


@lowers("sqrt", section=f"{_FLOATING}: sqrt", family=FLOATING)
def square_root(e: Emitter, i: Instruction) -> None:
    """Set d = √a."""
    kind = kind_of(i)
    a = taken(e, i, i.operands[1], kind)
    given(e, i, i.operands[0], kind, rounded(e, "sqrt", kind, _rounding(i), a))


@lowers("rsqrt", section=f"{_FLOATING}: rsqrt", family=FLOATING)
def reciprocal_root(e: Emitter, i: Instruction) -> None:
    """Set d = 1 / √a, computed in double."""
    kind = kind_of(i)
    a = _high_word(e, i, taken(e, i, i.operands[1], kind))
    wide = e.op(f"fpext float {a} to double") if kind == "f32" else a
    found = e.op(f"fdiv double 1.0, {e.intrinsic('sqrt', 'double', wide)}")
    found = e.op(f"fptrunc double {found} to float") if kind == "f32" else _high_word(e, i, found)
    given(e, i, i.operands[0], kind, found)


_FUNCTIONS = {"sin": "sin", "cos": "cos", "ex2": "exp2", "lg2": "log2", "tanh": "tanh"}


@lowers(*_FUNCTIONS, section=f"{_FLOATING}: sin, cos, ex2, lg2, tanh; {_HALF}", family=FLOATING)
def function(e: Emitter, i: Instruction) -> None:
    """Set d = f(a), approximately: computed in double and rounded."""
    kind = kind_of(i)
    if _in_lanes(e, i, kind, i.opcode):
        return
    a = taken(e, i, i.operands[1], kind)
    wide = e.op(f"fpext float {a} to double") if kind == "f32" else a
    found = e.intrinsic(_FUNCTIONS[i.opcode], "double", wide)
    given(e, i, i.operands[0], kind, e.op(f"fptrunc double {found} to float") if kind == "f32" else found)


# ---- signs and extrema


@lowers("abs", "neg", section=f"{_FLOATING}: abs, neg; {_HALF}", family=FLOATING)
def sign(e: Emitter, i: Instruction) -> None:
    """Set d = |a| or −a; the sign of a NaN is unspecified."""
    kind = kind_of(i)
    if kind in ("f16", "bf16", "f16x2", "bf16x2"):
        own, word = llvm(kind), 0x80008000 if kind.endswith("x2") else 0x8000
        mask = word if i.opcode == "neg" else word ^ ((1 << int(own[1:])) - 1)
        operation = "xor" if i.opcode == "neg" else "and"
        e.set(i.operands[0], kind, e.op(f"{operation} {own} {e.get(i.operands[1], kind)}, {mask}"))
        return
    a = taken(e, i, i.operands[1], kind)
    own = llvm(kind)
    e.set(i.operands[0], kind, e.op(f"fneg {own} {a}") if i.opcode == "neg" else e.intrinsic("fabs", own, a))


@lowers("copysign", section=f"{_FLOATING}: copysign", family=FLOATING)
def copy_sign(e: Emitter, i: Instruction) -> None:
    """Set d = b with the sign of a."""
    kind = kind_of(i)
    a, b = e.bits(i.operands[1], kind), e.bits(i.operands[2], kind)
    e.set(i.operands[0], kind, e.intrinsic("copysign", llvm(kind), b, a))


@lowers("min", "max", section=f"{_FLOATING}: min, max; {_HALF}", family=FLOATING)
def extremum(e: Emitter, i: Instruction) -> None:
    """Set d = min or max of two or three numbers; +0 is above −0. Without `.NaN`, a number wins against a NaN."""
    kind = kind_of(i)
    if _in_lanes(e, i, kind, i.opcode):
        return
    name = f"{i.opcode}imum" + ("" if "NaN" in i.modifiers else "num")
    own = "double" if kind in SIXTEEN else llvm(kind)
    values = [taken(e, i, operand, kind) for operand in i.operands[1:]]
    signs = ""
    if "abs" in i.modifiers:  # .xorsign.abs
        if own == "double":
            words = [e.op(f"bitcast double {value} to i64") for value in values]
            signs = e.op(f"bitcast i64 {e.op(f'xor i64 {words[0]}, {words[1]}')} to double")
        else:
            words = [e.op(f"bitcast float {value} to i32") for value in values]
            signs = e.op(f"bitcast i32 {e.op(f'xor i32 {words[0]}, {words[1]}')} to float")
        values = [e.intrinsic("fabs", own, value) for value in values]
    found = values[0]
    for value in values[1:]:
        found = e.intrinsic(name, own, found, value)
    if signs:
        found = e.intrinsic("copysign", own, found, signs)
    given(e, i, i.operands[0], kind, found)


# ---- comparison

_ORDERED = {"eq": "oeq", "ne": "one", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "num": "ord", "nan": "uno"}
_UNORDERED = {"equ": "ueq", "neu": "une", "ltu": "ult", "leu": "ule", "gtu": "ugt", "geu": "uge"}


def _comparison(e: Emitter, i: Instruction, kind: str) -> str:
    if kind.endswith("x2"):
        raise e.refuse("it compares two halves at once")
    a, b = (taken(e, i, operand, kind) for operand in i.operands[1:3])
    order = (_ORDERED | _UNORDERED)[i.modifiers[0]]
    return e.op(f"fcmp {order} {'double' if kind in SIXTEEN else llvm(kind)} {a}, {b}")


@lowers("setp", section="Comparison and Selection Instructions: setp; Half Precision", family=FLOATING)
def set_predicate(e: Emitter, i: Instruction) -> None:
    """Set p = (a op b) boolOp c. On two halves, p and q are the results of the lower and the upper."""
    store_predicates(e, i, _comparison(e, i, kind_of(i)))


@lowers("set", section="Comparison and Selection Instructions: set; Half Precision", family=FLOATING)
def set_value(e: Emitter, i: Instruction) -> None:
    """Set d = all bits set, or 1.0, if (a op b) boolOp c."""
    store_set(e, i, _comparison(e, i, kind_of(i)))


@lowers("testp", section=f"{_FLOATING}: testp", family=FLOATING)
def test(e: Emitter, i: Instruction) -> None:
    """Set p = whether a is finite, infinite, a number, not a number, normal or subnormal (zero counts as normal)."""
    kind = kind_of(i)
    own = llvm(kind)
    mask = {
        "finite": 0x1F8, "infinite": 0x204, "number": 0x3FC, "notanumber": 0x3, "normal": 0x168, "subnormal": 0x90,
    }[i.modifiers[0]]  # fmt: skip
    short = {"float": "f32", "double": "f64"}[own]
    found = e.call("i1", f"llvm.is.fpclass.{short}", f"{own} {e.get(i.operands[1], kind)}", f"i32 {mask}")
    e.set(i.operands[0], "pred", found)
