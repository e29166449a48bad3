"""The fundamental types of PTX, and LLVM's types for them (PTX ISA, "Fundamental Types").

Numbers of 32 and 64 bits with a floating type are LLVM's `float` and `double`. Everything else is an integer of its
width, because PTX's registers have bits and no meaning of their own.
"""

import re
import struct

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.ptx.syntax import Instruction, bytes_of, integer

_KIND = re.compile(r"pred|[bsuf]\d+(?:x2)?|bf16(?:x2)?|tf32")
CANONICAL_NAN = {  # PTX ISA, "Floating Point Instructions"
    "f32": "2147483647",
    "f16": "32767",
    "bf16": "32767",
}
STRONG = {"volatile", "relaxed", "acquire", "release", "mmio"}  # modifiers of accesses that other threads may await
SIXTEEN = {"f16": "half", "bf16": "bfloat16"}  # in the names of `support.sixteen_bits`


def is_kind(modifier: str) -> bool:
    """Whether a modifier of an instruction is a type."""
    return _KIND.fullmatch(modifier) is not None


def kinds_of(modifiers: tuple[str, ...]) -> list[str]:
    """The types among the modifiers, in order."""
    return [modifier for modifier in modifiers if is_kind(modifier)]


def kind_of(i: Instruction) -> str:
    """The last type of an instruction, which for most is that of its operands."""
    return kinds_of(i.modifiers)[-1]


def llvm(kind: str) -> str:
    """LLVM's type for values of a PTX type."""
    if kind == "pred":
        return "i1"
    return {"f32": "float", "f64": "double", "tf32": "i32"}.get(kind) or f"i{8 * bytes_of(kind)}"


def bits(kind: str) -> int:
    """The width of a PTX type."""
    return 1 if kind == "pred" else 8 * bytes_of(kind)


def is_signed(kind: str) -> bool:
    """Whether it is a signed integer."""
    return kind.startswith("s")


def is_floating(kind: str) -> bool:
    """Whether it is a floating type."""
    return kind.startswith(("f", "bf", "tf"))


def literal(token: str, kind: str) -> str:
    """An immediate operand as a constant of LLVM's type for `kind`. Raises UnsupportedError for what is none."""
    sign = token.startswith("-")
    digits = token.lstrip("-")
    try:
        if digits[:2] in ("0f", "0F", "0d", "0D"):
            word, width = int("0x" + digits[2:], 0), 32 if digits[1] in "fF" else 64
            if sign:
                word ^= 1 << (width - 1)
            return _floating(word, width, kind)
        if kind in ("f32", "f64"):
            number = float(digits) if re.search(r"[.eE]", digits) else float(integer(digits))
            form, width = ("<d", 64) if kind == "f64" else ("<f", 32)
            return _floating(int.from_bytes(struct.pack(form, -number if sign else number), "little"), width, kind)
        value = -integer(digits) if sign else integer(digits)
    except ValueError as error:
        raise UnsupportedError(f"PTX: {token!r} is no immediate operand of type {kind}") from error
    width = bits(kind)
    value &= (1 << width) - 1
    if kind == "pred":
        return "true" if value else "false"
    return str(value - (1 << width) if value >> (width - 1) else value)


def _floating(word: int, width: int, kind: str) -> str:
    """A floating literal with the bits `word`, for a use of type `kind`."""
    if kind == "f64" and width == 32:
        return f"0x{int.from_bytes(struct.pack('>d', struct.unpack('>f', struct.pack('>I', word))[0]), 'big'):016X}"
    if kind == "f32" and width == 64:
        word = int.from_bytes(struct.pack(">f", struct.unpack(">d", struct.pack(">Q", word))[0]), "big")
    elif kind == "f64":
        return f"0x{word:016X}"
    if kind == "f32":
        return f"bitcast (i32 {word - (word >> 31 << 32)} to float)"
    return str(word - (word >> (width - 1) << width))
