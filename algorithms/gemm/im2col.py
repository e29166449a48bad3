"""im2col + GEMM: write every window as a column, then multiply matrices.

    columns[(n,g), l, (p,q)] = x[n, g·C/G + c, p·u − top + r·d_h, q·v − left + s·d_w],      l = (c·R + r)·S + s
    y[(n,g), k, (p,q)] = bias[g,k] + Σ_l w[g, k, l] · columns[(n,g), l, (p,q)]              0 ≤ l < C/G·R·S
    dw[g, k, l]        = Σ_n Σ_{p,q} dy[(n,g), k, (p,q)] · columns[(n,g), l, (p,q)]
    dcolumns[(n,g), l, (p,q)] = Σ_k w[g, k, l] · dy[(n,g), k, (p,q)],      dx[n,c,h,w] = Σ dcolumns at all its places

The last step, col2im, is a gather. A thread sums the R·S places of one element, so no atomics are needed.

Layouts   x (N, C, H, W), w seen as (G, K/G, C/G·R·S), y seen as (N·G, K/G, P·Q), contiguous; columns (images·G,
          C/G·R·S, P·Q), for as many images at a time as the workspace holds, dcolumns in the accumulating dtype.
Index map lowering: blockIdx.x · threads + threadIdx.x → (image and group, l, p·q), q fastest · multiply: as in
          `algorithms.gemm.plain`, batch = image and group · gather: → (image, c, h, w), w fastest · loops over r, s.
Cost      2·N·K·P·Q·C/G·R·S FLOPs, and C·R·S·P·Q elements written and read again for each image.
Source    Chellapilla, Puri & Simard 2006, "High performance convolutional neural networks for document processing",
          §4; the order of the rows is that of Caffe's im2col.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numba import cuda

from algorithms.correlation import make_place, number_of
from algorithms.gemm.plain import launch_gemm, tiles_for
from convbench.algorithm import Algorithm, Family, Plan, packing
from convbench.devices import Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import unflatten_on_device
from convbench.problem import DTYPES, ITEM_BYTES, ConvProblem, Direction, Dtype

THREADS = 256


@dataclass(frozen=True, kw_only=True)
class Config:
    """Side of the GEMM's square tiles, and how many bytes of columns to hold at a time (one image at least)."""

    tile: int = 16
    max_columns_bytes: int = 2**28

    def __post_init__(self) -> None:
        if not 1 <= self.tile <= 32 or self.max_columns_bytes < 1:
            raise ConfigError(f"{self}: tile is 1 to 32 (a block holds 1024 threads), max_columns_bytes at least 1")


class Im2colPlan(Plan):
    """The base of the plans of all directions. It holds the columns of some of the images at a time."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Config) -> None:
        super().__init__(problem, direction, device, config)
        self.pixels = problem.p * problem.q
        dtype = self.accumulator if direction == "backward_data" else problem.dtype
        one_image = ITEM_BYTES[dtype] * problem.groups * problem.terms * self.pixels
        self.images = max(1, min(problem.n, config.max_columns_bytes // one_image))
        self.columns = self.scratch((self.images * problem.groups, problem.terms, self.pixels), dtype)
        self.filters_shape = problem.groups, problem.k // problem.groups, problem.terms
        self.top_left = problem.padding[0][0], problem.padding[1][0]

    def chunks(self) -> Iterator[tuple[int, int, Array]]:
        """Yield the first image and the number of images that are lowered together, and their columns."""
        for first in range(0, self.problem.n, self.images):
            images = min(self.images, self.problem.n - first)
            yield first, images, self.columns[: images * self.problem.groups]

    def of_images(self, y: Array, first: int, images: int) -> Array:
        """Return some images of y or dy as (images·G, K/G, P·Q)."""
        groups, k_per_group, _ = self.filters_shape
        matrices = y.reshape(self.problem.n * groups, k_per_group, self.pixels)
        return matrices[first * groups : (first + images) * groups]

    def lower(self, x: Array, columns: Array, first: int) -> None:
        """Write the columns of some images."""
        problem = self.problem
        self.device.launch(
            "pack", make_lowering_kernel(self.accumulator), -(-columns.size // THREADS), THREADS,
            x, columns, first, (problem.r, problem.s), problem.q,
            problem.stride, self.top_left, problem.dilation, problem.groups,
        )  # fmt: skip


class ForwardPlan(Im2colPlan):
    """Lower some images and multiply, then do the same with the next images."""

    def run(self, x: Array, y: Array) -> None:
        filters = self.weights.reshape(*self.filters_shape)
        bias = self.bias.reshape(*self.filters_shape[:2])
        for first, images, columns in self.chunks():
            self.lower(x, columns, first)
            launch_gemm(
                self.device, filters, columns, bias, self.of_images(y, first, images), tile=self.config.tile
            )  # fmt: skip


class BackwardDataPlan(Im2colPlan):
    """Multiply the gradients of some images into columns and gather, then do the same with the next images."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Config) -> None:
        super().__init__(problem, direction, device, config)
        self.zeros = device.upload(np.zeros((problem.groups, problem.terms), problem.dtype))

    def run(self, dy: Array, dx: Array) -> None:
        problem = self.problem
        filters = self.device.transposed(self.weights.reshape(*self.filters_shape), (0, 2, 1))
        kernel = make_gather_kernel(self.accumulator, problem.stride != (1, 1))
        for first, images, columns in self.chunks():
            launch_gemm(
                self.device, filters, self.of_images(dy, first, images), self.zeros, columns, tile=self.config.tile
            )
            elements = images * problem.c * problem.h * problem.w
            self.device.launch(
                "unpack", kernel, -(-elements // THREADS), THREADS, columns, dx[first : first + images],
                (problem.r, problem.s), (problem.p, problem.q), problem.stride, self.top_left, problem.dilation,
            )  # fmt: skip


class BackwardWeightsPlan(Im2colPlan):
    """Lower some images and add their product to dw, then do the same with the next images."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Config) -> None:
        super().__init__(problem, direction, device, config)
        self.zeros = device.upload(np.zeros(self.filters_shape[:2], problem.dtype))
        several = self.images < problem.n and self.accumulator != problem.dtype
        # unfinished sums stay in the accumulating dtype, because each rounding to a narrower dtype adds an error
        self.sums = self.scratch(problem.w_shape, self.accumulator) if several else None

    def run(self, x: Array, dy: Array, dw: Array) -> None:
        sums = dw if self.sums is None else self.sums
        for first, images, columns in self.chunks():
            self.lower(x, columns, first)
            windows = self.device.transposed(columns, (0, 2, 1))
            launch_gemm(
                self.device, self.of_images(dy, first, images), windows, self.zeros, sums.reshape(*self.filters_shape),
                tile=self.config.tile, onto=first > 0,
            )  # fmt: skip
        if self.sums is not None:
            packing.launch_copy(self.device, "unpack", self.sums, dw)


class Im2colGemm(Algorithm):
    """Convolution as one matrix product for each image and group."""

    name: ClassVar[str] = "im2col_gemm"
    family: ClassVar[Family] = "gemm"
    plans: ClassVar[Mapping[Direction, type[Plan]]] = {
        "forward": ForwardPlan, "backward_data": BackwardDataPlan, "backward_weights": BackwardWeightsPlan,
    }  # fmt: skip
    dtypes: ClassVar[tuple[Dtype, ...]] = DTYPES

    def configs(self, problem: ConvProblem, direction: Direction) -> tuple[Config, ...]:
        k_per_group, pixels = problem.k // problem.groups, problem.p * problem.q
        rows, columns = {
            "forward": (k_per_group, pixels), "backward_data": (problem.terms, pixels),
            "backward_weights": (k_per_group, problem.terms),
        }[direction]  # fmt: skip
        sides = tiles_for(rows, columns)
        # the columns of a single image may stay in the cache until they are multiplied
        by_image = (Config(tile=sides[0], max_columns_bytes=1),) if problem.n > 1 else ()
        return (*(Config(tile=tile) for tile in sides), *by_image)


@cache
def make_lowering_kernel(accumulator: Dtype) -> Kernel:
    """Make the kernel that writes the columns, for problems of any size."""
    number = number_of(accumulator)

    @cuda.jit
    def im2col(
        x: Array, columns: Array, first_image: int, taps: Any, outputs_q: int,
        stride: Any, top_left: Any, dilation: Any, groups: int,
    ) -> None:  # fmt: skip
        """One sample of the columns for each thread.

        Excess: Neighbouring threads copy neighbouring samples of one tap. These begin anywhere in a sector, and are in
        two rows of the map where a row of outputs ends. The threads of the next taps use the same sectors.
        """
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if flat >= columns.size:
            return  # the grid is rounded up to whole blocks
        _, batch, row, pixel = unflatten_on_device(flat, columns.shape[0], columns.shape[1], columns.shape[2])
        _, c, r, s = unflatten_on_device(row, x.shape[1], taps[0], taps[1])
        n = first_image + batch // groups
        h = pixel // outputs_q * stride[0] - top_left[0] + r * dilation[0]
        w = pixel % outputs_q * stride[1] - top_left[1] + s * dilation[1]

        # load and store
        value = number(0)
        if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
            value = number(x[n, batch % groups * (x.shape[1] // groups) + c, h, w])
        columns[batch, row, pixel] = value

    return im2col


@cache
def make_gather_kernel(accumulator: Dtype, is_strided: bool) -> Kernel:
    """Make the kernel that sums the places of each input element in the columns."""
    number, place = number_of(accumulator), make_place(is_strided)

    @cuda.jit
    def col2im(columns: Array, dx: Array, taps: Any, outputs: Any, stride: Any, top_left: Any, dilation: Any) -> None:
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if flat >= dx.size:
            return  # the grid is rounded up to whole blocks
        n, c, h, w = unflatten_on_device(flat, dx.shape[1], dx.shape[2], dx.shape[3])
        c_per_group = columns.shape[1] // (taps[0] * taps[1])
        batch = n * (dx.shape[1] // c_per_group) + c // c_per_group

        # load and accumulate
        total = number(0)
        for r in range(taps[0]):
            p = place(h + top_left[0] - r * dilation[0], stride[0], outputs[0])
            if p >= 0:
                for s in range(taps[1]):
                    q = place(w + top_left[1] - s * dilation[1], stride[1], outputs[1])
                    if q >= 0:
                        row = (c % c_per_group * taps[0] + r) * taps[1] + s
                        total += columns[batch, row, p * outputs[1] + q]

        # store
        dx[n, c, h, w] = total

    return col2im
