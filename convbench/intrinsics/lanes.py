"""What the lanes of a simulated warp do together: all 32 leave what they bring, and each gets its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What a lane leaves with the simulator while it waits for its warp.

    Parameters
    ----------
    value : what it brings
    together : from what all lanes bring, in their order, to what each gets
    """

    value: Any
    together: Callable[[list[Any]], list[Any]]


def of_warp(value: Any, together: Callable[[list[Any]], list[Any]]) -> Any:
    """Wait until all lanes of this warp have come here; what this one gets."""
    from greenlet import getcurrent  # only the simulator needs it

    parent = getcurrent().parent
    assert parent is not None
    return parent.switch(Asked(value, together))
