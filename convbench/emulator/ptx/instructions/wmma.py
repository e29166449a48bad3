"""wmma: matrices of a whole warp, whose fragments have a layout that no program may know.

Here lane l has the elements l·p to (l + 1)·p - 1 of a fragment with p elements for each lane. Elements are counted
along the rows of A, the columns of B, and the rows of C and D. If the lanes have room for more than the matrix, they
hold it more than once. `emulator.products` computes.
"""

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
from convbench.emulator.ptx.memory import space_of
from convbench.emulator.ptx.special import read_special
from convbench.emulator.ptx.syntax import Address, Instruction
from convbench.emulator.state import FaultKind

_SECTION = "Warp-Level Matrix Instructions: wmma"
_LARGE = {(16, 16, 16), (8, 32, 16), (32, 8, 16)}
# the types of factors, their shapes, the types of sums
_SHAPES: list[tuple[set[str], set[tuple[int, int, int]], set[str]]] = [
    ({"f16"}, _LARGE, {"f16", "f32"}), ({"bf16"}, _LARGE, {"f32"}), ({"tf32"}, {(16, 16, 8)}, {"f32"}),
    ({"f64"}, {(8, 8, 4)}, {"f64"}), ({"s8", "u8"}, _LARGE, {"s32"}), ({"s4", "u4"}, {(8, 8, 32)}, {"s32"}),
    ({"b1"}, {(8, 8, 128)}, {"s32"}),
]  # fmt: skip
_BITS = {"f32": 32, "s32": 32, "f64": 64}


@lowers("wmma", section=_SECTION)
def whole_matrix(e: Body, i: Instruction) -> None:
    """Load or store a fragment, or set d = a · b + c."""
    if i.modifiers[0] == "mma":
        _multiply(e, i)
    else:
        _move(e, i)


def _width(kind: str) -> int:
    return _BITS[kind] if kind in _BITS else products.BITS[factor_of(kind, ())]


def _multiply(e: Body, i: Instruction) -> None:
    words, kinds, shape = i.modifiers, kinds_among(i.modifiers), shape_among(i.modifiers)
    if len(kinds) == 2:  # d and c; the factors are halves
        kinds = [kinds[0], "f16", "f16", kinds[1]]
    if len(kinds) != 4 or not any(
        {kinds[1], kinds[2]} <= factors and shape in shapes and {kinds[0], kinds[3]} <= sums
        for factors, shapes, sums in _SHAPES
    ):
        raise e.refuse(UNKNOWN)
    if {"rz", "rm", "rp"} & set(words):
        raise e.refuse("only rounding to nearest is")
    to, left, right, added = kinds
    d, a, b, c = i.operands
    kind, kind_c, kind_d = "f64" if left == "f64" else "b32", register_of(added), register_of(to)
    words_a, words_b = words_of(a, kind), words_of(b, kind)
    block = block_of(e, words_a + words_b + max(words_of(c, kind_c), words_of(d, kind_d)))
    put(e, block, put(e, block, put(e, block, 0, a, kind), b, kind), c, kind_c)
    factors, sums = (factor_of(left, words), factor_of(right, words)), (SUMS[added], SUMS[to])
    ask(e, block, products.wmma_option(shape, factors, sums, (words_a, words_b), saturates="satfinite" in words))
    take(e, d, block, words_a + words_b, kind_d)


def _move(e: Body, i: Instruction) -> None:
    """Load or store the elements that this lane has."""
    is_load, which, kind = i.modifiers[0] == "load", i.modifiers[1], kinds_among(i.modifiers)[-1]
    rows, columns, depth = shape_among(i.modifiers)
    fragment, address, *more = i.operands if is_load else (i.operands[1], i.operands[0], *i.operands[2:])
    assert isinstance(address, Address)
    extents = {"a": (rows, depth), "b": (columns, depth)}.get(which, (rows, columns))  # lines, and places in a line
    along = ("col" if which == "b" else "row") in i.modifiers  # whether a line lies in memory as a whole
    stride = e.get(more[0], "u32") if more else str(extents[1] if along else extents[0])
    width = _width(kind)
    if width < 8 and not along:
        raise e.refuse("elements of less than a byte lie along the sum")
    register = "f64" if kind == "f64" else "b32"
    count, size = words_of(fragment, register), max(width // 8, 1)
    step = 32 // width if width < 8 else 1  # elements that are moved at once
    block, per_lane = block_of(e, count), count * 32 // width
    wide = e.op(f"zext i32 {stride} to i64")
    lane = e.op(f"zext i32 {read_special(e, '%laneid', 'u32')} to i64")
    begin = e.op(f"mul i64 {lane}, {per_lane}")
    root, space, base = e.memory.root(address), space_of(i), e.memory.value(e, address)
    if not is_load:
        put(e, block, 0, fragment, register)
    for number in range(0, per_lane, step):
        element = e.op(f"and i64 {e.op(f'add i64 {begin}, {number}')}, {extents[0] * extents[1] - 1}")
        line, inside = e.op(f"udiv i64 {element}, {extents[1]}"), e.op(f"urem i64 {element}, {extents[1]}")
        far, near = (line, inside) if along else (inside, line)
        place = e.op(f"add i64 {e.op(f'mul i64 {far}, {wide}')}, {near}")
        place = e.op(f"lshr i64 {place}, {3 - width.bit_length() + 1}" if width < 8 else f"mul i64 {place}, {size}")
        fault = FaultKind.READ_OUTSIDE if is_load else FaultKind.WRITE_OUTSIDE
        moved = 4 if width < 8 else size
        memory = e.memory.inside(e, e.op(f"add i64 {base}, {place}"), root, space, moved, fault)
        own = e.op(f"getelementptr i8, ptr {block}, i64 {number * width // 8}")
        to, source = (own, memory) if is_load else (memory, own)
        e.put(f"store i{8 * moved} {e.op(f'load i{8 * moved}, ptr {source}, align 1')}, ptr {to}, align 1")
    if not is_load:
        run_together(e)
    if is_load:
        take(e, fragment, block, 0, register if register == "f64" else register_of(kind))
