"""Twins: the Python functions that the simulator runs in place of intrinsics.

A twin takes the same arguments as its intrinsic, as NumPy arrays and numbers. It raises DeviceError where hardware
would fault.
"""

from collections.abc import Callable
from typing import Any

_TWINS: dict[Any, Callable[..., Any]] = {}


def twin_of(intrinsic: Any) -> Callable[..., Any] | None:
    """The twin of an intrinsic; None for anything else."""
    try:
        return _TWINS.get(intrinsic)
    except TypeError:  # every intrinsic can be hashed
        return None


def with_twin(twin: Callable[..., Any]) -> Callable[[Any], Any]:
    """Decorate an intrinsic with the Python function that the simulator runs in its place."""

    def register(intrinsic: Any) -> Any:
        _TWINS[intrinsic] = twin
        return intrinsic

    return register
