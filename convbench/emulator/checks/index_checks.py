"""Check indices: replacements for numba-cuda's code of subscripts, which call `emu.axis` for every index."""

from typing import Any

from llvmlite import ir
from numba.cuda import types


def keep_negative(context: Any, builder: Any, index_type: Any, index: Any, size: Any) -> Any:
    """Replaces `fix_integer_index`, which adds the extent to a negative index."""
    return context.cast(builder, index, index_type, types.intp if index_type.signed else types.uintp)


def without_wrap() -> list[tuple[Any, str, Any]]:
    """Replacements, for `patched`, after which a negative index does not count from the end."""
    from numba.cuda import cgutils  # here, because Numba's simulator lacks them
    from numba.cuda.np import arrayobj

    get_item_pointer = cgutils.get_item_pointer

    def unwrapped(*args: Any, **options: Any) -> Any:
        return get_item_pointer(*args, **{**options, "wraparound": False})

    return [(arrayobj, "fix_integer_index", keep_negative), (cgutils, "get_item_pointer", unwrapped)]


class IndexChecks:
    """Replacements that call `emu.axis(index, extent, axis, data)` for every index into an array.

    With `remarks`, they also call `emu.negative(index, extent, data)` where numba-cuda counts an index from the end.
    """

    def __init__(self, cgutils: Any, arrayobj: Any, *, strict: bool, remarks: bool = False) -> None:
        self._strict, self._remarks = strict, remarks
        self._fix_integer_index = arrayobj.fix_integer_index
        self._cgutils = cgutils
        self._get_item_pointer = cgutils.get_item_pointer
        self._basic_indexing = arrayobj.basic_indexing
        self._flat_class = arrayobj.make_array_flat_cls
        self._array: Any = None
        self._checked = False  # True while basic_indexing looks up a pointer whose indices it has checked

    def check(
        self, context: Any, builder: Any, index: Any, extent: Any, axis: Any = None, *, raw: bool = False
    ) -> None:
        """Replaces `do_boundscheck`, which raises a Python exception. A kernel cannot do that.

        Without `raw`, numba-cuda has added the extent to a negative index, unless it does not (`strict`).
        """
        word, byte_pointer = ir.IntType(64), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [word, word, word, byte_pointer])
        name = "emu.axis.wrapped" if self._remarks and not raw else "emu.axis"
        function = self._cgutils.get_or_insert_function(builder.module, kind, name)
        data = byte_pointer(None) if self._array is None else builder.bitcast(self._array.data, byte_pointer)
        number = axis if isinstance(axis, ir.Value) else word(-1 if axis is None else axis)
        builder.call(function, [index, extent, number, data])

    def fix_integer_index(self, context: Any, builder: Any, index_type: Any, index: Any, size: Any) -> Any:
        """Replaces `fix_integer_index`, with a remark on an index that counts from the end."""
        if index_type.signed:
            self._remark(builder, keep_negative(context, builder, index_type, index, size), size)
        return self._fix_integer_index(context, builder, index_type, index, size)

    def _remark(self, builder: Any, index: Any, extent: Any) -> None:
        if isinstance(index, ir.Constant) and isinstance(index.constant, int) and index.constant >= 0:
            return
        word, byte_pointer = ir.IntType(64), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [word, word, byte_pointer])
        function = self._cgutils.get_or_insert_function(builder.module, kind, "emu.negative")
        data = byte_pointer(None) if self._array is None else builder.bitcast(self._array.data, byte_pointer)
        builder.call(function, [index, extent, data])

    def basic_indexing(
        self, context: Any, builder: Any, array_type: Any, array: Any, *rest: Any, **options: Any
    ) -> Any:
        """Replaces `basic_indexing`, and notes the array whose indices are checked."""
        before = self._array, self._checked
        self._array, self._checked = array, True
        try:
            return self._basic_indexing(context, builder, array_type, array, *rest, **options)
        finally:
            self._array, self._checked = before

    def get_item_pointer(
        self, context: Any, builder: Any, array_type: Any, array: Any, indices: Any, **options: Any
    ) -> Any:
        """Replaces `get_item_pointer`. Atomics call it directly, and have no other check of their indices."""
        options["boundscheck"] = not self._checked
        if self._strict:
            options["wraparound"] = False  # a negative index is out of bounds, and is told as it is
        before = self._array
        self._array = array
        if self._remarks and options.get("wraparound"):
            for index, extent in zip(indices, self._cgutils.unpack_tuple(builder, array.shape), strict=True):
                self._remark(builder, index, extent)
        try:
            return self._get_item_pointer(context, builder, array_type, array, indices, **options)
        finally:
            self._array = before

    def flat_class(self, flat_type: Any) -> Any:
        """Replaces the class behind `array.flat`, whose indices numba-cuda does not check at all."""
        checks = self

        class Checked(self._flat_class(flat_type)):  # type: ignore[misc]
            def getitem(self, context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
                checks.check_flat(context, builder, array, index)
                return super().getitem(context, builder, array_type, array, index)

            def setitem(self, context: Any, builder: Any, array_type: Any, array: Any, index: Any, value: Any) -> Any:
                checks.check_flat(context, builder, array, index)
                return super().setitem(context, builder, array_type, array, index, value)

        return Checked

    def check_flat(self, context: Any, builder: Any, array: Any, index: Any) -> None:
        """Check an index into `array.flat` against the number of elements."""
        before = self._array
        self._array = array
        try:
            wide = builder.sext(index, array.nitems.type) if index.type.width < array.nitems.type.width else index
            self.check(context, builder, wide, array.nitems, raw=True)
        finally:
            self._array = before
