"""cvt: between integers, between floating types, and from one to the other, with every rounding and saturation.

Source: PTX ISA, "Data Movement and Conversion Instructions: cvt". A conversion to an integer clamps to the range of the
destination. NaN becomes 0; from f64, or to a 64-bit integer, it becomes the integer whose highest bit alone is set.
"""

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.instructions.eight_bits import convert_pair, format_of
from convbench.emulator.ptx.instructions.floats import ROUNDINGS, flushed, given, saturated, taken
from convbench.emulator.ptx.instructions.table import lowers
from convbench.emulator.ptx.kinds import CANONICAL_NAN, SIXTEEN, bits, is_signed, kinds_of, llvm
from convbench.emulator.ptx.syntax import Instruction

_SECTION = "Data Movement and Conversion Instructions: cvt"
_WHOLE = {"rni": "roundeven", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
_FLOATS = ("f16", "bf16", "f32", "f64")


@lowers("cvt", section=_SECTION)
def convert(e: Emitter, i: Instruction) -> None:
    """Set d = a, converted from the second type to the first."""
    if format_of(i):
        convert_pair(e, i)
        return
    to, *rest = kinds_of(i.modifiers)
    if not rest:
        raise e.refuse("it names one type")
    source = rest[0]
    if to in ("f16x2", "bf16x2") and source == "f32":
        _pack(e, i, to)
    elif to == "tf32" and source == "f32":
        _to_tf32(e, i)
    elif to in _FLOATS and source in _FLOATS:
        _between_floats(e, i, to, source)
    elif to in _FLOATS:
        _from_integer(e, i, to, source)
    elif source in _FLOATS:
        _to_integer(e, i, to, source)
    elif to[0] in "su" and source[0] in "su":
        _between_integers(e, i, to, source)
    else:
        raise e.refuse("the types are not known here")


def _between_integers(e: Emitter, i: Instruction, to: str, source: str) -> None:
    value, own, wanted = e.get(i.operands[1], source), llvm(source), llvm(to)
    if "sat" in i.modifiers:
        wide = f"i{max(bits(to), bits(source)) + 1}"
        low, high = (-(2 ** (bits(to) - 1)), 2 ** (bits(to) - 1) - 1) if is_signed(to) else (0, 2 ** bits(to) - 1)
        value = e.op(f"{'sext' if is_signed(source) else 'zext'} {own} {value} to {wide}")
        value = e.call(wide, f"llvm.smin.{wide}", f"{wide} {value}", f"{wide} {high}")
        value = e.call(wide, f"llvm.smax.{wide}", f"{wide} {value}", f"{wide} {low}")
        value = e.op(f"trunc {wide} {value} to {wanted}")
    else:
        value = e.cast(value, own, to, signed=is_signed(source))
    e.set(i.operands[0], to, value, signed=is_signed(to))


def _from_integer(e: Emitter, i: Instruction, to: str, source: str) -> None:
    value, own = e.get(i.operands[1], source), llvm(source)
    sign = "s" if is_signed(source) else "u"
    rounding = next((word for word in i.modifiers if word in ROUNDINGS), "rn")
    if to in SIXTEEN:
        if bits(source) == 64:  # a double does not hold every such number, and rounding twice may differ
            value = e.call("double", f"emu.ptx.{sign}64.to.odd", f"i64 {value}")
        else:
            value = e.op(f"{sign}itofp {own} {value} to double")
    elif rounding == "rn":
        value = e.op(f"{sign}itofp {own} {value} to {llvm(to)}")
    else:
        if bits(source) < 64:
            value = e.op(f"{'sext' if sign == 's' else 'zext'} {own} {value} to i64")
        value = e.call(llvm(to), f"emu_rounded_{sign}itofp_{to}", f"i64 {value}", f"i32 {ROUNDINGS[rounding]}")
    given(e, i, i.operands[0], to, value)


def _to_integer(e: Emitter, i: Instruction, to: str, source: str) -> None:
    value = taken(e, i, i.operands[1], source)
    own = "double" if source in SIXTEEN else llvm(source)
    rounding = next((word for word in i.modifiers if word in _WHOLE), "rzi")
    whole = e.intrinsic(_WHOLE[rounding], own, value)
    wanted = llvm(to)
    short = {"float": "f32", "double": "f64"}[own]
    name = f"llvm.fpto{'s' if is_signed(to) else 'u'}i.sat.{wanted}.{short}"
    found = e.call(wanted, name, f"{own} {whole}")
    if source == "f64" or bits(to) == 64:
        is_nan = e.op(f"fcmp uno {own} {value}, {value}")
        found = e.op(f"select i1 {is_nan}, {wanted} {-(2 ** (bits(to) - 1))}, {wanted} {found}")
    e.set(i.operands[0], to, found, signed=is_signed(to))


def _between_floats(e: Emitter, i: Instruction, to: str, source: str) -> None:
    rounding = next((word for word in i.modifiers if word in ROUNDINGS or word in _WHOLE), "rn")
    if {to, source} == {"f16", "f32"} and rounding == "rn" and not {"sat", "relu", "ftz"} & set(i.modifiers):
        _half(e, i, to)
        return
    value = taken(e, i, i.operands[1], source)
    if source == "f64" and to == "f32":
        if rounding == "rn":
            value = e.op(f"fptrunc double {value} to float")
        else:
            value = e.call("float", "emu_rounded_fptrunc_f32", f"double {value}", f"i32 {ROUNDINGS[rounding]}")
        if "ftz" in i.modifiers:
            value = flushed(e, value, "float")
        if "sat" in i.modifiers:
            value = saturated(e, value, "float")
        e.set(i.operands[0], to, value)
        return
    if source == to and rounding in _WHOLE:
        own = "double" if to in SIXTEEN else llvm(to)
        value = e.intrinsic(_WHOLE[rounding], own, value)
    elif source == "f32" and (to in SIXTEEN or to == "f64"):
        value = e.op(f"fpext float {value} to double")
    elif source in SIXTEEN and to == "f32":
        value = e.op(f"fptrunc double {value} to float")
    given(e, i, i.operands[0], to, value)


def _half(e: Emitter, i: Instruction, to: str) -> None:
    """Between f16 and f32, which LLVM does in one instruction."""
    if to == "f32":
        half = e.op(f"bitcast i16 {e.get(i.operands[1], 'f16')} to half")
        e.set(i.operands[0], to, e.op(f"fpext half {half} to float"))
        return
    value = e.get(i.operands[1], "f32")
    is_nan = e.op(f"fcmp uno float {value}, {value}")
    word = e.op(f"bitcast half {e.op(f'fptrunc float {value} to half')} to i16")
    e.set(i.operands[0], to, e.op(f"select i1 {is_nan}, i16 {CANONICAL_NAN['f16']}, i16 {word}"))


def _pack(e: Emitter, i: Instruction, to: str) -> None:
    """Set d = two numbers: a in the upper half, b in the lower."""
    single = to[:-2]
    halves = []
    for number, operand in enumerate(i.operands[1:3]):
        name = f"%half.cvt.{number}"
        e.function.registers[name] = "b16"
        value = e.op(f"fpext float {taken(e, i, operand, 'f32')} to double")
        given(e, i, name, single, value)
        halves.append(e.op(f"zext i16 {e.get(name, 'b16')} to i32"))
    high = e.op(f"shl i32 {halves[0]}, 16")
    e.set(i.operands[0], "b32", e.op(f"or i32 {high}, {halves[1]}"))


def _to_tf32(e: Emitter, i: Instruction) -> None:
    """Set d = a with 10 bits of fraction: `.rna` rounds ties away from zero, `.rn` to even, `.rz` cuts."""
    word = e.cast(e.get(i.operands[1], "f32"), "float", "b32")
    if "rna" in i.modifiers:
        found = e.op(f"add i32 {word}, 4096")
    elif "rn" in i.modifiers:
        last = e.op(f"and i32 {e.op(f'lshr i32 {word}, 13')}, 1")
        found = e.op(f"add i32 {e.op(f'add i32 {word}, 4095')}, {last}")
    else:
        found = word
    exponent = e.op(f"and i32 {word}, 2139095040")
    is_number = e.op(f"icmp ne i32 {exponent}, 2139095040")
    found = e.op(f"and i32 {e.op(f'select i1 {is_number}, i32 {found}, i32 {word}')}, -8192")
    is_nan = e.op(f"icmp ugt i32 {e.op(f'and i32 {word}, 2147483647')}, 2139095040")
    e.set(i.operands[0], "b32", e.op(f"select i1 {is_nan}, i32 2147483647, i32 {found}"))
