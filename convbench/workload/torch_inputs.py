"""The inputs of a PyTorch module, as `convbench.workload.from_torch` takes them: shapes, tensors, lists, mappings.

A shape stands for a tensor of zeros. A tensor stands for itself: it gives a shape, a dtype, and values to devices that
have values.
"""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from convbench.errors import ConvbenchError

MOST_CHARACTERS = 200  # of a value in a message
DEEPEST = 10  # how deep lists and mappings are nested at most; deeper ones contain themselves


class Shape(tuple[int, ...]):
    """The shape of an input, which stands for a tensor of zeros."""

    __slots__ = ()


Make = Callable[[Any], Any]  # from a shape or a tensor to an input on some device


class Inputs(NamedTuple):
    """The arguments of a module's forward method, with a shape or a tensor in place of each tensor."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @classmethod
    def read(cls, given: Any) -> "Inputs":
        """The inputs that a user gives: one shape or tensor, a list of inputs, or a mapping from names to inputs.

        Raises
        ------
        ConvbenchError
            something is neither a shape, a tensor, a list nor a mapping.
        """
        read = _read(given, given)
        if isinstance(read, Mapping):
            if not all(isinstance(name, str) for name in read):
                raise _mistake(given)
            return cls((), dict(read))
        return cls(tuple(read) if isinstance(read, list) else (read,), {})

    def made(self, make: Make) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments themselves, with an input for each shape and tensor; other values stay as they are."""

        def one(leaf: Any) -> Any:
            return make(leaf) if isinstance(leaf, Shape | torch.Tensor) else leaf

        made: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map(
            one, (self.args, self.kwargs), is_leaf=lambda leaf: isinstance(leaf, Shape)
        )
        return made

    def __str__(self) -> str:
        named = [f"{name} {_told(one)}" for name, one in self.kwargs.items()]
        return " and ".join([*map(_told, self.args), *named])


def _read(one: Any, given: Any, depth: int = 0) -> Any:
    """A shape, a tensor, or a list or a mapping of such; None inside of these is a value."""
    if isinstance(one, torch.Tensor) or (one is None and depth):
        return one
    if depth < DEEPEST and isinstance(one, Mapping) and one:
        return {name: _read(value, given, depth + 1) for name, value in one.items()}
    if depth < DEEPEST and isinstance(one, Sequence) and not isinstance(one, str | bytes) and len(one):
        if not all(isinstance(size, Integral) and not isinstance(size, bool) for size in one):
            return [_read(value, given, depth + 1) for value in one]
        if min(one) > 0:
            return Shape(map(int, one))
    raise _mistake(given)


def _mistake(given: Any) -> ConvbenchError:
    told = repr(given)
    if len(told) > MOST_CHARACTERS:  # an array, perhaps
        told = f"a {type(given).__name__}"
    return ConvbenchError(
        f"input_shape is {told}; it must be sizes, at least 1, like (1, 3, 224, 224), or a tensor, or a list of "
        "such, or a mapping from the names of the module's inputs to such"
    )


def _told(one: Any) -> str:
    match one:
        case Shape():
            return str(tuple(one))
        case list() | tuple():
            return f"[{', '.join(map(_told, one))}]"
        case Mapping():
            return f"{{{', '.join(f'{name}: {_told(value)}' for name, value in one.items())}}}"
        case torch.Tensor():
            return f"{tuple(one.shape)} of {str(one.dtype).removeprefix('torch.')}"
    return repr(one)
