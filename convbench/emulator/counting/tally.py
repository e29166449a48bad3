"""What a profile asks of a launch: which blocks run, and what becomes of the counts."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from convbench.emulator.arguments import Arguments
from convbench.emulator.counting.tables import Tables
from convbench.emulator.counting.traces import Caches, Traces


class Tally(Protocol):
    """Chooses the blocks of a launch that run, and gets what was counted."""

    caches: Caches

    def choose(
        self, blocks: npt.NDArray[np.int64], grid: tuple[int, int, int], *, waits: bool
    ) -> npt.NDArray[np.int64]:
        """The blocks to run, by their linear indices, of all `blocks`. `waits` tells that they may wait for others."""

    def add(self, tables: Tables | None, traces: list[Traces | None], arguments: Arguments) -> None:
        """Take the counts of all workers."""
