"""The gradient by the weights with the FFT: tiles of dy slide over tiles of x, and their spectra are summed.

    dw[k,c,r,s] = F⁻¹[ Σ_t conj(F(dy_{k,t})) · F(x_{c,t}) ][r,s],      0 ≤ r < R, 0 ≤ s < S
    M[φ, g] = Ŷ[φ, g] @ X̂[φ, g]   (K/G × T by T × C/G),  φ = ξ·(Λ/2 + 1) + ν,  0 ≤ ξ < Λ, 0 ≤ ν ≤ Λ/2 (real input)

dy_t has the (Λ − R + 1) × (Λ − S + 1) dense outputs of a tile, with zeros between those of a stride. x_t has the Λ × Λ
samples that these outputs read in `algorithms.fft.correlation`. For a tap (r, s) of the filter, no product of an output
and the sample r and s further on wraps around. Λ is the length of the transforms. The matrix product sums the tiles of
all images in one order, so that two runs are equal bit for bit.

Layouts   x (N, C, H, W), dy (N, K, P, Q), dw (K, C/G, R, S), in any order of memory; Ŷ (F·G, K/G, T), X̂ (F·G, T, C/G)
          and M (F·G, K/G, C/G), contiguous, complex of the accumulating dtype; F = Λ·(Λ/2 + 1), T = N · tiles of one
          image, batch index = φ·G + g.
Index map transforms and multiply: as in `algorithms.fft.correlation` · outputs: blockIdx.x → (k, c), threadIdx.x →
          column i of the spectrum, then row i of the filter.
Cost      as in `algorithms.fft.correlation`, with the transforms of dy in the place of those of the filters and of y.
Source    Mathieu, Henaff & LeCun 2014, "Fast training of convolutional networks through FFTs", arXiv 1312.5851, §2.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import cuda

from algorithms.correlation import WeightsPlan, number_of
from algorithms.fft.correlation import launch_input_transform
from algorithms.fft.radix2 import COMPLEX, complex_of, make_tile_inverse
from algorithms.gemm import launch_gemm
from algorithms.tiling import Tiling
from convbench.devices import Array, Device, Kernel
from convbench.problem import ConvProblem, Direction, Dtype


class FftWeightsPlan(WeightsPlan):
    """A plan whose runs transform x and dy, multiply, and transform back."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any) -> None:
        super().__init__(problem, direction, device, config)
        self.tiling = Tiling.of(self.geometry, config.outputs(problem))
        length, self.all_tiles = config.length, problem.n * self.tiling.per_image
        batches, dtype = length * (length // 2 + 1) * problem.groups, COMPLEX[self.accumulator]
        k_per_group, c_per_group = problem.k // problem.groups, problem.c // problem.groups
        self.dy_spectra = self.scratch((batches, k_per_group, self.all_tiles), dtype)
        self.x_spectra = self.scratch((batches, self.all_tiles, c_per_group), dtype)
        self.m = self.scratch((batches, k_per_group, c_per_group), dtype)
        self.no_bias = device.upload(np.zeros((batches, k_per_group), dtype))

    def run(self, x: Array, dy: Array, dw: Array) -> None:
        geometry, length = self.geometry, self.config.length
        by_channel = self.device.transposed(self.x_spectra, (0, 2, 1))
        shared = self.device, self.config, self.accumulator, self.tiling
        launch_input_transform(
            *shared, x, by_channel, self.problem.groups, top_left=geometry.top_left, spread=geometry.spread
        )
        launch_input_transform(
            *shared, dy, self.dy_spectra, self.problem.groups, top_left=(0, 0), spread=geometry.stride, as_filters=True
        )
        launch_gemm(self.device, self.dy_spectra, self.x_spectra, self.no_bias, self.m, tile=self.config.tile)
        kernel = make_weights_kernel(length, self.accumulator)
        self.device.launch("unpack", kernel, dw.shape[0] * dw.shape[1], length, self.m, dw)


@cache
def make_weights_kernel(length: int, accumulator: Dtype) -> Kernel:
    """dw[k, c] = the first R × S elements of F⁻¹(M[·, k, c])."""
    inverse = make_tile_inverse(length, accumulator)
    number, complex_number = number_of(accumulator), complex_of(accumulator)
    columns = length // 2 + 1
    shape = (length, columns)
    scale = 1 / length**2  # a power of two

    @cuda.jit
    def fft_weights(products: Array, dw: Array) -> None:
        # map
        k = cuda.blockIdx.x // dw.shape[1]  # of all groups
        c = cuda.blockIdx.x % dw.shape[1]
        i = cuda.threadIdx.x
        groups = dw.shape[0] // products.shape[1]
        spectrum = cuda.shared.array(shape, complex_number)
        values = cuda.local.array(length, complex_number)

        # load column i and transform back
        if i < columns:
            for j in range(length):
                values[j] = products[(j * columns + i) * groups + k // products.shape[1], k % products.shape[1], c]
        inverse(values, spectrum, i)

        # store the taps of row i
        if i < dw.shape[2]:
            for j in range(dw.shape[3]):
                dw[k, c, i, j] = values[j].real * number(scale)

    return fft_weights
