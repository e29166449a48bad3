"""Which Python function the simulator runs in place of an intrinsic.

A twin takes what the intrinsic takes, with NumPy arrays and numbers, and raises DeviceError where hardware would fault.
"""

from collections.abc import Callable
from typing import Any

_TWINS: dict[Any, Callable[..., Any]] = {}


def twin_of(intrinsic: Any) -> Callable[..., Any] | None:
    """The twin of an intrinsic; None for anything else."""
    try:
        return _TWINS.get(intrinsic)
    except TypeError:  # what cannot be hashed is no intrinsic
        return None


def with_twin(twin: Callable[..., Any]) -> Callable[[Any], Any]:
    """Decorate an intrinsic with what the simulator runs in its place."""

    def register(intrinsic: Any) -> Any:
        _TWINS[intrinsic] = twin
        return intrinsic

    return register
