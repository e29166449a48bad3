"""Winograd's minimal filtering F(2×2, 3×3) in one kernel: V and M never leave the multiprocessor.

    target tile t = Aᵀ [ Σ_l U_{l,m} ⊙ (Bᵀ d_{l,t} B) ] A + addend          16 points ξν = ξ·4 + ν of each tile

Layouts   source (N, L, ·, ·), target (N, M, ·, ·), contiguous float32; U (16·G, L', M') as `winograd_transforms` has
          it, with zeros beyond L/G and M/G. Undilated: tile t of an image is (row, column), column fastest.
Index map blockIdx.x → (g, 32 tiles, 64 channels m), m fastest: neighbours read the same source · loop over l in steps
          of 8 · loading: warp → l, lane → t, one tile a thread; 16 threads → a point, thread → four m of each of
          eight l · products: warp → points 2·warp and 2·warp + 1, lane → 8 × 8 of (m, t), in groups of four 32 and 16
          apart · storing, 16 channels at a time through shared memory: warp → m, lane → t.
Copies    The filters of the next step arrive by cp.async, and its map in registers, while the products of this one are
          made; transformed, the map goes to the stage of shared memory that they do not read.
Cost      4 multiplications per output and channel instead of 9; every element of the map is read 4·M/64 times, most of
          them from a cache.
Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §5.2 (one kernel);
          Yan, Wang & Chu 2020, "Optimizing batched Winograd convolution on GPUs", PPoPP (64 × 32 × 8, 256 threads).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda, float32, int32, int64, uint32

from algorithms.copies import is_aligned, lacks_copies
from algorithms.correlation import CorrelationPlan
from algorithms.gemm import padded
from algorithms.tiling import Tiling
from algorithms.winograd.matrices import Transforms
from algorithms.winograd.staged import launch_filters
from algorithms.winograd.transforms import make_transform, tile_place
from convbench.devices import Array, Device, Kernel
from convbench.intrinsics import (
    commit_copies,
    copy_async_16,
    fast_kernel,
    load_1,
    load_1_if,
    load_4,
    static,
    store_1,
    store_2,
    wait_copies_0,
)
from convbench.problem import ConvProblem

THREADS = 256
TILE_M, TILE_T, TILE_L = 64, 32, 8  # channels of the target, tiles, and channels of the source
POINTS = 16
U_STAGE, V_STAGE = POINTS * TILE_L * TILE_M, POINTS * TILE_L * TILE_T
STAGE = U_STAGE + V_STAGE
SHARED_BYTES = 2 * STAGE * 4
PITCH = TILE_T + 1  # of a row of products, so that neither the columns nor the rows of a warp meet in a bank


@dataclass(frozen=True, kw_only=True)
class FusedConfig:
    """One kernel; whether it is compiled for one problem's sizes."""

    is_specialised: bool = False

    def lacks(self, problem: ConvProblem, device: Device) -> str | None:
        """What a device, or a problem, has not that this kernel needs."""
        if problem.dtype != "float32":
            return f"the fused kernel is for float32, not for {problem.dtype}"
        if problem.dilation != (1, 1):
            return f"the fused kernel is for tiles of neighbours, and dilation is {problem.dilation}"
        if (most := device.max_shared_bytes) < SHARED_BYTES:
            return f"a block of device {device.name} has {most} bytes of shared memory, not {SHARED_BYTES}"
        return f"device {device.name} has no asynchronous copies" if lacks_copies(device) else None


class Fused:
    """The work of a plan with a `FusedConfig`."""

    def __init__(self, plan: CorrelationPlan, transforms: Transforms) -> None:
        self.plan, self.transforms, geometry = plan, transforms, plan.geometry
        self.tiling = Tiling.of(geometry, (transforms.m, transforms.m))
        rows, depth = padded(geometry.targets_per_group, TILE_M), padded(geometry.sources_per_group, TILE_L)
        self.u = plan.kept((POINTS * geometry.groups, depth, rows))
        self.sizes = (
            geometry.n, geometry.sources, *geometry.size, geometry.targets, *geometry.outputs, geometry.groups,
            depth, rows, *self.tiling.counts, *geometry.top_left,
        )  # fmt: skip
        tiles = -(-geometry.n * self.tiling.per_image // TILE_T)
        self.grid = geometry.groups * tiles * (rows // TILE_M)

    def prepare(self) -> None:
        """Transform the filters."""
        launch_filters(self.plan, self.transforms, self.u)

    def run(self, source: Array, target: Array) -> None:
        """Do the rest."""
        is_wide = self.plan.geometry.outputs[1] % 2 == 0 and is_aligned(target)
        kernel = make_kernel(self.transforms, is_wide, self.sizes if self.plan.config.is_specialised else None)
        flat = source.reshape(-1), self.u.reshape(-1), self.plan.addend, target.reshape(-1)
        self.plan.device.launch(
            "multiply", kernel, self.grid, THREADS, *flat, self.sizes, shared_bytes=SHARED_BYTES
        )  # fmt: skip


@cuda.jit(device=True)
def multiply(shared: Array, u_at: int, v_at: int, total: Array, first: int) -> None:
    """Add the 8 × 8 products of a thread, for one channel of the source and one point."""
    us = cuda.local.array(8, float32)
    vs = cuda.local.array(8, float32)
    us[0], us[1], us[2], us[3] = load_4(shared, u_at)
    us[4], us[5], us[6], us[7] = load_4(shared, u_at + uint32(32))
    vs[0], vs[1], vs[2], vs[3] = load_4(shared, v_at)
    vs[4], vs[5], vs[6], vs[7] = load_4(shared, v_at + uint32(16))
    for i in range(8):
        for j in range(8):
            total[first + i * 8 + j] += us[i] * vs[j]


@cuda.jit(device=True)
def give(total: Array, first: int, shared: Array, at: int) -> None:
    """Put the products of a thread for four channels, two points and eight tiles where every warp finds them."""
    for p in range(2):
        for i in range(4):
            to = at + uint32((16 * p + i) * PITCH)
            for j in range(4):
                store_1(shared, to + uint32(j), total[first + p * 64 + i * 8 + j])
                store_1(shared, to + uint32(16 + j), total[first + p * 64 + i * 8 + 4 + j])


@cache
def make_take(transforms: Transforms) -> Any:
    """A device function: the products of one tile and channel in shared memory, transformed back."""
    transform = make_transform(transforms.a_t)

    @cuda.jit(device=True)
    def take(shared: Array, at: int, tile: Array) -> None:
        column = cuda.local.array(4, float32)
        half = cuda.local.array(8, float32)
        for j in range(4):
            for i in range(4):
                column[i] = load_1(shared, at + uint32((4 * i + j) * 16 * PITCH))
            transform(column, 0, 1, half, j, 4)
        for i in range(2):
            transform(half, i * 4, 1, tile, i * 2, 1)

    return take


@cache
def make_kernel(transforms: Transforms, is_wide: bool, known: tuple[int, ...] | None = None) -> Kernel:
    """The kernel for any sizes, or for those of `known` alone; `is_wide` where the two outputs of a row are aligned."""
    transform, take = make_transform(transforms.b_t), make_take(transforms)
    is_ragged = known is None or known[1] // known[7] % TILE_L != 0  # whether the last step has channels beyond L/G

    @fast_kernel(threads=THREADS)
    def winograd_fused(source: Array, u: Array, addend: Array, target: Array, sizes: Any) -> None:
        # map
        (
            images, sources, height, width, targets, rows, columns, groups,
            padded_l, padded_m, tile_rows, tile_columns, top, left,
        ) = sizes if known is None else known  # fmt: skip
        l_per_group, m_per_group = sources // groups, targets // groups
        m_tiles = uint32(padded_m // TILE_M)
        t_tiles = uint32((images * tile_rows * tile_columns + (TILE_T - 1)) // TILE_T)
        block = uint32(cuda.blockIdx.x)
        first_m = int64(uint32(block % m_tiles)) * TILE_M  # of the group
        first_t = uint32(uint32(uint32(block // m_tiles) % t_tiles) * uint32(TILE_T))
        g = int64(uint32(block // uint32(m_tiles * t_tiles)))
        thread = uint32(cuda.threadIdx.x)
        warp, lane = uint32(thread >> uint32(5)), uint32(thread & uint32(31))
        n, first_p, first_q = tile_place(uint32(first_t + lane), tile_rows, tile_columns, 1, 1, 2, 2)
        first_h, first_w = first_p - top, first_q - left
        present = uint32(0)  # which of the 16 samples of the thread's tile are elements of the map
        for i in range(4):
            for j in range(4):
                if n < images and 0 <= first_h + i < height and 0 <= first_w + j < width:
                    present = uint32(present | uint32(1 << (4 * i + j)))
        source_next = ((n * sources + g * l_per_group + int64(warp)) * height + first_h) * width + first_w
        missing = l_per_group - int64(warp)  # channels of the group, from the one that the thread loads next
        point, u_column = int64(uint32(thread >> uint32(4))), uint32(uint32(thread & uint32(15)) * uint32(4))
        u_next = (point * groups + g) * padded_l * padded_m + first_m + int64(u_column)
        u_place = uint32(uint32(thread >> uint32(4)) * uint32(TILE_L * TILE_M) + u_column)
        v_place = uint32(uint32(U_STAGE) + thread)
        m_in_tile, t_in_tile = (
            uint32(uint32(lane >> uint32(2)) * uint32(4)),
            uint32(uint32(lane & uint32(3)) * uint32(4)),
        )
        u_read = uint32(warp * uint32(2 * TILE_L * TILE_M) + m_in_tile)
        v_read = uint32(uint32(U_STAGE) + warp * uint32(2 * TILE_L * TILE_T) + t_in_tile)
        shared = cuda.shared.array(0, float32, alignment=16)
        total = cuda.local.array(128, float32)
        d = cuda.local.array(16, float32)
        for place in range(128):
            total[place] = float32(0)

        # load: the first step
        for l in static(TILE_L):  # noqa: E741
            copy_async_16(shared, u_place + uint32(l * TILE_M), u, u_next + l * padded_m)
        commit_copies()
        u_next += TILE_L * padded_m
        mask = present if missing > 0 else uint32(0)
        for i in range(4):
            for j in range(4):
                d[4 * i + j] = load_1_if(source, source_next + i * width + j, mask & uint32(1 << (4 * i + j)) != 0)
        stage = uint32(0)

        steps = int32(padded_l // TILE_L)
        for step in range(int32(1), int32(steps + int32(1))):
            # load: Bᵀ d B of this step, then the next one's filters and map
            for j in static(4):
                transform(d, uint32(j), uint32(4), d, uint32(j), uint32(4))
            for i in static(4):
                transform(d, uint32(4 * i), uint32(1), d, uint32(4 * i), uint32(1))
            to = uint32(stage + v_place)
            for place in range(POINTS):
                store_1(shared, to + uint32(place * TILE_L * TILE_T), d[place])
            wait_copies_0()
            cuda.syncthreads()  # this stage is written, and nobody reads the other
            other = uint32(uint32(STAGE) - stage)
            if step < steps:
                to = uint32(other + u_place)
                for l in static(TILE_L):  # noqa: E741
                    copy_async_16(shared, to + uint32(l * TILE_M), u, u_next + l * padded_m)
                u_next += TILE_L * padded_m
                source_next += TILE_L * height * width
                if is_ragged:
                    missing -= TILE_L
                    mask = present if missing > 0 else uint32(0)
                for i in range(4):
                    for j in range(4):
                        bit = uint32(1 << (4 * i + j))
                        d[4 * i + j] = load_1_if(source, source_next + i * width + j, mask & bit != 0)
            commit_copies()
            # accumulate
            u_begin, v_begin = uint32(stage + u_read), uint32(stage + v_read)
            for l in static(TILE_L):  # noqa: E741
                for p in static(2):
                    # sums of 64 bits, of which the constant becomes part of the instruction
                    multiply(
                        shared, u_begin + uint32((p * TILE_L + l) * TILE_M),
                        v_begin + uint32((p * TILE_L + l) * TILE_T), total, uint32(p * 64),
                    )  # fmt: skip
            stage = other

        # store: 16 channels at a time, whose products a half of every warp has
        tile = cuda.local.array(4, float32)
        for part in static(4):
            cuda.syncthreads()  # nobody reads what is overwritten
            if uint32(lane >> uint32(4)) == uint32(part % 2):
                row = uint32(warp * uint32(2 * 16) + uint32(m_in_tile & uint32(15)))
                give(total, uint32(part // 2 * 32), shared, uint32(row * uint32(PITCH) + t_in_tile))
            cuda.syncthreads()
            for more in range(2):
                row = uint32(warp + uint32(8 * more))
                m = first_m + int64(row) + (part % 2 * 16 + part // 2 * 32)
                if n < images and m < m_per_group:
                    take(shared, uint32(row * uint32(PITCH) + lane), tile)
                    bias = addend[g * m_per_group + m]
                    place = ((n * targets + g * m_per_group + m) * rows + first_p) * columns + first_q
                    for i in range(2):
                        if first_p + i < rows:
                            if is_wide:
                                store_2(target, place, (tile[2 * i] + bias, tile[2 * i + 1] + bias))
                            else:
                                store_1(target, place, tile[2 * i] + bias)
                                if first_q + 1 < columns:
                                    store_1(target, place + 1, tile[2 * i + 1] + bias)
                        place += columns

    return winograd_fused
