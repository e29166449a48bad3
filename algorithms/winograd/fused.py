"""Winograd's minimal filtering F(2×2, 3×3) in one kernel. V and M never leave the multiprocessor.

    target tile t = Aᵀ [ Σ_l U_{l,m} ⊙ (Bᵀ d_{l,t} B) ] A + addend          16 points ξν = ξ·4 + ν of each tile

Layouts   source (N, L, ·, ·), target (N, M, ·, ·), contiguous float32; U (16·G, L', M') as in
          `algorithms.winograd.transforms`, with zeros beyond L/G and M/G. The dilation is 1. Tile t of an image is
          (row, column), column fastest.
Index map blockIdx.x → (g, 32 tiles, 64 channels m), m fastest, so that neighbouring blocks read the same source · loop
          over l in steps of 8 · load: warp → l, lane → t, so that a thread transforms one tile of one channel; thread
          // 16 → point, thread mod 16 → four m, for each of eight l · accumulate: warp → points 2·warp and 2·warp + 1,
          lane → 8 × 8 of (m, t), in groups of four that are 32 and 16 apart · store: 16 channels at a time through
          shared memory, warp → m, lane → t.
Copies    Shared memory has two stages. While the products of one step are made, cp.async copies the filters of the next
          step to the other stage, and its samples arrive in registers. They go to that stage once transformed.
Cost      4 multiplications per output and channel instead of 9. Every element of the map is read 4·M/64 times, mostly
          from a cache.
Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, §5.2 (one kernel);
          Yan, Wang & Chu 2020, "Optimizing batched Winograd convolution on GPUs", PPoPP (64 × 32 × 8, 256 threads).
"""

from functools import cache
from typing import Any

from numba import cuda, float32, int32, int64, uint32

from algorithms.winograd.matrices import Transforms
from algorithms.winograd.transforms import make_transform, tile_place
from convbench.devices import Array, Kernel
from convbench.intrinsics import (
    commit_copies,
    copy_async_16,
    fast_kernel,
    load_1,
    load_1_if,
    load_4,
    multiply_add_2,
    static,
    store_1,
    store_2,
    unrolled,
    wait_copies_0,
)

THREADS = 256
TILE_M, TILE_T, TILE_L = 64, 32, 8  # channels of the target, tiles, and channels of the source
POINTS = 16
U_STAGE, V_STAGE = POINTS * TILE_L * TILE_M, POINTS * TILE_L * TILE_T
STAGE = U_STAGE + V_STAGE
SHARED_BYTES = 2 * STAGE * 4
PITCH = TILE_T + 4  # of a row of products: four tiles are aligned, so that one store of 128 bits gives them to others


@cuda.jit(device=True, forceinline=True)
def find_samples(n: int, images: int, first_h: int, first_w: int, height: int, width: int) -> Any:
    """Map a thread's tile to a mask: bit 4·i + j says whether sample (i, j) is an element of the map."""
    present = uint32(0)
    for i in range(4):
        for j in range(4):
            if n < images and 0 <= first_h + i < height and 0 <= first_w + j < width:
                present = uint32(present | uint32(1 << (4 * i + j)))
    return present


@cuda.jit(device=True, forceinline=True)
@unrolled
def copy_filters(u: Array, first: int, row: int, shared: Array, to: int) -> None:
    """Load: begin to copy a thread's four channels m of one point, for each l of a step."""
    for l in static(TILE_L):  # noqa: E741
        copy_async_16(shared, to + uint32(l * TILE_M), u, first + l * row)


@cuda.jit(device=True, forceinline=True)
def load_samples(source: Array, first: int, width: int, mask: int, d: Array) -> None:
    """Load: a thread's tile of one channel into registers, with zeros where the mask has no bit."""
    for i in range(4):
        for j in range(4):
            d[4 * i + j] = load_1_if(source, first + i * width + j, mask & uint32(1 << (4 * i + j)) != 0)


@cache
def make_transform_samples(transforms: Transforms) -> Any:
    """A device function of the load step. It transforms a thread's samples in place: Bᵀ d B."""
    transform = make_transform(transforms.b_t)

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def transform_samples(d: Array) -> None:
        for j in static(4):
            transform(d, uint32(j), uint32(4), d, uint32(j), uint32(4))
        for i in static(4):
            transform(d, uint32(4 * i), uint32(1), d, uint32(4 * i), uint32(1))

    return transform_samples


@cache
def make_accumulate(is_packed: bool) -> Any:
    """Make the device function that adds the products of one step to a thread's sums.

    Packed multiply-adds take neighbouring tiles, which a wide load puts into neighbouring registers.
    """

    @cuda.jit(device=True)
    @unrolled
    def multiply(shared: Array, u_at: int, v_at: int, total: Array, first: int) -> None:
        """Accumulate a thread's 8 × 8 products, for one channel of the source and one point."""
        us = cuda.local.array(8, float32)
        vs = cuda.local.array(8, float32)
        us[0], us[1], us[2], us[3] = load_4(shared, u_at)
        us[4], us[5], us[6], us[7] = load_4(shared, u_at + uint32(32))
        vs[0], vs[1], vs[2], vs[3] = load_4(shared, v_at)
        vs[4], vs[5], vs[6], vs[7] = load_4(shared, v_at + uint32(16))
        if is_packed:
            for i in range(8):
                for j in range(4):
                    at = first + i * 8 + 2 * j
                    total[at], total[at + 1] = multiply_add_2(
                        us[i], (vs[2 * j], vs[2 * j + 1]), (total[at], total[at + 1])
                    )
        else:
            for i in range(8):
                for j in range(8):
                    total[first + i * 8 + j] += us[i] * vs[j]

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def accumulate(shared: Array, u_begin: int, v_begin: int, total: Array) -> None:
        """Accumulate the products of one step: eight channels of the source, and a thread's two points."""
        for l in static(TILE_L):  # noqa: E741
            for p in static(2):
                # sums of 64 bits, of which the constant becomes part of the instruction
                multiply(
                    shared, u_begin + uint32((p * TILE_L + l) * TILE_M), v_begin + uint32((p * TILE_L + l) * TILE_T),
                    total, uint32(p * 64),
                )  # fmt: skip

    return accumulate


@cuda.jit(device=True)
def give(total: Array, first: int, shared: Array, at: int) -> None:
    """Store: put a thread's products for four channels, two points and eight tiles where every warp finds them."""
    for p in range(2):
        for i in range(4):
            to = at + uint32((16 * p + i) * PITCH)
            for j in range(4):
                store_1(shared, to + uint32(j), total[first + p * 64 + i * 8 + j])
                store_1(shared, to + uint32(16 + j), total[first + p * 64 + i * 8 + 4 + j])


@cache
def make_take(transforms: Transforms) -> Any:
    """A device function of the store step. It transforms back the products of one tile and channel: Aᵀ M A."""
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
def make_write(is_wide: bool) -> Any:
    """A device function of the store step. It writes those outputs of a tile that are inside the target."""

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def write(
        target: Array, place: int, first_p: int, first_q: int, rows: int, columns: int, tile: Array, bias: float
    ) -> None:
        for i in range(2):
            if first_p + i < rows:
                if is_wide:
                    store_2(target, place, (tile[2 * i] + bias, tile[2 * i + 1] + bias))
                else:
                    store_1(target, place, tile[2 * i] + bias)
                    if first_q + 1 < columns:
                        store_1(target, place + 1, tile[2 * i + 1] + bias)
            place += columns

    return write


@cache
def make_kernel(transforms: Transforms, is_wide: bool, is_packed: bool, known: tuple[int, ...] | None = None) -> Kernel:
    """The kernel for any sizes, or for those of `known` alone. `is_wide` where the two outputs of a row are aligned."""
    transform_samples, accumulate = make_transform_samples(transforms), make_accumulate(is_packed)
    take, write = make_take(transforms), make_write(is_wide)
    is_ragged = known is None or known[1] // known[7] % TILE_L != 0  # whether the last step has channels beyond L/G

    @fast_kernel(threads=THREADS)
    def winograd_fused(source: Array, u: Array, addend: Array, target: Array, sizes: Any) -> None:
        """A block of tiles and channels of the target, from the source to the target.

        Excess: Neighbouring tiles are 2 samples apart, so one load of a warp takes every second sample of a row, and
        the next takes the others from the L1 cache.
        """
        # map: the block's channels and tiles, then what the thread reads next from global memory, and its places in
        # shared memory, where it writes filters and samples, and reads both for its products
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
        present = find_samples(n, images, first_h, first_w, height, width)
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

        # load: the first step's filters are on their way to the first stage, and its samples are in d
        copy_filters(u, u_next, padded_m, shared, u_place)
        commit_copies()
        u_next += TILE_L * padded_m
        mask = present if missing > 0 else uint32(0)
        load_samples(source, source_next, width, mask, d)
        stage = uint32(0)

        # L' of the argument, also where it is known: for a known number of steps ptxas copies half of the sums in each
        steps = int32(sizes[8] // TILE_L)
        for step in range(int32(1), int32(steps + int32(1))):
            # load: this step's samples, transformed, complete its stage; then the next step's filters and samples
            transform_samples(d)
            to = uint32(stage + v_place)
            for place in range(POINTS):
                store_1(shared, to + uint32(place * TILE_L * TILE_T), d[place])
            wait_copies_0()
            cuda.syncthreads()  # this stage is written, and nobody reads the other
            other = uint32(uint32(STAGE) - stage)
            if step < steps:
                copy_filters(u, u_next, padded_m, shared, uint32(other + u_place))
                u_next += TILE_L * padded_m
                source_next += TILE_L * height * width
                if is_ragged:
                    missing -= TILE_L
                    mask = present if missing > 0 else uint32(0)
                load_samples(source, source_next, width, mask, d)
            commit_copies()
            # accumulate: `total` has the products of one more step, two points by 8 × 8 of (m, t)
            accumulate(shared, uint32(stage + u_read), uint32(stage + v_read), total)
            stage = other

        # store: 16 channels at a time, whose products are in one half of every warp
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
                    write(target, place, first_p, first_q, rows, columns, tile, bias)

    return winograd_fused
