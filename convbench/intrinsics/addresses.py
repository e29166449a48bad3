"""Addresses and inline PTX inside an intrinsic.

An address of an array element is computed by Numba's own function, so that the emulator checks its index. PTX takes
addresses in the windows of shared and global memory.
"""

from typing import Any

from llvmlite import ir
from numba.core import errors
from numba.cuda import cgutils, types

WORD = ir.IntType(32)
FLOAT = ir.FloatType()
GLOBAL, SHARED = 1, 3  # NVVM's address spaces


def require_flat(name: str, array: Any, index: Any, *, bits: tuple[int, ...] = (8, 16, 32, 64)) -> None:
    """Raise a TypingError unless `array` has one contiguous dimension of elements of one of these widths."""
    if not isinstance(array, types.Array) or array.ndim != 1 or array.layout not in "CF":
        raise errors.TypingError(f"{name} takes a contiguous array of one dimension, not {array}")
    if array.dtype.bitwidth not in bits:
        raise errors.TypingError(f"{name} takes elements of {' or '.join(map(str, bits))} bits, not {array.dtype}")
    if not isinstance(index, types.Integer):
        raise errors.TypingError(f"{name} takes an integer as index, not {index}")


def element(
    context: Any, builder: Any, array_type: Any, array: Any, index: Any, index_type: Any, count: int = 1
) -> Any:
    """The address of the first of `count` elements.

    Numba's own function computes it, and the address of the last element too, so that the emulator checks both
    indices. A GPU's compiler drops the second, which nobody uses.
    """
    made = context.make_array(array_type)(context, builder, array)
    wide = index
    if index_type.bitwidth < 64:
        extend = builder.sext if index_type.signed else builder.zext
        wide = extend(index, ir.IntType(64))
    first = cgutils.get_item_pointer(context, builder, array_type, made, [wide])
    if count > 1:
        last = builder.add(wide, ir.Constant(wide.type, count - 1))
        cgutils.get_item_pointer(context, builder, array_type, made, [last])
    return first


def in_shared(builder: Any, pointer: Any) -> Any:
    """The 32-bit address in the window of shared memory that PTX instructions take."""
    return builder.ptrtoint(builder.addrspacecast(pointer, pointer.type.pointee.as_pointer(SHARED)), WORD)


def in_global(builder: Any, pointer: Any) -> Any:
    """The same address, as a pointer to global memory."""
    return builder.addrspacecast(pointer, pointer.type.pointee.as_pointer(GLOBAL))


def ptx(builder: Any, text: str, result: Any, values: list[Any], constraints: str, *, is_pure: bool = False) -> Any:
    """Inline PTX. Unless it is pure, the compiler neither drops it nor moves it past accesses to memory."""
    clobbered = constraints if is_pure else ",".join(filter(None, (constraints, "~{memory}")))
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(ir.InlineAsm(kind, text, clobbered, side_effect=not is_pure), values)
