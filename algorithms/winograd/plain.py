"""Winograd's minimal filtering in three stages by loops. It computes any dtype and any dilation, and is not fast.

    target tile = Aᵀ [ Σ_l (G f_{m,l} Gᵀ) ⊙ (Bᵀ d_l B) ] A,   M[ξν, g] = U[ξν, g] @ V[ξν, g]   (M/G × L/G by L/G × T)

Layouts   source (N, L, ·, ·), f (M, L/G, 3, 3), target (N, M, ·, ·), in any order of memory; U (α²·G, M/G, L/G),
          V (α²·G, L/G, T), M (α²·G, M/G, T), contiguous, of the accumulating dtype; T = N · tiles of one image, batch
          index = (ξ·α + ν)·G + g.
Index map filters: blockIdx.x · threads + threadIdx.x → (m, l) · inputs: → (n, l, tile row, tile column), column
          fastest · multiply: as in `algorithms.gemm.plain` · outputs: → (n, m, tile row, tile column). A thread has
          one tile in local memory. With dilation d the samples of a tile, and its outputs, are d apart (`tile_start`).
Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §4.1, algorithm 1.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import cuda

from algorithms.correlation import CorrelationPlan, number_of
from algorithms.gemm import launch_gemm
from algorithms.indexing import find_tile
from algorithms.tiling import Tiling
from algorithms.winograd.matrices import TAPS, Matrix, Transforms, as_array
from convbench.devices import Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.problem import ConvProblem, Dtype

THREADS = 64  # a thread holds a whole tile, and the registers would not fit more threads


@dataclass(frozen=True, kw_only=True)
class PlainConfig:
    """Three stages by loops, in the accumulating dtype. `tile` is the side of the batched GEMM's square tiles."""

    tile: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.tile <= 32:
            raise ConfigError(f"{self}: tile is 1 to 32, because a block holds 1024 threads")

    def lacks(self, problem: ConvProblem, device: Device) -> str | None:
        """None: these kernels need nothing that a problem or a device may lack."""
        return None


class Plain:
    """The work of a plan with a `PlainConfig`."""

    def __init__(self, plan: CorrelationPlan, transforms: Transforms) -> None:
        self.plan, self.transforms = plan, transforms
        geometry = plan.geometry
        self.tiling = Tiling.of(geometry, (transforms.m, transforms.m))
        batches, self.all_tiles = transforms.alpha**2 * geometry.groups, geometry.n * self.tiling.per_image
        l_per_group, m_per_group = geometry.sources_per_group, geometry.targets_per_group
        self.u = plan.kept((batches, m_per_group, l_per_group), plan.accumulator)
        self.v = plan.scratch((batches, l_per_group, self.all_tiles), plan.accumulator)
        self.m = plan.scratch((batches, m_per_group, self.all_tiles), plan.accumulator)
        self.no_bias = plan.device.upload(np.zeros((batches, m_per_group), plan.accumulator))

    def prepare(self) -> None:
        """Transform the filters."""
        plan = self.plan
        self._launch("transform", make_filter_kernel, plan.geometry.targets * self.u.shape[2], plan.filters, self.u)

    def run(self, source: Array, target: Array) -> None:
        """Transform the source, multiply, and transform back."""
        geometry, tiling = self.plan.geometry, self.tiling
        self._launch(
            "transform", make_input_kernel, geometry.sources * self.all_tiles, source, self.v,
            tiling.counts, tiling.phases, geometry.top_left, geometry.dilation, geometry.groups,
        )  # fmt: skip
        launch_gemm(self.plan.device, self.u, self.v, self.no_bias, self.m, tile=self.plan.config.tile)
        self._launch(
            "unpack", make_output_kernel, geometry.targets * self.all_tiles, self.m, self.plan.addend, target,
            tiling.counts, tiling.phases, geometry.dilation, geometry.groups,
        )  # fmt: skip

    def _launch(self, phase: Any, make_kernel: Any, threads: int, *args: object) -> None:
        kernel = make_kernel(self.transforms, self.plan.accumulator)
        self.plan.device.launch(phase, kernel, -(-threads // THREADS), THREADS, *args)


@cache
def make_both_sides(matrix: Matrix, accumulator: Dtype) -> tuple[Any, Any]:
    """Device functions for A d Aᵀ, the form of all three transforms, with a matrix A.

    `from_left` writes A d from d in local memory; `element` is element (i, j) of (A d) Aᵀ.
    """
    rows, columns, number = len(matrix), len(matrix[0]), number_of(accumulator)
    entries = as_array(matrix, accumulator)

    @cuda.jit(device=True)
    def from_left(d: Array, half: Array) -> None:
        constants = cuda.const.array_like(entries)
        for i in range(rows):
            for j in range(columns):
                total = number(0)
                for a in range(columns):
                    total += constants[i, a] * d[a, j]
                half[i, j] = total

    @cuda.jit(device=True)
    def element(half: Array, i: int, j: int) -> Any:
        constants = cuda.const.array_like(entries)
        total = number(0)
        for a in range(columns):
            total += half[i, a] * constants[j, a]
        return total

    return from_left, element


@cache
def make_filter_kernel(transforms: Transforms, accumulator: Dtype) -> Kernel:
    """U[ξν·G + g, m, l] = (G f Gᵀ)[ξ, ν]."""
    alpha, number = transforms.alpha, number_of(accumulator)
    from_left, element = make_both_sides(transforms.g, accumulator)
    in_filter, in_half = (TAPS, TAPS), (alpha, TAPS)

    @cuda.jit
    def winograd_filters(filters: Array, u: Array) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        m = flat // filters.shape[1]  # of all groups
        l = flat % filters.shape[1]  # noqa: E741  (the channel of the source)
        if m >= filters.shape[0]:
            return  # the grid is rounded up to whole blocks
        groups = filters.shape[0] // u.shape[1]

        # load f
        f = cuda.local.array(in_filter, number)
        for r in range(TAPS):
            for s in range(TAPS):
                f[r, s] = number(filters[m, l, r, s])

        # accumulate G f
        half = cuda.local.array(in_half, number)
        from_left(f, half)

        # store (G f) Gᵀ
        for i in range(alpha):
            for j in range(alpha):
                u[(i * alpha + j) * groups + m // u.shape[1], m % u.shape[1], l] = element(half, i, j)

    return winograd_filters


@cache
def make_input_kernel(transforms: Transforms, accumulator: Dtype) -> Kernel:
    """V[ξν·G + g, l, t] = (Bᵀ d B)[ξ, ν]."""
    alpha, number, extent = transforms.alpha, number_of(accumulator), (transforms.m, transforms.m)
    from_left, element = make_both_sides(transforms.b_t, accumulator)
    shape = (alpha, alpha)

    @cuda.jit
    def winograd_inputs(
        source: Array, v: Array, tiles: Any, phases: Any, top_left: Any, dilation: Any, groups: int
    ) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        n, l, tile, first_i, first_j = find_tile(flat, source.shape[1], tiles, phases, extent, dilation)  # noqa: E741
        if n >= source.shape[0]:
            return  # the grid is rounded up to whole blocks
        first_h, first_w = first_i - top_left[0], first_j - top_left[1]
        l_per_group = source.shape[1] // groups

        # load d, zeros outside the map
        d = cuda.local.array(shape, number)
        for i in range(alpha):
            for j in range(alpha):
                h = first_h + i * dilation[0]
                w = first_w + j * dilation[1]
                if 0 <= h < source.shape[2] and 0 <= w < source.shape[3]:
                    d[i, j] = number(source[n, l, h, w])
                else:
                    d[i, j] = number(0)

        # accumulate Bᵀ d
        half = cuda.local.array(shape, number)
        from_left(d, half)

        # store (Bᵀ d) B
        for i in range(alpha):
            for j in range(alpha):
                v[(i * alpha + j) * groups + l // l_per_group, l % l_per_group, tile] = element(half, i, j)

    return winograd_inputs


@cache
def make_output_kernel(transforms: Transforms, accumulator: Dtype) -> Kernel:
    """Target tile = Aᵀ M A + addend."""
    alpha, number, extent = transforms.alpha, number_of(accumulator), (transforms.m, transforms.m)
    _, element = make_both_sides(transforms.a_t, accumulator)
    a_matrix = as_array(transforms.a_t, accumulator)
    shape = (transforms.m, alpha)

    @cuda.jit
    def winograd_outputs(
        products: Array, addend: Array, target: Array, tiles: Any, phases: Any, dilation: Any, groups: int
    ) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        n, m, tile, first_i, first_j = find_tile(flat, target.shape[1], tiles, phases, extent, dilation)
        if n >= target.shape[0]:
            return  # the grid is rounded up to whole blocks
        m_per_group = target.shape[1] // groups
        g = m // m_per_group

        # load and accumulate Aᵀ M; M first in local memory, as `from_left` has it, would take more registers
        matrix = cuda.const.array_like(a_matrix)
        half = cuda.local.array(shape, number)
        for i in range(extent[0]):
            for j in range(alpha):
                total = number(0)
                for a in range(alpha):
                    total += matrix[i, a] * products[(a * alpha + j) * groups + g, m % m_per_group, tile]
                half[i, j] = total

        # store (Aᵀ M) A where the tile is inside the target
        for i in range(extent[0]):
            for j in range(extent[1]):
                p = first_i + i * dilation[0]
                q = first_j + j * dilation[1]
                if p < target.shape[2] and q < target.shape[3]:
                    target[n, m, p, q] = element(half, i, j) + number(addend[m])

    return winograd_outputs
