"""Matrix products of warpgroups. `emulator.warpgroup_products` computes.

A product is computed where it is issued, so fences, commits and waits have nothing to do. A right program cannot tell
the difference. Checked mode counts the groups, to find a program that touches sums or operands before its wait
(`pending`, `checks.operands`).
"""

from convbench.emulator.collectives import products, warpgroup_products
from convbench.emulator.ptx.body import Body
from convbench.emulator.ptx.instructions.blocks import (
    SUMS,
    UNKNOWN,
    block_of,
    factor_of,
    kinds_among,
    put,
    register_of,
    shape_among,
    take,
    word_at,
    words_of,
)
from convbench.emulator.ptx.instructions.table import lowers
from convbench.emulator.ptx.syntax import Instruction, Vector
from convbench.emulator.ptx.watched import WatchedMemory

_GROUP = "Asynchronous Warpgroup-Level Matrix Multiply-Accumulate Instructions"
_ROWS, _LEAST, _MOST = 64, 8, 256
_DEPTH_BITS = 256  # of a row of a factor
# types of factors that go together, and of their sums
_TYPES: list[tuple[set[str], set[str]]] = [
    ({"f16"}, {"f16", "f32"}), ({"bf16"}, {"f32"}), ({"tf32"}, {"f32"}), ({"e4m3", "e5m2"}, {"f16", "f32"}),
    ({"s8", "u8"}, {"s32"}), ({"b1"}, {"s32"}),
]  # fmt: skip


@lowers("wgmma", section=_GROUP)
def multiply_in_warpgroup(e: Body, i: Instruction) -> None:
    """Set d = a · b + d, for the fragments of a warpgroup; a is in registers or in shared memory."""
    words = i.modifiers
    if words[0] != "mma_async":  # fences, groups and waits order what has happened already
        if isinstance(e.memory, WatchedMemory) and words[0] == "commit_group":
            e.memory.commit_products(e)
        elif isinstance(e.memory, WatchedMemory) and words[0] == "wait_group":
            e.memory.wait_for_products(e, str(i.operands[0]))
        return
    if "sp" in words:
        raise e.refuse("sparse factors are not")
    kinds, (rows, columns, depth) = kinds_among(words), shape_among(words)
    if len(kinds) != 3 or not any({*kinds[1:]} <= factors and kinds[0] in sums for factors, sums in _TYPES):
        raise e.refuse(UNKNOWN)
    to, left, right = kinds
    factors = factor_of(left, words), factor_of(right, words)
    is_deep = depth * products.BITS[factors[0]] == _DEPTH_BITS
    if rows != _ROWS or columns % 8 or not _LEAST <= columns <= _MOST or not is_deep:
        raise e.refuse(UNKNOWN)
    d, a, b, adds, *rest = i.operands
    by_descriptor = not isinstance(a, Vector)
    signs, orders = rest[:2], rest[2:]
    if orders and not by_descriptor:
        orders = ["0", *orders]  # registers have one order
    option = warpgroup_products.product_option(
        columns, factors, SUMS[to], by_descriptor=by_descriptor, saturates="satfinite" in words,
        negated=(signs[:1] == ["-1"], signs[1:] == ["-1"]), transposed=(orders[:1] == ["1"], orders[1:] == ["1"]),
    )  # fmt: skip
    kind = register_of(to)
    block = block_of(e, warpgroup_products.SUMS + words_of(d, kind))
    put(e, block, warpgroup_products.A_WORDS, a, "b64" if by_descriptor else "b32")
    put(e, block, warpgroup_products.B_WORD, b, "b64")
    is_added = e.op(f"zext i1 {e.get(adds, 'pred')} to i32")
    e.put(f"store i32 {is_added}, ptr {word_at(e, block, warpgroup_products.ADDS)}, align 4")
    if e.pending:
        e.pending.quietly(lambda: put(e, block, warpgroup_products.SUMS, d, kind))
    else:
        put(e, block, warpgroup_products.SUMS, d, kind)
    e.call("void", "emu.ptx.wgmma_now", f"ptr {block}", f"i64 {option}", f"i64 {e.site}")
    take(e, d, block, warpgroup_products.SUMS, kind)
