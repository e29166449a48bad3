"""Winograd's minimal filtering in three stages by loops: for any dtype, and any dilation; not fast.

    target tile = Aᵀ [ Σ_l (G f_{m,l} Gᵀ) ⊙ (Bᵀ d_l B) ] A,   M[ξν, g] = U[ξν, g] @ V[ξν, g]   (M/G × L/G by L/G × T)

Layouts   source (N, L, ·, ·), f (M, L/G, 3, 3), target (N, M, ·, ·), in any order of memory; U (α²·G, M/G, L/G),
          V (α²·G, L/G, T), M (α²·G, M/G, T), contiguous, of the accumulating dtype; T = N · tiles of one image, batch
          index = (ξ·α + ν)·G + g.
Index map filters: blockIdx.x · threads + threadIdx.x → (m, l) · inputs: → (n, l, tile row, tile column), column
          fastest · multiply: as in `algorithms.gemm.plain` · outputs: → (n, m, tile row, tile column). One thread has
          one tile in local memory. With dilation d the taps of a tile, and its outputs, are d apart (`tile_start`).
Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §4.1, algorithm 1.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numba import cuda

from algorithms.correlation import CorrelationPlan, number_of
from algorithms.gemm import launch_gemm
from algorithms.indexing import tile_start_on_device
from algorithms.tiling import Tiling
from algorithms.winograd.matrices import TAPS, Transforms, as_array
from convbench.devices import Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import unflatten_on_device
from convbench.problem import ConvProblem, Dtype

THREADS = 64  # a thread holds a whole tile: more of them would not fit the registers


@dataclass(frozen=True, kw_only=True)
class PlainConfig:
    """Three stages by loops, in the accumulating dtype; side of the square tiles of the batched GEMM."""

    tile: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.tile <= 32:
            raise ConfigError(f"{self}: tile is 1 to 32, for a block holds 1024 threads")

    def lacks(self, problem: ConvProblem, device: Device) -> str | None:
        """What a device, or a problem, has not that these kernels need: nothing."""
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
def make_filter_kernel(transforms: Transforms, accumulator: Dtype) -> Kernel:
    """U[ξν·G + g, m, l] = (G f Gᵀ)[ξ, ν]."""
    alpha, number = transforms.alpha, number_of(accumulator)
    g_matrix = as_array(transforms.g, accumulator)
    shape = (alpha, TAPS)

    @cuda.jit
    def winograd_filters(filters: Array, u: Array) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        m = flat // filters.shape[1]  # of all groups
        l = flat % filters.shape[1]  # noqa: E741  (the channel of the source)
        if m >= filters.shape[0]:
            return  # the grid is rounded up to whole blocks
        groups = filters.shape[0] // u.shape[1]
        matrix = cuda.const.array_like(g_matrix)

        # load and accumulate G f
        half = cuda.local.array(shape, number)
        for i in range(alpha):
            for s in range(TAPS):
                total = number(0)
                for r in range(TAPS):
                    total += matrix[i, r] * number(filters[m, l, r, s])
                half[i, s] = total

        # store (G f) Gᵀ
        for i in range(alpha):
            for j in range(alpha):
                total = number(0)
                for s in range(TAPS):
                    total += half[i, s] * matrix[j, s]
                u[(i * alpha + j) * groups + m // u.shape[1], m % u.shape[1], l] = total

    return winograd_filters


@cache
def make_input_kernel(transforms: Transforms, accumulator: Dtype) -> Kernel:
    """V[ξν·G + g, l, t] = (Bᵀ d B)[ξ, ν]."""
    alpha, extent, number = transforms.alpha, transforms.m, number_of(accumulator)
    b_matrix = as_array(transforms.b_t, accumulator)
    shape = (alpha, alpha)

    @cuda.jit
    def winograd_inputs(
        source: Array, v: Array, tiles: Any, phases: Any, top_left: Any, dilation: Any, groups: int
    ) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        n, l, row, column = unflatten_on_device(flat, source.shape[1], tiles[0], tiles[1])  # noqa: E741
        if n >= source.shape[0]:
            return  # the grid is rounded up to whole blocks
        first_h = tile_start_on_device(row, extent, dilation[0], phases[0]) - top_left[0]
        first_w = tile_start_on_device(column, extent, dilation[1], phases[1]) - top_left[1]
        tile = (n * tiles[0] + row) * tiles[1] + column
        l_per_group = source.shape[1] // groups
        matrix = cuda.const.array_like(b_matrix)

        # load d
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
        for i in range(alpha):
            for j in range(alpha):
                total = number(0)
                for a in range(alpha):
                    total += matrix[i, a] * d[a, j]
                half[i, j] = total

        # store (Bᵀ d) B
        for i in range(alpha):
            for j in range(alpha):
                total = number(0)
                for a in range(alpha):
                    total += half[i, a] * matrix[j, a]
                v[(i * alpha + j) * groups + l // l_per_group, l % l_per_group, tile] = total

    return winograd_inputs


@cache
def make_output_kernel(transforms: Transforms, accumulator: Dtype) -> Kernel:
    """Target tile = Aᵀ M A + addend."""
    alpha, extent, number = transforms.alpha, transforms.m, number_of(accumulator)
    a_matrix = as_array(transforms.a_t, accumulator)
    shape = (extent, alpha)

    @cuda.jit
    def winograd_outputs(
        products: Array, addend: Array, target: Array, tiles: Any, phases: Any, dilation: Any, groups: int
    ) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        n, m, row, column = unflatten_on_device(flat, target.shape[1], tiles[0], tiles[1])
        if n >= target.shape[0]:
            return  # the grid is rounded up to whole blocks
        first_i = tile_start_on_device(row, extent, dilation[0], phases[0])
        first_j = tile_start_on_device(column, extent, dilation[1], phases[1])
        tile = (n * tiles[0] + row) * tiles[1] + column
        m_per_group = target.shape[1] // groups
        g = m // m_per_group
        matrix = cuda.const.array_like(a_matrix)

        # load and accumulate Aᵀ M
        half = cuda.local.array(shape, number)
        for i in range(extent):
            for j in range(alpha):
                total = number(0)
                for a in range(alpha):
                    total += matrix[i, a] * products[(a * alpha + j) * groups + g, m % m_per_group, tile]
                half[i, j] = total

        # store (Aᵀ M) A where the tile is inside the target
        for i in range(extent):
            for j in range(extent):
                p = first_i + i * dilation[0]
                q = first_j + j * dilation[1]
                if p < target.shape[2] and q < target.shape[3]:
                    total = number(0)
                    for a in range(alpha):
                        total += half[i, a] * matrix[j, a]
                    target[n, m, p, q] = total + number(addend[m])

    return winograd_outputs
