"""What one warp does in an instruction for tensor cores: multiply-adds, and bytes of the matrices that it moves.

A warpgroup of four warps does a product of `wgmma` together, so each warp has a quarter of it. It reads the right
matrix from shared memory, and the left one if that is not in registers. Their layout is prescribed and has no
conflicts. `wmma.load` and `wmma.store` move one matrix. Their conflicts between banks are not known, because it is not
told which lanes have which elements.
"""

import re

WARPGROUP = 4
_BITS = {
    **dict.fromkeys(("f64", "s64", "u64"), 64),
    **dict.fromkeys(("f32", "tf32", "s32", "u32"), 32),
    **dict.fromkeys(("f16", "bf16"), 16),
    **dict.fromkeys(("s8", "u8", "e4m3", "e5m2"), 8),
    **dict.fromkeys(("s4", "u4"), 4),
    "b1": 1,
}


def _shape(opcode: str) -> tuple[int, int, int] | None:
    found = re.search(r"\bm(\d+)n(\d+)k(\d+)\b", opcode)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def factor_bits(opcode: str) -> int:
    """The bits of an element of the factors."""
    kinds = [word for word in opcode.split(".") if word in _BITS]
    factors = kinds[1:3] if not opcode.startswith("wmma") or len(kinds) == 4 else ["f16"]
    return max((_BITS[kind] for kind in factors), default=16)


def multiply_adds(opcode: str) -> float:
    """The multiply-adds of one warp; 0 for other instructions."""
    name, shape = opcode.partition(".")[0], _shape(opcode)
    if shape is None or not (name == "mma" or opcode.startswith(("wmma.mma", "wgmma.mma_async"))):
        return 0.0
    rows, columns, depth = shape
    return rows * columns * depth / (WARPGROUP if name == "wgmma" else 1)


def matrix_bytes(text: str) -> float:
    """The bytes of matrices in memory that one warp moves by `wgmma`, `wmma.load` or `wmma.store`; 0 for others."""
    opcode = next((word for word in text.split() if not word.startswith("@")), "").rstrip(";")
    shape = _shape(opcode)
    if shape is None:
        return 0.0
    rows, columns, depth = shape
    if opcode.startswith("wgmma.mma_async"):
        is_in_registers = text.count("{") > 1
        places = (columns + (0 if is_in_registers else rows)) * depth
        return places * factor_bits(opcode) / 8 / WARPGROUP
    if opcode.startswith(("wmma.load", "wmma.store")):
        words = opcode.split(".")
        places = {"a": rows * depth, "b": columns * depth}.get(words[2], rows * columns)
        return places * next(_BITS[word] for word in reversed(words) if word in _BITS) / 8
    return 0.0
