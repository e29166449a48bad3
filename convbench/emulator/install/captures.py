"""Whether a kernel reaches memory of the device that none of its arguments names."""

import dis
from collections.abc import Iterator
from types import CodeType
from typing import Any

from numba import cuda
from numba.cuda import dispatcher, types


def reaches_other_memory(kernel: Any) -> bool:
    """Whether a kernel has a pointer as an argument, or captures an array of the device.

    Such a kernel is checked as PTX, against all memory of the device.
    """
    if any(isinstance(kind, types.CPointer) for kind in kernel.argument_types):
        return True
    function = getattr(kernel, "py_func", None)
    return function is not None and any(map(cuda.is_cuda_array, _captured(function, set())))


def _captured(function: Any, seen: set[int]) -> Iterator[Any]:
    """The values that a function captures, and those that the device functions that it calls capture."""
    if id(function) in seen:
        return
    seen.add(id(function))
    codes = [function.__code__, *(inner for inner in function.__code__.co_consts if isinstance(inner, CodeType))]
    loads = {i.argval for code in codes for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    values = [function.__globals__[name] for name in loads if name in function.__globals__]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # it is empty yet
            continue
    for value in values:
        if isinstance(value, dispatcher.CUDADispatcher):
            yield from _captured(value.py_func, seen)
        else:
            yield value
