"""The error magnitude of methods that transform tiles: y = Aᵀ[ Σ_c (G g_c Gᵀ) ⊙ (Bᵀ d_c B) ] A, and the FFT likewise.

Every rounding happens to some value and reaches the output through what comes after. Independent errors add in
squares, so that with squares taken entry by entry

    magnitude²[i,j] = Σ_{ξ,ν} A[ξ,i]² A[ν,j]² ( Σ_c Ũ_c[ξ,ν] Ṽ_c[ξ,ν] )²,    Ũ² = G² g² (G²)ᵀ,   Ṽ² = (Bᵀ)² d² B²

Ũ and Ṽ are the sizes of what is summed in the transforms, not of the sums: cancellation there loses no error. The sum
over c is of sizes too, for it may have one sign. This is the bound by norms of Barabasz et al. 2018, arXiv
1803.10986, §3, with the actual data in the place of their norms, and squares in the place of the worst signs.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from algorithms.indexing import tile_count, tile_phases, tile_start
from convbench.problem import ConvProblem, Pair
from convbench.reference import Float64

OfTiles = Callable[[Float64], Float64]


def tiled_magnitude(
    problem: ConvProblem, x: Float64, *, m: Pair, alpha: int, filters: Float64, size: OfTiles, back: OfTiles
) -> Float64:
    """(N, K, P, Q) from tiles of m[0] by m[1] stride-1 outputs, made of `alpha` by `alpha` inputs.

    Parameters
    ----------
    x : zero-padded problem's input, (N, C, H, W)
    filters : Ũ, (K, C/G, points…) with any number of transform points
    size : d² (…, alpha, alpha) → Ṽ (…, points…)
    back : Σ_c Ũ Ṽ (…, points…) → magnitude (…, m[0], m[1])
    """
    groups, k_per_group = problem.groups, problem.k // problem.groups
    points = filters.shape[2:]
    u = np.moveaxis(filters.reshape(groups, k_per_group, problem.c // groups, -1), -1, 0)
    dense = (problem.p - 1) * problem.stride[0] + 1, (problem.q - 1) * problem.stride[1] + 1
    counts = [tile_count(*axis) for axis in zip(dense, m, problem.dilation, strict=True)]
    phases = [tile_phases(*axis) for axis in zip(dense, problem.dilation, strict=True)]
    axes = list(zip(counts, m, problem.dilation, phases, strict=True))
    inputs, outputs = ([_positions(*axis, extent) for axis, extent in zip(axes, extents, strict=True)]
                       for extents in ((alpha, alpha), m))  # fmt: skip
    room = [(before, max(0, int(read.max()) + 1 - before - extent))
            for (before, _), read, extent in zip(problem.padding, inputs, x.shape[2:], strict=True)]  # fmt: skip
    magnitude = np.empty(problem.y_shape)
    for n in range(problem.n):  # image by image, for the tiles take several times the memory of x
        squares = np.pad(x[n] ** 2, [(0, 0), *room])
        d = squares[:, inputs[0]][:, :, :, inputs[1]].swapaxes(2, 3)  # (C, tiles, tiles, alpha, alpha)
        v = np.moveaxis(size(d).reshape(groups, problem.c // groups, counts[0] * counts[1], -1), -1, 0)
        tiles = back(np.moveaxis(u @ v, 0, -1).reshape(problem.k, *counts, *points))
        full = np.empty((problem.k, *(int(position.max()) + 1 for position in outputs)))
        full[:, outputs[0][:, None, :, None], outputs[1][None, :, None, :]] = tiles
        magnitude[n] = full[:, : dense[0] : problem.stride[0], : dense[1] : problem.stride[1]]
    return magnitude


def _positions(count: int, m: int, dilation: int, phases: int, extent: int) -> npt.NDArray[np.intp]:
    """[tile, i] → place along one axis of the tile's i-th element."""
    return np.array([[tile_start(t, m, dilation, phases) + i * dilation for i in range(extent)] for t in range(count)])
