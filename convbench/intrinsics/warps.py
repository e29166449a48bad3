"""Reductions over a warp: all 32 lanes call one together, and each gets the result of all.

Lane i adds the value of lane i xor 16, then of i xor 8, 4, 2 and 1. After five shuffles every lane has the same result,
bit for bit. The order of the additions is the same in every run.

Source    Demouth 2014, "Faster parallel reductions on Kepler", NVIDIA (butterfly of shuffles).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda

from convbench.intrinsics.lanes import WARP, of_warp
from convbench.intrinsics.twins import with_twin

ALL_LANES = 0xFFFFFFFF
_LANES = np.arange(WARP)


def _twin(combine: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """The function that the simulator runs: the same five steps, for all lanes at once."""

    def together(values: list[Any]) -> list[Any]:
        found = np.array(values)
        for distance in (16, 8, 4, 2, 1):
            found = combine(found, found[_LANES ^ distance])
        return list(found)

    return lambda value: of_warp(value, together)


@with_twin(_twin(np.add))
@cuda.jit(device=True)
def warp_sum(value: Any) -> Any:
    """The sum of the lanes' values, which are numbers of 32 or 64 bits."""
    distance = 16
    while distance > 0:
        value += cuda.shfl_xor_sync(ALL_LANES, value, distance)
        distance //= 2
    return value


@with_twin(_twin(np.maximum))
@cuda.jit(device=True)
def warp_max(value: Any) -> Any:
    """The largest of the lanes' values, which are numbers of 32 or 64 bits and not NaN."""
    distance = 16
    while distance > 0:
        value = max(value, cuda.shfl_xor_sync(ALL_LANES, value, distance))
        distance //= 2
    return value
