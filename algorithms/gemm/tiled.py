"""Implicit GEMM with register tiles: each thread sums a block of outputs while copies for later steps are under way.

    target[n,m,i,j] = addend[m] + Σ_{r,s} Σ_l packed[g, r·S + s, l, m'] · source[n, g·L/G + l, h, w]
                      h = i·u − top + r·d_h, w = j·v − left + s·d_w; m = g·M/G + m'; forward and backward_data as in
                      `algorithms.correlation`, with nothing between the elements of the source (spread 1)

Layouts   source (N, L, ·, ·) and target (N, M, ·, ·), float32; packed (G, R·S, L', M') with zeros beyond L/G and M/G,
          m contiguous, L' a multiple of tile_t and M' of tile_k; parts (splits, N, M, ·, ·). In shared memory, for each
          stage, a tile of packed (tile_t, tile_k) and one of the gathered map (tile_t, tile_o).
Index map blockIdx.x → (o tile, m tile), m tile fastest, so that blocks that read the same pixels run at once, with o =
          (n·I + i)·J + j · blockIdx.y → g · blockIdx.z → split · threadIdx.x → warp → 4 · thread_k filters by
          8 · thread_o outputs → lane → thread_k filters by thread_o outputs, in runs of four that lie 16 and 32 apart,
          so that the lanes of a warp read neighbours · loop over steps of tile_t channels, for one tap after the other.
          Packed multiply-adds take the outputs of a run in pairs, which a wide load puts into neighbouring registers.
          Both have the same filter, which the instruction takes twice from one register.
Cost      2·N·K·P·Q·C/G·R·S FLOPs; an element of the source is copied to shared memory R·S·K/G / tile_k times, one of
          the filters N·P·Q / tile_o times.
Source    Chetlur et al. 2014, "cuDNN: efficient primitives for deep learning", arXiv 1410.0759, §3; on register tiles
          Volkov & Demmel 2008, "Benchmarking GPUs to tune dense linear algebra", SC '08.
"""

from functools import cache
from typing import Any

from numba import cuda, float32, int32, int64, uint32

from algorithms.gemm.stages import WAITS
from algorithms.gemm.tiled_config import (
    GAP_K,
    GAP_O,
    LANES_K,
    LANES_O,
    RUN,
    Sizes,
    TiledConfig,
    copies_in_a_row,
    facts_of,
)
from convbench.devices import Array, Kernel
from convbench.intrinsics import (
    commit_copies,
    copy_async_4_if,
    copy_async_16,
    copy_async_16_if,
    fast_kernel,
    load_1_if,
    load_4,
    multiply_add_2,
    static,
    store_1,
    store_4,
    unrolled,
)


@cache
def make_kernel(config: TiledConfig, baked: Sizes | None, pixels: int, is_target_aligned: bool) -> Kernel:
    """Make the kernel of a config, for problems of any size or, with sizes baked in, for one.

    Parameters
    ----------
    baked : the sizes that the kernel is compiled for; None for a kernel that takes them as its last argument
    pixels : elements in a copy of the source, no more than the config says
    is_target_aligned : whether the target begins at a multiple of 16 bytes
    """
    tile_k, tile_o, tile_t, totals = config.tile_k, config.tile_o, config.tile_t, config.thread_k * config.thread_o
    stages, ahead, wait = config.stages, config.stages - 1, WAITS[config.stages]
    f_size, stage_size = tile_k * tile_t, (tile_k + tile_o) * tile_t
    shared_size = 0 if config.dynamic_bytes else stages * stage_size
    f_columns, columns = copies_in_a_row(config, pixels)
    is_pointwise, is_padded = config.pixels > 1, facts_of(config, baked).is_padded
    find_part, find_sums = make_map(config, baked)
    load, next_tap = make_load(config, baked, pixels)
    accumulate = make_accumulate(config)
    store = make_store(config, baked, is_target_aligned)

    @fast_kernel(threads=config.threads, blocks=config.blocks)
    def implicit_gemm_tiled(source: Array, packed: Array, addend: Array, target: Array, sizes: Any) -> None:
        """One tile of the target for each block, in registers.

        Excess: A thread has four outputs side by side. One store of a warp takes every fourth of them, and the next
        three fill the same sectors. They are no store of 128 bits where a tile may pass the end of a row. Copies of
        single elements begin anywhere in a sector. A load of addends takes every fourth too, and the next three the
        rest.
        """
        # map, the block: its tile of filters and of outputs, and its steps of the sum
        (
            images, groups, channels, height, width, _, target_h, target_w, taps_r, taps_s, stride_h, stride_w,
            top, left, dilation_h, dilation_w, k_tiles, chunks, _,
        ) = sizes if baked is None else baked  # fmt: skip
        thread, g, block = uint32(cuda.threadIdx.x), uint32(cuda.blockIdx.y), uint32(cuda.blockIdx.x)
        o_tile = uint32(block // uint32(k_tiles))
        k_tile = uint32(block - o_tile * uint32(k_tiles))
        area, outputs = uint32(target_h * target_w), uint32(images * target_h * target_w)
        plane, padded_k = int64(height * width), int64(k_tiles * tile_k)
        step, count = find_part(sizes)

        # map, the copies of the first step: its tap and channel, and where the thread's column of the map begins
        tap = int32(step // int32(chunks))
        channel = int32(int32(step - tap * int32(chunks)) * int32(tile_t))
        r = int32(tap // int32(taps_s))
        s = int32(tap - r * int32(taps_s))
        row, column = uint32(thread // uint32(columns)), uint32(thread % uint32(columns))
        o = uint32(o_tile * uint32(tile_o) + column * uint32(pixels))
        n = uint32(o // area)
        o_in_image = uint32(o - n * area)
        i = uint32(o_in_image // uint32(target_w))
        j = uint32(o_in_image - i * uint32(target_w))
        h = int32(int32(i) * int32(stride_h) - int32(top) + r * int32(dilation_h))
        w = int32(int32(j) * int32(stride_w) - int32(left) + s * int32(dilation_w))
        left_over = int32(int32(channels) - channel)  # channels of this tap that have not been copied
        c = int64(n) * int64(groups * channels) + int64(g) * int64(channels) + int64(channel) + int64(row)
        source_at = c * plane + int64(h) * int64(width) + int64(w)
        is_output = o < outputs
        ok = is_output  # and, where there is padding, the map has (h, w)
        if is_padded:
            ok = is_output & (uint32(h) < uint32(height)) & (uint32(w) < uint32(width))
        f_row, f_column = uint32(thread // uint32(f_columns)), uint32(thread % uint32(f_columns))
        packed_at = (
            (int64(g) * int64(taps_r * taps_s * chunks) + int64(step)) * int64(tile_t) + int64(f_row)
        ) * padded_k + int64(k_tile * uint32(tile_k) + f_column * uint32(RUN))
        f_to = uint32(f_row * uint32(tile_k) + f_column * uint32(RUN))
        source_to = uint32(uint32(f_size) + row * uint32(tile_o) + column * uint32(pixels))

        # map, the sums: the first filter and the first output of the thread, within the tiles
        k_in_tile, o_in_tile = find_sums()
        tiles = cuda.shared.array(shared_size, float32, alignment=16)
        total = cuda.local.array(totals, float32)
        for a in range(totals):
            total[a] = float32(0)

        into, out = uint32(0), uint32(0)  # where the stage begins that is written next, and that is read next
        summed = int32(-ahead)
        while summed < count:
            wait()
            cuda.syncthreads()  # all copies of this step have landed, and nobody reads the stage of the next
            # load: a step `ahead` of the one that is summed, and on to the next channels or the next tap
            if int32(summed + int32(ahead)) < count:
                load(
                    tiles, int64(into + f_to), packed, packed_at, padded_k,
                    int64(into + source_to), source, source_at, plane, row, left_over, ok,
                )  # fmt: skip
                packed_at += int64(tile_t) * padded_k
                source_at += int64(tile_t) * plane
                left_over = int32(left_over - int32(tile_t))
                if not is_pointwise and left_over <= 0:
                    left_over = int32(channels)
                    source_at, s, h, w, ok = next_tap(source_at, s, h, w, plane, is_output, ok, sizes)
            commit_copies()
            into = uint32(into + uint32(stage_size))
            if into == uint32(stages * stage_size):
                into = uint32(0)
            if summed >= 0:
                accumulate(tiles, out, k_in_tile, o_in_tile, total)
                out = uint32(out + uint32(stage_size))
                if out == uint32(stages * stage_size):
                    out = uint32(0)
            summed = int32(summed + int32(1))

        first_k, first_o = uint32(k_tile * uint32(tile_k) + k_in_tile), uint32(o_tile * uint32(tile_o) + o_in_tile)
        store(target, addend, total, first_k, first_o, sizes)

    return implicit_gemm_tiled


@cache
def make_map(config: TiledConfig, baked: Sizes | None) -> tuple[Any, Any]:
    """Map: make the device functions that find a block's part of the sum, and the outputs that a thread sums."""
    thread_k, thread_o = config.thread_k, config.thread_o
    warps_o, warp_k, warp_o = config.tile_o // (LANES_O * thread_o), LANES_K * thread_k, LANES_O * thread_o

    @cuda.jit(device=True, inline="always")
    @unrolled
    def find_part(given: Any) -> Any:
        """Return the block's first step of the sum, and how many steps it sums; a tap has `chunks` steps."""
        sizes = given if baked is None else baked
        taps_r, taps_s, chunks, per_split = sizes[8], sizes[9], sizes[17], sizes[18]
        step = int32(min(taps_r * taps_s * chunks, int64(uint32(cuda.blockIdx.z)) * per_split))
        return step, int32(min(taps_r * taps_s * chunks - step, per_split))

    @cuda.jit(device=True, inline="always")
    @unrolled
    def find_sums() -> Any:
        """Return the thread's first filter and first output within the tiles; it sums thread_k by thread_o, in runs."""
        thread = uint32(cuda.threadIdx.x)
        warp, lane = uint32(thread // uint32(32)), uint32(thread % uint32(32))
        k_in_tile = uint32(
            uint32(warp // uint32(warps_o)) * uint32(warp_k) + uint32(lane // uint32(LANES_O)) * uint32(RUN)
        )
        o_in_tile = uint32(
            uint32(warp % uint32(warps_o)) * uint32(warp_o) + uint32(lane % uint32(LANES_O)) * uint32(RUN)
        )
        return k_in_tile, o_in_tile

    return find_part, find_sums


@cache
def make_load(config: TiledConfig, baked: Sizes | None, pixels: int) -> tuple[Any, Any]:
    """Load: make the device functions that begin a thread's copies of one step, and that go on to the next tap.

    In each tile a thread copies one column, and every `f_rows`-th or `rows`-th row of it.
    """
    tile_k, tile_o, tile_t = config.tile_k, config.tile_o, config.tile_t
    f_columns, columns = copies_in_a_row(config, pixels)
    f_rows, rows = config.threads // f_columns, config.threads // columns
    f_copies, copies = tile_t // f_rows, tile_t // rows
    facts = facts_of(config, baked)
    is_padded, is_ragged = facts.is_padded, facts.is_ragged

    @cuda.jit(device=True, inline="always")
    @unrolled
    def load(
        tiles: Array, f_to: Any, packed: Array, packed_at: Any, padded_k: Any,
        source_to: Any, source: Array, source_at: Any, plane: Any, row: Any, left_over: Any, ok: Any,
    ) -> None:  # fmt: skip
        """Begin the copies from `packed_at` to `f_to`, and from `source_at` to `source_to`: zeros where not `ok`."""
        for a in static(f_copies):
            copy_async_16(
                tiles, f_to + (a * f_rows * tile_k), packed, packed_at + int64(a * f_rows) * padded_k
            )  # fmt: skip
        for a in static(copies):
            here = ok
            if is_ragged:
                here = ok & (left_over > int32(row + uint32(a * rows)))
            if pixels == 1:
                copy_async_4_if(
                    tiles, source_to + a * rows * tile_o, source, source_at + int64(a * rows) * plane, here
                )  # fmt: skip
            else:
                copy_async_16_if(
                    tiles, source_to + a * rows * tile_o, source, source_at + int64(a * rows) * plane, here
                )  # fmt: skip

    @cuda.jit(device=True, inline="always")
    @unrolled
    def next_tap(source_at: Any, s: Any, h: Any, w: Any, plane: Any, is_output: Any, ok: Any, given: Any) -> Any:
        """Return the place in the source, s, h, w and `ok` of the next tap, from the end of a tap's channels."""
        sizes = given if baked is None else baked
        height, width, taps_s, dilation_h, dilation_w, chunks = (
            sizes[3], sizes[4], sizes[9], sizes[14], sizes[15], sizes[17],
        )  # fmt: skip
        source_at += int64(dilation_w) - int64(chunks * tile_t) * plane
        s = int32(s + int32(1))
        w = int32(w + int32(dilation_w))
        if s == int32(taps_s):
            s = int32(0)
            source_at += int64(dilation_h * width) - int64(taps_s * dilation_w)
            h = int32(h + int32(dilation_h))
            w = int32(w - int32(taps_s * dilation_w))
        if is_padded:
            ok = is_output & (uint32(h) < uint32(height)) & (uint32(w) < uint32(width))
        return source_at, s, h, w, ok

    return load, next_tap


@cache
def make_accumulate(config: TiledConfig) -> Any:
    """Accumulate: make the device function that adds the products of one step to a thread's sums."""
    tile_k, tile_o, tile_t, thread_k, thread_o = (
        config.tile_k, config.tile_o, config.tile_t, config.thread_k, config.thread_o,
    )  # fmt: skip
    f_size, runs_k, runs_o, gap_k, gap_o = tile_k * tile_t, thread_k // RUN, thread_o // RUN, GAP_K, GAP_O
    is_packed = config.is_packed

    @cuda.jit(device=True, inline="always")
    @unrolled
    def accumulate(tiles: Array, out: Any, k_in_tile: Any, o_in_tile: Any, total: Array) -> None:
        """Add what the stage that begins at `out` holds of this thread's filters and outputs."""
        f_values = cuda.local.array(thread_k, float32)
        values = cuda.local.array(thread_o, float32)
        f_place = int64(out + k_in_tile)
        place = int64(out + uint32(f_size) + o_in_tile)
        for t in static(tile_t):
            for a in static(runs_k):
                f_values[RUN * a], f_values[RUN * a + 1], f_values[RUN * a + 2], f_values[RUN * a + 3] = load_4(
                    tiles, f_place + (t * tile_k + a * gap_k)
                )
            for b in static(runs_o):
                values[RUN * b], values[RUN * b + 1], values[RUN * b + 2], values[RUN * b + 3] = load_4(
                    tiles, place + (t * tile_o + b * gap_o)
                )
            if is_packed:
                for a in range(thread_k):
                    for b in range(thread_o // 2):
                        at = a * thread_o + 2 * b
                        total[at], total[at + 1] = multiply_add_2(
                            f_values[a], (values[2 * b], values[2 * b + 1]), (total[at], total[at + 1])
                        )
            else:
                for a in range(thread_k):
                    for b in range(thread_o):
                        total[a * thread_o + b] += f_values[a] * values[b]

    return accumulate


@cache
def make_store(config: TiledConfig, baked: Sizes | None, is_target_aligned: bool) -> Any:
    """Store: make the device function that writes a thread's sums. It adds the addend unless the sum is split."""
    thread_k, thread_o, gap_k, gap_o = config.thread_k, config.thread_o, GAP_K, GAP_O
    facts = facts_of(config, baked)
    is_cut_k, is_cut_o, stored = facts.is_cut_k, facts.is_cut_o, RUN if facts.has_runs and is_target_aligned else 1

    @cuda.jit(device=True, inline="always")
    @unrolled
    def store(target: Array, addend: Array, total: Array, first_k: Any, first_o: Any, given: Any) -> None:
        """Write the sums of the thread whose first filter in the group is `first_k`, and first output `first_o`."""
        sizes = given if baked is None else baked
        images, groups, filters, target_h, target_w = sizes[0], sizes[1], sizes[5], sizes[6], sizes[7]
        area, outputs = uint32(target_h * target_w), uint32(images * target_h * target_w)
        left_k = int32(int32(filters) - int32(first_k))  # filters from this thread's first on
        k = uint32(uint32(cuda.blockIdx.y) * uint32(filters) + first_k)
        is_whole = cuda.gridDim.z == 1  # parts are summed, and the addend added, afterwards
        added = cuda.local.array(thread_k, float32)
        for a in range(thread_k):
            a_k = (a // RUN) * gap_k + a % RUN
            here = (left_k > int32(a_k)) & is_whole
            added[a] = load_1_if(addend, uint32(k + uint32(a_k)), here)
        for b in static(0, thread_o, stored):
            o = uint32(first_o + uint32(b // RUN * gap_o + b % RUN))
            n = uint32(o // area)
            image = int64(uint32(cuda.blockIdx.z)) * int64(images) + int64(n)
            at = (image * int64(groups * filters) + int64(k)) * int64(area) + int64(uint32(o - n * area))
            if not is_cut_o or o < outputs:
                for a in range(thread_k):
                    t, more = a * thread_o + b, added[a]
                    if not is_cut_k or left_k > int32((a // RUN) * gap_k + a % RUN):
                        if stored == 1:
                            store_1(target, at, total[t] + more)
                        else:
                            sums = total[t] + more, total[t + 1] + more, total[t + 2] + more, total[t + 3] + more
                            store_4(target, at, sums)
                    # on to the next filter; a product for each would be kept in registers for all b
                    at += int64(area)
                    if a % RUN == RUN - 1:
                        at += int64(gap_k - RUN) * int64(area)

    return store
