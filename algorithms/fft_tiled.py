"""FFT convolution in overlap-save tiles: transform, one complex matrix product per frequency, transform back.

    y tile = F⁻¹[ Σ_c F(d_c) · conj(F(g_{k,c})) ],  of which L − R + 1 rows and L − S + 1 columns do not wrap
    M[f, g] = U[f, g] @ V[f, g]   (K/G × C/G by C/G × T),  f = ξ·(L/2 + 1) + ν,  0 ≤ ξ < L, 0 ≤ ν ≤ L/2 (real input)

Layouts   x (N, C, H, W), w (K, C/G, R, S), y (N, K, P, Q), contiguous float32; U (F·G, K/G, C/G), V (F·G, C/G, T) and
          M (F·G, K/G, T), contiguous complex64; F = L·(L/2 + 1), T = N · tiles of one image, batch index = f·G + g.
Index map a block of L threads has one L × L tile in shared memory; thread i transforms row i, then, for i ≤ L/2,
          column i · blockIdx.x → (k, c) for filters, (n, c, tile row, tile column) for inputs and (n, k, …) for
          outputs · multiply: as in `algorithms.gemm`. With dilation d the samples of a tile are d apart
          (`tile_start`); with a stride every output is computed and those between are not stored.
Cost      about 4·L·(L/2 + 1) / ((L − R + 1)·(L − S + 1)) real multiplications per output and channel, whatever R·S.
Source    Mathieu, Henaff & LeCun 2014, arXiv 1312.5851; Vasilache et al. 2015, "fbfft", arXiv 1412.7580, §6 (tiling);
          Oppenheim & Schafer, "Discrete-time signal processing", §8.7.3 (overlap-save).
"""

from dataclasses import dataclass
from functools import cache
from math import log2
from typing import Any, ClassVar

import numpy as np
from numba import complex64, cuda

from algorithms.gemm import launch_gemm, tiles_for
from algorithms.indexing import tile_count, tile_phases, tile_start_on_device, unflatten_on_device
from algorithms.radix2 import make_fft
from algorithms.transform_error import tiled_magnitude
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices.device import Array, Device, Kernel
from convbench.error_model import ErrorModel, elementwise_magnitude, roundings
from convbench.errors import ConfigError
from convbench.problem import ConvProblem, Pair
from convbench.reference import Float64

LENGTHS = 16, 32


@dataclass(frozen=True, kw_only=True)
class Config:
    """Length of the transform along both axes, and side of the square tiles of the batched GEMM."""

    length: int = 16
    tile: int = 16

    def __post_init__(self) -> None:
        if self.length not in LENGTHS or not 1 <= self.tile <= 32:
            raise ConfigError(f"{self}: length is one of {LENGTHS}, tile is 1 to 32 (a block holds 1024 threads)")

    def outputs(self, problem: ConvProblem) -> tuple[int, int]:
        """Rows and columns of a tile that do not wrap around."""
        return self.length - problem.r + 1, self.length - problem.s + 1


def _lengths(problem: ConvProblem) -> list[int]:
    """The transform lengths that can be, the one with the fewest multiplications first."""
    possible = [length for length in LENGTHS if max(problem.r, problem.s) <= length]
    return sorted(possible, key=lambda length: length**2 * _tiles(problem, length))


def _tiles(problem: ConvProblem, length: int) -> int:
    """How many tiles cover an image."""
    rows, columns = _tile_grid(problem, Config(length=length).outputs(problem))
    return rows * columns


def _tile_grid(problem: ConvProblem, outputs: Pair) -> Pair:
    """Tiles along both axes."""
    rows, columns = (tile_count(*axis) for axis in zip(_dense_outputs(problem), outputs, problem.dilation, strict=True))
    return rows, columns


def _dense_outputs(problem: ConvProblem) -> Pair:
    """Stride-1 outputs along both axes, from the first that is stored to the last."""
    return (problem.p - 1) * problem.stride[0] + 1, (problem.q - 1) * problem.stride[1] + 1


def growth(problem: ConvProblem, config: Config) -> float:
    """Roundings of a component along one chain: the sum over c, and 2·log₂L levels of butterflies in three transforms.

    A complex multiply-add rounds two products, their sum and the accumulation; a butterfly has a rounded twiddle
    factor besides (Higham 2002, §24.1, has the same count in his η).
    """
    levels = 3 * 2 * log2(config.length)
    return roundings(4 * (problem.c // problem.groups) + 5 * levels + problem.bias)


def magnitude(problem: ConvProblem, x: Float64, w: Float64, config: Config) -> Float64:
    """|x| ⋆ |w| + Σ_c ‖d_c‖₂ · max_f |F(g_{k,c})[f]| / L, the second for every output of a tile alike.

    |F| has unit entries, so that the general form of `transform_error` comes to (1/L²) · √Σ_f (Σ_c |D_c| |G_c|)², which
    is at most Σ_c ‖D_c‖₂ · max|G_c| / L², and ‖D_c‖₂ = L ‖d_c‖₂ (Parseval). That is for errors which are independent
    from frequency to frequency. Those of the rounded twiddle factors are not: an input of one non-zero element takes
    the same ones to every frequency, and they meet again where its products lie, which |x| ⋆ |w| accounts for.
    """
    length, m = config.length, config.outputs(problem)
    # a single tap has a flat spectrum
    rows = np.fft.rfft(w, length, axis=3) if w.shape[3] > 1 else w
    largest = np.abs(np.fft.fft(rows, length, axis=2) if w.shape[2] > 1 else rows).max((2, 3), keepdims=True)
    spread = tiled_magnitude(
        problem, x, m=m, alpha=length, filters=largest,
        size=lambda d: np.sqrt(d.sum((-2, -1), keepdims=True)),
        back=lambda uv: np.broadcast_to(uv / length, (*uv.shape[:-2], *m)),
    )  # fmt: skip
    return spread + elementwise_magnitude(problem, x, w)


class FftTiled(Algorithm):
    """Products of spectra, tile by tile: the filter's size hardly matters."""

    name: ClassVar[str] = "fft_tiled"
    family: ClassVar[Family] = "fft"
    error_model: ClassVar[ErrorModel] = ErrorModel(growth=growth, magnitude=magnitude, exact_headroom=None)

    def configs(self, problem: ConvProblem) -> tuple[Config, ...]:
        return tuple(
            Config(length=length, tile=tile)
            for length in _lengths(problem)
            for tile in tiles_for(problem.k // problem.groups, problem.n * problem.p * problem.q // length**2)
        )

    def limits(self, problem: ConvProblem) -> str | None:
        if max(problem.r, problem.s) > max(LENGTHS):
            return f"the filter is {problem.r} × {problem.s}; its longest transform is {max(LENGTHS)}"
        return None

    def make_plan(self, problem: ConvProblem, device: Device, config: Config) -> Plan:
        return FftPlan(problem, device, config)


class FftPlan(Plan):
    """Filters are transformed once; each run transforms the input, multiplies, and transforms back."""

    def __init__(self, problem: ConvProblem, device: Device, config: Config) -> None:
        super().__init__(problem, device, config)
        self.outputs = config.outputs(problem)
        self.tiles = _tile_grid(problem, self.outputs)
        rows, columns = _dense_outputs(problem)
        self.phases = tile_phases(rows, problem.dilation[0]), tile_phases(columns, problem.dilation[1])
        self.images_of_tiles = problem.n * self.tiles[0] * self.tiles[1]
        batches = config.length * (config.length // 2 + 1) * problem.groups
        c_per_group, k_per_group = problem.c // problem.groups, problem.k // problem.groups
        self.u = self.kept((batches, k_per_group, c_per_group), np.complex64)
        self.v = self.scratch((batches, c_per_group, self.images_of_tiles), np.complex64)
        self.m = self.scratch((batches, k_per_group, self.images_of_tiles), np.complex64)
        self.no_bias = device.upload(np.zeros((batches, k_per_group), np.complex64))

    def prepare(self) -> None:
        self._launch("transform", make_filter_kernel, self.problem.k * self.u.shape[2], self.weights, self.u)

    def run(self, x: Array, y: Array) -> None:
        problem = self.problem
        top_left = problem.padding[0][0], problem.padding[1][0]
        self._launch(
            "transform", make_input_kernel, problem.c * self.images_of_tiles,
            x, self.v, self.tiles, self.phases, self.outputs, top_left, problem.dilation, problem.groups,
        )  # fmt: skip
        launch_gemm(self.device, self.u, self.v, self.no_bias, self.m, tile=self.config.tile)
        self._launch(
            "unpack", make_output_kernel, problem.k * self.images_of_tiles,
            self.m, self.bias, y, self.tiles, self.phases, self.outputs,
            problem.stride, problem.dilation, problem.groups,
        )  # fmt: skip

    def _launch(self, phase: Any, make_kernel: Any, blocks: int, *args: object) -> None:
        self.device.launch(phase, make_kernel(self.config.length), blocks, self.config.length, *args)


@cache
def make_tile_transform(length: int) -> Any:
    """A device function for a block: thread i brings row i of a tile, and leaves with column i of its spectrum."""
    fft = make_fft(length)
    columns = length // 2 + 1

    @cuda.jit(device=True)
    def transform(values: Array, spectrum: Array, i: int) -> None:
        fft(values, False)
        for j in range(columns):
            spectrum[i, j] = values[j]
        cuda.syncthreads()
        if i < columns:
            for j in range(length):
                values[j] = spectrum[j, i]
            fft(values, False)

    return transform


@cache
def make_filter_kernel(length: int) -> Kernel:
    """U[f·G + g, k, c] = conj(F(w))[f]."""
    transform = make_tile_transform(length)
    columns = length // 2 + 1
    shape = (length, columns)

    @cuda.jit
    def fft_filters(w: Array, u: Array) -> None:
        # map
        k = cuda.blockIdx.x // w.shape[1]  # of all groups
        c = cuda.blockIdx.x % w.shape[1]
        i = cuda.threadIdx.x
        groups = w.shape[0] // u.shape[1]
        spectrum = cuda.shared.array(shape, complex64)
        values = cuda.local.array(length, complex64)

        # load row i, zeros past the filter, and transform
        for j in range(length):
            values[j] = complex64(0)
            if i < w.shape[2] and j < w.shape[3]:
                values[j] = complex64(w[k, c, i, j])
        transform(values, spectrum, i)

        # store column i
        if i < columns:
            for j in range(length):
                u[(j * columns + i) * groups + k // u.shape[1], k % u.shape[1], c] = values[j].conjugate()

    return fft_filters


@cache
def make_input_kernel(length: int) -> Kernel:
    """V[f·G + g, c, t] = F(d)[f]."""
    transform = make_tile_transform(length)
    columns = length // 2 + 1
    shape = (length, columns)

    @cuda.jit
    def fft_inputs(
        x: Array, v: Array, tiles: Any, phases: Any, outputs: Any, top_left: Any, dilation: Any, groups: int
    ) -> None:
        # map
        n, c, row, column = unflatten_on_device(cuda.blockIdx.x, x.shape[1], tiles[0], tiles[1])
        i = cuda.threadIdx.x
        h = tile_start_on_device(row, outputs[0], dilation[0], phases[0]) - top_left[0] + i * dilation[0]
        first_w = tile_start_on_device(column, outputs[1], dilation[1], phases[1]) - top_left[1]
        tile = (n * tiles[0] + row) * tiles[1] + column
        c_per_group = x.shape[1] // groups
        spectrum = cuda.shared.array(shape, complex64)
        values = cuda.local.array(length, complex64)

        # load row i, zeros past the image, and transform
        for j in range(length):
            w = first_w + j * dilation[1]
            values[j] = complex64(0)
            if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                values[j] = complex64(x[n, c, h, w])
        transform(values, spectrum, i)

        # store column i
        if i < columns:
            for j in range(length):
                v[(j * columns + i) * groups + c // c_per_group, c % c_per_group, tile] = values[j]

    return fft_inputs


@cache
def make_output_kernel(length: int) -> Kernel:
    """Y tile = F⁻¹(M) + bias, real."""
    fft = make_fft(length)
    columns = length // 2 + 1
    shape = (length, columns)
    scale = np.float32(1 / length**2)

    @cuda.jit
    def fft_outputs(
        products: Array,
        bias: Array,
        y: Array,
        tiles: Any,
        phases: Any,
        outputs: Any,
        stride: Any,
        dilation: Any,
        groups: int,
    ) -> None:
        # map
        n, k, row, column = unflatten_on_device(cuda.blockIdx.x, y.shape[1], tiles[0], tiles[1])
        i = cuda.threadIdx.x
        first_p = tile_start_on_device(row, outputs[0], dilation[0], phases[0])
        first_q = tile_start_on_device(column, outputs[1], dilation[1], phases[1])
        tile = (n * tiles[0] + row) * tiles[1] + column
        k_per_group = y.shape[1] // groups
        spectrum = cuda.shared.array(shape, complex64)
        values = cuda.local.array(length, complex64)

        # load and transform column i
        if i < columns:
            for j in range(length):
                values[j] = products[(j * columns + i) * groups + k // k_per_group, k % k_per_group, tile]
            fft(values, True)
            for j in range(length):
                spectrum[j, i] = values[j]
        cuda.syncthreads()

        # transform row i: a real result, so that the other half of the spectrum is the conjugate of this one
        for j in range(columns):
            values[j] = spectrum[i, j]
        for j in range(columns, length):
            values[j] = spectrum[i, length - j].conjugate()
        fft(values, True)

        # store the outputs that did not wrap, of the strided ones
        p = first_p + i * dilation[0]
        if i < outputs[0] and p % stride[0] == 0 and p // stride[0] < y.shape[2]:
            for j in range(outputs[1]):
                q = first_q + j * dilation[1]
                if q % stride[1] == 0 and q // stride[1] < y.shape[3]:
                    y[n, k, p // stride[0], q // stride[1]] = values[j].real * scale + bias[k]

    return fft_outputs
