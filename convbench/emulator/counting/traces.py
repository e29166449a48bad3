"""The buffers of a worker that runs blocks for a profile, and the counts that it makes."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convbench.emulator.counting.accesses import ACCESS_FIELDS, KEPT, MOST_SECTORS
from convbench.emulator.counting.caches import L1_FIELDS, L2_FIELDS, WAYS, empty
from convbench.emulator.counting.replay import (
    BLOCK_FIELDS,
    GROUP_FIELDS,
    GROUPS,
    MEETING_FIELDS,
    MEETINGS,
    WARP_FIELDS,
)
from convbench.emulator.counting.rules import LINE_BYTES
from convbench.emulator.counting.tables import Tables
from convbench.emulator.state import WARP

LEAST_WORDS = 1024  # of a thread's buffer
BLOCK_CACHE_BYTES = 32 * 1024  # of the L1 cache, for a block among several
LEAST_CACHE_BYTES = LINE_BYTES * WAYS
ALIGNMENT = 256  # of an allocation of the device
Counts = npt.NDArray[np.int64]


class Caches(NamedTuple):
    """The bytes of the caches of a profile.

    Parameters
    ----------
    l1 : of the L1 cache that one block has
    l2 : of the L2 cache; 0 if there is none
    """

    l1: int = BLOCK_CACHE_BYTES
    l2: int = 0


DEFAULT = Caches()


class Traces:
    """The buffers of the threads of one block, and what was counted of all blocks of a worker.

    Workers whose blocks run side by side count together, `like` the first.

    Parameters
    ----------
    arrays : those that the launch may touch, first the arguments in order; `pointers` of them are arguments
    """

    def __init__(
        self,
        tables: Tables,
        threads: int,
        arrays: list[npt.NDArray[Any]],
        pointers: int,
        like: "Traces | None" = None,
        caches: Caches = DEFAULT,
    ) -> None:
        longest = tables.longest
        capacity = max(LEAST_WORDS, 4 * longest)
        self.buffer = np.zeros((threads, capacity), np.int64)
        blocks = tables.block_rows()
        accesses = tables.access_rows({str(row): row for row in range(pointers)})
        self.block_counts: Counts = like.block_counts if like else _zeros(len(blocks), BLOCK_FIELDS)
        self.access_counts: Counts = like.access_counts if like else _zeros(len(accesses), ACCESS_FIELDS)
        # of all blocks: the sum of the longest chains of a warp from one barrier to the next
        self.longest: Counts = like.longest if like else np.zeros(1, np.int64)
        self.l2: Counts = like.l2 if like else empty(caches.l2 + LEAST_CACHE_BYTES if caches.l2 else 0, L2_FIELDS)
        self.kept = np.full((len(accesses), KEPT), -1, np.int64)  # the last request of each access
        self._arguments = (
            np.zeros(threads, np.int64),
            np.zeros((-(-threads // WARP), GROUPS + 1, GROUP_FIELDS), np.int64),
            blocks,
            accesses,
            self.block_counts,
            self.access_counts,
            np.array([self.buffer.ctypes.data, capacity, capacity - longest - 1, 0], np.int64),
            self.kept,
            _ranges(arrays),
            self.buffer,
            empty(max(caches.l1, LEAST_CACHE_BYTES), L1_FIELDS),
            self.l2,
            np.zeros(1 + MOST_SECTORS, np.int64),
            _zeros(-(-threads // WARP), WARP_FIELDS),
            _zeros(MEETINGS, MEETING_FIELDS),
            self.longest,
        )

    @property
    def arguments(self) -> tuple[npt.NDArray[np.int64], ...]:
        """What `replay` takes."""
        return self._arguments


def _zeros(rows: int, fields: int) -> Counts:
    return np.zeros((rows, fields), np.int64)


def _ranges(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """For each array its address, its bytes, and the address that it would have on a device."""
    rows, place = [], 0
    for array in arrays:
        low, high = np.lib.array_utils.byte_bounds(array)
        place += ALIGNMENT
        rows.append((low, high - low, place + _offset(array)))
        place += -(-(high - low) // ALIGNMENT) * ALIGNMENT + ALIGNMENT
    return np.array(rows, np.int64).reshape(-1, 3)


def _offset(array: npt.NDArray[Any]) -> int:
    """How far an array begins behind a multiple of 256 bytes on a device: views of an allocation keep their place."""
    data = array.ctypes.data
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.ctypes.data % ALIGNMENT == 0:
            return (data - base.ctypes.data) % ALIGNMENT
        base = base.base
    return 0
