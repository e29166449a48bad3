"""Shortcuts for work that numba-cuda and llvmlite repeat while a kernel compiles. The results are the same.

- Each instruction asks for its debug location, which is looked up by the hash of its scope. llvmlite computes the hash
  of a metadata node from all nodes below it, every time. Here a node keeps its hash.
- An inlined function (`inline="always"`) is copied twice, block by block, and each block is copied with all variables
  of the function. Here the blocks share the variables. numba-cuda renames them to variables of the caller, and throws
  the original away.
- At each call of an overloaded function, the flags of the compilation are compared, through a property for each flag.
  Here they are read without the properties, and the defaults only where the flags that were set differ.
- Python's collector of cycles looks through all objects again and again while a compilation makes millions of them. It
  is paused meanwhile, which saves a tenth of the time.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
        (TargetConfig, "values", _values),
        (TargetConfig, "__eq__", _is_equal),
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


def _values(config: Any) -> dict[str, Any]:
    given = config._values  # noqa: SLF001  (numba-cuda has no public name for it)
    return {name: given.get(name, option.default) for name, option in config.options.items()}


def _is_equal(config: Any, other: Any) -> Any:
    if not isinstance(other, type(config)):
        return NotImplemented
    mine, theirs = config._values, other._values  # noqa: SLF001
    if mine == theirs:
        return True
    if type(other) is not type(config):
        return _values(config) == _values(other)
    options = config.options
    return all(
        mine.get(name, options[name].default) == theirs.get(name, options[name].default)
        for name in mine.keys() | theirs.keys()
    )
