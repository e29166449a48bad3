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
- The size of an LLVM type is asked for thousands of times, and each time llvmlite writes a module with the type and
  parses it. Here the sizes of types are kept.
- Each operator is looked up as if it were a value, which raises an exception, before it is looked up as a function.
  Here a function of the module `operator` is looked up as one at once.
- At each call of an intrinsic, numba-cuda looks through all its registries for new declarations. Here it does so only
  if a registry has more of them than the last time.
- After most passes, numba-cuda finds the variables that live at the beginning of each block. Only generators and
  `literal_unroll` ask for them, so they are found for these alone.
- Python's collector of cycles looks through all objects again and again while a compilation makes millions of them. It
  is paused meanwhile, which saves a tenth of the time.
"""

import gc
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType
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
    from numba.cuda.core.base import BaseContext as TargetContext
    from numba.cuda.core.ir import Loc, Scope
    from numba.cuda.core.postproc import PostProcessor
    from numba.cuda.core.targetconfig import TargetConfig
    from numba.cuda.target import CUDATypingContext
    from numba.cuda.typing.context import BaseContext as TypingContext

    return [
        (DIValue, "__hash__", _kept(DIValue.__hash__)),
        (MDValue, "__hash__", _kept(MDValue.__hash__)),
        (Loc, "__deepcopy__", _itself),
        (Scope, "__deepcopy__", _itself),
        (TargetConfig, "__hash__", _hash_of_names),
        (TargetConfig, "__eq__", _is_equal),
        (BaseFunction, "get_call_type", _call_type(BaseFunction.get_call_type)),
        (TargetContext, "get_abi_sizeof", _kept_by_type(TargetContext.get_abi_sizeof)),
        (TargetContext, "get_abi_alignment", _kept_by_type(TargetContext.get_abi_alignment)),
        (TargetContext, "refresh", _refresh(TargetContext.refresh)),
        (TypingContext, "refresh", _refresh(TypingContext.refresh)),
        (CUDATypingContext, "resolve_value_type", _operators_first(CUDATypingContext.resolve_value_type)),
        (PostProcessor, "run", _without_lifetimes(PostProcessor.run)),
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


def _kept_by_type(measure: Callable[[Any, Any], int]) -> Callable[[Any, Any], int]:
    """A method that measures an LLVM type, and keeps the result by the type's text."""

    def measured(context: Any, kind: Any) -> int:
        text = str(kind)
        if "%" in text:  # a name, whose type may change
            return measure(context, kind)
        kept: dict[tuple[str, str], int] = context.__dict__.setdefault("_kept_measures", {})
        key = measure.__name__, text
        if key not in kept:
            kept[key] = measure(context, kind)
        return kept[key]

    return measured


def _refresh(refresh: Callable[[Any], None]) -> Callable[[Any], None]:
    """The method that enters new declarations in a context, which does nothing if no registry has grown."""

    def refreshed(context: Any) -> None:
        kept = context.__dict__.get("_kept_lengths")
        if kept is None or _lengths(kept[0]) != kept[1]:
            refresh(context)
            lists = [*_lists(context), *_lists(getattr(context, "typing_context", None))]
            context._kept_lengths = lists, _lengths(lists)  # noqa: SLF001

    return refreshed


def _lists(context: Any) -> list[Any]:
    """The lists of declarations that a context has seen, to which they are appended, and the table of registries."""
    if context is None:
        return []
    table = context._registries  # noqa: SLF001  (Numba has no public name for it)
    return [table, *(items for registry in table for items in vars(registry).values() if isinstance(items, list))]


def _lengths(lists: list[Any]) -> list[int]:
    return list(map(len, lists))


def _operators_first(resolve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The method that finds the type of a global, which knows that a function of `operator` is no value."""

    def resolved(context: Any, value: Any) -> Any:
        if type(value) is BuiltinFunctionType and value in _OPERATORS:
            found = context._lookup_global(value)  # noqa: SLF001  (Numba has no public name for it)
            if found is not None:
                return found
        return resolve(context, value)

    return resolved


def _without_lifetimes(run: Callable[..., None]) -> Callable[..., None]:
    """The method that ends a pass, which finds lifetimes only where they are asked for, or `del` needs them."""
    # here, because Numba's simulator lacks them
    from numba.cuda.core import transforms
    from numba.cuda.core.postproc import VariableLifetime

    def ended(processor: Any, emit_dels: bool = False, extend_lifetimes: bool = False) -> None:
        function = processor.func_ir
        if function.is_generator or _unrolls_literals(function.blocks):
            run(processor, emit_dels, extend_lifetimes)
            return
        function.blocks = transforms.canonicalize_cfg(function.blocks)
        function.variable_lifetime = VariableLifetime(function.blocks)  # computes what it is asked for
        function.generator_info = None
        if emit_dels:
            processor._insert_var_dels(extend_lifetimes=extend_lifetimes)  # noqa: SLF001

    return ended


def _unrolls_literals(blocks: Any) -> bool:
    """Whether a function's blocks mention `literal_unroll`, as a global or as a variable of the closure."""
    from numba.cuda.core.ir import Assign, FreeVar, Global  # here, because Numba's simulator lacks them

    values = (line.value for block in blocks.values() for line in block.body if isinstance(line, Assign))
    constants = (value.value for value in values if isinstance(value, Global | FreeVar))
    return any(getattr(constant, "__name__", None) == "literal_unroll" for constant in constants)


_NAMES: dict[type, int] = {}  # hashes of the names of flags
_OPERATORS = frozenset(value for value in vars(operator).values() if type(value) is BuiltinFunctionType)
_SCALARS = (Number, Boolean)
