"""NVVM's intrinsics as functions for the CPU: each is one PTX instruction, lowered as PTX mode lowers it.

libdevice calls about 190 of them, such as `llvm.nvvm.add.rm.ftz.f`. LLVM has no code for them on a CPU. Their names
follow a few rules, and the rules give the instruction.

Source: LLVM, "User Guide for NVPTX Back-end"; NVIDIA, "NVVM IR Specification"; PTX ISA, at the instruction.
"""

import re
from functools import cache
from zlib import crc32

from convbench.emulator.ptx.kinds import llvm
from convbench.emulator.ptx.lower import lower_function
from convbench.emulator.ptx.parser import parse

PREFIX = "emu.libdevice."

_KINDS = {
    "f": "f32", "f32": "f32", "d": "f64", "f64": "f64", "i": "s32", "ui": "u32", "ll": "s64", "ull": "u64", "h": "f16",
}  # fmt: skip
_CONVERSION = re.compile(r"(ull|ll|ui|i|f|d)2(ull|ll|ui|i|f|d|h)\.(r[nzmp])(\.ftz)?")
_ROUND_TO_INTEGER = {"floor": "rmi", "ceil": "rpi", "trunc": "rzi", "round": "rni"}
_ARITHMETIC = re.compile(r"(add|mul|fma|div|rcp|sqrt|rsqrt|sin|cos|lg2|ex2)\.(r[nzmp]|approx)(\.ftz)?\.(\w+)")
_OF_INTEGERS = {"mulhi": "mul.hi", "sad": "sad"}
_CONSTRAINTS = {"h": "b16", "r": "b32", "l": "b64", "f": "f32", "d": "f64"}  # of inline PTX, by NVVM
_MOVED = ("prmt", "lohi.i2d", "d2i.lo", "d2i.hi")  # they have no type at the end of their name
_OPERANDS = {"fma": 3, "add": 2, "mul": 2, "div": 2, "min": 2, "max": 2, "mulhi": 2, "sad": 3}


def instruction_of(name: str) -> tuple[str, str, list[str]] | None:
    """The PTX instruction of an intrinsic, without `llvm.nvvm.`: its words, the result's kind and the operands'.

    None if no rule gives one.
    """
    if found := _CONVERSION.fullmatch(name):
        source, result, rounding, ftz = _KINDS[found[1]], _KINDS[found[2]], found[3], found[4] or ""
        is_to_integer = result[0] in "su"
        return f"cvt.{rounding}{'i' if is_to_integer else ''}{ftz}.{result}.{source}", result, [source]
    if found := _ARITHMETIC.fullmatch(name):
        operation, rounding, ftz, kind = found[1], found[2], found[3] or "", _KINDS[found[4]]
        return f"{operation}.{rounding}{ftz}.{kind}", kind, [kind] * _OPERANDS.get(operation, 1)
    if name == "tanh.f32":  # LLVM's own intrinsics, which NVVM knows
        return "tanh.approx.f32", "f32", ["f32"]
    if name == "convert.from.fp16.f32":
        return "cvt.f32.f16", "f32", ["f16"]
    first, *words = name.split(".")
    if not words or words[-1] not in _KINDS:
        return None
    kind, ftz = _KINDS[words[-1]], ".ftz" if "ftz" in words else ""
    if first in _ROUND_TO_INTEGER:
        return f"cvt.{_ROUND_TO_INTEGER[first]}{ftz}.{kind}.{kind}", kind, [kind]
    if first == "saturate":
        return f"cvt.sat{ftz}.{kind}.{kind}", kind, [kind]
    if first == "fabs":
        return f"abs{ftz}.{kind}", kind, [kind]
    if first in ("fmin", "fmax"):
        return f"{first[1:]}{ftz}.{kind}", kind, [kind, kind]
    if first in _OF_INTEGERS:
        return f"{_OF_INTEGERS[first]}.{kind}", kind, [kind] * _OPERANDS[first]
    return None


@cache
def definition(name: str) -> str | None:
    """IR of `emu.libdevice.NAME`, with what it calls; None if the intrinsic has no rule."""
    if name in _MOVED:
        return _moved(name)
    if (found := instruction_of(name)) is None:
        return None
    words, result, kinds = found
    operands = ", ".join(f"${number}" for number in range(len(kinds) + 1))
    return _function(name, f"{words} {operands};", (result,), tuple(kinds))


@cache
def assembly(text: str, constraints: str) -> tuple[str, str]:
    """The name and the IR of a function that stands for inline PTX, with `$0` and so on for results and operands."""
    words = constraints.split(",")
    results = tuple(_CONSTRAINTS[word[1:]] for word in words if word.startswith("="))
    kinds = tuple(_CONSTRAINTS[word] for word in words if not word.startswith("="))
    name = f"asm.{crc32(f'{constraints}{text}'.encode()):x}"
    return PREFIX + name, _function(name, text, results, kinds)


def _function(name: str, body: str, results: tuple[str, ...], kinds: tuple[str, ...]) -> str:
    """IR of a function that does what PTX does."""
    registers = [*(("result", kind) for kind in results), *(("a", kind) for kind in kinds)]
    named = [f"%{stem}{number}" for number, (stem, _) in enumerate(registers)]
    body = re.sub(r"\$(\d+)", lambda operand: named[int(operand[1])], body)
    widths = [int(kind[1:]) // 8 for kind in results]
    places = [sum(widths[:number]) for number in range(len(widths))]
    parameters = list(zip(kinds, named[len(results) :], strict=True))
    taken = ", ".join(f".param .{_held(kind)} {register[1:]}" for kind, register in parameters)
    text = f"""
.version 9.0
.target sm_90a
.address_size 64
.func (.param .align 8 .b8 found[{sum(widths)}]) instruction({taken})
{{
{"".join(f".reg .{_held(kind)} {register};" for (_, kind), register in zip(registers, named, strict=True))}
{"".join(f"ld.param.{_held(k)} {a}, [{a[1:]}];" for k, a in parameters)}
{body}
{"".join(f"st.param.{_held(k)} [found+{at}], {r};" for k, at, r in zip(results, places, named, strict=False))}
ret;
}}"""
    lowered, declared = lower_function(parse(text), "instruction")
    own, whole = f"@{PREFIX}{name}.bits", f"i{8 * sum(widths)}"
    lowered = lowered.replace('@"ptx.instruction"', own).replace("define internal", "define linkonce_odr")
    wrapper, given = "", ["ptr null"]
    for kind, register in parameters:
        value, cast = _cast(register, llvm(kind), to_bits=True)
        wrapper += cast
        given.append(f"{_bits(kind)} {value}")
    wrapper += f"  %found = call {whole} {own}({', '.join(given)})\n"
    values = []
    for kind, at, register in zip(results, places, named, strict=False):
        wrapper += f"  {register}.moved = lshr {whole} %found, {8 * at}\n"
        wrapper += f"  {register} = {'or' if len(results) == 1 else 'trunc'} {whole} {register}.moved"
        wrapper += ", 0\n" if len(results) == 1 else f" to {_bits(kind)}\n"
        value, cast = _cast(register, llvm(kind), to_bits=False)
        wrapper += cast
        values.append((llvm(kind), value))
    listed = ", ".join(f"{llvm(kind)} {register}" for kind, register in parameters)
    if len(values) == 1:
        result, value = values[0]
    else:
        result, value = f"{{ {', '.join(kind for kind, _ in values)} }}", "undef"
        for number, (kind, part) in enumerate(values):
            wrapper += f"  %with.{number} = insertvalue {result} {value}, {kind} {part}, {number}\n"
            value = f"%with.{number}"
    head = f"define linkonce_odr {result} @{PREFIX}{name}({listed}) alwaysinline nounwind {{\n"
    return "\n".join([declared, lowered, f"{head}{wrapper}  ret {result} {value}\n}}"])


def _held(kind: str) -> str:
    """The type of a register that holds it."""
    return "b16" if kind == "f16" else kind


def _bits(kind: str) -> str:
    return f"i{kind[1:]}"


def _cast(value: str, own: str, *, to_bits: bool) -> tuple[str, str]:
    """A value as the bits of its type, or the reverse, and the IR that makes it."""
    if own not in ("float", "double"):
        return value, ""
    bits = "i32" if own == "float" else "i64"
    source, target = (own, bits) if to_bits else (bits, own)
    return f"{value}.cast", f"  {value}.cast = bitcast {source} {value} to {target}\n"


def _moved(name: str) -> str:
    """The functions that take a double apart and put it together."""
    head = f"define linkonce_odr {{}} @{PREFIX}{name}({{}}) alwaysinline nounwind {{{{\n"
    if name == "prmt":
        body = "  %r = call i32 @emu.ptx.prmt(i32 %a, i32 %b, i32 %c)\n  ret i32 %r\n}"
        return head.format("i32", "i32 %a, i32 %b, i32 %c") + body
    if name == "lohi.i2d":
        body = "  %l = zext i32 %a to i64\n  %h = zext i32 %b to i64\n  %up = shl i64 %h, 32\n  %w = or i64 %up, %l\n"
        return head.format("double", "i32 %a, i32 %b") + body + "  %r = bitcast i64 %w to double\n  ret double %r\n}"
    shift = 32 if name == "d2i.hi" else 0
    body = f"  %w = bitcast double %a to i64\n  %h = lshr i64 %w, {shift}\n  %r = trunc i64 %h to i32\n  ret i32 %r\n}}"
    return head.format("i32", "double %a") + body
