"""What a kernel is: a digest of everything that its machine code depends on, the same in every process.

It covers the code of the kernel and of every function, device function and intrinsic that it can reach, the constants
that they close over or find in their globals, and the options of the compiler; not the compiler itself.
"""

import hashlib
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import _Intrinsic

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))


def identity(kernel: Any) -> str | None:
    """The digest of what `numba.cuda.jit` made of a function; None where it depends on what nobody can tell."""
    try:
        parts = list(_of(kernel, seen={}))
    except _UnknownError:
        return None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class _UnknownError(Exception):
    """A value whose meaning for the machine code is not known."""


def _of(value: Any, seen: dict[int, int]) -> Iterator[str]:
    """Words that say what a value is."""
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, tuple | list):
        yield f"{type(value).__name__} of {len(value)}"
        for part in value:
            yield from _of(part, seen)
    elif isinstance(value, frozenset):
        yield "set " + repr(sorted(value, key=repr))
    elif isinstance(value, types.Type | ir.Type):
        yield f"type {value}"
    elif isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        yield f"array {array.dtype.str} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    elif isinstance(value, ModuleType):
        yield f"module {value.__name__}"
    elif isinstance(value, type | BuiltinFunctionType | np.ufunc):
        yield f"name {getattr(value, '__module__', '')}.{value.__name__}"
    elif id(value) in seen:
        yield f"again {seen[id(value)]}"
    else:
        seen[id(value)] = len(seen)
        yield from _of_function(value, seen)


def _of_function(value: Any, seen: dict[int, int]) -> Iterator[str]:
    if isinstance(value, _Intrinsic):
        yield "intrinsic"
        yield from _of(value._defn, seen)  # noqa: SLF001  (Numba has no public name for what an intrinsic is made of)
    elif isinstance(getattr(value, "py_func", None), FunctionType):
        yield f"kernel {_options(value)}"
        yield from _of(value.py_func, seen)
    elif isinstance(value, FunctionType):
        if value.__module__.partition(".")[0] in ("numba", "numba_cuda", "llvmlite", "numpy"):
            yield f"name {value.__module__}.{value.__qualname__}"  # versions of these are the compiler's business
            return
        yield from _of_code(value.__code__)
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        scope = value.__globals__
        names = sorted(name for name in _names(value.__code__) if name in scope)
        yield f"closure of {len(cells)}, globals {names}"
        for part in (*cells, *(scope[name] for name in names), *(value.__defaults__ or ())):
            yield from _of(part, seen)
    else:
        raise _UnknownError(type(value))


def _options(dispatcher: Any) -> str:
    options: Mapping[str, Any] = getattr(dispatcher, "targetoptions", {})
    return repr(sorted((name, str(option)) for name, option in options.items()))


def _of_code(code: CodeType) -> Iterator[str]:
    """What a code object does, and at which lines: marshal's bytes differ between processes."""
    yield f"code {code.co_name} {code.co_firstlineno} {code.co_code.hex()} {code.co_linetable.hex()}"
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        else:
            yield from _of(constant, {})


def _names(code: CodeType) -> set[str]:
    """Every global name that a function's code, or code nested in it, may look up."""
    nested = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, nested))
