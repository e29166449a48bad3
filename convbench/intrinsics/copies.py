"""Asynchronous copies from global to shared memory: cp.async, its groups, and the wait for them.

A copy has landed only when its thread has waited for its group. Other threads see it after a barrier that follows the
wait. Copies of 16 bytes bypass the first-level cache; copies of 4 bytes go through it. If the condition `ok` of a copy
is false, the destination becomes zero and the source is not read.

Source: PTX ISA, "Data Movement and Conversion Instructions: cp.async" (compute capability 8.0; ignore-src operand).
"""

from functools import partial
from typing import Any

from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic

from convbench.intrinsics.addresses import WORD, element, in_global, in_shared, ptx, require_flat
from convbench.intrinsics.bare import bare
from convbench.intrinsics.memory import checked_if, place
from convbench.intrinsics.twins import with_twin

_VOID = ir.VoidType()
_CACHED = {4: "ca", 16: "cg"}


def copy_text(size: int, *, conditional: bool) -> str:
    """The PTX of a copy of `size` bytes."""
    copy = f"cp.async.{_CACHED[size]}.shared.global [$0], [$1], {size}"
    return f"{{ .reg .pred p; setp.eq.u32 p, $2, 0; {copy}, p; }}" if conditional else f"{copy};"


COMMIT_TEXT = "cp.async.commit_group;"


def wait_text(pending: int) -> str:
    """The PTX of a wait until at most `pending` groups of this thread are under way."""
    return f"cp.async.wait_group {pending};"


def _copy(size: int, *, conditional: bool) -> Any:
    """The intrinsic that copies `size` bytes, from and to arrays whose elements have 4 bytes."""
    count, name = size // 4, f"copy_async_{size}" + ("_if" if conditional else "")
    text = copy_text(size, conditional=conditional)

    def twin(to: Any, to_index: Any, source: Any, source_index: Any, ok: Any = True) -> None:
        first = place(to, to_index, count)
        begin = place(source, source_index, count) if ok else 0
        value = source[begin : begin + count].copy() if ok else 0
        _pending().append((to, slice(first, first + count), value))

    def typed(to: Any, to_index: Any, source: Any, source_index: Any) -> None:
        require_flat(name, to, to_index, bits=(32,))
        require_flat(name, source, source_index, bits=(32,))

    if conditional:

        @with_twin(twin)
        @intrinsic
        def copy_if(typing_context: Any, to: Any, to_index: Any, source: Any, source_index: Any, ok: Any) -> Any:
            typed(to, to_index, source, source_index)

            def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                there = element(context, builder, to, values[0], values[1], to_index, count)
                here = checked_if(context, builder, source, values[2:], source_index, count)
                given = [in_shared(builder, there), in_global(builder, here), builder.zext(values[4], WORD)]
                ptx(builder, text, _VOID, given, "r,l,r")
                return context.get_dummy_value()

            return types.void(to, to_index, source, source_index, types.boolean), generate

        return copy_if

    @with_twin(twin)
    @intrinsic
    def copy(typing_context: Any, to: Any, to_index: Any, source: Any, source_index: Any) -> Any:
        typed(to, to_index, source, source_index)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            there = element(context, builder, to, values[0], values[1], to_index, count)
            here = element(context, builder, source, values[2], values[3], source_index, count)
            ptx(builder, text, _VOID, [in_shared(builder, there), in_global(builder, here)], "r,l")
            return context.get_dummy_value()

        return types.void(to, to_index, source, source_index), generate

    return copy


# ---- for the twins: the simulator's threads are greenlets, and each keeps its copies as an attribute


def _groups() -> list[list[Any]]:
    """The committed groups of copies of this thread, and after them the open one."""
    from greenlet import getcurrent  # only the simulator needs it, so kernels load without it

    thread: Any = getcurrent()
    if not hasattr(thread, "copies"):
        thread.copies = [[]]
    groups: list[list[Any]] = thread.copies
    return groups


def _pending() -> list[Any]:
    return _groups()[-1]


def _commit() -> None:
    _groups().append([])


def _land(pending: int) -> None:
    groups = _groups()
    while len(groups) - 1 > pending:
        for array, where, value in groups.pop(0):
            array[where] = value


copy_async_4, copy_async_16 = _copy(4, conditional=False), _copy(16, conditional=False)
copy_async_4_if, copy_async_16_if = _copy(4, conditional=True), _copy(16, conditional=True)
commit_copies = bare(COMMIT_TEXT, _commit)
wait_copies_0, wait_copies_1, wait_copies_2, wait_copies_3 = (
    bare(wait_text(pending), partial(_land, pending)) for pending in range(4)
)
