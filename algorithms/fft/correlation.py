"""A correlation by the FFT, in overlap-save tiles: transform, one complex product per frequency, transform back.

    target tile = F⁻¹[ Σ_l F(d_l) · conj(F(f_{m,l})) ],  of which Λ − R + 1 rows and Λ − S + 1 columns do not wrap
    M[φ, g] = U[φ, g] @ V[φ, g]   (M/G × L/G by L/G × T),  φ = ξ·(Λ/2 + 1) + ν,  0 ≤ ξ < Λ, 0 ≤ ν ≤ Λ/2 (real input)

Source, target and f are those of either direction, as in `algorithms.correlation`. A spread source is read as the dense
map, with zeros between its elements. Λ is the length of the transforms.

Layouts   source (N, L, ·, ·), f (M, L/G, R, S), target (N, M, ·, ·), in any order of memory; U (F·G, M/G, L/G),
          V (F·G, L/G, T) and M (F·G, M/G, T), contiguous, complex of the accumulating dtype; F = Λ·(Λ/2 + 1),
          T = N · tiles of one image, batch index = φ·G + g.
Index map a block of Λ threads has one Λ × Λ tile in shared memory; thread i transforms row i, then, for i ≤ Λ/2,
          column i · blockIdx.x → (m, l) for filters, (n, l, tile row, tile column) for inputs and (n, m, …) for
          outputs · multiply: as in `algorithms.gemm.plain`. With dilation d the samples of a tile are d apart
          (`tile_start`). With a stride every dense output is computed, and only every u-th is stored.
Cost      about 4·Λ·(Λ/2 + 1) / ((Λ − R + 1)·(Λ − S + 1)) real multiplications per output and channel, whatever R·S.
Source    Mathieu, Henaff & LeCun 2014, arXiv 1312.5851; Vasilache et al. 2015, "fbfft", arXiv 1412.7580, §6 (tiling);
          Oppenheim & Schafer, "Discrete-time signal processing", §8.7.3 (overlap-save).
"""

from functools import cache
from typing import Any

import numpy as np
from numba import cuda

from algorithms.correlation import CorrelationPlan, make_place, number_of
from algorithms.fft.radix2 import COMPLEX, complex_of, make_tile_inverse, make_tile_transform
from algorithms.gemm import launch_gemm
from algorithms.indexing import find_tile
from algorithms.tiling import Tiling
from convbench.devices import Array, Device, Kernel
from convbench.problem import ConvProblem, Direction, Dtype, Pair


class FftPlan(CorrelationPlan):
    """A plan that transforms the filters once. Each run transforms the source, multiplies, and transforms back."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any) -> None:
        super().__init__(problem, direction, device, config)
        geometry, length = self.geometry, config.length
        self.tiling = Tiling.of(geometry, config.outputs(problem))
        self.all_tiles = geometry.n * self.tiling.per_image
        batches, dtype = length * (length // 2 + 1) * geometry.groups, COMPLEX[self.accumulator]
        l_per_group, m_per_group = geometry.sources_per_group, geometry.targets_per_group
        self.u = self.kept((batches, m_per_group, l_per_group), dtype)
        self.v = self.scratch((batches, l_per_group, self.all_tiles), dtype)
        self.m = self.scratch((batches, m_per_group, self.all_tiles), dtype)
        self.no_bias = device.upload(np.zeros((batches, m_per_group), dtype))

    def prepare(self) -> None:
        super().prepare()
        length, blocks = self.config.length, self.geometry.targets * self.geometry.sources_per_group
        kernel = make_filter_kernel(length, self.accumulator)
        self.device.launch("transform", kernel, blocks, length, self.filters, self.u)

    def run(self, source: Array, target: Array) -> None:
        geometry, tiling, length = self.geometry, self.tiling, self.config.length
        launch_input_transform(
            self.device, self.config, self.accumulator, tiling, source, self.v, geometry.groups,
            top_left=geometry.top_left, spread=geometry.spread,
        )  # fmt: skip
        launch_gemm(self.device, self.u, self.v, self.no_bias, self.m, tile=self.config.tile)
        self.device.launch(
            "unpack", make_output_kernel(length, self.accumulator), geometry.targets * self.all_tiles, length,
            self.m, self.addend, target, tiling.counts, tiling.phases, tiling.extent,
            geometry.stride, geometry.dilation, geometry.groups,
        )  # fmt: skip


def launch_input_transform(
    device: Device, config: Any, accumulator: Dtype, tiling: Tiling, source: Array, spectra: Array, groups: int,
    *, top_left: Pair, spread: Pair, as_filters: bool = False,
) -> None:  # fmt: skip
    """Queue the transforms of all tiles of a source (N, L, ·, ·), written to spectra (F·G, L/G, T)."""
    kernel = make_input_kernel(config.length, accumulator, spread != (1, 1), as_filters=as_filters)
    device.launch(
        "transform", kernel, source.shape[0] * source.shape[1] * tiling.per_image, config.length, source, spectra,
        tiling.counts, tiling.phases, tiling.extent, top_left, tiling.dilation, spread, groups,
    )  # fmt: skip


@cache
def make_filter_kernel(length: int, accumulator: Dtype) -> Kernel:
    """U[φ·G + g, m, l] = conj(F(f))[φ]."""
    transform = make_tile_transform(length, accumulator)
    number, complex_number = number_of(accumulator), complex_of(accumulator)
    columns = length // 2 + 1
    shape = (length, columns)

    @cuda.jit
    def fft_filters(filters: Array, u: Array) -> None:
        """The spectra of the filters, one filter for each block.

        Excess: The products take each frequency apart, so the values of one spectrum lie whole matrices apart in `u`:
        every lane writes into a sector of its own. The tiled algorithm, whose stages lie in shared memory, has no such
        stores. The rows of a filter are shorter than a sector and begin anywhere in one.
        """
        # map
        m = cuda.blockIdx.x // filters.shape[1]  # of all groups
        l = cuda.blockIdx.x % filters.shape[1]  # noqa: E741  (the channel of the source)
        i = cuda.threadIdx.x
        groups = filters.shape[0] // u.shape[1]
        spectrum = cuda.shared.array(shape, complex_number)
        values = cuda.local.array(length, complex_number)

        # load row i, zeros past the filter, and transform
        for j in range(length):
            values[j] = complex_number(0)
            if i < filters.shape[2] and j < filters.shape[3]:
                values[j] = complex_number(number(filters[m, l, i, j]))
        transform(values, spectrum, i)

        # store column i
        if i < columns:
            for j in range(length):
                u[(j * columns + i) * groups + m // u.shape[1], m % u.shape[1], l] = values[j].conjugate()

    return fft_filters


@cache
def make_input_kernel(length: int, accumulator: Dtype, is_spread: bool, *, as_filters: bool) -> Kernel:
    """V[φ·G + g, l, t] = F(d)[φ], or for filters conj(F(d))[φ], of as many samples as a tile has outputs."""
    transform, place = make_tile_transform(length, accumulator), make_place(is_spread)
    number, complex_number = number_of(accumulator), complex_of(accumulator)
    columns = length // 2 + 1
    shape = (length, columns)

    @cuda.jit
    def fft_inputs(
        source: Array, v: Array, tiles: Any, phases: Any, outputs: Any, top_left: Any, dilation: Any, spread: Any,
        groups: int,
    ) -> None:  # fmt: skip
        """The spectra of the tiles of the source, one tile for each block.

        Excess: A lane has one row of the tile and loads it element by element, so lanes are a row of the map apart; the
        next loads use the same sectors. Spectra are written as by `fft_filters`, every frequency into a matrix of its
        own.
        """
        # map
        n, l, tile, first_i, first_j = find_tile(  # noqa: E741
            cuda.blockIdx.x, source.shape[1], tiles, phases, outputs, dilation
        )
        i = cuda.threadIdx.x
        first_h, first_w = first_i - top_left[0], first_j - top_left[1]
        l_per_group = source.shape[1] // groups
        spectrum = cuda.shared.array(shape, complex_number)
        values = cuda.local.array(length, complex_number)

        # load row i, zeros past the image, and transform
        h = place(first_h + i * dilation[0], spread[0], source.shape[2])
        if as_filters and i >= outputs[0]:
            h = -1
        for j in range(length):
            values[j] = complex_number(0)
            if h >= 0 and (not as_filters or j < outputs[1]):
                w = place(first_w + j * dilation[1], spread[1], source.shape[3])
                if w >= 0:
                    values[j] = complex_number(number(source[n, l, h, w]))
        transform(values, spectrum, i)

        # store column i
        if i < columns:
            for j in range(length):
                value = values[j].conjugate() if as_filters else values[j]
                v[(j * columns + i) * groups + l // l_per_group, l % l_per_group, tile] = value

    return fft_inputs


@cache
def make_output_kernel(length: int, accumulator: Dtype) -> Kernel:
    """Target tile = F⁻¹(M) + addend, real."""
    inverse = make_tile_inverse(length, accumulator)
    number, complex_number = number_of(accumulator), complex_of(accumulator)
    columns = length // 2 + 1
    shape = (length, columns)
    scale = 1 / length**2  # a power of two

    @cuda.jit
    def fft_outputs(
        products: Array, addend: Array, target: Array, tiles: Any, phases: Any, outputs: Any, stride: Any,
        dilation: Any, groups: int,
    ) -> None:  # fmt: skip
        """The tiles of the target from the products, one tile for each block.

        Excess: The products of one tile lie a matrix apart for each frequency, as `fft_filters` has it, and a lane
        stores its own row of the tile, so lanes are a row of the target apart. The next stores of a lane fill the same
        sectors.
        """
        # map
        n, m, tile, first_p, first_q = find_tile(cuda.blockIdx.x, target.shape[1], tiles, phases, outputs, dilation)
        i = cuda.threadIdx.x
        m_per_group = target.shape[1] // groups
        spectrum = cuda.shared.array(shape, complex_number)
        values = cuda.local.array(length, complex_number)

        # load column i and transform back
        if i < columns:
            for j in range(length):
                values[j] = products[(j * columns + i) * groups + m // m_per_group, m % m_per_group, tile]
        inverse(values, spectrum, i)

        # store the outputs that did not wrap around and that the stride keeps
        p = first_p + i * dilation[0]
        if i < outputs[0] and p % stride[0] == 0 and p // stride[0] < target.shape[2]:
            for j in range(outputs[1]):
                q = first_q + j * dilation[1]
                if q % stride[1] == 0 and q // stride[1] < target.shape[3]:
                    result = values[j].real * number(scale) + number(addend[m])
                    target[n, m, p // stride[0], q // stride[1]] = result

    return fft_outputs
