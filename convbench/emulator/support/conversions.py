"""libdevice's conversions between numbers, with the rounding that their names say, and casts of bits.

A conversion to an integer saturates. It turns NaN into 0, or into the least number if the integer has 64 bits (CUDA
Math API, "Type Casting Intrinsics"). Directed rounding of 64-bit integers to floating types is not supported.
"""

from collections.abc import Iterator

_INTEGERS = (("int", "i32", "s"), ("uint", "i32", "u"), ("ll", "i64", "s"), ("ull", "i64", "u"))
_FLOATS = ("float", "double")
_ROUNDINGS = {"rn": "rint", "rd": "floor", "ru": "ceil", "rz": "trunc"}
_SHORT = {"float": "f32", "double": "f64"}


def definitions() -> str:
    """IR of functions such as `__nv_float2int_rd` and `__nv_float_as_int`."""
    return "\n".join((_TO_FLOAT, *_to_integers(), *_from_integers(), *_narrowings(), *_casts()))


def _define(result: str, name: str, parameters: str, body: str) -> str:
    return (
        f"define linkonce_odr {result} @__nv_{name}({parameters}) alwaysinline nounwind {{\n{body}  ret {result} %r\n}}"
    )


def _to_integers() -> Iterator[str]:
    for number in _FLOATS:
        for intrinsic in _ROUNDINGS.values():
            yield f"declare {number} @llvm.{intrinsic}.{_SHORT[number]}({number})"
        for name, integer, sign in _INTEGERS:
            convert = f"llvm.fpto{sign}i.sat.{integer}.{_SHORT[number]}"
            yield f"declare {integer} @{convert}({number})"
            missing = 0 if integer == "i32" else -(2**63)
            for rounding, intrinsic in _ROUNDINGS.items():
                yield _define(
                    integer,
                    f"{number}2{name}_{rounding}",
                    f"{number} %x",
                    f"  %whole = call {number} @llvm.{intrinsic}.{_SHORT[number]}({number} %x)\n"
                    f"  %inside = call {integer} @{convert}({number} %whole)\n"
                    f"  %nan = fcmp uno {number} %x, %x\n"
                    f"  %r = select i1 %nan, {integer} {missing}, {integer} %inside\n",
                )


def _from_integers() -> Iterator[str]:
    for name, integer, sign in _INTEGERS:
        for number in _FLOATS:
            body = f"  %r = {sign}itofp {integer} %x to {number}\n"
            yield _define(number, f"{name}2{number}_rn", f"{integer} %x", body)
        if integer == "i32":  # a double holds every such integer
            for rounding in ("rd", "ru", "rz"):
                body = f"  %wide = {sign}itofp i32 %x to double\n"
                body += f"  %r = call float @emu.float.{rounding}(double %wide)\n"
                yield _define("float", f"{name}2float_{rounding}", "i32 %x", body)


def _narrowings() -> Iterator[str]:
    yield _define("float", "double2float_rn", "double %x", "  %r = fptrunc double %x to float\n")
    for rounding in ("rd", "ru", "rz"):
        body = f"  %r = call float @emu.float.{rounding}(double %x)\n"
        yield _define("float", f"double2float_{rounding}", "double %x", body)


# round to nearest, and go one step back if that went too far; numbers of one sign are in the order of their bits
_TO_FLOAT = "declare double @llvm.fabs.f64(double)\n" + "\n".join(
    f"""define internal float @emu.float.{rounding}(double %x) alwaysinline nounwind {{
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %bits = bitcast float %near to i32
  %zero = fcmp oeq float %near, 0.0
  %negative = icmp slt i32 %bits, 0
  %size = call double @llvm.fabs.f64(double %x)
  %reached = call double @llvm.fabs.f64(double %back)
  %away = add i32 %bits, 1
  %towards = sub i32 %bits, 1
{body}  %step = select i1 %wrong, i32 %moved, i32 %bits
  %r = bitcast i32 %step to float
  ret float %r
}}"""
    for rounding, body in (
        ("rz", "  %wrong = fcmp ogt double %reached, %size\n  %moved = add i32 %towards, 0\n"),
        (
            "rd",
            (
                "  %wrong = fcmp ogt double %back, %x\n  %any = select i1 %negative, i32 %away, i32 %towards\n"
                f"  %moved = select i1 %zero, i32 {1 - 2**31}, i32 %any\n"
            ),
        ),
        (
            "ru",
            (
                "  %wrong = fcmp olt double %back, %x\n  %any = select i1 %negative, i32 %towards, i32 %away\n"
                "  %moved = select i1 %zero, i32 1, i32 %any\n"
            ),
        ),
    )
)


def _casts() -> Iterator[str]:
    for name, kind, result in (
        ("float_as_int", "float", "i32"),
        ("int_as_float", "i32", "float"),
        ("double_as_longlong", "double", "i64"),
        ("longlong_as_double", "i64", "double"),
    ):
        yield _define(result, name, f"{kind} %x", f"  %r = bitcast {kind} %x to {result}\n")
    bits = "  %bits = bitcast double %x to i64\n"
    yield _define("i32", "double2loint", "double %x", f"{bits}  %r = trunc i64 %bits to i32\n")
    high = f"{bits}  %high = lshr i64 %bits, 32\n  %r = trunc i64 %high to i32\n"
    yield _define("i32", "double2hiint", "double %x", high)
    joined = "  %h = zext i32 %high to i64\n  %l = zext i32 %low to i64\n  %s = shl i64 %h, 32\n"
    joined += "  %bits = or i64 %s, %l\n  %r = bitcast i64 %bits to double\n"
    yield _define("double", "hiloint2double", "i32 %high, i32 %low", joined)
    narrow = "  %wide = fpext float %x to double\n  %r = call i16 @emu.half.rn(double %wide)\n"
    yield _define("i16", "float2half_rn", "float %x", narrow)
    wide = "  %half = bitcast i16 %x to half\n  %r = fpext half %half to float\n"
    yield _define("float", "half2float", "i16 %x", wide)
