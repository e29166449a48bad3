"""The errors of methods that transform tiles, y = Aᵀ[ Σ_c (G g_c Gᵀ) ⊙ (Bᵀ d_c B) ] A, and of the FFT (`fft.error`).

Each rounding changes one value, and the later steps carry its error to the output. Independent errors add in squares.
With squares taken entry by entry, this gives

    magnitude²[i,j] = Σ_{ξ,ν} A[ξ,i]² A[ν,j]² ( Σ_c Ũ_c[ξ,ν] Ṽ_c[ξ,ν] )²,    Ũ² = G² g² (G²)ᵀ,   Ṽ² = (Bᵀ)² d² B²

Ũ and Ṽ are the sizes of the terms in the sums of the transforms, not of the sums, because cancellation in a sum removes
no error. The sum over c is one of sizes too, because all its terms may have the same sign. This is the bound by norms
of Barabasz et al. 2018, arXiv 1803.10986, §3, with the actual data instead of their norms, and with squares instead of
the worst signs.

A NaN spreads to its whole tile, whatever its factors there, because 0 · NaN is NaN. So the magnitude of a tile that
holds anything but zeros is nowhere 0. The magnitude of a tile of zeros is 0 (`root_of_squares`).
"""

from collections.abc import Callable
from math import sqrt

import numpy as np

from algorithms.correlation import Correlation
from algorithms.tiling import Places, Tiling
from convbench.problem import ConvProblem, Direction, Pair
from convbench.reference import LAMBDA, Float64, Tensors

OfTiles = Callable[[Float64], Float64]

LOST = 2.0**-1000  # more than all squares of a tile that float64 rounds to 0, if the largest is about 1
MOST_SCALED = 1000  # an exponent of 2: float64 holds 2^±1000, and the squares of the values scaled by it


def operands(problem: ConvProblem, direction: Direction, tensors: Tensors) -> tuple[Float64, Float64]:
    """The source (N, L, ·, ·) and the filters f (M, L/G, R, S) of `algorithms.correlation`, for either direction."""
    w = tensors["w"]
    if direction == "forward":
        return tensors["x"], w
    by_group = w.reshape(problem.groups, problem.k // problem.groups, *w.shape[1:])
    swapped = by_group.swapaxes(1, 2).reshape(problem.c, -1, problem.r, problem.s)
    return tensors["dy"], swapped[:, :, ::-1, ::-1]


def enough(count: float) -> float:
    """The count, or λ√count if that is more. For few roundings n·u bounds a sum of sizes, but no root of squares."""
    return max(count, LAMBDA * sqrt(count))


def root_of_squares(of_squares: OfTiles, values: Float64) -> Float64:
    """√of_squares(values²), for matrices in the last two axes. `of_squares` is linear.

    Each matrix is scaled by a power of two so that its largest element is about 1 and no square overflows. A number
    larger than all that the squares lose to underflow is added, so that no result for a matrix is 0 unless the whole
    matrix is zeros.
    """
    largest = np.abs(values).max((-2, -1), keepdims=True)
    exponent = np.clip(np.frexp(largest)[1], -MOST_SCALED, MOST_SCALED)
    squares = (values * np.ldexp(1.0, -exponent)) ** 2
    root: Float64 = np.sqrt(of_squares(squares) + LOST * (largest > 0)) * np.ldexp(1.0, exponent)
    return root


def tiles_of(image: Float64, places: Places, spread: Pair) -> Float64:
    """The samples of all tiles, (C, tile rows, tile columns, i, j), of an image (C, H, W).

    `places` are positions in the image with spread − 1 zeros between its elements, and with zeros all around it.
    """
    framed = np.pad(image, ((0, 0), (0, 1), (0, 1)))  # one zero row and column behind the last ones serve every zero
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
    """The magnitude (N, M, I, J) of a method whose tiles have `alpha` by `alpha` samples of the source.

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
    for n in range(geometry.n):  # image by image, because the tiles take several times the memory of the source
        d = tiles_of(source[n], read, geometry.spread)
        v = np.moveaxis(size(d).reshape(groups, geometry.sources_per_group, tiling.per_image, -1), -1, 0)
        tiles = back(np.moveaxis(u @ v, 0, -1).reshape(geometry.targets, *tiling.counts, *points))
        full = np.empty((geometry.targets, int(rows.max()) + 1, int(columns.max()) + 1))
        full[:, rows[:, None, :, None], columns[None, :, None, :]] = tiles
        magnitude[n] = full[:, : tiling.dense[0] : geometry.stride[0], : tiling.dense[1] : geometry.stride[1]]
    return magnitude
