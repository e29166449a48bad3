"""Splits a workload into shards of about the same work, for machines that know nothing of each other.

Every machine computes the same shards from the layers alone, in whatever order they are. A layer is in one shard, with
all its algorithms, because those are timed beside each other. The layers are taken by their multiply-adds, the most
first, and each goes to the shard that has the fewest so far. The largest shard then has at most 4/3 − 1/(3N) times the
multiply-adds of the largest in the best split into N (Graham 1969, "Bounds on multiprocessing timing anomalies").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from convbench.errors import ConvbenchError
from convbench.workload.layer import Layer


@dataclass(frozen=True)
class Shard:
    """Shard `number` of `count`, numbered from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard of a text such as 3/16. Raises ConvbenchError for another text."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        number, count = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= count:
            raise ConvbenchError(f"--shard {text}: a shard is I/N with whole numbers, 1 ≤ I ≤ N, such as 3/16")
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, layers: Sequence[Layer]) -> tuple[Layer, ...]:
        """Those of the layers that are in this shard, in their order; no two of them may have the same work.

        Raises ConvbenchError if there are fewer layers than shards.
        """
        if self.count > len(layers):
            raise ConvbenchError(
                f"--shard {self}: a shard has a layer or more, and there are only {len(layers)} layers"
            )
        loads = [(0, 0, number) for number in range(1, self.count + 1)]  # multiply-adds, layers, the shard
        mine = set()
        for layer in sorted(layers, key=lambda layer: (-layer.problem.macs, str(layer.problem), layer.direction)):
            macs, taken, number = min(loads)
            loads[number - 1] = macs + layer.problem.macs, taken + 1, number
            if number == self.number:
                mine.add(layer.work)
        return tuple(layer for layer in layers if layer.work in mine)
