"""Identify a kernel by a digest of everything that its machine code depends on. It is the same in every process.

The digest covers the code of the kernel and of every device function and intrinsic that it can reach, the constants
that they close over or find in their globals, the options of the compiler, and the files and lines of all this. It does
not cover the compiler itself. Some values may change their meaning although the kernel stays the same: a function that
somebody overloads for Numba, a constant of another module, a class. A kernel that depends on one has no identity.
"""

import hashlib
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import _Intrinsic

_COMPILERS = (
    "numba",
    "numba_cuda",
    "llvmlite",
    "numpy",
    "math",
    "operator",
    "builtins",
    "cmath",
)  # their versions, or Python's, are in the name of the folder on disk
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))


def identity(kernel: Any) -> str | None:
    """The digest of a `numba.cuda.jit` dispatcher; None if it depends on a value whose meaning may change."""
    try:
        parts = list(_of(kernel, seen={}))
    except _UnknownError:
        return None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class _UnknownError(Exception):
    """A value whose meaning for the machine code is not known."""


def _of(value: Any, seen: dict[int, int], *, in_python: bool = False) -> Iterator[str]:
    """Describe a value in words. With `in_python`, it is used by code that Python runs while a kernel compiles."""
    if isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}"
    elif isinstance(value, tuple | list):
        yield f"{type(value).__name__} of {len(value)}"
        for part in value:
            yield from _of(part, seen, in_python=in_python)
    elif isinstance(value, frozenset):
        yield "set " + repr(sorted(value, key=repr))
    elif isinstance(value, types.Type | ir.Type):
        yield f"type {value}"
    elif isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        yield f"array {array.dtype.str} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    elif isinstance(value, ModuleType | type | BuiltinFunctionType | np.ufunc):
        module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) or "builtins"
        if not (in_python or _is_compilers(module)):
            raise _UnknownError(value)
        yield f"name {module}.{value.__name__}"
    elif id(value) in seen:
        yield f"again {seen[id(value)]}"
    else:
        seen[id(value)] = len(seen)
        yield from _of_function(value, seen, in_python=in_python)


def _of_function(value: Any, seen: dict[int, int], *, in_python: bool) -> Iterator[str]:
    if isinstance(value, _Intrinsic):
        yield "intrinsic"
        yield from _of(value._defn, seen, in_python=True)  # noqa: SLF001  (Numba has no public name for it)
    elif isinstance(getattr(value, "py_func", None), FunctionType):
        yield f"kernel {_options(value)}"
        yield from _of_python(value.py_func, seen, in_python=False)
    elif not isinstance(value, FunctionType):
        raise _UnknownError(value)
    elif _is_compilers(value.__module__):
        yield f"name {value.__module__}.{value.__qualname__}"
    elif in_python:
        yield from _of_python(value, seen, in_python=True)
    else:
        raise _UnknownError(value)  # an overload elsewhere defines what it does


def _is_compilers(module: str) -> bool:
    return module.partition(".")[0] in _COMPILERS


def _of_python(function: FunctionType, seen: dict[int, int], *, in_python: bool) -> Iterator[str]:
    """Describe a function's code and everything that it can look up."""
    yield from _of_code(function.__code__)
    cells = list(map(_content, function.__closure__ or ()))
    scope = function.__globals__
    names = sorted(name for name in _names(function.__code__) if name in scope)
    yield f"closure of {len(cells)}, globals {names}"
    for part in (*cells, *(scope[name] for name in names), *(function.__defaults__ or ())):
        yield from _of(part, seen, in_python=in_python)


def _content(cell: CellType) -> Any:
    """What a cell holds; words for one that is empty, of a variable that only a branch not taken would have set."""
    try:
        return cell.cell_contents
    except ValueError:
        return "an empty cell"


def _options(dispatcher: Any) -> str:
    options: Mapping[str, Any] = getattr(dispatcher, "targetoptions", {})
    return repr(sorted((name, str(option)) for name, option in options.items()))


def _of_code(code: CodeType) -> Iterator[str]:
    """Describe a code object and its lines. The bytes that `marshal` writes would differ between processes."""
    yield f"code {code.co_name} {code.co_filename} {code.co_firstlineno} {code.co_code.hex()} {code.co_linetable.hex()}"
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
