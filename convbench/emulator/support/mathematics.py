"""Stand-ins for libdevice's functions where its bitcode is missing (`nvvm.libdevice` has the real ones).

They use LLVM's intrinsic where it has one, else the function of the C library. Results may differ from a GPU's in the
last place: CUDA's own functions are not correctly rounded either.
"""

_TYPES = (("float", "f", "f32"), ("double", "", "f64"))
_INTRINSICS = {
    "fabs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "rint": "rint",
    "round": "round", "nearbyint": "nearbyint",
}  # fmt: skip
_INTRINSICS_2 = {"fmax": "maxnum", "fmin": "minnum", "copysign": "copysign"}
_ALWAYS = "alwaysinline nounwind"


def definitions() -> str:
    """IR of the `__nv_*` functions that the C library does not have under the same name."""
    return "\n".join((*_floating(), *_integer(), *_products(), *_nearest(), *_fast()))


def _floating() -> list[str]:
    found = []
    for kind, suffix, short in _TYPES:
        for name, intrinsic in _INTRINSICS.items():
            found.append(_call(kind, f"__nv_{name}{suffix}", f"llvm.{intrinsic}.{short}", (kind,)))
        for name, intrinsic in _INTRINSICS_2.items():
            found.append(_call(kind, f"__nv_{name}{suffix}", f"llvm.{intrinsic}.{short}", (kind, kind)))
        found.append(_call(kind, f"__nv_fma{suffix}", f"llvm.fma.{short}", (kind, kind, kind)))
        for test, comparison in (("isnan", "uno"), ("isinf", "oeq"), ("finite", "olt")):
            name = f"__nv_{test}{'d' if kind == 'double' else 'f'}".replace("finited", "isfinited")
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


def _products() -> list[str]:
    """High halves of products, products of 24 bits, averages, and sums of absolute differences."""
    found = []
    for sign, extend, shift in (("", "sext", "ashr"), ("u", "zext", "lshr")):
        for bits, name in ((32, "mulhi"), (64, "mul64hi")):
            kind, wide = f"i{bits}", f"i{2 * bits}"
            body = f"  %a = {extend} {kind} %x to {wide}\n  %b = {extend} {kind} %y to {wide}\n"
            body += f"  %p = mul {wide} %a, %b\n  %h = lshr {wide} %p, {bits}\n  %r = trunc {wide} %h to {kind}\n"
            found.append(_define(kind, f"__nv_{sign}{name}", f"{kind} %x, {kind} %y", body))
        body = "".join(f"  %{v}.high = shl i32 %{v}, 8\n  %{v}.low = {shift} i32 %{v}.high, 8\n" for v in ("x", "y"))
        found.append(_define("i32", f"__nv_{sign}mul24", "i32 %x, i32 %y", body + "  %r = mul i32 %x.low, %y.low\n"))
        wide = f"  %a = {extend} i32 %x to i64\n  %b = {extend} i32 %y to i64\n"
        for name, extra in (("hadd", 0), ("rhadd", 1)):
            body = f"{wide}  %s = add i64 %a, %b\n  %t = add i64 %s, {extra}\n  %h = {shift} i64 %t, 1\n"
            parameters = "i32 %x, i32 %y"
            found.append(_define("i32", f"__nv_{sign}{name}", parameters, body + "  %r = trunc i64 %h to i32\n"))
        body = f"{wide}  %d = sub i64 %a, %b\n  %m = call i64 @llvm.abs.i64(i64 %d, i1 false)\n"
        body += "  %n = trunc i64 %m to i32\n  %r = add i32 %n, %z\n"
        found.append(_define("i32", f"__nv_{sign}sad", "i32 %x, i32 %y, i32 %z", body))
    return found


def _nearest() -> list[str]:
    """Arithmetic whose name says that it rounds to nearest."""
    found = []
    for kind, _, short in _TYPES:
        d = kind[0]
        for name in ("add", "sub", "mul", "div"):
            parameters = f"{kind} %x, {kind} %y"
            found.append(_define(kind, f"__nv_{d}{name}_rn", parameters, f"  %r = f{name} {kind} %x, %y\n"))
        found.append(_define(kind, f"__nv_{d}rcp_rn", f"{kind} %x", f"  %r = fdiv {kind} 1.0, %x\n"))
        found.append(_call(kind, f"__nv_{d}sqrt_rn", f"llvm.sqrt.{short}", (kind,)))
        found.append(_call(kind, f"__nv_fma{'f' if d == 'f' else ''}_rn", f"llvm.fma.{short}", (kind, kind, kind)))
    found.append(_call("float", "__nv_frsqrt_rn", "__nv_rsqrtf", ("float",)).partition("\n")[2])
    return found


def _fast() -> list[str]:
    """The functions that `fastmath` calls, here as exact as the others, and some small compositions."""
    found = [
        _call("float", f"__nv_fast_{name}f", f"{name}f", ("float",) * count)
        for name, count in (
            *(("sin", 1), ("cos", 1), ("tan", 1), ("exp", 1), ("exp10", 1), ("log", 1), ("log2", 1), ("log10", 1)),
            ("pow", 2),
        )
    ]
    found.append(_define("float", "__nv_fast_fdividef", "float %x, float %y", "  %r = fdiv float %x, %y\n"))
    found.append(
        "declare void @sincosf(float, ptr, ptr)\n"
        f"define linkonce_odr void @__nv_fast_sincosf(float %x, ptr %s, ptr %c) {_ALWAYS} {{\n"
        "  call void @sincosf(float %x, ptr %s, ptr %c)\n  ret void\n}"
    )
    for kind, suffix, _ in _TYPES:
        found.append(f"declare {kind} @cbrt{suffix}({kind})")
        body = f"  %root = call {kind} @cbrt{suffix}({kind} %x)\n  %r = fdiv {kind} 1.0, %root\n"
        found.append(_define(kind, f"__nv_rcbrt{suffix}", f"{kind} %x", body))
    body = "  %low = call float @llvm.maxnum.f32(float %x, float 0.0)\n"
    body += "  %r = call float @llvm.minnum.f32(float %low, float 1.0)\n"
    found.append(_define("float", "__nv_saturatef", "float %x", body))
    return found


def _call(kind: str, name: str, callee: str, kinds: tuple[str, ...]) -> str:
    parameters = ", ".join(f"{k} %x{i}" for i, k in enumerate(kinds))
    body = f"  %r = call {kind} @{callee}({parameters})\n"
    return f"declare {kind} @{callee}({', '.join(kinds)})\n" + _define(kind, name, parameters, body)


def _define(kind: str, name: str, parameters: str, body: str) -> str:
    return f"define linkonce_odr {kind} @{name}({parameters}) {_ALWAYS} {{\n{body}  ret {kind} %r\n}}"
