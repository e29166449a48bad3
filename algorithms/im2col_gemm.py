"""im2col + GEMM: write every window out as a column, then multiply matrices.

    columns[(n,g), l, (p,q)] = x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w],      l = (c·R + r)·S + s
    y[(n,g), k, (p,q)] = bias[g,k] + Σ_l w[g, k, l] · columns[(n,g), l, (p,q)]              0 ≤ l < C/G·R·S

Layouts   x (N, C, H, W), w seen as (G, K/G, C/G·R·S), y seen as (N·G, K/G, P·Q), contiguous float32; columns
          (images·G, C/G·R·S, P·Q), for as many images at a time as the workspace holds.
Index map lowering: blockIdx.x · threads + threadIdx.x → (image and group, l, p·q), q fastest · multiply: as in
          `algorithms.gemm`, batch = image and group.
Cost      2·N·K·P·Q·C/G·R·S FLOPs, and C·R·S·P·Q elements written and read again for each image.
Source    Chellapilla, Puri & Simard 2006, "High performance convolutional neural networks for document processing",
          §4; the order of the rows is that of Caffe's im2col.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from numba import cuda, float32

from algorithms.gemm import launch_gemm, tiles_for
from algorithms.indexing import unflatten_on_device
from convbench.algorithm import Algorithm, Family, Plan
from convbench.devices.device import Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.problem import ConvProblem

THREADS = 256


@dataclass(frozen=True, kw_only=True)
class Config:
    """Side of the GEMM's square tiles, and how many bytes of columns to hold at a time (one image at least)."""

    tile: int = 16
    max_columns_bytes: int = 2**28

    def __post_init__(self) -> None:
        if not 1 <= self.tile <= 32 or self.max_columns_bytes < 1:
            raise ConfigError(f"{self}: tile is 1 to 32 (a block holds 1024 threads), max_columns_bytes at least 1")


class Im2colGemm(Algorithm):
    """Lowering to one matrix product per image and group."""

    name: ClassVar[str] = "im2col_gemm"
    family: ClassVar[Family] = "gemm"

    def configs(self, problem: ConvProblem) -> tuple[Config, ...]:
        sides = tiles_for(problem.k // problem.groups, problem.p * problem.q)
        return tuple(Config(tile=tile) for tile in sides)

    def make_plan(self, problem: ConvProblem, device: Device, config: Config) -> Plan:
        return Im2colPlan(problem, device, config)


class Im2colPlan(Plan):
    """Lower some images, multiply, and on to the next ones."""

    def __init__(self, problem: ConvProblem, device: Device, config: Config) -> None:
        super().__init__(problem, device, config)
        self.pixels = problem.p * problem.q
        one_image = 4 * problem.groups * problem.terms * self.pixels
        self.images = max(1, min(problem.n, config.max_columns_bytes // one_image))
        self.columns = self.scratch((self.images * problem.groups, problem.terms, self.pixels))

    def run(self, x: Array, y: Array) -> None:
        problem, groups = self.problem, self.problem.groups
        filters = self.weights.reshape(groups, problem.k // groups, problem.terms)
        bias = self.bias.reshape(groups, problem.k // groups)
        outputs = y.reshape(problem.n * groups, problem.k // groups, self.pixels)
        top_left = problem.padding[0][0], problem.padding[1][0]
        for first in range(0, problem.n, self.images):
            images = min(self.images, problem.n - first)
            columns = self.columns[: images * groups]
            self.device.launch(
                "pack", make_lowering_kernel(), -(-columns.size // THREADS), THREADS,
                x, columns, first, (problem.r, problem.s), problem.q,
                problem.stride, top_left, problem.dilation, groups,
            )  # fmt: skip
            launch_gemm(
                self.device, filters, columns, bias, outputs[first * groups : (first + images) * groups],
                tile=self.config.tile,
            )  # fmt: skip


@cache
def make_lowering_kernel() -> Kernel:
    """The kernel that writes the columns, for problems of any size."""

    @cuda.jit
    def im2col(
        x: Array, columns: Array, first_image: int, taps: Any, outputs_q: int,
        stride: Any, top_left: Any, dilation: Any, groups: int,
    ) -> None:  # fmt: skip
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if flat >= columns.size:
            return  # the grid is rounded up to whole blocks
        _, batch, row, pixel = unflatten_on_device(flat, columns.shape[0], columns.shape[1], columns.shape[2])
        _, c, r, s = unflatten_on_device(row, x.shape[1], taps[0], taps[1])
        n = first_image + batch // groups
        h = pixel // outputs_q * stride[0] - top_left[0] + r * dilation[0]
        j = pixel % outputs_q * stride[1] - top_left[1] + s * dilation[1]

        # load and store
        if 0 <= h < x.shape[2] and 0 <= j < x.shape[3]:
            columns[batch, row, pixel] = x[n, batch % groups * (x.shape[1] // groups) + c, h, j]
        else:
            columns[batch, row, pixel] = float32(0)

    return im2col
