"""Scalar PTX instructions, each with the values that the oracle gives: the table of the differential test."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cases.ptx import oracle
from cases.ptx.oracle import masked, number, rounded, signed, width

ROUNDINGS = ("rn", "rz", "rm", "rp")
# the ISA restricts place and length of a field to 8 bits; ptxas cuts them for 32-bit fields alone
_FIELD = {32: (0, 0), 64: (256, 256)}


@dataclass(frozen=True)
class Scalar:
    """One instruction with registers for its operands.

    `text` has {d} for the destination and {a}, {b}, {c}, {e} for the operands; `kinds` are the types of the destination
    and of the operands; `value` computes the bits of the result from those of the operands. `nan` tells that the bits
    of a NaN are not specified.
    """

    text: str
    kinds: tuple[str, ...]
    value: Callable[..., int]
    nan: bool = False
    limits: tuple[int, ...] = ()  # operand n is below this; 0: any

    def __str__(self) -> str:
        return self.text.partition(" ")[0]


def edges(kind: str) -> list[int]:
    """Values at which instructions change what they do."""
    bits = width(kind)
    if kind not in oracle.FORMATS:
        some = {0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64, 65, 100, 255, 256, 0x55555555, 0x80, 0x7F, 0xFFFF, 0x8000}
        some |= {1 << (bits - 1), (1 << (bits - 1)) - 1, (1 << bits) - 1, (1 << bits) - 2, (1 << bits) - 7}
        some |= {0x123456789ABCDEF0, 0xDEADBEEF, 1 << (bits // 2), (1 << (bits // 2)) - 1}
        return sorted({masked(value, bits) for value in some})
    exponents, fractions = oracle.FORMATS[kind]
    bias, top = (1 << (exponents - 1)) - 1, (1 << exponents) - 1
    found = [0, 1, (1 << fractions) - 1, 1 << fractions, (1 << fractions) + 1, top << fractions, (top << fractions) - 1]
    found += [(top << fractions) + 1, (top << fractions) | 1 << (fractions - 1), bias << fractions]
    found += [(bias << fractions) + 1, (bias << fractions) - 1, (bias + 1 << fractions) | 1 << (fractions - 2)]
    for power in (-1, 1, 2, 7, 8, 15, 16, 23, 24, 31, 32, 52, 53, 62, 63, 64, fractions, fractions + 1):
        if 0 < bias + power < top:
            found += [bias + power << fractions, (bias + power << fractions) - 1, (bias + power << fractions) + 1]
    sign = 1 << (bits - 1)
    return sorted({*found, *(value | sign for value in found)})


def values(kind: str, generator: random.Random) -> int:
    """A random value: an edge, any bits, or a small number."""
    choice = generator.random()
    if choice < 0.5:
        return generator.choice(edges(kind))
    bits = generator.getrandbits(width(kind))
    if kind in oracle.FORMATS and choice < 0.8:  # near 1, so that sums do not vanish
        exponents, fractions = oracle.FORMATS[kind]
        bias = (1 << (exponents - 1)) - 1
        exponent = bias + generator.randint(-8, 8)
        return bits & ~(((1 << exponents) - 1) << fractions) | exponent << fractions
    return bits >> generator.randrange(width(kind)) if choice < 0.8 else bits


def rows(one: Scalar, count: int, seed: int) -> list[tuple[int, ...]]:
    """Operands: pairs of edges first, then random ones."""
    generator = random.Random(f"{one.text} {seed}")
    kinds = one.kinds[1:]
    limits = one.limits or (0,) * len(kinds)

    def draw() -> tuple[int, ...]:
        return tuple(
            generator.randrange(limit) if limit else values(kind, generator)
            for kind, limit in zip(kinds, limits, strict=True)
        )

    found: list[tuple[int, ...]] = []
    if not one.limits and len(kinds) == 1:
        found = [(value,) for value in edges(kinds[0])]
    elif not one.limits and len(kinds) == 2:
        pairs = list(itertools.product(edges(kinds[0]), edges(kinds[1])))
        found = generator.sample(pairs, min(len(pairs), count // 2))
    return (found + [draw() for _ in range(count)])[:count]


# ---- the table


def _integers() -> Iterator[Scalar]:
    for bits in (16, 32, 64):
        for sign in "us":
            kind = f"{sign}{bits}"
            two = (kind, kind, kind)
            for name, value in {
                "add": lambda a, b: a + b,
                "sub": lambda a, b: a - b,
                "mul.lo": lambda a, b: a * b,
            }.items():
                yield Scalar(f"{name}.{kind} {{d}}, {{a}}, {{b}};", two, _wrapped(value, bits))
            yield Scalar(f"mul.hi.{kind} {{d}}, {{a}}, {{b}};", two, _of(kind, lambda a, b, n=bits: a * b >> n))
            yield Scalar(f"min.{kind} {{d}}, {{a}}, {{b}};", two, _of(kind, min))
            yield Scalar(f"max.{kind} {{d}}, {{a}}, {{b}};", two, _of(kind, max))
            for name in ("div", "rem"):
                yield Scalar(
                    f"{name}.{kind} {{d}}, {{a}}, {{b}};",
                    two,
                    lambda a, b, k=kind, n=name: oracle.divided(a, b, k, remainder=n == "rem"),
                )
            yield Scalar(
                f"shr.{kind} {{d}}, {{a}}, {{b}};",
                (kind, kind, "u32"),
                lambda a, b, k=kind: oracle.shifted(a, b, k, left=False),
            )
            if bits < 64:
                wide = f"{sign}{2 * bits}"
                yield Scalar(f"mul.wide.{kind} {{d}}, {{a}}, {{b}};", (wide, kind, kind), _into(kind, wide, _times))
                yield Scalar(
                    f"mad.wide.{kind} {{d}}, {{a}}, {{b}}, {{c}};",
                    (wide, kind, kind, wide),
                    lambda a, b, c, k=kind, w=wide: masked(oracle.integer(a, k) * oracle.integer(b, k) + c, width(w)),
                )
            yield Scalar(
                f"mad.lo.{kind} {{d}}, {{a}}, {{b}}, {{c}};", (kind,) * 4, _wrapped(lambda a, b, c: a * b + c, bits)
            )
            yield Scalar(
                f"mad.hi.{kind} {{d}}, {{a}}, {{b}}, {{c}};",
                (kind,) * 4,
                _of(kind, lambda a, b, c, n=bits: (a * b >> n) + c),
            )
            for comparison in ("eq", "ne", "lt", "le", "gt", "ge"):
                yield Scalar(
                    f"set.{comparison}.u32.{kind} {{d}}, {{a}}, {{b}};",
                    ("u32", kind, kind),
                    lambda a, b, k=kind, c=comparison: (
                        0xFFFFFFFF * _compares(c, oracle.integer(a, k), oracle.integer(b, k))
                    ),
                )
        for name, operator in {
            "and": lambda a, b: a & b,
            "or": lambda a, b: a | b,
            "xor": lambda a, b: a ^ b,
        }.items():
            kind = f"b{bits}"
            yield Scalar(f"{name}.{kind} {{d}}, {{a}}, {{b}};", (kind,) * 3, operator)
        kind, s = f"b{bits}", f"s{bits}"
        yield Scalar(f"not.{kind} {{d}}, {{a}};", (kind, kind), _wrapped(lambda a: ~a, bits))
        yield Scalar(f"cnot.{kind} {{d}}, {{a}};", (kind, kind), lambda a: int(a == 0))
        yield Scalar(f"neg.{s} {{d}}, {{a}};", (s, s), _wrapped(lambda a: -a, bits))
        yield Scalar(f"abs.{s} {{d}}, {{a}};", (s, s), _of(s, abs))
        yield Scalar(
            f"shl.{kind} {{d}}, {{a}}, {{b}};",
            (kind, kind, "u32"),
            lambda a, b, k=kind: oracle.shifted(a, b, k, left=True),
        )
    for bits in (32, 64):
        kind = f"b{bits}"
        yield Scalar(f"popc.{kind} {{d}}, {{a}};", ("u32", kind), lambda a: a.bit_count())
        yield Scalar(f"clz.{kind} {{d}}, {{a}};", ("u32", kind), lambda a, n=bits: n - a.bit_length())
        yield Scalar(f"brev.{kind} {{d}}, {{a}};", (kind, kind), lambda a, n=bits: int(f"{a:0{n}b}"[::-1], 2))
        for sign in "us":
            k = f"{sign}{bits}"
            yield Scalar(f"bfind.{k} {{d}}, {{a}};", ("u32", k), lambda a, k=k: _highest(a, k))
            yield Scalar(
                f"bfind.shiftamt.{k} {{d}}, {{a}};",
                ("u32", k),
                lambda a, k=k: 0xFFFFFFFF if _highest(a, k) == 0xFFFFFFFF else width(k) - 1 - _highest(a, k),
            )
            yield Scalar(
                f"bfe.{k} {{d}}, {{a}}, {{b}}, {{c}};",
                (k, k, "u32", "u32"),
                lambda a, b, c, k=k: oracle.extracted(a, b, c, k),
                limits=(0, *_FIELD[bits]),
            )
            yield Scalar(f"sad.{k} {{d}}, {{a}}, {{b}}, {{c}};", (k,) * 4, _of(k, lambda a, b, c: c + abs(a - b)))
        yield Scalar(
            f"bfi.{kind} {{d}}, {{a}}, {{b}}, {{c}}, {{e}};",
            (kind, kind, kind, "u32", "u32"),
            lambda a, b, c, d, n=bits: oracle.inserted(a, b, c, d, n),
            limits=(0, 0, *_FIELD[bits]),
        )
    yield Scalar("add.sat.s32 {d}, {a}, {b};", ("s32",) * 3, _of("s32", lambda a, b: _clamped(a + b, "s32")))
    yield Scalar("sub.sat.s32 {d}, {a}, {b};", ("s32",) * 3, _of("s32", lambda a, b: _clamped(a - b, "s32")))
    yield Scalar(
        "mad.hi.sat.s32 {d}, {a}, {b}, {c};",
        ("s32",) * 4,
        _of("s32", lambda a, b, c: _clamped((a * b >> 32) + c, "s32")),
    )
    for sign in "us":
        kind = f"{sign}32"
        yield Scalar(
            f"mul24.lo.{kind} {{d}}, {{a}}, {{b}};",
            (kind,) * 3,
            lambda a, b, k=kind: masked(_low24(a, k) * _low24(b, k), 32),
        )
        yield Scalar(
            f"mul24.hi.{kind} {{d}}, {{a}}, {{b}};",
            (kind,) * 3,
            lambda a, b, k=kind: masked(_low24(a, k) * _low24(b, k) >> 16, 32),
        )
        for other in "us":
            yield Scalar(
                f"dp4a.{kind}.{other}32 {{d}}, {{a}}, {{b}}, {{c}};",
                ("b32",) * 4,
                lambda a, b, c, s=sign, o=other: masked(
                    c + sum(_part(a, 8 * i, 8, s) * _part(b, 8 * i, 8, o) for i in range(4)), 32
                ),
            )
            for half, first in (("lo", 0), ("hi", 2)):
                yield Scalar(
                    f"dp2a.{half}.{kind}.{other}32 {{d}}, {{a}}, {{b}}, {{c}};",
                    ("b32",) * 4,
                    lambda a, b, c, s=sign, o=other, f=first: masked(
                        c + sum(_part(a, 16 * i, 16, s) * _part(b, 8 * (f + i), 8, o) for i in range(2)), 32
                    ),
                )
    yield Scalar("prmt.b32 {d}, {a}, {b}, {c};", ("b32",) * 4, oracle.permuted)
    for mode in ("f4e", "b4e", "rc8", "ecl", "ecr", "rc16"):
        yield Scalar(
            f"prmt.b32.{mode} {{d}}, {{a}}, {{b}}, {{c}};",
            ("b32",) * 4,
            lambda a, b, c, m=mode: oracle.permuted(a, b, c, m),
        )
    for table in (0x96, 0xE8, 0x01, 0xCA, 0x7F):
        yield Scalar(
            f"lop3.b32 {{d}}, {{a}}, {{b}}, {{c}}, {table};",
            ("b32",) * 4,
            lambda a, b, c, t=table: _three_way(a, b, c, t),
        )
    for side in "lr":
        for mode in ("clamp", "wrap"):
            yield Scalar(
                f"shf.{side}.{mode}.b32 {{d}}, {{a}}, {{b}}, {{c}};",
                ("b32", "b32", "b32", "u32"),
                lambda a, b, c, s=side, m=mode: _funnel(a, b, c, s, m),
            )
    yield Scalar("fns.b32 {d}, {a}, {b}, {c};", ("b32",) * 4, oracle.find_nth, limits=(0, 32, 0))
    for mode in ("clamp", "wrap"):
        yield Scalar(
            f"bmsk.{mode}.b32 {{d}}, {{a}}, {{b}};", ("b32", "u32", "u32"), lambda a, b, m=mode: _mask(a, b, m)
        )


def _conversions() -> Iterator[Scalar]:
    integers = [f"{sign}{bits}" for bits in (16, 32, 64) for sign in "us"]
    for to, source in itertools.product(integers, integers):
        if to != source:
            yield Scalar(
                f"cvt.{to}.{source} {{d}}, {{a}};",
                (to, source),
                lambda a, t=to, s=source: masked(oracle.integer(a, s), width(t)),
            )
            if _ranges(to)[0] <= _ranges(source)[0] and _ranges(source)[1] <= _ranges(to)[1]:
                continue  # .sat is illegal where nothing can saturate
            yield Scalar(
                f"cvt.sat.{to}.{source} {{d}}, {{a}};",
                (to, source),
                lambda a, t=to, s=source: masked(_clamped(oracle.integer(a, s), t), width(t)),
            )
    for source, to in itertools.product(("f16", "f32", "f64"), integers):
        for rounding in ("rni", "rzi", "rmi", "rpi"):
            yield Scalar(
                f"cvt.{rounding}.{to}.{source} {{d}}, {{a}};",
                (to, source),
                lambda a, t=to, s=source, r=rounding: oracle.to_integer(number(a, s), t, r, s),
            )
    for source, to in itertools.product(integers, ("f16", "f32", "f64")):
        for rounding in ROUNDINGS:
            yield Scalar(
                f"cvt.{rounding}.{to}.{source} {{d}}, {{a}};",
                (to, source),
                lambda a, t=to, s=source, r=rounding: rounded(_fraction(oracle.integer(a, s)), t, r),
            )
    for to, source in (("f16", "f32"), ("f32", "f64"), ("f16", "f64"), ("bf16", "f32")):
        for rounding in ROUNDINGS if to == "f32" else ("rn", "rz"):
            if (to, source, rounding) == ("f16", "f64", "rz"):
                continue
            yield Scalar(
                f"cvt.{rounding}.{to}.{source} {{d}}, {{a}};",
                (to, source),
                lambda a, t=to, s=source, r=rounding: rounded(number(a, s), t, r),
                nan=True,
            )
    for to, source in (("f32", "f16"), ("f64", "f16"), ("f64", "f32")):
        yield Scalar(
            f"cvt.{to}.{source} {{d}}, {{a}};",
            (to, source),
            lambda a, t=to, s=source: rounded(number(a, s), t),
            nan=True,
        )
    for kind in ("f16", "f32", "f64"):
        for rounding in ("rni", "rzi", "rmi", "rpi"):
            yield Scalar(
                f"cvt.{rounding}.{kind}.{kind} {{d}}, {{a}};",
                (kind, kind),
                lambda a, k=kind, r=rounding: rounded(oracle.whole(number(a, k), r), k),
                nan=True,
            )
    yield Scalar(
        "cvt.rn.ftz.sat.f32.f64 {d}, {a};",
        ("f32", "f64"),
        lambda a: rounded(number(a, "f64"), "f32", sat=True, ftz=True),
    )


def _floats() -> Iterator[Scalar]:
    for kind in ("f32", "f64"):
        for rounding in ROUNDINGS:
            two, three = (kind,) * 3, (kind,) * 4
            for flags in ("", ".ftz", ".sat") if kind == "f32" else ("",):
                options = {"sat": flags == ".sat", "ftz": flags == ".ftz"}
                for name in ("add", "sub", "mul"):
                    yield Scalar(
                        f"{name}.{rounding}{flags}.{kind} {{d}}, {{a}}, {{b}};",
                        two,
                        lambda a, b, n=name, k=kind, r=rounding, o=options: rounded(
                            _combined(n, a, b, k, r, o), k, r, **o
                        ),
                        nan=kind == "f64",
                    )
                yield Scalar(
                    f"fma.{rounding}{flags}.{kind} {{d}}, {{a}}, {{b}}, {{c}};",
                    three,
                    lambda a, b, c, k=kind, r=rounding, o=options: rounded(_fused(a, b, c, k, r, o), k, r, **o),
                    nan=kind == "f64",
                )
            yield Scalar(
                f"div.{rounding}.{kind} {{d}}, {{a}}, {{b}};",
                two,
                lambda a, b, k=kind, r=rounding: rounded(oracle.quotient(number(a, k), number(b, k)), k, r),
                nan=kind == "f64",
            )
            yield Scalar(
                f"rcp.{rounding}.{kind} {{d}}, {{a}};",
                (kind, kind),
                lambda a, k=kind, r=rounding: rounded(oracle.quotient(_fraction(1), number(a, k)), k, r),
                nan=kind == "f64",
            )
            yield Scalar(
                f"sqrt.{rounding}.{kind} {{d}}, {{a}};",
                (kind, kind),
                lambda a, k=kind, r=rounding: oracle.root(number(a, k), k, r),
                nan=kind == "f64",
            )
        yield Scalar(f"neg.{kind} {{d}}, {{a}};", (kind, kind), lambda a, k=kind: a ^ 1 << (width(k) - 1), nan=True)
        yield Scalar(f"abs.{kind} {{d}}, {{a}};", (kind, kind), lambda a, k=kind: a & ~(1 << (width(k) - 1)), nan=True)
        yield Scalar(
            f"copysign.{kind} {{d}}, {{a}}, {{b}};",
            (kind,) * 3,
            lambda a, b, k=kind: b & ~(1 << (width(k) - 1)) | a & 1 << (width(k) - 1),
            nan=True,
        )
        for name in ("min", "max"):
            for keeps in (False, True) if kind == "f32" else (False,):
                yield Scalar(
                    f"{name}{'.NaN' * keeps}.{kind} {{d}}, {{a}}, {{b}};",
                    (kind,) * 3,
                    lambda a, b, n=name, s=keeps, k=kind: oracle.extremum(a, b, k, most=n == "max", keeps_nan=s),
                    nan=kind == "f64",
                )
        for comparison in ("eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"):
            yield Scalar(
                f"set.{comparison}.u32.{kind} {{d}}, {{a}}, {{b}};",
                ("u32", kind, kind),
                lambda a, b, c=comparison, k=kind: 0xFFFFFFFF * _compares_floats(c, number(a, k), number(b, k)),
            )
    for kind in ("f16", "bf16"):
        for name in ("add", "sub", "mul"):
            yield Scalar(
                f"{name}.rn.{kind} {{d}}, {{a}}, {{b}};",
                (kind,) * 3,
                lambda a, b, n=name, k=kind: rounded(_combined(n, a, b, k, "rn", {}), k),
            )
        yield Scalar(
            f"fma.rn.{kind} {{d}}, {{a}}, {{b}}, {{c}};",
            (kind,) * 4,
            lambda a, b, c, k=kind: rounded(_fused(a, b, c, k, "rn", {}), k),
        )
        for name in ("min", "max"):
            yield Scalar(
                f"{name}.{kind} {{d}}, {{a}}, {{b}};",
                (kind,) * 3,
                lambda a, b, n=name, k=kind: oracle.extremum(a, b, k, most=n == "max", keeps_nan=False),
            )


# ---- pieces


def _wrapped(value: Callable[..., int], bits: int) -> Callable[..., int]:
    return lambda *operands: masked(value(*operands), bits)


def _of(kind: str, value: Callable[..., int]) -> Callable[..., int]:
    return lambda *operands: masked(value(*(oracle.integer(operand, kind) for operand in operands)), width(kind))


def _into(kind: str, to: str, value: Callable[..., int]) -> Callable[..., int]:
    return lambda *operands: masked(value(*(oracle.integer(operand, kind) for operand in operands)), width(to))


def _times(a: int, b: int) -> int:
    return a * b


def _ranges(kind: str) -> tuple[int, int]:
    bits = width(kind)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)


def _clamped(value: int, kind: str) -> int:
    low, high = _ranges(kind)
    return max(low, min(high, value))


def _low24(value: int, kind: str) -> int:
    return signed(value & 0xFFFFFF, 24) if kind[0] == "s" else value & 0xFFFFFF


def _part(word: int, first: int, bits: int, sign: str) -> int:
    part = word >> first & ((1 << bits) - 1)
    return signed(part, bits) if sign == "s" else part


def _highest(a: int, kind: str) -> int:
    if kind[0] == "s" and a >> (width(kind) - 1):
        a = masked(~a, width(kind))
    return a.bit_length() - 1 if a else 0xFFFFFFFF


def _three_way(a: int, b: int, c: int, table: int) -> int:
    return sum((table >> (4 * (a >> i & 1) + 2 * (b >> i & 1) + (c >> i & 1)) & 1) << i for i in range(32))


def _funnel(a: int, b: int, c: int, side: str, mode: str) -> int:
    amount = min(c, 32) if mode == "clamp" else c & 31
    both = b << 32 | a
    return masked(both << amount >> 32 if side == "l" else both >> amount, 32)


def _mask(a: int, b: int, mode: str) -> int:
    if mode == "wrap":
        a, b = a & 31, b & 31
    return masked((1 << min(b, 32)) - 1 << min(a, 32), 32)


def _compares(comparison: str, a: int, b: int) -> bool:
    return {"eq": a == b, "ne": a != b, "lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[comparison]


def _compares_floats(comparison: str, a: oracle.Number, b: oracle.Number) -> bool:
    unordered = oracle.is_nan(a) or oracle.is_nan(b)
    if comparison in ("num", "nan"):
        return unordered == (comparison == "nan")
    if unordered:
        return comparison.endswith("u")
    return _compares(comparison.removesuffix("u"), a, b)  # type: ignore[arg-type]


def _fraction(value: int) -> oracle.Number:
    return oracle.Fraction(value)


def _taken(bits: int, kind: str, options: dict[str, bool]) -> oracle.Number:
    return number(oracle.flushed(bits, kind) if options.get("ftz") else bits, kind)


def _combined(name: str, a: int, b: int, kind: str, rounding: str, options: dict[str, bool]) -> oracle.Number:
    x, y = _taken(a, kind, options), _taken(b, kind, options)
    if name == "mul":
        return oracle.product(x, y)
    return oracle.total(x, y if name == "add" else _minus(y), rounding)


def _minus(value: oracle.Number) -> oracle.Number:
    return oracle.Fraction(0) if isinstance(value, float) and value == 0 else -0.0 if value == 0 else -value


def _fused(a: int, b: int, c: int, kind: str, rounding: str, options: dict[str, bool]) -> oracle.Number:
    x, y, z = (_taken(value, kind, options) for value in (a, b, c))
    return oracle.total(oracle.product(x, y), z, rounding)


TABLE = [*_integers(), *_conversions(), *_floats()]
