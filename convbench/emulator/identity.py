"""What a kernel is: a digest of everything that its machine code depends on, the same in every process.

It covers the code of the kernel and of every device function and intrinsic that it can reach, the constants that they
close over or find in their globals, the options of the compiler, and where it all stands in which file; not the
compiler itself. Of what could mean something else tomorrow without a change here (a function that somebody overloads
for Numba, a constant of another module, a class) nothing is said: such a kernel has no identity.
"""

import hashlib
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
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
)  # know their versions
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


def _of(value: Any, seen: dict[int, int], *, in_python: bool = False) -> Iterator[str]:
    """Words that say what a value is; `in_python`, what it is for code that Python runs while it compiles."""
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
        raise _UnknownError(value)  # means what an overload says


def _is_compilers(module: str) -> bool:
    return module.partition(".")[0] in _COMPILERS


def _of_python(function: FunctionType, seen: dict[int, int], *, in_python: bool) -> Iterator[str]:
    """A function's code with everything that it can look up."""
    yield from _of_code(function.__code__)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    scope = function.__globals__
    names = sorted(name for name in _names(function.__code__) if name in scope)
    yield f"closure of {len(cells)}, globals {names}"
    for part in (*cells, *(scope[name] for name in names), *(function.__defaults__ or ())):
        yield from _of(part, seen, in_python=in_python)


def _options(dispatcher: Any) -> str:
    options: Mapping[str, Any] = getattr(dispatcher, "targetoptions", {})
    return repr(sorted((name, str(option)) for name, option in options.items()))


def _of_code(code: CodeType) -> Iterator[str]:
    """What a code object does, and at which lines: marshal's bytes differ between processes."""
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
