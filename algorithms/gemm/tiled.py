"""Implicit GEMM with register tiles: every thread sums a block of outputs, fed by copies that run ahead of the sums.

    target[n,m,i,j] = addend[m] + Σ_{r,s} Σ_l packed[g, r·S + s, l, m'] · source[n, g·L/G + l, h, w]
                      h = i·u − top + r·d_h, w = j·v − left + s·d_w; m = g·M/G + m'; forward and backward_data as in
                      `algorithms.correlation`, with nothing between the elements of the source (spread 1)

Layouts   source (N, L, ·, ·) and target (N, M, ·, ·), float32; packed (G, R·S, L', M') with zeros beyond L/G and M/G,
          m contiguous, L' a multiple of tile_t and M' of tile_k; parts (splits, N, M, ·, ·). In shared memory, for each
          stage, a tile of packed (tile_t, tile_k) and one of the gathered map (tile_t, tile_o).
Index map blockIdx.x → (o tile, m tile), m tile fastest, so that blocks that read the same pixels run at once, with o =
          (n·I + i)·J + j · blockIdx.y → g · blockIdx.z → split · threadIdx.x → warp → 4 · thread_k filters by
          8 · thread_o outputs → lane → thread_k filters by thread_o outputs, in runs of four that lie 16 and 32 apart,
          so that the lanes of a warp read neighbours · loop over steps of tile_t channels, a tap's before the next's.
Cost      2·N·K·P·Q·C/G·R·S FLOPs; an element of the source is copied to shared memory R·S·K/G / tile_k times, one of
          the filters N·P·Q / tile_o times.
Source    Chetlur et al. 2014, "cuDNN: efficient primitives for deep learning", arXiv 1410.0759, §3; on register tiles
          Volkov & Demmel 2008, "Benchmarking GPUs to tune dense linear algebra", SC '08.
"""

from functools import cache
from typing import Any

from numba import cuda, float32, int32, int64, uint32

from algorithms.gemm.tiled_config import LANES_K, LANES_O, RUN, TiledConfig
from convbench.devices import Array, Kernel
from convbench.intrinsics import (
    commit_copies,
    copy_async_4_if,
    copy_async_16,
    copy_async_16_if,
    fast_kernel,
    load_1_if,
    load_4,
    static,
    store_1,
    store_4,
    wait_copies_0,
    wait_copies_1,
    wait_copies_2,
)

Sizes = tuple[int, ...]  # as `make_kernel` unpacks them


def facts_of(config: TiledConfig, baked: Sizes | None) -> tuple[bool, bool, bool, bool, bool]:
    """Whether there is padding, a step, a tile of filters or of outputs is cut off, and runs stay in an image."""
    is_pointwise = config.pixels > 1
    if baked is None:
        return not is_pointwise, True, True, True, is_pointwise
    (
        images, _, channels, height, width, filters, target_h, target_w, taps_r, taps_s, stride_h, stride_w,
        top, left, dilation_h, dilation_w, *_,
    ) = baked  # fmt: skip
    beyond_h = (target_h - 1) * stride_h - top + (taps_r - 1) * dilation_h >= height
    beyond_w = (target_w - 1) * stride_w - left + (taps_s - 1) * dilation_w >= width
    return (
        top > 0 or left > 0 or beyond_h or beyond_w, channels % config.tile_t > 0, filters % config.tile_k > 0,
        images * target_h * target_w % config.tile_o > 0, target_h * target_w % RUN == 0,
    )  # fmt: skip


@cache
def make_kernel(config: TiledConfig, baked: Sizes | None, pixels: int, is_target_aligned: bool) -> Kernel:
    """The kernel of a config, for problems of any size or, with sizes baked in, for one.

    pixels : elements in a copy of the source, no more than the config says
    is_target_aligned : whether the target begins at a multiple of 16 bytes
    """
    tile_k, tile_o, tile_t, thread_k, thread_o = (
        config.tile_k, config.tile_o, config.tile_t, config.thread_k, config.thread_o,
    )  # fmt: skip
    stages, ahead, threads = config.stages, config.stages - 1, config.threads
    f_size, stage_size = tile_k * tile_t, (tile_k + tile_o) * tile_t
    shared_size = 0 if config.dynamic_bytes else stages * stage_size
    warps_o, warp_k, warp_o = tile_o // (LANES_O * thread_o), LANES_K * thread_k, LANES_O * thread_o
    runs_k, runs_o, gap_k, gap_o = thread_k // RUN, thread_o // RUN, LANES_K * RUN, LANES_O * RUN
    totals = thread_k * thread_o
    # how the threads share the copies of a step
    f_columns, columns = tile_k // RUN, tile_o // pixels
    f_rows, rows = threads // f_columns, threads // columns
    f_copies, copies = tile_t // f_rows, tile_t // rows
    # what sizes that are known make superfluous
    is_pointwise = config.pixels > 1
    is_padded, is_ragged, is_cut_k, is_cut_o, has_runs = facts_of(config, baked)
    stored = RUN if has_runs and is_target_aligned else 1

    @fast_kernel(threads=threads, blocks=config.blocks)
    def implicit_gemm_tiled(source: Array, packed: Array, addend: Array, target: Array, sizes: Any) -> None:
        # map
        (
            images, groups, channels, height, width, filters, target_h, target_w, taps_r, taps_s, stride_h, stride_w,
            top, left, dilation_h, dilation_w, k_tiles, chunks, per_split,
        ) = sizes if baked is None else baked  # fmt: skip
        thread, g, split = uint32(cuda.threadIdx.x), uint32(cuda.blockIdx.y), uint32(cuda.blockIdx.z)
        block = uint32(cuda.blockIdx.x)
        o_tile = uint32(block // uint32(k_tiles))
        k_tile = uint32(block - o_tile * uint32(k_tiles))
        area, outputs = uint32(target_h * target_w), uint32(images * target_h * target_w)
        plane = int64(height * width)
        padded_k = int64(k_tiles * tile_k)
        # the part of the sum of this block: `count` steps, from `step` on, with `chunks` of them to a tap
        step = int32(min(taps_r * taps_s * chunks, int64(split) * per_split))
        count = int32(min(taps_r * taps_s * chunks - step, per_split))
        tap = int32(step // int32(chunks))
        channel = int32(int32(step - tap * int32(chunks)) * int32(tile_t))
        r = int32(tap // int32(taps_s))
        s = int32(tap - r * int32(taps_s))
        # the elements that this thread copies: its column, and every rows-th row
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
        ok = is_output
        if is_padded:
            ok = is_output & (uint32(h) < uint32(height)) & (uint32(w) < uint32(width))
        f_row, f_column = uint32(thread // uint32(f_columns)), uint32(thread % uint32(f_columns))
        packed_at = (
            (int64(g) * int64(taps_r * taps_s * chunks) + int64(step)) * int64(tile_t) + int64(f_row)
        ) * padded_k + int64(k_tile * uint32(tile_k) + f_column * uint32(RUN))
        f_to = uint32(f_row * uint32(tile_k) + f_column * uint32(RUN))
        source_to = uint32(uint32(f_size) + row * uint32(tile_o) + column * uint32(pixels))
        # the outputs that this thread sums: thread_k by thread_o, in runs
        warp, lane = uint32(thread // uint32(32)), uint32(thread % uint32(32))
        f_from = uint32(
            uint32(warp // uint32(warps_o)) * uint32(warp_k) + uint32(lane // uint32(LANES_O)) * uint32(RUN)
        )
        source_from = uint32(
            uint32(warp % uint32(warps_o)) * uint32(warp_o) + uint32(lane % uint32(LANES_O)) * uint32(RUN)
        )
        tiles = cuda.shared.array(shared_size, float32, alignment=16)
        total = cuda.local.array(totals, float32)
        f_values = cuda.local.array(thread_k, float32)
        values = cuda.local.array(thread_o, float32)
        for a in range(totals):
            total[a] = float32(0)

        into, out = uint32(0), uint32(0)
        summed = int32(-ahead)
        while summed < count:
            if stages == 2:
                wait_copies_0()
            elif stages == 3:
                wait_copies_1()
            else:
                wait_copies_2()
            cuda.syncthreads()  # all copies of this step have landed, and nobody reads the stage of the next
            # load: a step `ahead` of the one that is summed
            if int32(summed + int32(ahead)) < count:
                for a in static(f_copies):
                    copy_async_16(
                        tiles, int64(into + f_to) + (a * f_rows * tile_k),
                        packed, packed_at + int64(a * f_rows) * padded_k,
                    )  # fmt: skip
                for a in static(copies):
                    here = ok
                    if is_ragged:
                        here = ok & (left_over > int32(row + uint32(a * rows)))
                    if pixels == 1:
                        copy_async_4_if(
                            tiles, int64(into + source_to) + a * rows * tile_o,
                            source, source_at + int64(a * rows) * plane, here,
                        )  # fmt: skip
                    else:
                        copy_async_16_if(
                            tiles, int64(into + source_to) + a * rows * tile_o,
                            source, source_at + int64(a * rows) * plane, here,
                        )  # fmt: skip
                packed_at += int64(tile_t) * padded_k
                source_at += int64(tile_t) * plane
                left_over = int32(left_over - int32(tile_t))
                if not is_pointwise and left_over <= 0:  # the next tap
                    left_over = int32(channels)
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
            commit_copies()
            into = uint32(into + uint32(stage_size))
            if into == uint32(stages * stage_size):
                into = uint32(0)
            # accumulate
            if summed >= 0:
                f_place = int64(out + f_from)
                place = int64(out + uint32(f_size) + source_from)
                for t in static(tile_t):
                    for a in static(runs_k):
                        f_values[4 * a], f_values[4 * a + 1], f_values[4 * a + 2], f_values[4 * a + 3] = load_4(
                            tiles, f_place + (t * tile_k + a * gap_k)
                        )
                    for b in static(runs_o):
                        values[4 * b], values[4 * b + 1], values[4 * b + 2], values[4 * b + 3] = load_4(
                            tiles, place + (t * tile_o + b * gap_o)
                        )
                    for a in range(thread_k):
                        for b in range(thread_o):
                            total[a * thread_o + b] += f_values[a] * values[b]
                out = uint32(out + uint32(stage_size))
                if out == uint32(stages * stage_size):
                    out = uint32(0)
            summed = int32(summed + int32(1))

        # store
        first_k = uint32(k_tile * uint32(tile_k) + f_from)
        left_k = int32(int32(filters) - int32(first_k))  # filters from this thread's first on
        k = uint32(g * uint32(filters) + first_k)
        is_whole = cuda.gridDim.z == 1  # parts are summed, and the addend added, afterwards
        for a in range(thread_k):
            a_k = (a // RUN) * gap_k + a % RUN
            here = (left_k > int32(a_k)) & is_whole
            f_values[a] = load_1_if(addend, uint32(k + uint32(a_k)), here)
        for b in static(0, thread_o, stored):
            o = uint32(o_tile * uint32(tile_o) + source_from + uint32(b // RUN * gap_o + b % RUN))
            n = uint32(o // area)
            image = int64(split) * int64(images) + int64(n)
            at = (image * int64(groups * filters) + int64(k)) * int64(area) + int64(uint32(o - n * area))
            if not is_cut_o or o < outputs:
                for a in range(thread_k):
                    t, more = a * thread_o + b, f_values[a]
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

    return implicit_gemm_tiled
