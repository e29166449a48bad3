"""Implicit GEMM: the matrix product of im2col, with the columns gathered tile by tile and never written out.

    y[g, k, j] = bias[g,k] + Σ_l w[g, k, l] · x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w]
                 0 ≤ l < C/G·R·S with l = (c·R + r)·S + s;   0 ≤ j < N·P·Q with j = (n·P + p)·Q + q

Layouts   x (N, C, H, W), w seen as (G, K/G, C/G·R·S), y (N, K, P, Q), contiguous float32; no workspace.
Index map blockIdx.x → (group, k tile, j tile), j tile fastest · threadIdx.y → k, threadIdx.x → j in the tile · loop
          over l in steps of `tile`; a step stages a tile of w and one of x in shared memory.
Cost      2·N·K·P·Q·C/G·R·S FLOPs; a window element is gathered K/G / tile times.
Source    Chetlur et al. 2014, "cuDNN: efficient primitives for deep learning", arXiv 1410.0759, §3.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from numba import cuda, float32

from algorithms.gemm import tiles_for
from algorithms.indexing import unflatten_on_device
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices.device import Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.problem import ConvProblem

LARGEST_TILE = 16


@dataclass(frozen=True, kw_only=True)
class Config:
    """Side of the square tiles of filters by outputs by taps.

    A block of 32 × 32 threads leaves 64 registers for each, and the kernel needs 74 (compiled for sm_90).
    """

    tile: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.tile <= LARGEST_TILE:
            raise ConfigError(f"{self}: tile is 1 to {LARGEST_TILE}, for the registers of a block")


class ImplicitGemm(Algorithm):
    """One matrix product per group over the whole batch, without workspace."""

    name: ClassVar[str] = "implicit_gemm"
    family: ClassVar[Family] = "gemm"

    def configs(self, problem: ConvProblem) -> tuple[Config, ...]:
        sides = tiles_for(problem.k // problem.groups, problem.n * problem.p * problem.q)
        return tuple(Config(tile=tile) for tile in sides if tile <= LARGEST_TILE)

    def make_plan(self, problem: ConvProblem, device: Device, config: Config) -> Plan:
        return ImplicitGemmPlan(problem, device, config)


class ImplicitGemmPlan(Plan):
    """One launch over all tiles of the product."""

    def run(self, x: Array, y: Array) -> None:
        problem, tile = self.problem, self.config.tile
        tiles = -(-problem.k // problem.groups // tile), -(-problem.n * problem.p * problem.q // tile)
        top_left = problem.padding[0][0], problem.padding[1][0]
        self.device.launch(
            "multiply", make_kernel(self.config), problem.groups * tiles[0] * tiles[1], (tile, tile),
            x, self.weights, self.bias, y, problem.stride, top_left, problem.dilation, problem.groups, tiles,
        )  # fmt: skip


@cache
def make_kernel(config: Config) -> Kernel:
    """The kernel of a config, for problems of any size."""
    tile = config.tile
    shape = (tile, tile)

    @cuda.jit
    def implicit_gemm(
        x: Array, w: Array, bias: Array, y: Array, stride: Any, top_left: Any, dilation: Any, groups: int, tiles: Any
    ) -> None:
        # map
        _, g, k_tile, j_tile = unflatten_on_device(cuda.blockIdx.x, groups, tiles[0], tiles[1])
        k_per_group = y.shape[1] // groups
        k = k_tile * tile + cuda.threadIdx.y  # within the group
        n, _, p, q = unflatten_on_device(j_tile * tile + cuda.threadIdx.x, 1, y.shape[2], y.shape[3])
        terms = w.shape[1] * w.shape[2] * w.shape[3]
        w_tile = cuda.shared.array(shape, float32)
        x_tile = cuda.shared.array(shape, float32)
        total = float32(0)

        for first in range(0, terms, tile):
            # load: threadIdx.x runs along l in w and along j in x; zeros past the edges and in the padding
            w_tile[cuda.threadIdx.y, cuda.threadIdx.x] = float32(0)
            x_tile[cuda.threadIdx.y, cuda.threadIdx.x] = float32(0)
            if k < k_per_group and first + cuda.threadIdx.x < terms:
                _, c, r, s = unflatten_on_device(first + cuda.threadIdx.x, w.shape[1], w.shape[2], w.shape[3])
                w_tile[cuda.threadIdx.y, cuda.threadIdx.x] = w[g * k_per_group + k, c, r, s]
            if n < y.shape[0] and first + cuda.threadIdx.y < terms:
                _, c, r, s = unflatten_on_device(first + cuda.threadIdx.y, w.shape[1], w.shape[2], w.shape[3])
                h = p * stride[0] - top_left[0] + r * dilation[0]
                j = q * stride[1] - top_left[1] + s * dilation[1]
                if 0 <= h < x.shape[2] and 0 <= j < x.shape[3]:
                    x_tile[cuda.threadIdx.y, cuda.threadIdx.x] = x[n, g * w.shape[1] + c, h, j]
            cuda.syncthreads()
            # accumulate
            for l in range(tile):  # noqa: E741  (the field's letter for the summed index)
                total += w_tile[cuda.threadIdx.y, l] * x_tile[l, cuda.threadIdx.x]
            cuda.syncthreads()  # the next step overwrites the tiles

        # store
        if k < k_per_group and n < y.shape[0]:
            y[n, g * k_per_group + k, p, q] = total + bias[g * k_per_group + k]

    return implicit_gemm
