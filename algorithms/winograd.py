"""Winograd's minimal filtering F(m×m, 3×3), in three stages: transform, batched GEMM, transform back.

    y = Aᵀ [ Σ_c (G g_{k,c} Gᵀ) ⊙ (Bᵀ d_c B) ] A        for each tile of m × m outputs; d is its input, α × α, α = m + 2
    U[ξν] = G g Gᵀ,   V[ξν] = Bᵀ d B,   M[ξν, g] = U[ξν, g] @ V[ξν, g]   (K/G × C/G by C/G × T),   0 ≤ ξ, ν < α

Layouts   x (N, C, H, W), w (K, C/G, 3, 3), y (N, K, P, Q); U (α²·G, K/G, C/G), V (α²·G, C/G, T), M (α²·G, K/G, T),
          contiguous float32; T = N · tiles of one image, batch index = (ξ·α + ν)·G + g.
Index map filters: blockIdx.x · threads + threadIdx.x → (k, c) · inputs: → (n, c, tile row, tile column), column
          fastest · multiply: as in `algorithms.gemm` · outputs: → (n, k, tile row, tile column). One thread has one
          tile in local memory. With dilation d the taps of a tile, and its outputs, are d apart (`tile_start`).
Cost      (α/m)² multiplications per output and channel instead of 9: 4 for m = 2, 2.25 for m = 4.
Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §4.1, algorithm 1.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numba import cuda, float32

from algorithms.gemm import launch_gemm, tiles_for
from algorithms.indexing import tile_count, tile_phases, tile_start_on_device, unflatten_on_device
from algorithms.transform_error import tiled_magnitude
from algorithms.winograd_matrices import Matrix, Transforms, as_float32, derive
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices.device import Array, Device, Kernel
from convbench.error_model import ErrorModel, roundings
from convbench.errors import ConfigError
from convbench.problem import ConvProblem
from convbench.reference import Float64

TAPS = 3
THREADS = 64  # a thread holds a whole tile: more of them would not fit the registers

F2_POINTS = tuple(map(Fraction, ("0", "1", "-1")))
F4_POINTS = tuple(map(Fraction, ("0", "7/10", "-7/10", "3/2", "-3/2")))  # chosen in `winograd_matrices`


@dataclass(frozen=True, kw_only=True)
class Config:
    """Side of the square tiles of the batched GEMM."""

    tile: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.tile <= 32:
            raise ConfigError(f"{self}: tile is 1 to 32, for a block holds 1024 threads")


def error_model(transforms: Transforms, *, exact_headroom: int | None) -> ErrorModel:
    """Roundings along one chain: the sum over the channels and both axes of three transforms."""
    a2, g2, b2 = (_squares(matrix) for matrix in (transforms.a_t, transforms.g, transforms.b_t))

    def growth(problem: ConvProblem, config: object) -> float:
        in_transforms = 2 * (transforms.alpha + TAPS + transforms.alpha)
        return roundings(problem.c // problem.groups + in_transforms + problem.bias)

    def magnitude(problem: ConvProblem, x: Float64, w: Float64, config: object) -> Float64:
        return tiled_magnitude(
            problem, x, m=(transforms.m, transforms.m), alpha=transforms.alpha, filters=np.sqrt(g2 @ w**2 @ g2.T),
            size=lambda d: np.sqrt(b2 @ d @ b2.T), back=lambda uv: np.sqrt(a2 @ uv**2 @ a2.T),
        )  # fmt: skip

    return ErrorModel(growth=growth, magnitude=magnitude, exact_headroom=exact_headroom)


def _squares(matrix: Matrix) -> Float64:
    return np.array([[float(entry) ** 2 for entry in row] for row in matrix])


class _Winograd(Algorithm):
    """What both tile sizes share."""

    family: ClassVar[Family] = "winograd"
    transforms: ClassVar[Transforms]

    def configs(self, problem: ConvProblem) -> tuple[Config, ...]:
        sides = tiles_for(problem.k // problem.groups, problem.n * problem.p * problem.q // self.transforms.m**2)
        return tuple(Config(tile=tile) for tile in sides)

    def limits(self, problem: ConvProblem) -> str | None:
        if (problem.r, problem.s) != (TAPS, TAPS):
            return f"the filter is {problem.r} × {problem.s}; its matrices are for {TAPS} × {TAPS}"
        if problem.stride != (1, 1):
            return f"stride is {problem.stride}; a tile yields adjacent outputs, most of which a stride throws away"
        return None

    def make_plan(self, problem: ConvProblem, device: Device, config: Config) -> Plan:
        return WinogradPlan(problem, device, config, self.transforms)


class Winograd2x2(_Winograd):
    """F(2×2, 3×3): 2.25 times fewer multiplications, as accurate as the definition.

    On integers its finest unit is 1/4 (G has halves, in two axes); the row sums of |G|, |Bᵀ| and |Aᵀ| are at most
    3/2, 2 and 3, which makes 4 · (3/2)² · 2² · 3² = 324 per channel and 36 per each of the nine terms.
    """

    name: ClassVar[str] = "winograd_2x2_3x3"
    transforms: ClassVar[Transforms] = derive(F2_POINTS, TAPS)
    error_model: ClassVar[ErrorModel] = error_model(transforms, exact_headroom=36)


class Winograd4x4(_Winograd):
    """F(4×4, 3×3): 4 times fewer multiplications, a few times the error of the definition."""

    name: ClassVar[str] = "winograd_4x4_3x3"
    transforms: ClassVar[Transforms] = derive(F4_POINTS, TAPS)
    error_model: ClassVar[ErrorModel] = error_model(transforms, exact_headroom=None)


class WinogradPlan(Plan):
    """Filters are transformed once; each run transforms the input, multiplies, and transforms back."""

    def __init__(self, problem: ConvProblem, device: Device, config: Config, transforms: Transforms) -> None:
        super().__init__(problem, device, config)
        self.transforms = transforms
        self.tiles = tuple(
            tile_count(outputs, transforms.m, d)
            for outputs, d in zip((problem.p, problem.q), problem.dilation, strict=True)
        )
        self.phases = tile_phases(problem.p, problem.dilation[0]), tile_phases(problem.q, problem.dilation[1])
        batches, all_tiles = transforms.alpha**2 * problem.groups, problem.n * self.tiles[0] * self.tiles[1]
        c_per_group, k_per_group = problem.c // problem.groups, problem.k // problem.groups
        self.u = self.kept((batches, k_per_group, c_per_group))
        self.v = self.scratch((batches, c_per_group, all_tiles))
        self.m = self.scratch((batches, k_per_group, all_tiles))
        self.no_bias = device.upload(np.zeros((batches, k_per_group), np.float32))

    def prepare(self) -> None:
        self._launch("transform", make_filter_kernel, self.problem.k * self.u.shape[2], self.weights, self.u)

    def run(self, x: Array, y: Array) -> None:
        problem = self.problem
        top_left = problem.padding[0][0], problem.padding[1][0]
        images_of_tiles = problem.n * self.tiles[0] * self.tiles[1]
        self._launch(
            "transform", make_input_kernel, problem.c * images_of_tiles,
            x, self.v, self.tiles, self.phases, top_left, problem.dilation, problem.groups,
        )  # fmt: skip
        launch_gemm(self.device, self.u, self.v, self.no_bias, self.m, tile=self.config.tile)
        self._launch(
            "unpack", make_output_kernel, problem.k * images_of_tiles,
            self.m, self.bias, y, self.tiles, self.phases, problem.dilation, problem.groups,
        )  # fmt: skip

    def _launch(self, phase: Any, make_kernel: Any, threads: int, *args: object) -> None:
        self.device.launch(phase, make_kernel(self.transforms), -(-threads // THREADS), THREADS, *args)


@cache
def make_filter_kernel(transforms: Transforms) -> Kernel:
    """U[ξν·G + g, k, c] = (G g Gᵀ)[ξ, ν]."""
    alpha = transforms.alpha
    g_matrix = as_float32(transforms.g)
    shape = (alpha, TAPS)

    @cuda.jit
    def winograd_filters(w: Array, u: Array) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        k = flat // w.shape[1]  # of all groups
        c = flat % w.shape[1]
        if k >= w.shape[0]:
            return  # the grid is rounded up to whole blocks
        groups = w.shape[0] // u.shape[1]
        matrix = cuda.const.array_like(g_matrix)

        # load and accumulate G g
        half = cuda.local.array(shape, float32)
        for i in range(alpha):
            for s in range(TAPS):
                total = float32(0)
                for r in range(TAPS):
                    total += matrix[i, r] * w[k, c, r, s]
                half[i, s] = total

        # store (G g) Gᵀ
        for i in range(alpha):
            for j in range(alpha):
                total = float32(0)
                for s in range(TAPS):
                    total += half[i, s] * matrix[j, s]
                u[(i * alpha + j) * groups + k // u.shape[1], k % u.shape[1], c] = total

    return winograd_filters


@cache
def make_input_kernel(transforms: Transforms) -> Kernel:
    """V[ξν·G + g, c, t] = (Bᵀ d B)[ξ, ν]."""
    alpha, m = transforms.alpha, transforms.m
    b_matrix = as_float32(transforms.b_t)
    shape = (alpha, alpha)

    @cuda.jit
    def winograd_inputs(x: Array, v: Array, tiles: Any, phases: Any, top_left: Any, dilation: Any, groups: int) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        n, c, row, column = unflatten_on_device(flat, x.shape[1], tiles[0], tiles[1])
        if n >= x.shape[0]:
            return  # the grid is rounded up to whole blocks
        first_h = tile_start_on_device(row, m, dilation[0], phases[0]) - top_left[0]
        first_w = tile_start_on_device(column, m, dilation[1], phases[1]) - top_left[1]
        tile = (n * tiles[0] + row) * tiles[1] + column
        c_per_group = x.shape[1] // groups
        matrix = cuda.const.array_like(b_matrix)

        # load d
        d = cuda.local.array(shape, float32)
        for i in range(alpha):
            for j in range(alpha):
                h = first_h + i * dilation[0]
                w = first_w + j * dilation[1]
                if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                    d[i, j] = x[n, c, h, w]
                else:
                    d[i, j] = float32(0)

        # accumulate Bᵀ d
        half = cuda.local.array(shape, float32)
        for i in range(alpha):
            for j in range(alpha):
                total = float32(0)
                for l in range(alpha):  # noqa: E741  (the field's letter for the summed index)
                    total += matrix[i, l] * d[l, j]
                half[i, j] = total

        # store (Bᵀ d) B
        for i in range(alpha):
            for j in range(alpha):
                total = float32(0)
                for l in range(alpha):  # noqa: E741
                    total += half[i, l] * matrix[j, l]
                v[(i * alpha + j) * groups + c // c_per_group, c % c_per_group, tile] = total

    return winograd_inputs


@cache
def make_output_kernel(transforms: Transforms) -> Kernel:
    """Y tile = Aᵀ M A + bias."""
    alpha, m = transforms.alpha, transforms.m
    a_matrix = as_float32(transforms.a_t)
    shape = (m, alpha)

    @cuda.jit
    def winograd_outputs(
        products: Array, bias: Array, y: Array, tiles: Any, phases: Any, dilation: Any, groups: int
    ) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        n, k, row, column = unflatten_on_device(flat, y.shape[1], tiles[0], tiles[1])
        if n >= y.shape[0]:
            return  # the grid is rounded up to whole blocks
        first_p = tile_start_on_device(row, m, dilation[0], phases[0])
        first_q = tile_start_on_device(column, m, dilation[1], phases[1])
        tile = (n * tiles[0] + row) * tiles[1] + column
        k_per_group = y.shape[1] // groups
        g = k // k_per_group
        matrix = cuda.const.array_like(a_matrix)

        # load and accumulate Aᵀ M
        half = cuda.local.array(shape, float32)
        for i in range(m):
            for j in range(alpha):
                total = float32(0)
                for l in range(alpha):  # noqa: E741  (the field's letter for the summed index)
                    total += matrix[i, l] * products[(l * alpha + j) * groups + g, k % k_per_group, tile]
                half[i, j] = total

        # store (Aᵀ M) A where the tile is inside the output
        for i in range(m):
            for j in range(m):
                p = first_p + i * dilation[0]
                q = first_q + j * dilation[1]
                if p < y.shape[2] and q < y.shape[3]:
                    total = float32(0)
                    for l in range(alpha):  # noqa: E741
                        total += half[i, l] * matrix[j, l]
                    y[n, k, p, q] = total + bias[k]

    return winograd_outputs
