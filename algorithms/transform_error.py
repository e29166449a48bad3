"""The errors of methods that transform tiles: y = Aᵀ[ Σ_c (G g_c Gᵀ) ⊙ (Bᵀ d_c B) ] A, and the FFT (`fft_error`).

Every rounding happens to some value and reaches the output through what comes after. Independent errors add in
squares, so that with squares taken entry by entry

    magnitude²[i,j] = Σ_{ξ,ν} A[ξ,i]² A[ν,j]² ( Σ_c Ũ_c[ξ,ν] Ṽ_c[ξ,ν] )²,    Ũ² = G² g² (G²)ᵀ,   Ṽ² = (Bᵀ)² d² B²

Ũ and Ṽ are the sizes of what is summed in the transforms, not of the sums: cancellation there loses no error. The sum
over c is of sizes too, for it may have one sign. This is the bound by norms of Barabasz et al. 2018, arXiv
1803.10986, §3, with the actual data in the place of their norms, and squares in the place of the worst signs.

A number that is none spreads to all of its tile, by whatever it is multiplied there: 0 · NaN is NaN. So the magnitude
of a tile that holds anything but zeros is nowhere 0, and that of any other tile is 0 (`root_of_squares`).
"""

from collections.abc import Callable
from math import sqrt

import numpy as np

from algorithms.correlation import Correlation
from algorithms.tiling import Places, Tiling
from convbench.problem import ConvProblem, Direction, Pair
from convbench.reference import LAMBDA, Float64, Tensors

OfTiles = Callable[[Float64], Float64]

LOST = 2.0**-1000  # more than all squares of a tile that float64 rounds to 0, where the largest is about 1
MOST_SCALED = 1000  # powers of two: 2^±1000 and the squares of what it leaves are numbers of float64


def operands(problem: ConvProblem, direction: Direction, tensors: Tensors) -> tuple[Float64, Float64]:
    """The source (N, L, ·, ·) and the filters f (M, L/G, R, S) of `algorithms.correlation`, for its two directions."""
    w = tensors["w"]
    if direction == "forward":
        return tensors["x"], w
    by_group = w.reshape(problem.groups, problem.k // problem.groups, *w.shape[1:])
    swapped = by_group.swapaxes(1, 2).reshape(problem.c, -1, problem.r, problem.s)
    return tensors["dy"], swapped[:, :, ::-1, ::-1]


def enough(count: float) -> float:
    """The count, or λ√count where that is more: n·u for few roundings bounds a sum of sizes, not a root of squares."""
    return max(count, LAMBDA * sqrt(count))


def root_of_squares(of_squares: OfTiles, values: Float64) -> Float64:
    """√of_squares(values²), of matrices in the last two axes, linear in the squares.

    Each matrix is scaled by a power of two until its largest element is about 1, so that no square overflows; what
    the squares lose to underflow is added, so that nothing of a matrix that is not all zeros is 0.
    """
    largest = np.abs(values).max((-2, -1), keepdims=True)
    exponent = np.clip(np.frexp(largest)[1], -MOST_SCALED, MOST_SCALED)
    squares = (values * np.ldexp(1.0, -exponent)) ** 2
    root: Float64 = np.sqrt(of_squares(squares) + LOST * (largest > 0)) * np.ldexp(1.0, exponent)
    return root


def tiles_of(image: Float64, places: Places, spread: Pair) -> Float64:
    """(C, tile rows, tile columns, i, j) from an image (C, H, W) and the places of the samples.

    A place is one of the image with spread − 1 zeros between its elements, and zeros all around it.
    """
    framed = np.pad(image, ((0, 0), (0, 1), (0, 1)))  # a zero behind the last row and column, for all zeros
    rows, columns = (
        np.where((place % e == 0) & (place >= 0) & (place < size * e), place // e, size)
        for place, e, size in zip(places, spread, image.shape[1:], strict=True)
    )
    return framed[:, rows][:, :, :, columns].swapaxes(2, 3)


def tiled_magnitude(
    geometry: Correlation,
    tiling: Tiling,
    source: Float64,
    filters: Float64,
    *,
    alpha: int,
    size: OfTiles,
    back: OfTiles,
) -> Float64:
    """(N, M, I, J) from tiles that are made of `alpha` by `alpha` samples of the source.

    Parameters
    ----------
    source : (N, L, ·, ·)
    filters : Ũ, (M, L/G, points…) with two axes of transform points
    size : d (…, alpha, alpha) → Ṽ (…, points…)
    back : Σ_c Ũ Ṽ (…, points…) → magnitude (…, m[0], m[1])
    """
    groups, points = geometry.groups, filters.shape[2:]
    u = np.moveaxis(filters.reshape(groups, geometry.targets_per_group, geometry.sources_per_group, -1), -1, 0)
    read, (rows, columns) = tiling.places((alpha, alpha), geometry.top_left), tiling.places(tiling.extent)
    magnitude = np.empty((geometry.n, geometry.targets, *geometry.outputs))
    for n in range(geometry.n):  # image by image, for the tiles take several times the memory of the source
        d = tiles_of(source[n], read, geometry.spread)
        v = np.moveaxis(size(d).reshape(groups, geometry.sources_per_group, tiling.per_image, -1), -1, 0)
        tiles = back(np.moveaxis(u @ v, 0, -1).reshape(geometry.targets, *tiling.counts, *points))
        full = np.empty((geometry.targets, int(rows.max()) + 1, int(columns.max()) + 1))
        full[:, rows[:, None, :, None], columns[None, :, None, :]] = tiles
        magnitude[n] = full[:, : tiling.dense[0] : geometry.stride[0], : tiling.dense[1] : geometry.stride[1]]
    return magnitude
