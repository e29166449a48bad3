"""Loads and stores of one, two or four elements at an index, and a load that a predicate switches off.

They exist for three reasons. Numba has no vector types in arrays. It lets every index count from the end when it is
negative, which costs several instructions. NVVM joins neighbouring loads from shared memory, but not from global
memory.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import errors
from numba.cuda import types
from numba.cuda.extending import intrinsic

from convbench.errors import DeviceError
from convbench.intrinsics.addresses import FLOAT, WORD, element, in_global, ptx, require_flat
from convbench.intrinsics.twins import with_twin

_LOAD_IF = "{ .reg .pred p; setp.ne.u32 p, $2, 0; mov.f32 $0, 0f00000000; @p ld.global.nc.f32 $0, [$1]; }"


def place(array: Any, index: Any, count: int = 1) -> int:
    """The index for a twin. Raises DeviceError where hardware would access other memory, or fault on alignment."""
    first = int(index)
    if not 0 <= first <= array.size - count or first % count:
        raise DeviceError(f"an access of {count} elements at index {first} of an array of {array.size}")
    return first


def _load(count: int) -> Any:
    def twin(array: Any, index: Any) -> Any:
        first = place(array, index, count)
        return array[first] if count == 1 else tuple(array[first : first + count])

    @with_twin(twin)
    @intrinsic
    def load(typing_context: Any, array: Any, index: Any) -> Any:
        require_flat(f"load_{count}", array, index)
        result = array.dtype if count == 1 else types.UniTuple(array.dtype, count)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointer = element(context, builder, array, values[0], values[1], index, count)
            if count == 1:
                return builder.load(pointer)
            vector = ir.VectorType(pointer.type.pointee, count)
            loaded = builder.load(builder.bitcast(pointer, vector.as_pointer(pointer.type.addrspace)))
            loaded.align = count * array.dtype.bitwidth // 8
            parts = [builder.extract_element(loaded, WORD(number)) for number in range(count)]
            return context.make_tuple(builder, result, parts)

        return result(array, index), generate

    return load


def _store(count: int) -> Any:
    def twin(array: Any, index: Any, value: Any) -> None:
        first = place(array, index, count)
        array[first : first + count] = value

    @with_twin(twin)
    @intrinsic
    def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
        require_flat(f"store_{count}", array, index)
        wanted = array.dtype if count == 1 else types.UniTuple(array.dtype, count)
        if count > 1 and value != wanted:
            raise errors.TypingError(f"store_{count} takes {wanted}, not {value}")

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            pointer = element(context, builder, array, values[0], values[1], index, count)
            if count == 1:
                builder.store(values[2], pointer)
                return context.get_dummy_value()
            vector = ir.VectorType(pointer.type.pointee, count)
            whole = ir.Constant(vector, ir.Undefined)
            for number in range(count):
                part = builder.extract_value(values[2], number)
                whole = builder.insert_element(whole, part, WORD(number))
            stored = builder.store(whole, builder.bitcast(pointer, vector.as_pointer(pointer.type.addrspace)))
            stored.align = count * array.dtype.bitwidth // 8
            return context.get_dummy_value()

        return types.void(array, index, wanted), generate

    return store


load_1, load_2, load_4 = _load(1), _load(2), _load(4)
store_1, store_2, store_4 = _store(1), _store(2), _store(4)


def _load_1_if(array: Any, index: Any, ok: Any) -> Any:
    return array[place(array, index)] if ok else array.dtype.type(0)


@with_twin(_load_1_if)
@intrinsic
def load_1_if(typing_context: Any, array: Any, index: Any, ok: Any) -> Any:
    """Load a float32 from global memory, or give 0 where `ok` is false, without a branch.

    Nobody may write the array while the kernel runs, because the load goes through the read-only cache.
    """
    require_flat("load_1_if", array, index)
    if array.dtype != types.float32:
        raise errors.TypingError(f"load_1_if takes float32, not {array.dtype}")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = checked_if(context, builder, array, values, index)
        return ptx(
            builder, _LOAD_IF, FLOAT, [in_global(builder, pointer), builder.zext(values[2], WORD)], "=f,l,r",
            is_pure=True,
        )  # fmt: skip

    return types.float32(array, index, types.boolean), generate


def checked_if(context: Any, builder: Any, array: Any, values: Any, index: Any, count: int = 1) -> Any:
    """The address of an element. Its index is checked only where the condition, the last of `values`, is true."""
    with builder.if_then(values[-1]):
        element(context, builder, array, values[0], values[1], index, count)  # for its checks alone
    made = context.make_array(array)(context, builder, values[0])
    wide = values[1]
    if index.bitwidth < 64:
        wide = (builder.sext if index.signed else builder.zext)(wide, ir.IntType(64))
    return builder.gep(made.data, [wide])


def _reinterpreted(name: str, given: Any, wanted: Any, twin: Callable[[Any], Any]) -> Any:
    @with_twin(twin)
    @intrinsic
    def reinterpret(typing_context: Any, value: Any) -> Any:
        if value != given:
            raise errors.TypingError(f"{name} takes {given}, not {value}")

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.bitcast(values[0], context.get_value_type(wanted))

        return wanted(given), generate

    return reinterpret


bits = _reinterpreted("bits", types.float32, types.uint32, lambda value: np.float32(value).view(np.uint32))
unbits = _reinterpreted("unbits", types.uint32, types.float32, lambda value: np.uint32(value).view(np.float32))
