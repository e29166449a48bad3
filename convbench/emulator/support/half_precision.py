"""`__half` and `__nv_bfloat16`: arithmetic, comparisons and elementary functions.

A result is computed in double, which holds every sum and product of two such numbers exactly, and then rounded once
(Figueroa 1995, "When is double rounding innocuous?", for quotients and square roots).

Source of the semantics: CUDA Math API, "Half Precision Intrinsics" and "Bfloat16 Precision Intrinsics".
"""

from collections.abc import Iterator

from convbench.emulator.support.sixteen_bits import BFLOAT, HALF, Kind, shim, wide

_FUNCTIONS = {
    "hcos": "cos", "hsin": "sin", "hexp": "exp", "hexp2": "exp2", "hexp10": "exp10", "hlog": "log", "hlog2": "log2",
    "hlog10": "log10", "hsqrt": "sqrt", "htanh": "tanh", "htanh_approx": "tanh", "hceil": "ceil", "hfloor": "floor",
    "hrint": "rint", "htrunc": "trunc",
}  # fmt: skip
_ARITHMETIC = {"add": ("pl", "fadd"), "sub": ("mi", "fsub"), "mul": ("ml", "fmul"), "div": ("dv", "fdiv")}
_COMPARISONS = ("eq", "ne", "ge", "gt", "le", "lt")
_EXTREMA = {"max": "maximumnum", "min": "minimumnum", "max_nan": "maximum", "min_nan": "minimum"}


def definitions() -> str:
    """IR of functions such as `hsin`, `__hadd` and `__heq`, for both types."""
    found = [f"declare double @llvm.{name}.f64(double)" for name in sorted(set(_FUNCTIONS.values()))]
    found += [f"declare double @llvm.{name}.f64(double, double)" for name in _EXTREMA.values()]
    found.append("declare double @llvm.fma.f64(double, double, double)")
    for kind in (HALF, BFLOAT):
        for part in (_unary, _arithmetic, _ternary, _comparisons):
            found += part(kind)
    return "\n".join(found)


def _computed(kind: Kind, name: str, operands: str, body: str) -> str:
    """A shim whose body computes the double %z from the doubles %x, %y and %w."""
    loads = "".join(wide(value, bits, kind) for value, bits in zip("xyw", operands, strict=False))
    return shim(name, operands, f"{loads}{body}  %r = call i16 @emu.{kind.short}.rn(double %z)\n", "i16")


def _unary(kind: Kind) -> Iterator[str]:
    for name, function in _FUNCTIONS.items():
        yield _computed(kind, kind.name(name), "a", f"  %z = call double @llvm.{function}.f64(double %x)\n")
    root = "  %root = call double @llvm.sqrt.f64(double %x)\n  %z = fdiv double 1.0, %root\n"
    yield _computed(kind, kind.name("hrsqrt"), "a", root)
    yield _computed(kind, kind.name("hrcp"), "a", "  %z = fdiv double 1.0, %x\n")
    for name, body in (
        (kind.name("__habs"), "  %r = and i16 %a, 32767\n"),
        (kind.name("__hneg"), "  %r = xor i16 %a, -32768\n"),
        (f"_ZngRK{kind.mangled}_nbst", "  %r = xor i16 %a, -32768\n"),
        (f"_ZpsRK{kind.mangled}_nbst", "  %r = or i16 %a, 0\n"),
        *((kind.name(f"__{kind.short}_as_{to}"), "  %r = or i16 %a, 0\n") for to in ("short", "ushort")),
        *((kind.into(f"__{of}_as_{kind.short}", of[0] if of == "short" else "t"), "  %r = or i16 %a, 0\n")
          for of in ("short", "ushort")),
    ):  # fmt: skip
        yield shim(name, "a", body, "i16")
    nan = wide("x", "a", kind) + "  %bit = fcmp uno double %x, %x\n  %r = zext i1 %bit to i8\n"
    yield shim(kind.name("__hisnan"), "a", nan, "i8")
    infinite = wide("x", "a", kind) + "  %up = fcmp oeq double %x, 0x7FF0000000000000\n"
    infinite += "  %down = fcmp oeq double %x, 0xFFF0000000000000\n  %one = zext i1 %up to i32\n"
    yield shim(kind.name("__hisinf"), "a", infinite + "  %r = select i1 %down, i32 -1, i32 %one\n", "i32")


# NaN becomes 0, as with `__saturatef`
_SATURATE = """  %least = call double @llvm.maximumnum.f64(double %free, double 0.0)
  %z = call double @llvm.minimumnum.f64(double %least, double 1.0)
"""


def _arithmetic(kind: Kind) -> Iterator[str]:
    for name, (operator, operation) in _ARITHMETIC.items():
        body = f"  %z = {operation} double %x, %y\n"
        yield _computed(kind, kind.name(f"__h{name}", "S_"), "ab", body)
        yield _computed(kind, f"_Z{operator}RK{kind.mangled}S1__nbst", "ab", body)
        if name != "div":
            yield _computed(kind, kind.name(f"__h{name}_rn", "S_"), "ab", body)
            free = f"  %free = {operation} double %x, %y\n"
            yield _computed(kind, kind.name(f"__h{name}_sat", "S_"), "ab", free + _SATURATE)
    for name, intrinsic in _EXTREMA.items():
        body = f"  %z = call double @llvm.{intrinsic}.f64(double %x, double %y)\n"
        yield _computed(kind, kind.name(f"__h{name}", "S_"), "ab", body)


def _ternary(kind: Kind) -> Iterator[str]:
    fused = "  %free = call double @llvm.fma.f64(double %x, double %y, double %w)\n"
    for name, end in (
        ("__hfma", "  %z = fadd double %free, -0.0\n"),
        ("__hfma_sat", _SATURATE),
        ("__hfma_relu", "  %low = fcmp olt double %free, 0.0\n  %z = select i1 %low, double 0.0, double %free\n"),
    ):
        yield _computed(kind, kind.name(name, "S_S_"), "abc", fused + end)


def _comparisons(kind: Kind) -> Iterator[str]:
    loads = wide("x", "a", kind) + wide("y", "b", kind)
    for name in _COMPARISONS:
        ordered = "one" if name == "ne" else f"o{name}"
        for symbol, comparison in (
            (kind.name(f"__h{name}", "S_"), ordered),
            (kind.name(f"__h{name}u", "S_"), f"u{name}"),
            (f"_Z{name}RK{kind.mangled}S1__nbst", "une" if name == "ne" else ordered),
        ):
            body = f"{loads}  %bit = fcmp {comparison} double %x, %y\n  %r = zext i1 %bit to i8\n"
            yield shim(symbol, "ab", body, "i8")
