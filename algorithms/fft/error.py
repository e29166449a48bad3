"""The errors of the FFT's tiles: the number of roundings, and the magnitude that they are relative to.

The general form is that of `algorithms.transform_error`. Here |F| takes the place of |A|, |B| and |G|, and all its
entries are 1, so that the form is (1/Λ²) · √Σ_φ (Σ_c |D_c| |G_c|)². This is at most Σ_c ‖D_c‖₂ · max|G_c| / Λ², and
‖D_c‖₂ = Λ ‖d_c‖₂, by Parseval:

    Σ_c ‖d_c‖₂ · max_φ |F(g_{k,c})[φ]| / Λ                           for all outputs of a tile

An error of D_c has the size of ‖d_c‖₂ at every frequency. An error of G_c has that of ‖g_c‖₂, at most max|G_c|. The
bound has room for both. It holds for errors that are independent from frequency to frequency. Along one axis they
need not be independent: the rounded twiddle factors are the same in all rows. A tile with data in only one column has
the same numbers, rounded alike, in all columns of its spectrum. Then the errors meet again in the columns where the
products lie, and the transform of one axis spreads them along these columns. Or they meet where the products lie along
both axes, as in |x| ⋆ |w|:

    Σ_{c,s} ‖d_c[:, q + s]‖₂ · max_ξ |F(g_{k,c}[:, s])[ξ]| / √Λ      for all outputs of column q, and rows likewise

The magnitude is the sum of these four. For dw the tiles of all images take the place of the channels.

Source    Higham 2002, "Accuracy and Stability of Numerical Algorithms", §3.6 (complex arithmetic), §24.1 (the FFT).
"""

from math import log2, sqrt
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from algorithms.correlation import Correlation
from algorithms.fft.stages_config import StagesConfig
from algorithms.tiling import Tiling
from algorithms.transform_error import LOST, enough, operands, root_of_squares, tiled_magnitude, tiles_of
from convbench.problem import ConvProblem, Direction, Pair
from convbench.reference import Float64, Tensors, error_model

COLUMNS, ROWS = -2, -1  # the axis of a matrix along its columns, and along its rows


def fft_count(problem: ConvProblem, direction: Direction, config: Any) -> float:
    """Roundings along one chain: three transforms of log₂Λ levels in both axes, the sum of products, and the bias.

    A complex product has an error of 2√2·u, because each part has two roundings in a chain. A butterfly adds its own
    sum and a rounded twiddle factor, √8 + 2 < 5 in all (as in Higham's theorem 24.2). In the first two levels, whose
    factors are 1 and −i, it adds its own sum alone. The parts of a sum of n complex products have n + 1 in a chain.

    Columns of real numbers in registers (`algorithms.fft.registers`) have one level less. Then they have a sum, a
    product with a rounded factor and a sum, which count 6: one more in all. One more sum separates the two real rows
    that were one complex row, or joins them. Both steps keep the sum of the squares of their
    input. So a relative error has the size in the text above, for a column and for a tile.
    """
    in_transforms = 3 * 2 * (5 * (log2(config.length) - 2) + 2)
    if isinstance(config, StagesConfig):
        in_transforms += 3 * (1 + 1)
    if direction == "backward_weights":
        summed = problem.n * Tiling.of(Correlation.of(problem, "forward"), config.outputs(problem)).per_image
    else:
        summed = Correlation.of(problem, direction).sources_per_group
    return enough(in_transforms + sqrt(2) * (summed + 1) + (problem.bias and direction == "forward"))


def fft_magnitude(problem: ConvProblem, direction: Direction, tensors: Tensors, config: Any) -> Float64:
    """The sum of the four terms above, for a plan with a config."""
    length, extent = config.length, config.outputs(problem)
    if direction == "backward_weights":
        spread = _of_weights(problem, tensors["x"], tensors["dy"], extent, length)
    else:
        geometry = Correlation.of(problem, direction)
        source, filters = operands(problem, direction, tensors)
        spread = _along_both(geometry, source, filters, extent, length)
        for axis in (COLUMNS, ROWS):
            spread += _along_one(geometry, source, filters, extent, length, axis)
    return spread + error_model.elementwise_magnitude(problem, direction, tensors)


def _along_both(geometry: Correlation, source: Float64, filters: Float64, extent: Pair, length: int) -> Float64:
    """Σ_c ‖d_c‖₂ · max_φ |F(g_{k,c})[φ]| / Λ."""
    return tiled_magnitude(
        geometry, Tiling.of(geometry, extent), source, _largest(filters, length), alpha=length, size=_norm,
        back=lambda uv: np.broadcast_to(uv / length, (*uv.shape[:-2], *extent)),
    )  # fmt: skip


def _along_one(
    geometry: Correlation, source: Float64, filters: Float64, extent: Pair, length: int, axis: int
) -> Float64:
    """The same for one axis, with a transform point for each output along the other axis, and for each tap."""
    made, taps = _across(extent, axis), _across(geometry.taps, axis)
    largest = np.broadcast_to(_largest_along(filters, length, axis)[:, :, None], (*filters.shape[:2], made, taps))
    return tiled_magnitude(
        geometry, Tiling.of(geometry, extent), source, largest, alpha=length,
        size=lambda d: sliding_window_view(_norm_along(d, axis), taps, -1),
        back=lambda uv: _same_along(uv.sum(-1) / sqrt(length), extent, axis),
    )  # fmt: skip


def _of_weights(problem: ConvProblem, x: Float64, dy: Float64, extent: Pair, length: int) -> Float64:
    """All three sums for dw, with the spectra of dy in the place of those of the filters."""
    geometry, groups, taps = Correlation.of(problem, "forward"), problem.groups, (problem.r, problem.s)
    tiling = Tiling.of(geometry, extent)
    x_places, dy_places = tiling.places((length, length), geometry.top_left), tiling.places(extent)

    def summed(of_dy: Float64, of_x: Float64) -> Float64:
        """(K, C/G) from (K, tiles…) and (C, tiles…)."""
        by_k, by_c = (values.reshape(groups, len(values) // groups, -1) for values in (of_dy, of_x))
        return (by_k @ by_c.swapaxes(1, 2)).reshape(problem.k, -1)

    spread = np.zeros(problem.w_shape)
    for n in range(problem.n):
        x_tiles, dy_tiles = tiles_of(x[n], x_places, geometry.spread), tiles_of(dy[n], dy_places, problem.stride)
        largest = _largest(dy_tiles, length)
        largest = np.maximum(largest, LOST * largest.max())  # a tile of zeros affects dw too, if x has a NaN there
        spread += summed(largest, _norm(x_tiles))[:, :, None, None] / length
        for axis in (COLUMNS, ROWS):
            largest, norms = _largest_along(dy_tiles, length, axis), _norm_along(x_tiles, axis)
            made = _across(extent, axis)
            by_tap = [summed(largest, norms[..., tap : tap + made]) for tap in range(_across(taps, axis))]
            spread += _same_along(np.stack(by_tap, -1) / sqrt(length), taps, axis)
    return spread


def _across(pair: Pair, axis: int) -> int:
    """The member of a (height, width) that belongs to the other axis."""
    return pair[1 if axis == COLUMNS else 0]


def _norm(tiles: Float64) -> Float64:
    """‖·‖₂ of matrices in the last two axes, which then have length 1."""
    return root_of_squares(lambda squares: squares.sum((-2, -1), keepdims=True), tiles)


def _norm_along(tiles: Float64, axis: int) -> Float64:
    """‖·‖₂ of all columns or rows of matrices in the last two axes; one of the two axes is left."""
    return root_of_squares(lambda squares: squares.sum(axis, keepdims=True), tiles).squeeze(axis)


def _largest(values: Float64, length: int) -> Float64:
    """max_φ |F(·)[φ]| of matrices in the last two axes, which then have length 1."""
    # a single tap has a flat spectrum
    rows = np.fft.rfft(values, length, axis=-1) if values.shape[-1] > 1 else values
    spectra = np.fft.fft(rows, length, axis=-2) if values.shape[-2] > 1 else rows
    largest: Float64 = np.abs(spectra).max((-2, -1), keepdims=True)
    return largest


def _largest_along(values: Float64, length: int, axis: int) -> Float64:
    """max_ξ |F(·)[ξ]| of all columns or rows of matrices in the last two axes; one of the two axes is left."""
    spectra = np.fft.rfft(values, length, axis=axis) if values.shape[axis] > 1 else values
    largest: Float64 = np.abs(spectra).max(axis)
    return largest


def _same_along(values: Float64, shape: Pair, axis: int) -> Float64:
    """Matrices of a shape, each of whose columns or rows has one value."""
    return np.broadcast_to(np.expand_dims(values, axis), (*values.shape[:-1], *shape))
