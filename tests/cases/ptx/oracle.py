"""What PTX instructions compute, written in Python from the PTX ISA alone: one side of a differential test.

A value is an integer, the bits of a register. Floating-point numbers are rational numbers until they are rounded, so
the arithmetic of the host's processor has no part in it.
"""

import math
from fractions import Fraction

FORMATS = {"f16": (5, 10), "bf16": (8, 7), "f32": (8, 23), "f64": (11, 52)}  # bits of exponent and fraction
CANONICAL = {"f16": 0x7FFF, "bf16": 0x7FFF, "f32": 0x7FFFFFFF}

Number = Fraction | float  # a rational number, or one of: infinities, NaN, −0.0


def width(kind: str) -> int:
    """Bits of a type."""
    return 16 if kind == "bf16" else int(kind.lstrip("busf"))


def masked(value: int, bits: int) -> int:
    return value & ((1 << bits) - 1)


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def integer(bits: int, kind: str) -> int:
    """The integer that a register of this type holds."""
    return signed(bits, width(kind)) if kind[0] == "s" else bits


def number(bits: int, kind: str) -> Number:
    """The number that a register of a floating type holds."""
    exponents, fractions = FORMATS[kind]
    sign = -1 if bits >> (exponents + fractions) else 1
    exponent, fraction = bits >> fractions & ((1 << exponents) - 1), bits & ((1 << fractions) - 1)
    bias = (1 << (exponents - 1)) - 1
    if exponent == (1 << exponents) - 1:
        return math.nan if fraction else sign * math.inf
    if exponent == 0 and fraction == 0:
        return sign * 0.0 if sign < 0 else Fraction(0)
    if exponent == 0:
        return sign * Fraction(fraction) * Fraction(2) ** (1 - bias - fractions)
    return sign * (Fraction(fraction) + (1 << fractions)) * Fraction(2) ** (exponent - bias - fractions)


def is_nan(value: Number) -> bool:
    return isinstance(value, float) and math.isnan(value)


def is_negative(value: Number) -> bool:
    return math.copysign(1, value) < 0 if isinstance(value, float) else value < 0


def rounded(value: Number, kind: str, rounding: str = "rn", *, sat: bool = False, ftz: bool = False) -> int:
    """The bits of a number of a floating type, rounded in one of the four directions."""
    exponents, fractions = FORMATS[kind]
    if is_nan(value):
        if sat:
            return 0
        return CANONICAL.get(kind, 0x7FF8000000000000)
    if sat:
        if is_negative(value) or value == 0:
            return 0
        value = min(value, Fraction(1))
    sign = (1 << (exponents + fractions)) if is_negative(value) else 0
    most = (((1 << exponents) - 1) << fractions) - 1  # the largest finite number
    infinity = most + 1
    if isinstance(value, float) and math.isinf(value):
        return sign | infinity
    size = abs(Fraction(value))
    if size == 0:
        return sign
    bias = (1 << (exponents - 1)) - 1
    exponent = max(math.floor(_log2(size)), 1 - bias)
    units = size / Fraction(2) ** (exponent - fractions)
    whole = math.floor(units)
    rest = units - whole
    up = {
        "rn": rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1),
        "rna": rest >= Fraction(1, 2),
        "rz": False,
        "rm": bool(sign) and rest > 0,
        "rp": not sign and rest > 0,
    }[rounding]
    whole += up
    bits = (exponent + bias - 1 << fractions) + whole if whole >> fractions else whole
    if bits >= infinity:
        stays = rounding == "rz" or (rounding == "rm" and not sign) or (rounding == "rp" and sign)
        bits = most if stays else infinity
    if ftz and bits >> fractions == 0:
        bits = 0
    return sign | bits


def _log2(value: Fraction) -> int:
    """The exponent of a positive number."""
    found = value.numerator.bit_length() - value.denominator.bit_length()
    return found if Fraction(2) ** found <= value else found - 1


def flushed(bits: int, kind: str) -> int:
    """A float32 whose subnormals are the zero of their sign."""
    exponents, fractions = FORMATS[kind]
    sign = 1 << (exponents + fractions)
    return bits & sign if bits & (sign - 1) < 1 << fractions else bits


def total(a: Number, b: Number, rounding: str) -> Number:
    """a + b, with the sign that a zero has in a rounding direction."""
    if is_nan(a) or is_nan(b):
        return math.nan
    if _is_infinite(a) or _is_infinite(b):
        if _is_infinite(a) and _is_infinite(b):
            return a if a == b else math.nan
        return a if _is_infinite(a) else b
    found = Fraction(a) + Fraction(b)
    if found == 0:
        if is_negative(a) == is_negative(b) and a == 0 and b == 0:
            return a
        return -0.0 if rounding == "rm" else Fraction(0)
    return found


def product(a: Number, b: Number) -> Number:
    if is_nan(a) or is_nan(b):
        return math.nan
    negative = is_negative(a) != is_negative(b)
    if _is_infinite(a) or _is_infinite(b):
        return math.nan if 0 in (a, b) else -math.inf if negative else math.inf
    found = Fraction(a) * Fraction(b)
    return -0.0 if found == 0 and negative else found


def quotient(a: Number, b: Number) -> Number:
    if is_nan(a) or is_nan(b):
        return math.nan
    negative = is_negative(a) != is_negative(b)
    if _is_infinite(a):
        return math.nan if _is_infinite(b) else -math.inf if negative else math.inf
    if b == 0:
        return math.nan if a == 0 else -math.inf if negative else math.inf
    if _is_infinite(b):
        return -0.0 if negative else Fraction(0)
    found = Fraction(a) / Fraction(b)
    return -0.0 if found == 0 and negative else found


def root(value: Number, kind: str, rounding: str) -> int:
    """The bits of a square root."""
    if is_nan(value) or (is_negative(value) and value != 0):
        return rounded(math.nan, kind)
    if value == 0 or _is_infinite(value):
        return rounded(value, kind)
    value = Fraction(value)
    # enough bits that the integer root tells the direction; a remainder counts as something small behind them
    places = 1300
    shifted = (value.numerator << 2 * places) // value.denominator
    whole = math.isqrt(shifted)
    exact = whole * whole == shifted and (value.numerator << 2 * places) % value.denominator == 0
    found = Fraction(2 * whole + (not exact), 2 << places)
    return rounded(found, kind, rounding)


def _is_infinite(value: Number) -> bool:
    return isinstance(value, float) and math.isinf(value)


def whole(value: Number, rounding: str) -> Number:
    """A number rounded to an integer: to nearest even (rni), to zero (rzi), down (rmi) or up (rpi)."""
    if isinstance(value, float) and not math.isfinite(value):
        return value
    found = {"rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil}[rounding](Fraction(value))
    return -0.0 if found == 0 and is_negative(value) else Fraction(found)


def to_integer(value: Number, kind: str, rounding: str, source: str) -> int:
    """cvt from a floating type to an integer: clamped, and NaN as the ISA says."""
    bits = width(kind)
    if is_nan(value):
        return 1 << (bits - 1) if source == "f64" or bits == 64 else 0
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)
    if _is_infinite(value):
        return masked(low if value < 0 else high, bits)
    return masked(max(low, min(high, int(whole(value, rounding)))), bits)


def extremum(a: int, b: int, kind: str, *, most: bool, keeps_nan: bool) -> int:
    """min or max of two floats; +0 is above −0."""
    x, y = number(a, kind), number(b, kind)
    if is_nan(x) or is_nan(y):
        if keeps_nan or (is_nan(x) and is_nan(y)):
            return rounded(math.nan, kind)
        return b if is_nan(x) else a
    first = (x, not is_negative(x)) > (y, not is_negative(y))
    return a if first == most else b


# ---- integers


def divided(a: int, b: int, kind: str, *, remainder: bool) -> int:
    """The quotient or the remainder; by zero, which the ISA leaves open, both have all bits set as ptxas folds them."""
    bits = width(kind)
    x, y = integer(a, kind), integer(b, kind)
    if y == 0:
        return (1 << bits) - 1
    found = abs(x) // abs(y)
    found = -found if (x < 0) != (y < 0) else found
    return masked(x - found * y if remainder else found, bits)


def shifted(a: int, amount: int, kind: str, *, left: bool) -> int:
    """shl or shr; amounts above the width are clamped."""
    bits = width(kind)
    amount = min(amount, bits)
    return masked(a << amount if left else integer(a, kind) >> amount, bits)


def extracted(a: int, b: int, c: int, kind: str) -> int:
    """bfe, as the ISA's own loop has it."""
    bits = width(kind)
    position, length = b & 0xFF, c & 0xFF
    sign = 0 if kind[0] == "u" or length == 0 else a >> min(position + length - 1, bits - 1) & 1
    found = 0
    for i in range(bits):
        bit = a >> (position + i) & 1 if i < length and position + i < bits else sign
        found |= bit << i
    return found


def inserted(a: int, b: int, c: int, d: int, bits: int) -> int:
    """bfi, as the ISA's own loop has it."""
    position, length = c & 0xFF, d & 0xFF
    found = b
    for i in range(length):
        if position + i < bits:
            found = found & ~(1 << (position + i)) | (a >> i & 1) << (position + i)
    return found


def permuted(a: int, b: int, c: int, mode: str = "") -> int:
    """prmt: four bytes of b:a."""
    data = [(b << 32 | a) >> 8 * i & 0xFF for i in range(8)]
    s = c & 3
    rows = {
        "f4e": [s + i for i in range(4)],
        "b4e": [(s - i) % 8 for i in range(4)],
        "rc8": [s] * 4,
        "ecl": [max(i, s) for i in range(4)],
        "ecr": [min(i, s) for i in range(4)],
        "rc16": [2 * (s & 1), 2 * (s & 1) + 1] * 2,
    }
    if mode:
        return sum(data[place] << 8 * i for i, place in enumerate(rows[mode]))
    found = 0
    for i in range(4):
        selector = c >> 4 * i & 15
        byte = data[selector & 7]
        if selector & 8:
            byte = 0xFF if byte & 0x80 else 0
        found |= byte << 8 * i
    return found


def find_nth(mask: int, base: int, offset: int) -> int:
    """fns, as the ISA's own loop has it."""
    offset = signed(offset, 32)
    if offset == 0:
        return base if mask >> base & 1 else 0xFFFFFFFF
    position, left = base, abs(offset) - 1
    while 0 <= position < 32:
        if mask >> position & 1:
            if left == 0:
                return position
            left -= 1
        position += 1 if offset > 0 else -1
    return 0xFFFFFFFF
