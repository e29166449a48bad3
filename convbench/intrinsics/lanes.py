"""Collective operations in the simulator: the lanes of a warp or warpgroup exchange values.

Each lane leaves its value with the simulator and waits. When all lanes have come, one function computes the answers of
all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WARP, WARPGROUP = 32, 128  # threads


@dataclass(frozen=True)
class Asked:
    """The request that a lane leaves with the simulator while it waits for the others.

    Parameters
    ----------
    value : the lane's own value
    together : takes the values of all lanes, in their order, and returns the answer of each
    lanes : how many lanes must come
    """

    value: Any
    together: Callable[[list[Any]], list[Any]]
    lanes: int = WARP


def of_warp(value: Any, together: Callable[[list[Any]], list[Any]], lanes: int = WARP) -> Any:
    """Wait until all lanes of this warp have come here, and return the answer of this one."""
    from greenlet import getcurrent  # only the simulator needs it, so kernels load without it

    parent = getcurrent().parent
    assert parent is not None
    return parent.switch(Asked(value, together, lanes))


def of_warpgroup(value: Any, together: Callable[[list[Any]], list[Any]]) -> Any:
    """Wait until all threads of this warpgroup have come here, and return the answer of this one."""
    return of_warp(value, together, WARPGROUP)
