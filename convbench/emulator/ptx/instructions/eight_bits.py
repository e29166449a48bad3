"""cvt to and from pairs of floating numbers of 8 bits: e4m3 and e5m2.

Source: PTX ISA, "Data Movement and Conversion Instructions: cvt", and "Alternate Floating-Point Data Formats". A value
beyond the range becomes the largest number (`.satfinite`), and NaN the code 0x7f.
"""

from dataclasses import dataclass

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.syntax import Instruction

_SIGN, _NAN = 0x80, 0x7F
_SINGLE_FRACTION, _SINGLE_BIAS = 23, 127
_HALF_NAN = 0x7FFF


@dataclass(frozen=True)
class _Format:
    """A format of 8 bits: the bits of its fraction, the bias of its exponent, and the code of its largest number."""

    fraction: int
    bias: int
    largest: int


FORMATS = {"e4m3x2": _Format(3, 7, 0x7E), "e5m2x2": _Format(2, 15, 0x7B)}


def format_of(i: Instruction) -> str | None:
    """The format of 8 bits that an instruction names; None if it names none."""
    return next((word for word in i.modifiers if word in FORMATS), None)


def convert_pair(e: Emitter, i: Instruction) -> None:
    """Set d = two numbers, converted to 8 bits each or from them; a in the upper half, b in the lower."""
    form = FORMATS[format_of(i) or ""]
    kind = i.modifiers[-1]
    if kind == "f32":
        parts = [_narrowed(e, i, e.get(operand, "f32"), form) for operand in (i.operands[2], i.operands[1])]
        e.set(i.operands[0], "b16", _joined(e, parts, 8))
    elif kind == "f16x2":
        word = e.get(i.operands[1], "b32")
        parts = [_narrowed(e, i, _single(e, half), form) for half in _halves(e, word, 16)]
        e.set(i.operands[0], "b16", _joined(e, parts, 8))
    elif "f16x2" in i.modifiers:
        word = e.op(f"zext i16 {e.get(i.operands[1], 'b16')} to i32")
        parts = [_widened(e, i, code, form) for code in _halves(e, word, 8)]
        e.set(i.operands[0], "b32", _joined(e, parts, 16))
    else:
        raise e.refuse("the types are not known here")


def _halves(e: Emitter, word: str, width: int) -> list[str]:
    """The lower and the upper part of a word, each an i32."""
    mask = (1 << width) - 1
    return [e.op(f"and i32 {word}, {mask}"), e.op(f"and i32 {e.op(f'lshr i32 {word}, {width}')}, {mask}")]


def _joined(e: Emitter, parts: list[str], width: int) -> str:
    """The word, or with 8 bits each the half word, of a lower and an upper part."""
    word = e.op(f"or i32 {e.op(f'shl i32 {parts[1]}, {width}')}, {parts[0]}")
    return word if width == 16 else e.op(f"trunc i32 {word} to i16")


def _single(e: Emitter, half: str) -> str:
    word = e.op(f"trunc i32 {half} to i16")
    return e.op(f"fpext half {e.op(f'bitcast i16 {word} to half')} to float")


def _narrowed(e: Emitter, i: Instruction, value: str, form: _Format) -> str:
    """The code of a float32, rounded to the nearest, ties to even."""
    word = e.op(f"bitcast float {value} to i32")
    size = e.op(f"and i32 {word}, 2147483647")
    shift, last = _SINGLE_FRACTION - form.fraction, 1 << (_SINGLE_FRACTION - form.fraction - 1)
    odd = e.op(f"and i32 {e.op(f'lshr i32 {size}, {shift}')}, 1")
    up = e.op(f"add i32 {e.op(f'add i32 {size}, {last - 1}')}, {odd}")
    rounded = e.op(f"lshr i32 {up}, {shift}")
    normal = e.op(f"sub i32 {rounded}, {(_SINGLE_BIAS - form.bias) << form.fraction}")
    # below the smallest normal number, codes are multiples of the smallest number
    steps = float(2 ** (form.bias - 1 + form.fraction))
    scaled = e.op(f"fmul float {e.op(f'bitcast i32 {size} to float')}, {steps:.1f}")
    tiny = e.call("i32", "llvm.fptoui.sat.i32.f32", f"float {e.intrinsic('roundeven', 'float', scaled)}")
    is_tiny = e.op(f"icmp ult i32 {size}, {(_SINGLE_BIAS - form.bias + 1) << _SINGLE_FRACTION}")
    code = e.op(f"select i1 {is_tiny}, i32 {tiny}, i32 {normal}")
    code = e.call("i32", "llvm.umin.i32", f"i32 {code}", f"i32 {form.largest}")
    sign = e.op(f"and i32 {e.op(f'lshr i32 {word}, 24')}, {_SIGN}")
    signed = e.op(f"or i32 {code}, {sign}")
    if "relu" in i.modifiers:
        signed = e.op(f"select i1 {e.op(f'icmp eq i32 {sign}, 0')}, i32 {code}, i32 0")
    is_nan = e.op(f"fcmp uno float {value}, {value}")
    return e.op(f"select i1 {is_nan}, i32 {_NAN}, i32 {signed}")


def _widened(e: Emitter, i: Instruction, code: str, form: _Format) -> str:
    """The bits of the float16 of a code, which holds every number of 8 bits."""
    size = e.op(f"and i32 {code}, {_NAN}")
    # with the exponent where float16 has it; the difference of the biases is a power of two
    moved = e.op(f"shl i32 {size}, {10 - form.fraction}")
    factor = float(2 ** (15 - form.bias))
    number = e.op(f"fmul float {_single(e, moved)}, {factor:.1f}")
    word = e.op(f"bitcast half {e.op(f'fptrunc float {number} to half')} to i16")
    bits = e.op(f"zext i16 {word} to i32")
    infinite = form.largest + 1 if form.fraction == 2 else form.largest
    sign = e.op(f"shl i32 {e.op(f'and i32 {code}, {_SIGN}')}, 8")
    signed = e.op(f"or i32 {bits}, {sign}")
    if "relu" in i.modifiers:
        signed = e.op(f"select i1 {e.op(f'icmp eq i32 {sign}, 0')}, i32 {bits}, i32 0")
    return e.op(f"select i1 {e.op(f'icmp ugt i32 {size}, {infinite}')}, i32 {_HALF_NAN}, i32 {signed}")
