"""The error magnitude of methods that transform tiles: y = Aᵀ[ Σ_c (G g_c Gᵀ) ⊙ (Bᵀ d_c B) ] A, and the FFT likewise.

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
from math import log2, sqrt
from typing import Any

import numpy as np

from algorithms.correlation import Correlation
from algorithms.tiling import Places, Tiling
from algorithms.winograd_matrices import Matrix, Transforms, longest_chain
from convbench.error_model import LAMBDA, ErrorModel, Tensors, elementwise_magnitude
from convbench.problem import ConvProblem, Direction, Pair
from convbench.reference import Float64

OfTiles = Callable[[Float64], Float64]

LOST = 2.0**-1000  # more than all squares of a tile that float64 rounds to 0, where the largest is about 1
MOST_SCALED = 1000  # powers of two: any number of float64 times 2^±1000 is finite


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


def norm(tiles: Float64) -> Float64:
    """‖d‖₂ of matrices in the last two axes, which become of length 1."""
    return root_of_squares(lambda squares: squares.sum((-2, -1), keepdims=True), tiles)


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


# ---- Winograd


def winograd_model(transforms: Transforms, *, exact_headroom: int | None) -> ErrorModel:
    """Roundings along one chain: both axes of three transforms, the sum over the channels, and the bias."""
    a2, g2, b2 = (_squares(matrix) for matrix in (transforms.a_t, transforms.g, transforms.b_t))
    in_transforms = 2 * sum(map(longest_chain, (transforms.a_t, transforms.g, transforms.b_t)))

    def count(problem: ConvProblem, direction: Direction, config: object) -> float:
        channels = Correlation.of(problem, direction).sources_per_group
        return enough(channels + in_transforms + (problem.bias and direction == "forward"))

    def magnitude(problem: ConvProblem, direction: Direction, tensors: Tensors, config: object) -> Float64:
        geometry = Correlation.of(problem, direction)
        source, filters = operands(problem, direction, tensors)
        return tiled_magnitude(
            geometry, Tiling.of(geometry, (transforms.m, transforms.m)), source,
            root_of_squares(lambda f2: g2 @ f2 @ g2.T, filters), alpha=transforms.alpha,
            size=lambda d: root_of_squares(lambda d2: b2 @ d2 @ b2.T, d),
            back=lambda uv: root_of_squares(lambda uv2: a2 @ uv2 @ a2.T, uv),
        )  # fmt: skip

    return ErrorModel(count=count, magnitude=magnitude, exact_headroom=exact_headroom, carries_nonfinite=False)


def _squares(matrix: Matrix) -> Float64:
    return np.array([[float(entry) ** 2 for entry in row] for row in matrix])


# ---- FFT


def fft_count(problem: ConvProblem, direction: Direction, config: Any) -> float:
    """Roundings along one chain: three transforms of log₂Λ levels in both axes, the products' sum, and the bias.

    A complex product is off by 2√2·u, for each part has two roundings in a chain (Higham 2002, §3.6). A butterfly adds
    its own sum and a rounded twiddle factor, √8 + 2 < 5 in all (as in his theorem 24.2), or its own sum alone in the
    first two levels, whose factors are 1 and −i. The parts of a sum of n complex products have n + 1 in a chain.
    """
    in_transforms = 3 * 2 * (5 * (log2(config.length) - 2) + 2)
    if direction == "backward_weights":
        summed = problem.n * Tiling.of(Correlation.of(problem, "forward"), config.outputs(problem)).per_image
    else:
        summed = Correlation.of(problem, direction).sources_per_group
    return enough(in_transforms + sqrt(2) * (summed + 1) + (problem.bias and direction == "forward"))


def fft_magnitude(problem: ConvProblem, direction: Direction, tensors: Tensors, config: Any) -> Float64:
    """|x| ⋆ |w| + Σ_c ‖d_c‖₂ · max_φ |F(g_{k,c})[φ]| / Λ, the second for every output of a tile alike; gradients likewise.

    |F| has unit entries, so that the general form above comes to (1/Λ²) · √Σ_φ (Σ_c |D_c| |G_c|)², which is at most
    Σ_c ‖D_c‖₂ · max|G_c| / Λ², and ‖D_c‖₂ = Λ ‖d_c‖₂ (Parseval). An error of D_c has the size of ‖d_c‖₂ at every
    frequency, and one of G_c that of ‖g_c‖₂, which is no more than max|G_c|; the bound has room for both.

    That is for errors which are independent from frequency to frequency. Those of the rounded twiddle factors are not:
    an input of one non-zero element takes the same ones to every frequency, and they meet again where its products
    lie, which |x| ⋆ |w| accounts for.
    """
    length, extent = config.length, config.outputs(problem)
    if direction == "backward_weights":
        spread = _weights_spread(problem, tensors["x"], tensors["dy"], extent, length)
    else:
        geometry = Correlation.of(problem, direction)
        source, filters = operands(problem, direction, tensors)
        spread = tiled_magnitude(
            geometry, Tiling.of(geometry, extent), source, _largest(filters, length), alpha=length, size=norm,
            back=lambda uv: np.broadcast_to(uv / length, (*uv.shape[:-2], *extent)),
        )  # fmt: skip
    return spread + elementwise_magnitude(problem, direction, tensors)


def _weights_spread(problem: ConvProblem, x: Float64, dy: Float64, extent: Pair, length: int) -> Float64:
    """Σ_t ‖x_t‖₂ · max_φ |F(dy_t)[φ]| / Λ, the same with tiles in the place of channels."""
    geometry, groups = Correlation.of(problem, "forward"), problem.groups
    tiling = Tiling.of(geometry, extent)
    x_places, dy_places = tiling.places((length, length), geometry.top_left), tiling.places(extent)
    total = np.zeros((groups, problem.k // groups, problem.c // groups))
    for n in range(problem.n):
        sizes = norm(tiles_of(x[n], x_places, geometry.spread)).reshape(groups, problem.c // groups, -1)
        largest = _largest(tiles_of(dy[n], dy_places, problem.stride), length)
        largest = np.maximum(largest, LOST * largest.max())  # a tile of zeros reaches dw too, if x has a NaN there
        total += largest.reshape(groups, problem.k // groups, -1) @ sizes.swapaxes(1, 2)
    spread: Float64 = np.broadcast_to(total.reshape(*problem.w_shape[:2], 1, 1) / length, problem.w_shape)
    return spread


def _largest(values: Float64, length: int) -> Float64:
    """max_φ |F(g)[φ]| of matrices in the last two axes, which become of length 1."""
    # a single tap has a flat spectrum
    rows = np.fft.rfft(values, length, axis=-1) if values.shape[-1] > 1 else values
    spectra = np.fft.fft(rows, length, axis=-2) if values.shape[-2] > 1 else rows
    largest: Float64 = np.abs(spectra).max((-2, -1), keepdims=True)
    return largest
