"""`__half` and `__nv_bfloat16`: conversions from and to other numbers, and loads and stores with a hint to the caches.

Source of the semantics: CUDA Math API, "Half Precision Conversion and Data Movement", and the same for Bfloat16.
"""

from collections.abc import Iterator

from convbench.emulator.support.sixteen_bits import BFLOAT, HALF, Kind, shim, wide

_INTEGERS = {  # C++ name: mangled letter, LLVM type, conversion to and from double
    "short": ("s", "i16", "sitofp", "fptosi"),
    "ushort": ("t", "i16", "uitofp", "fptoui"),
    "int": ("i", "i32", "sitofp", "fptosi"),
    "uint": ("j", "i32", "uitofp", "fptoui"),
    "ll": ("x", "i64", "sitofp", "fptosi"),
    "ull": ("y", "i64", "uitofp", "fptoui"),
}
_LETTERS = {letter: (kind, convert) for letter, kind, convert, _ in _INTEGERS.values()} | {
    "l": ("i64", "sitofp"),
    "m": ("i64", "uitofp"),
    "f": ("float", "fpext"),
    "d": ("double", "fadd"),
}
_ROUNDINGS = {"rn": "rint", "rd": "floor", "ru": "ceil", "rz": "trunc"}


def definitions() -> str:
    """IR of functions such as `__int2half_rd` and `__ldg`, the constructors, and the conversion operators."""
    found = [f"declare double @llvm.{name}.f64(double)" for name in _ROUNDINGS.values()]
    for _, number, _, convert in _INTEGERS.values():
        found.append(f"declare {number} @llvm.{convert}.sat.{number}.f64(double)")
    found += [f"declare i8 @llvm.{convert}.sat.i8.f64(double)" for convert in ("fptosi", "fptoui")]
    for kind in (HALF, BFLOAT):
        for part in (_from_numbers, _to_numbers, _memory):
            found += part(kind)
    found.append(_construct(HALF, f"E{BFLOAT.mangled}", "i16", wide("x", "a", BFLOAT)))
    found.append(_construct(BFLOAT, f"E{HALF.mangled}", "i16", wide("x", "a", HALF)))
    return "\n".join(found)


def _widened(letter: str) -> tuple[str, str]:
    """LLVM's type of a C++ number, and IR that converts it to the double %x."""
    kind, convert = _LETTERS[letter]
    return kind, "  %x = fadd double %a, -0.0\n" if convert == "fadd" else f"  %x = {convert} {kind} %a to double\n"


def _from_numbers(kind: Kind) -> Iterator[str]:
    for name, (letter, *_) in _INTEGERS.items():
        for rounding in _ROUNDINGS:
            yield _convert(kind, kind.into(f"__{name}2{kind.short}_{rounding}", letter), letter, rounding)
    for rounding in _ROUNDINGS:
        yield _convert(kind, kind.into(f"__float2{kind.short}_{rounding}", "f"), "f", rounding)
    yield _convert(kind, kind.into(f"__float2{kind.short}", "f"), "f", "rn")
    yield _convert(kind, kind.into(f"__double2{kind.short}", "d"), "d", "rn")
    for letter in _LETTERS:
        yield _construct(kind, f"E{letter}", *_widened(letter))


def _convert(kind: Kind, name: str, letter: str, rounding: str) -> str:
    number, widen = _widened(letter)
    return (
        f"define linkonce_odr i32 @{name}(ptr %to, ptr %a.at) alwaysinline nounwind {{\n"
        f"  %a = load {number}, ptr %a.at\n{widen}  %r = call i16 @emu.{kind.short}.{rounding}(double %x)\n"
        "  store i16 %r, ptr %to\n  ret i32 0\n}"
    )


def _construct(kind: Kind, parameter: str, number: str, widen: str) -> str:
    """A constructor. The pointer to its object comes after that to its result, which is ignored."""
    return (
        f"define linkonce_odr i32 @_ZN{kind.mangled}C1{parameter}_nbst(ptr %ignored, ptr %to, ptr %a.at) "
        f"alwaysinline nounwind {{\n  %a = load {number}, ptr %a.at\n{widen}"
        f"  %r = call i16 @emu.{kind.short}.rn(double %x)\n  store i16 %r, ptr %to\n  ret i32 0\n}}"
    )


def _to_numbers(kind: Kind) -> Iterator[str]:
    x = wide("x", "a", kind)
    yield shim(kind.name(f"__{kind.short}2float"), "a", x + "  %r = fptrunc double %x to float\n", "float")
    for name, (_, number, _, convert) in _INTEGERS.items():
        for rounding, intrinsic in _ROUNDINGS.items():
            body = x + f"  %whole = call double @llvm.{intrinsic}.f64(double %x)\n"
            body += f"  %inside = call {number} @llvm.{convert}.sat.{number}.f64(double %whole)\n"
            missing = "-9223372036854775808" if number == "i64" else "0"
            body += f"  %nan = fcmp uno double %x, %x\n  %r = select i1 %nan, {number} {missing}, {number} %inside\n"
            yield shim(kind.name(f"__{kind.short}2{name}_{rounding}"), "a", body, number)
    for letter in (*_LETTERS, "a", "c", "h", "b"):  # conversion operators round to zero
        yield shim(f"__{kind.mangled.lstrip('0123456789')}__ZNK{kind.mangled}cv{letter}Ev_1", "a", *_cast(kind, letter))
    for name, convert in (("char", "fptosi"), ("uchar", "fptoui")):
        body = x + f"  %r = call i8 @llvm.{convert}.sat.i8.f64(double %x)\n"
        yield shim(kind.name(f"__{kind.short}2{name}_rz"), "a", body, "i8")


def _cast(kind: Kind, letter: str) -> tuple[str, str]:
    """Body and LLVM's result type of a conversion operator. The letter is the mangled C++ type."""
    x = wide("x", "a", kind)
    if letter == "b":
        return x + "  %bit = fcmp une double %x, 0.0\n  %r = zext i1 %bit to i8\n", "i8"
    if letter in "fd":
        number, _ = _LETTERS[letter]
        return x + ("  %r = fptrunc double %x to float\n" if letter == "f" else "  %r = fadd double %x, -0.0\n"), number
    number, convert = _LETTERS.get(letter, ("i8", "uitofp" if letter == "h" else "sitofp"))
    back = convert.replace("itofp", "").join(("fpto", "i"))
    return x + f"  %r = call {number} @llvm.{back}.sat.{number}.f64(double %x)\n", number


def _memory(kind: Kind) -> Iterator[str]:
    """Loads and stores with a hint to the caches. The hint has no effect here."""
    head = "alwaysinline nounwind {\n  %place = load ptr, ptr %place.at\n"
    for hint in ("ldg", "ldca", "ldcg", "ldcs", "ldcv", "ldlu"):
        name = f"_ZL{len(hint) + 2}__{hint}PK{kind.mangled}_nbst"
        yield (
            f"define linkonce_odr i32 @{name}(ptr %to, ptr %place.at) {head}"
            "  %r = load i16, ptr %place\n  store i16 %r, ptr %to\n  ret i32 0\n}"
        )
    for hint in ("stcg", "stcs", "stwb", "stwt"):
        name = f"_ZL{len(hint) + 2}__{hint}P{kind.mangled}S__nbst"
        yield (
            f"define linkonce_odr i32 @{name}(ptr %ignored, ptr %place.at, ptr %a.at) {head}"
            "  %a = load i16, ptr %a.at\n  store i16 %a, ptr %place\n  ret i32 0\n}"
        )
