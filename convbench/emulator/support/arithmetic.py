"""Arithmetic that LLVM leaves open for some operands, with the values that a GPU gives.

LLVM's `sdiv`, `shl`, `fptosi` and their kind are undefined or poison for some operands, and the host's instruction may
trap or depend on the processor. `replaced` puts a call in the place of such an instruction, and `definitions` has the
functions. Everything here is total: a divisor is 1 where LLVM's division would be undefined, an amount of a shift is
less than the width, and a conversion saturates. So no operands can make a kernel trap.

Source: PTX ISA, "div", "rem", "shl", "shr", "cvt". A division by zero is unspecified there; all bits are set here, as
ptxas folds it. NVVM lowers `frem` to |a| - floor(|a| / |b|) * |b| with the sign of a, and ptxas fuses the last step.
"""

import re
from collections.abc import Iterator

_RESULT = r"^(?P<head>\s+(?P<result>%\S+) = )"
_INTEGER = re.compile(
    rf"{_RESULT}(?P<operation>[us]div|[us]rem|shl|[al]shr) (?:(?:exact|nuw|nsw) )*(?P<kind>i\d+) "
    r"(?P<a>[^,]+), (?P<b>[^,\s]+)(?P<tail>.*)$"
)
_TO_INTEGER = re.compile(
    rf"{_RESULT}fpto(?P<sign>[su])i (?P<kind>half|float|double) (?P<a>\S+) to (?P<to>i\d+)(?P<tail>.*)$"
)
_REMAINDER = re.compile(
    rf"{_RESULT}frem (?:(?:fast|nnan|ninf|nsz|arcp|contract|afn|reassoc) )*(?P<kind>float|double) "
    r"(?P<a>[^,]+), +(?P<b>[^,\s]+)(?P<tail>.*)$"
)
_SHORT = {"half": "f16", "float": "f32", "double": "f64"}
_WIDTHS = (8, 16, 32, 64)


def replaced(line: str) -> tuple[str, str] | None:
    """The line with a call in the place of its instruction, and the declaration to add; None if it has no such one."""
    if match := _INTEGER.match(line):
        operation, kind = match["operation"], match["kind"]
        if int(kind[1:]) not in _WIDTHS or _is_defined(operation, int(kind[1:]), match["b"]):
            return None
        name = f"emu.{operation}.{kind}"
        call = f"call {kind} @{name}({kind} {match['a']}, {kind} {match['b']})"
        return f"{match['head']}{call}{match['tail']}", f"declare {kind} @{name}({kind}, {kind})"
    if match := _TO_INTEGER.match(line):
        kind, to = match["kind"], match["to"]
        if int(to[1:]) not in _WIDTHS:
            return None
        name = f"emu.fpto{match['sign']}i.{to}.{_SHORT[kind]}"
        return f"{match['head']}call {to} @{name}({kind} {match['a']}){match['tail']}", f"declare {to} @{name}({kind})"
    if match := _REMAINDER.match(line):
        kind = match["kind"]
        name = f"emu.frem.{_SHORT[kind]}"
        call = f"call {kind} @{name}({kind} {match['a']}, {kind} {match['b']})"
        return f"{match['head']}{call}{match['tail']}", f"declare {kind} @{name}({kind}, {kind})"
    return None


def _is_defined(operation: str, width: int, constant: str) -> bool:
    """Whether LLVM defines the operation for all first operands, because the second is a harmless constant."""
    if not re.fullmatch(r"-?\d+", constant):
        return False
    value = int(constant)
    return value not in (0, -1) if operation[1:] in ("div", "rem") else 0 <= value < width


def definitions() -> str:
    """IR of `emu.sdiv.i32`, `emu.shl.i64`, `emu.fptosi.i32.f32`, `emu.frem.f64` and so on."""
    found: list[str] = []
    for width in _WIDTHS:
        found += [_divide(operation, width) for operation in ("sdiv", "udiv", "srem", "urem")]
        found += [_shift(operation, width) for operation in ("shl", "lshr", "ashr")]
        for sign in "su":
            found += [_to_integer(sign, width, kind) for kind in _SHORT]
    found += _conversions()
    found += [_remainder(kind) for kind in ("float", "double")]
    return "\n".join(found)


def _divide(operation: str, width: int) -> str:
    kind = f"i{width}"
    body = f"  %zero = icmp eq {kind} %b, 0\n"
    unsafe, is_signed = "%zero", operation[0] == "s"
    if is_signed:
        body += f"  %minus = icmp eq {kind} %b, -1\n  %unsafe = or i1 %zero, %minus\n"
        unsafe = "%unsafe"
    body += f"  %divisor = select i1 {unsafe}, {kind} 1, {kind} %b\n  %found = {operation} {kind} %a, %divisor\n"
    found = "%found"
    if operation == "sdiv":
        body += f"  %opposite = sub {kind} 0, %a\n  %other = select i1 %minus, {kind} %opposite, {kind} %found\n"
        found = "%other"
    return _define(kind, f"emu.{operation}.{kind}", f"{kind} %a, {kind} %b", body + _chosen("%zero", kind, "-1", found))


def _chosen(condition: str, kind: str, yes: str, no: str) -> str:
    return f"  %r = select i1 {condition}, {kind} {yes}, {kind} {no}\n"


def _shift(operation: str, width: int) -> str:
    """A shift by a 32-bit amount that is clamped: beyond the width all bits are gone, or are the sign."""
    kind = f"i{width}"
    most = width - 1 if operation == "ashr" else 0
    amount, body = "%b", ""
    if width == 64:  # the machine's amounts have 32 bits
        amount, body = "%low", "  %low = and i64 %b, 4294967295\n"
    body += f"  %inside = icmp ult {kind} {amount}, {width}\n"
    body += f"  %by = select i1 %inside, {kind} {amount}, {kind} {most}\n  %found = {operation} {kind} %a, %by\n"
    body += f"  %r = or {kind} %found, 0\n" if operation == "ashr" else _chosen("%inside", kind, "%found", "0")
    return _define(kind, f"emu.{operation}.{kind}", f"{kind} %a, {kind} %b", body)


def _to_integer(sign: str, width: int, kind: str) -> str:
    """A conversion towards zero. The machine has none to 8 bits, so the low half of one to 16 is taken."""
    own, by = f"i{width}", f"i{max(width, 16)}"
    body = f"  %found = call {by} @emu.saturated.{sign}.{by}.{_SHORT[kind]}({kind} %a)\n"
    body += f"  %r = trunc {by} %found to {own}\n" if width == 8 else f"  %r = or {by} %found, 0\n"
    return _define(own, f"emu.fpto{sign}i.{own}.{_SHORT[kind]}", f"{kind} %a", body)


def _conversions() -> Iterator[str]:
    """NaN becomes 0; from float64, or to 64 bits, the integer whose highest bit alone is set."""
    for kind, short in _SHORT.items():
        for width in _WIDTHS[1:]:
            own = f"i{width}"
            for sign in "su":
                intrinsic = f"llvm.fpto{sign}i.sat.{own}.{short}"
                body = f"  %inside = call {own} @{intrinsic}({kind} %a)\n"
                missing = -(1 << (width - 1)) if width == 64 or kind == "double" else 0
                body += f"  %nan = fcmp uno {kind} %a, %a\n" + _chosen("%nan", own, str(missing), "%inside")
                yield f"declare {own} @{intrinsic}({kind})"
                yield _define(own, f"emu.saturated.{sign}.{own}.{short}", f"{kind} %a", body)


def _remainder(kind: str) -> str:
    short = _SHORT[kind]
    declared = "\n".join(
        f"declare {kind} @llvm.{name}.{short}({', '.join([kind] * count)})"
        for name, count in (("fabs", 1), ("floor", 1), ("fma", 3))
    )
    body = f"""  %x = call {kind} @llvm.fabs.{short}({kind} %a)
  %y = call {kind} @llvm.fabs.{short}({kind} %b)
  %q = fdiv {kind} %x, %y
  %whole = call {kind} @llvm.floor.{short}({kind} %q)
  %minus = fneg {kind} %whole
  %rest = call {kind} @llvm.fma.{short}({kind} %minus, {kind} %y, {kind} %x)
  %negative = fcmp olt {kind} %a, 0.0
  %opposite = fneg {kind} %rest
  %r = select i1 %negative, {kind} %opposite, {kind} %rest
"""
    return f"{declared}\n" + _define(kind, f"emu.frem.{short}", f"{kind} %a, {kind} %b", body)


def _define(kind: str, name: str, parameters: str, body: str) -> str:
    return f"define linkonce_odr {kind} @{name}({parameters}) alwaysinline nounwind {{\n{body}  ret {kind} %r\n}}"
