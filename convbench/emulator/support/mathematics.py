"""libdevice and the operators of `__half`: by LLVM's intrinsics where it has one, else by the C library's function.

Results may differ from a GPU's in the last place: CUDA's own functions are not correctly rounded either.
"""

_TYPES = (("float", "f", "f32"), ("double", "", "f64"))
_INTRINSICS = {
    "fabs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint",
    "round": "round", "nearbyint": "nearbyint",
}  # fmt: skip
_INTRINSICS_2 = {"fmax": "maxnum", "fmin": "minnum", "copysign": "copysign"}
_ALWAYS = "alwaysinline nounwind"


def definitions() -> str:
    """IR of the `__nv_*` functions that the C library does not have under the same name, and of `__half`'s."""
    return "\n".join((*_floating(), *_integer(), *_half()))


def _floating() -> list[str]:
    found = []
    for kind, suffix, short in _TYPES:
        for name, intrinsic in _INTRINSICS.items():
            found.append(_call(kind, f"__nv_{name}{suffix}", f"llvm.{intrinsic}.{short}", (kind,)))
        for name, intrinsic in _INTRINSICS_2.items():
            found.append(_call(kind, f"__nv_{name}{suffix}", f"llvm.{intrinsic}.{short}", (kind, kind)))
        found.append(_call(kind, f"__nv_fma{suffix}", f"llvm.fma.{short}", (kind, kind, kind)))
        for test, comparison in (("isnan", "uno"), ("isinf", "oeq"), ("finite", "olt")):
            name = f"__nv_{test}{'d' if kind == 'double' else 'f'}"
            other = "%x" if comparison == "uno" else "%inf"
            body = f"  %abs = call {kind} @llvm.fabs.{short}({kind} %x)\n  %inf = fadd {kind} 0x7FF0000000000000, 0.0\n"
            body += f"  %bit = fcmp {comparison} {kind} %abs, {other.replace('%x', '%abs')}\n"
            found.append(_define("i32", name, f"{kind} %x", body + "  %r = zext i1 %bit to i32\n"))
        sign_bits = "i64" if kind == "double" else "i32"
        body = f"  %bits = bitcast {kind} %x to {sign_bits}\n  %bit = icmp slt {sign_bits} %bits, 0\n"
        body += "  %r = zext i1 %bit to i32\n"
        found.append(_define("i32", f"__nv_signbit{'d' if kind == 'double' else 'f'}", f"{kind} %x", body))
        root = f"  %root = call {kind} @llvm.sqrt.{short}({kind} %x)\n  %r = fdiv {kind} 1.0, %root\n"
        found.append(_define(kind, f"__nv_rsqrt{suffix}", f"{kind} %x", root))
        power = f"  %wide = sitofp i32 %n to {kind}\n  %r = call {kind} @llvm.pow.{short}({kind} %x, {kind} %wide)\n"
        found.append(f"declare {kind} @llvm.pow.{short}({kind}, {kind})")
        found.append(_define(kind, f"__nv_powi{suffix}", f"{kind} %x, i32 %n", power))
    return found


def _integer() -> list[str]:
    found = []
    for bits, suffix in ((32, ""), (64, "ll")):
        kind = f"i{bits}"
        narrow = "  %r = add i32 %t, 0\n" if bits == 32 else "  %r = trunc i64 %t to i32\n"
        found.append(_call(kind, f"__nv_brev{suffix}", f"llvm.bitreverse.{kind}", (kind,)))
        found.append(f"declare {kind} @llvm.ctpop.{kind}({kind})")
        found += [f"declare {kind} @llvm.{name}.{kind}({kind}, i1)" for name in ("ctlz", "cttz")]
        found.append(
            _define(
                "i32", f"__nv_popc{suffix}", f"{kind} %x", f"  %t = call {kind} @llvm.ctpop.{kind}({kind} %x)\n{narrow}"
            )
        )
        found.append(
            _define(
                "i32",
                f"__nv_clz{suffix}",
                f"{kind} %x",
                f"  %t = call {kind} @llvm.ctlz.{kind}({kind} %x, i1 false)\n{narrow}",
            )
        )
        first = f"  %z = call {kind} @llvm.cttz.{kind}({kind} %x, i1 false)\n  %next = add {kind} %z, 1\n"
        first += f"  %none = icmp eq {kind} %x, 0\n  %t = select i1 %none, {kind} 0, {kind} %next\n{narrow}"
        found.append(_define("i32", f"__nv_ffs{suffix}", f"{kind} %x", first))
        for name, intrinsic in (("max", "smax"), ("min", "smin")):
            plain, unsigned = (f"ll{name}", f"ull{name}") if bits == 64 else (name, f"u{name}")
            found.append(_call(kind, f"__nv_{plain}", f"llvm.{intrinsic}.{kind}", (kind, kind)))
            found.append(_call(kind, f"__nv_{unsigned}", f"llvm.u{intrinsic[1:]}.{kind}", (kind, kind)))
        body = f"  %r = call {kind} @llvm.abs.{kind}({kind} %x, i1 false)\n"
        found.append(f"declare {kind} @llvm.abs.{kind}({kind}, i1)")
        found.append(_define(kind, f"__nv_{suffix}abs", f"{kind} %x", body))
    return found


def _half() -> list[str]:
    """C++ operators on `__half`, as numba-cuda mangles their shims: result pointer first, then the operands."""
    found = []
    for symbol, operation in (("ml", "fmul"), ("pl", "fadd"), ("mi", "fsub"), ("dv", "fdiv")):
        body = f"  %x = load half, ptr %a\n  %y = load half, ptr %b\n  %z = {operation} half %x, %y\n  store half %z, ptr %to\n"
        name = f"_Z{symbol}RK6__halfS1__nbst"
        found.append(_define("i32", name, "ptr %to, ptr %a, ptr %b", body + "  %r = add i32 0, 0\n"))
    return found


def _call(kind: str, name: str, callee: str, kinds: tuple[str, ...]) -> str:
    parameters = ", ".join(f"{k} %x{i}" for i, k in enumerate(kinds))
    body = f"  %r = call {kind} @{callee}({parameters})\n"
    return f"declare {kind} @{callee}({', '.join(kinds)})\n" + _define(kind, name, parameters, body)


def _define(kind: str, name: str, parameters: str, body: str) -> str:
    return f"define linkonce_odr {kind} @{name}({parameters}) {_ALWAYS} {{\n{body}  ret {kind} %r\n}}"
