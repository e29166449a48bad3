"""Tiles of stride-1 outputs: how many cover a target, and where each of them reads.

    tile t along an axis makes the dense outputs t₀, t₀ + d, …, t₀ + (m−1)·d,  t₀ = tile_start(t), and reads the dense
    positions t₀ − top + i·d, 0 ≤ i < α, of the source; with stride u the dense output i·u is output i.

With dilation d the tiles interleave. So the samples and outputs of one tile form a correlation without dilation.
Kernels take the fields of `Tiling`. The error magnitudes take `places`, which uses the same `tile_start`.

Source    Lavin & Gray 2016, arXiv 1509.09308, §4.1 (tiles that overlap by the taps − 1).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from algorithms.correlation import Correlation
from algorithms.indexing import tile_count, tile_phases, tile_start
from convbench.problem import Pair

Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """The tiles of a target, along both axes.

    Parameters
    ----------
    extent : m, the dense outputs of one tile
    dilation : the distance between neighbouring samples of a tile
    dense : the number of stride-1 outputs, from the first that is stored to the last
    counts : the number of tiles
    phases : the number of tiles that interleave
    """

    extent: Pair
    dilation: Pair
    dense: Pair
    counts: Pair
    phases: Pair

    @classmethod
    def of(cls, geometry: Correlation, extent: Pair) -> "Tiling":
        """The tiles of `extent` outputs that cover the target of a correlation."""
        (rows, columns), (u, v), (d_h, d_w) = geometry.outputs, geometry.stride, geometry.dilation
        dense = (rows - 1) * u + 1, (columns - 1) * v + 1
        return cls(
            extent=extent, dilation=geometry.dilation, dense=dense,
            counts=(tile_count(dense[0], extent[0], d_h), tile_count(dense[1], extent[1], d_w)),
            phases=(tile_phases(dense[0], d_h), tile_phases(dense[1], d_w)),
        )  # fmt: skip

    @property
    def per_image(self) -> int:
        """Tiles of one image."""
        return self.counts[0] * self.counts[1]

    def places(self, samples: Pair, top_left: Pair = (0, 0)) -> Places:
        """Dense positions along both axes: [tile, i] is the i-th of the `samples` of a tile."""
        axes = zip(self.counts, self.extent, self.dilation, self.phases, samples, top_left, strict=True)
        rows, columns = (
            np.array([tile_start(tile, extent, d, phases) for tile in range(count)])[:, None]
            + (np.arange(length) * d - before)
            for count, extent, d, phases, length, before in axes
        )
        return rows, columns
