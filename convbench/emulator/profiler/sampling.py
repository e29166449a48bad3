"""Choose the blocks of a grid that a profile runs: a sample from its corners, edges and middle.

Blocks at the edges of a grid often do less. So along each axis the first and the last blocks are apart from those
between. Each combination is a *stratum*. Each stratum is counted by itself and scaled by itself.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DEFAULT_BLOCKS = 32


@dataclass(frozen=True)
class Stratum:
    """Blocks of a grid that are alike in their place, and those of them that run."""

    blocks: int  # in all
    chosen: npt.NDArray[np.int64]  # linear indices


def strata(grid: tuple[int, int, int], wanted: int | None, seed: int) -> list[Stratum]:
    """The strata of a grid with about `wanted` chosen blocks in all, at least one of each; None for all blocks."""
    total = grid[0] * grid[1] * grid[2]
    if wanted is None or wanted >= total:
        return [Stratum(total, np.arange(total, dtype=np.int64))]
    generator = np.random.default_rng(seed)
    parts = [[np.unique(part) for part in _parts(size) if part.size] for size in grid]
    found = []
    for z in parts[2]:
        for y in parts[1]:
            for x in parts[0]:
                size = x.size * y.size * z.size
                count = min(size, max(1, round(wanted * size / total)))
                picked = np.sort(generator.choice(size, count, replace=False))
                places = x[picked % x.size] + grid[0] * (
                    y[picked // x.size % y.size] + grid[1] * z[picked // (x.size * y.size)]
                )
                found.append(Stratum(size, places.astype(np.int64)))
    return found


def _parts(size: int) -> list[npt.NDArray[np.int64]]:
    """The first, the middle and the last places along an axis."""
    places = np.arange(size, dtype=np.int64)
    return [places[:1], places[1:-1], places[max(size - 1, 1) :]]
