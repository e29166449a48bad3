"""Shortcuts for work that numba-cuda and llvmlite repeat while a kernel compiles. The results are the same.

- Each instruction asks for its debug location, which is looked up by the hash of its scope. llvmlite computes the hash
  of a metadata node from all nodes below it, every time. Here a node keeps its hash.
- An inlined function (`inline="always"`) is copied twice, block by block, and each block is copied with all variables
  of the function. Here the blocks share the variables. numba-cuda renames them to variables of the caller, and throws
  the original away.
- At each call of an overloaded function, the flags of the compilation are hashed and compared, through a property for
  each flag. The hash is one of the flags' names alone, so it is the same for all. Here it is computed once, and only
  flags that were set are compared.
- Each call of an operator on scalars looks through all templates of the operator, until one has a signature for them.
  Here the signature of a built-in one is kept for the next call with the same types.
- Python's collector of cycles looks through all objects again and again while a compilation makes millions of them. It
  is paused meanwhile, which saves a tenth of the time.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core.types import BaseFunction, Boolean, Number

from convbench.emulator.patching import patched


@contextmanager
def taken() -> Iterator[None]:
    """Take the shortcuts meanwhile. The caller holds the lock of `front_end`."""
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        with patched(patches()):
            yield
    finally:
        if is_collecting:
            gc.enable()


def patches() -> list[tuple[Any, str, Any]]:
    """What to replace while a kernel compiles: the owner, the name, and the new value."""
    # here, because other versions of numba-cuda may have moved these, and Numba's simulator lacks them
    from llvmlite.ir.values import DIValue, MDValue
    from numba.cuda.core.ir import Loc, Scope
    from numba.cuda.core.targetconfig import TargetConfig

    return [
        (DIValue, "__hash__", _kept(DIValue.__hash__)),
        (MDValue, "__hash__", _kept(MDValue.__hash__)),
        (Loc, "__deepcopy__", _itself),
        (Scope, "__deepcopy__", _itself),
        (TargetConfig, "__hash__", _hash_of_names),
        (TargetConfig, "__eq__", _is_equal),
        (BaseFunction, "get_call_type", _call_type(BaseFunction.get_call_type)),
    ]


def _kept(compute: Callable[[Any], int]) -> Callable[[Any], int]:
    """A method for the hash of a node, whose operands never change, that computes it once."""

    def kept(node: Any) -> int:
        found: int | None = node.__dict__.get("_kept_hash")
        if found is None:
            found = node._kept_hash = compute(node)  # noqa: SLF001
        return found

    return kept


def _itself(shared: Any, _memo: Any) -> Any:
    return shared


def _hash_of_names(config: Any) -> int:
    found = _NAMES.get(type(config))
    if found is None:
        found = _NAMES[type(config)] = hash(tuple(sorted(config.options)))
    return found


def _is_equal(config: Any, other: Any) -> Any:
    if not isinstance(other, type(config)):
        return NotImplemented
    one, two = config._values, other._values  # noqa: SLF001  (numba-cuda has no public name for it)
    if one == two:
        return True
    if type(other) is not type(config):
        return config.values() == other.values()
    options = config.options
    return all(
        one.get(name, options[name].default) == two.get(name, options[name].default) for name in (*one, *two)
    )  # fmt: skip


def _call_type(find: Callable[..., Any]) -> Callable[..., Any]:
    """The method that finds a call's signature, which keeps those of built-in operations on scalars."""

    def found(function: Any, context: Any, args: Any, kws: Any) -> Any:
        if kws or not all(isinstance(kind, _SCALARS) for kind in args):
            return find(function, context, args, kws)
        kept = function.__dict__.setdefault("_kept_call_types", {})
        key = context, tuple(args)
        signature = kept.get(key)
        if signature is None:
            signature = find(function, context, args, kws)
            if function._impl_keys[signature.args] is function.typing_key:  # noqa: SLF001  (Numba has no public name)
                kept[key] = signature
        else:
            function._impl_keys[signature.args] = function.typing_key  # noqa: SLF001
        return signature

    return found


_NAMES: dict[type, int] = {}  # hashes of the names of flags
_SCALARS = (Number, Boolean)
