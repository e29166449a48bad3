"""What the lanes of a simulated warp or warpgroup do together: all leave what they bring, and each gets its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WARP, WARPGROUP = 32, 128  # threads


@dataclass(frozen=True)
class Asked:
    """What a lane leaves with the simulator while it waits for the others.

    Parameters
    ----------
    value : what it brings
    together : from what all lanes bring, in their order, to what each gets
    lanes : how many must be there
    """

    value: Any
    together: Callable[[list[Any]], list[Any]]
    lanes: int = WARP


def of_warp(value: Any, together: Callable[[list[Any]], list[Any]], lanes: int = WARP) -> Any:
    """Wait until all lanes of this warp have come here; what this one gets."""
    from greenlet import getcurrent  # only the simulator needs it

    parent = getcurrent().parent
    assert parent is not None
    return parent.switch(Asked(value, together, lanes))


def of_warpgroup(value: Any, together: Callable[[list[Any]], list[Any]]) -> Any:
    """Wait until all threads of this warpgroup have come here; what this one gets."""
    return of_warp(value, together, WARPGROUP)
