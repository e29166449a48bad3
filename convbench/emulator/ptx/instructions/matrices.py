"""Matrix instructions of warps: mma, and moves between fragments and shared memory. `emulator.products` computes."""

from collections.abc import Callable

from convbench.emulator.collectives import products
from convbench.emulator.ptx.body import Body
from convbench.emulator.ptx.instructions.blocks import (
    SUMS,
    UNKNOWN,
    ask,
    block_of,
    factor_of,
    kinds_among,
    put,
    register_of,
    run_together,
    shape_among,
    take,
    words_of,
)
from convbench.emulator.ptx.instructions.table import lowers
from convbench.emulator.ptx.special import read_special
from convbench.emulator.ptx.syntax import Address, Instruction
from convbench.emulator.state import FaultKind

_WARP = "Warp-Level Matrix Instructions"
_ROW_BYTES = 16  # that a lane brings to ldmatrix
_HALVES = {"f16", "f32"}
# the shapes, rows and depth, of which factors, and the types of sums; all have eight columns
_SHAPES: list[tuple[set[str], set[tuple[int, int]], set[str]]] = [
    ({"f16"}, {(16, 8), (16, 16)}, _HALVES),
    ({"bf16"}, {(16, 8), (16, 16)}, {"f32"}),
    ({"tf32"}, {(16, 4), (16, 8)}, {"f32"}),
    ({"f64"}, {(8, 4), (16, 4), (16, 8), (16, 16)}, {"f64"}),
    ({"e4m3", "e5m2"}, {(16, 16), (16, 32)}, _HALVES),
    ({"s8", "u8"}, {(8, 16), (16, 16), (16, 32)}, {"s32"}),
    ({"s4", "u4"}, {(8, 32), (16, 32), (16, 64)}, {"s32"}),
    ({"b1"}, {(8, 128), (16, 128), (16, 256)}, {"s32"}),
]
_REFUSED = {
    "sp": "sparse factors are not", "sp::ordered_metadata": "sparse factors are not",
    "block_scale": "factors with scales for blocks are not",
}  # fmt: skip
# the instructions that `tensor` computes faster
_FAST = {
    ("m16n8k8", "tf32"): products.TF32, ("m16n8k16", "f16"): products.F16, ("m16n8k16", "bf16"): products.BF16,
}  # fmt: skip


@lowers("mma", section=f"{_WARP}: mma")
def multiply(e: Body, i: Instruction) -> None:
    """Set d = a · b + c, for the fragments of a warp."""
    words = i.modifiers
    for word, why in _REFUSED.items():
        if word in words:
            raise e.refuse(why)
    kinds, (rows, columns, depth) = kinds_among(words), shape_among(words)
    is_by_quads = kinds[1:3] == ["f16", "f16"] and (rows, columns, depth) == (8, 8, 4) and kinds[:1] == kinds[3:]
    if len(kinds) != 4 or not (is_by_quads or _is_known(kinds, (rows, columns, depth))):
        raise e.refuse(UNKNOWN)
    if {"rz", "rm", "rp"} & set(words):
        raise e.refuse("only rounding to nearest is")
    to, left, right, added = kinds
    d, a, b, c = i.operands[:4]
    kind, kind_c, kind_d = "f64" if left == "f64" else "b32", register_of(added), register_of(to)
    first = words_of(a, kind) + words_of(b, kind)
    block = block_of(e, first + max(words_of(c, kind_c), words_of(d, kind_d)))
    put(e, block, put(e, block, put(e, block, 0, a, kind), b, kind), c, kind_c)
    if is_by_quads:
        orders = [word == "row" for word in words if word in ("row", "col")]
        ask(e, block, products.quads_option((SUMS[added], SUMS[to]), (orders[0], orders[1])))
        take(e, d, block, first, kind_d)
        return
    fast = _FAST.get((f"m{rows}n{columns}k{depth}", left)) if to == added == "f32" else None
    factors = factor_of(left, words), factor_of(right, words)
    ask(e, block, fast if fast is not None else products.mma_option(
        rows, depth, factors, (SUMS[added], SUMS[to]), saturates="satfinite" in words
    ))  # fmt: skip
    take(e, d, block, first, kind_d)


def _is_known(kinds: list[str], shape: tuple[int, int, int]) -> bool:
    to, left, right, added = kinds
    rows, columns, depth = shape
    return columns == products.COLUMNS and any(
        {left, right} <= factors and (rows, depth) in shapes and {to, added} <= sums
        for factors, shapes, sums in _SHAPES
    )  # fmt: skip


# ---- moves


@lowers("ldmatrix", section=f"{_WARP}: ldmatrix")
def load_matrix(e: Body, i: Instruction) -> None:
    """Load one, two or four matrices of 8 × 8 halves for a warp."""
    count, address = _matrices(e, i), i.operands[1]
    assert isinstance(address, Address)
    block = block_of(e, 4)

    def read() -> None:
        pointer = e.memory.pointer(e, address, "shared", _ROW_BYTES, FaultKind.READ_OUTSIDE)
        e.put(f"store <4 x i32> {e.op(f'load <4 x i32>, ptr {pointer}, align 1')}, ptr {block}, align 16")

    _for_lanes(e, 8 * count, read)
    ask(e, block, products.move_option(i.opcode, count, transposed="trans" in i.modifiers))
    take(e, i.operands[0], block, 0, "b32")


@lowers("stmatrix", section=f"{_WARP}: stmatrix")
def store_matrix(e: Body, i: Instruction) -> None:
    """Store one, two or four matrices of 8 × 8 halves of a warp."""
    count, address = _matrices(e, i), i.operands[0]
    assert isinstance(address, Address)
    block = block_of(e, 4)
    put(e, block, 0, i.operands[1], "b32")
    ask(e, block, products.move_option(i.opcode, count, transposed="trans" in i.modifiers))

    def write() -> None:
        pointer = e.memory.pointer(e, address, "shared", _ROW_BYTES, FaultKind.WRITE_OUTSIDE)
        e.put(f"store <4 x i32> {e.op(f'load <4 x i32>, ptr {block}, align 16')}, ptr {pointer}, align 1")

    _for_lanes(e, 8 * count, write)
    run_together(e)


@lowers("movmatrix", section=f"{_WARP}: movmatrix")
def transpose_matrix(e: Body, i: Instruction) -> None:
    """Set d = the fragment of the transposed matrix."""
    block = block_of(e, 4)
    put(e, block, 0, i.operands[1], "b32")
    ask(e, block, products.move_option(i.opcode, 1, transposed=True))
    take(e, i.operands[0], block, 0, "b32")


def _matrices(e: Body, i: Instruction) -> int:
    if not {"m8n8", "b16"} <= set(i.modifiers):
        raise e.refuse("only matrices of 8 × 8 halves, m8n8 and b16, are")
    return next(int(word[1:]) for word in i.modifiers if word in ("x1", "x2", "x4"))


def _for_lanes(e: Body, count: int, act: Callable[[], None]) -> None:
    """Act in the first lanes of the warp: the others bring no address."""
    if count == 32:
        act()
    else:
        e.either(e.op(f"icmp ult i32 {read_special(e, '%laneid', 'u32')}, {count}"), act)
