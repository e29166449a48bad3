"""`__half` and `__nv_bfloat16` as 16 bits: conversion to double, back by each rounding, and the form of their shims.

numba-cuda calls cuda_fp16.h and cuda_bf16.h through C++ shims. A shim takes pointers to its result and then to its
arguments. Its name is the mangled name of the C++ function followed by `_nbst`.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One of the two types."""

    short: str  # in names of functions
    mangled: str

    def name(self, function: str, parameters: str = "") -> str:
        return f"_ZL{len(function)}{function}{self.mangled}{parameters}_nbst"

    def into(self, function: str, letter: str) -> str:
        return f"_ZL{len(function)}{function}{letter}_nbst"


HALF, BFLOAT = Kind("half", "6__half"), Kind("bfloat16", "13__nv_bfloat16")


def definitions() -> str:
    """IR of the conversions that the shims call: `emu.half.wide`, `emu.half.rn` and so on."""
    found = ["declare double @llvm.fabs.f64(double)", _TO_ODD, _WIDE_HALF, _ROUND_HALF, _WIDE_BFLOAT, _ROUND_BFLOAT]
    for kind in (HALF, BFLOAT):
        found += _directed(kind)
    return "\n".join(found)


# convert to float, and set the last bit if anything was lost: rounding the result again then equals rounding once
_TO_ODD = """define linkonce_odr float @emu.to.odd(double %x) alwaysinline nounwind {
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %bits = bitcast float %near to i32
  %size = call double @llvm.fabs.f64(double %x)
  %reached = call double @llvm.fabs.f64(double %back)
  %beyond = fcmp ogt double %reached, %size
  %less = sub i32 %bits, 1
  %towards = select i1 %beyond, i32 %less, i32 %bits
  %odd = or i32 %towards, 1
  %lost = fcmp one double %back, %x
  %chosen = select i1 %lost, i32 %odd, i32 %bits
  %r = bitcast i32 %chosen to float
  ret float %r
}"""
_WIDE_HALF = """define linkonce_odr double @emu.half.wide(i16 %b) alwaysinline nounwind {
  %x = bitcast i16 %b to half
  %r = fpext half %x to double
  ret double %r
}"""
_ROUND_HALF = """define linkonce_odr i16 @emu.half.rn(double %x) alwaysinline nounwind {
  %odd = call float @emu.to.odd(double %x)
  %near = fptrunc float %odd to half
  %bits = bitcast half %near to i16
  %nan = fcmp uno double %x, %x
  %r = select i1 %nan, i16 32767, i16 %bits
  ret i16 %r
}"""
_WIDE_BFLOAT = """define linkonce_odr double @emu.bfloat16.wide(i16 %b) alwaysinline nounwind {
  %word = zext i16 %b to i32
  %high = shl i32 %word, 16
  %x = bitcast i32 %high to float
  %r = fpext float %x to double
  ret double %r
}"""
# round to nearest, ties to even, on the bits: a carry into the exponent is right, except for a NaN
_ROUND_BFLOAT = """define linkonce_odr i16 @emu.bfloat16.rn(double %x) alwaysinline nounwind {
  %odd = call float @emu.to.odd(double %x)
  %bits = bitcast float %odd to i32
  %shifted = lshr i32 %bits, 16
  %last = and i32 %shifted, 1
  %half = add i32 %last, 32767
  %sum = add i32 %bits, %half
  %high = lshr i32 %sum, 16
  %near = trunc i32 %high to i16
  %nan = fcmp uno double %x, %x
  %r = select i1 %nan, i16 32767, i16 %near
  ret i16 %r
}"""


def wide(value: str, bits: str, kind: Kind) -> str:
    """IR that converts the 16 bits in %`bits` to the double %`value`."""
    return f"  %{value} = call double @emu.{kind.short}.wide(i16 %{bits})\n"


def _directed(kind: Kind) -> Iterator[str]:
    """Rounding down, up and to zero: round to nearest, then go one step back if that went too far."""
    step = """  %size = and i16 %near, 32767
  %zero = icmp eq i16 %size, 0
  %negative = icmp slt i16 %near, 0
  %plus = add i16 %near, 1
  %minus = sub i16 %near, 1
"""
    lower = "  %down.any = select i1 %negative, i16 %plus, i16 %minus\n"
    lower += "  %down = select i1 %zero, i16 -32767, i16 %down.any\n  %above = fcmp ogt double %back, %x\n"
    upper = "  %up.any = select i1 %negative, i16 %minus, i16 %plus\n"
    upper += "  %up = select i1 %zero, i16 1, i16 %up.any\n  %below = fcmp olt double %back, %x\n"
    inner = "  %reached = call double @llvm.fabs.f64(double %back)\n  %own = call double @llvm.fabs.f64(double %x)\n"
    inner += "  %beyond = fcmp ogt double %reached, %own\n  %r = select i1 %beyond, i16 %minus, i16 %near\n"
    for rounding, body in (
        ("rd", lower + "  %r = select i1 %above, i16 %down, i16 %near\n"),
        ("ru", upper + "  %r = select i1 %below, i16 %up, i16 %near\n"),
        ("rz", inner),
    ):
        head = f"define linkonce_odr i16 @emu.{kind.short}.{rounding}(double %x) alwaysinline nounwind {{\n"
        near = f"  %near = call i16 @emu.{kind.short}.rn(double %x)\n" + wide("back", "near", kind)
        yield head + near + step + body + "  ret i16 %r\n}"


def shim(name: str, operands: str, body: str, kind: str) -> str:
    """A function that takes pointers to its result and its operands.

    The operands are a, b and c, of 16 bits. The body computes the result %r of LLVM's type `kind`.
    """
    parameters = ", ".join(["ptr %to", *(f"ptr %{operand}.at" for operand in operands)])
    loads = "".join(f"  %{operand} = load i16, ptr %{operand}.at\n" for operand in operands)
    store = f"  store {kind} %r, ptr %to\n  ret i32 0\n}}"
    return f"define linkonce_odr i32 @{name}({parameters}) alwaysinline nounwind {{\n{loads}{body}{store}"
