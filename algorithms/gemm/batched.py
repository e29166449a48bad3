"""Batched matrix product in register tiles, real or complex: the multiply step of methods that transform tiles.

    m[b, i, j] = Σ_l u[b, l, i] · v[b, l, j]                        0 ≤ b < B, 0 ≤ i < I, 0 ≤ j < J, 0 ≤ l < L

Layouts   u (B, L, I'), v (B, L, J'), m (B, I, J'), contiguous float32; l is outermost, so that neighbours in i and j
          are neighbours in memory and every copy has 16 bytes. I' ≥ I and J' ≥ J are multiples of the tile (`padded`).
          The padding of u and v only affects the padding of m. m has no rows beyond I. L is any number. Complex
          numbers are pairs (re, im) of neighbours in the last axis. The length of that axis counts numbers of float32,
          and so does every extent of a `Tile` along i and j: a complex tile of 128 is 64 elements.
Index map blockIdx.x → (b, j tile, i tile), i tile fastest: neighbours share a tile of v, the larger operand, while it
          is in the cache · warp → (i, j) of 4·thread_i rows × 8·thread_j columns, lane → 4 × 8 of them · a thread has
          its rows in groups of four, 16 apart, and its columns in groups of four, 32 apart: then the 16-byte reads of
          shared memory by a warp meet every bank once · loop over l in steps of tile_l.
Copies    Tiles of u and v arrive by cp.async, `stages` − 1 steps ahead of the products, rows beyond L as zeros.
Cost      2·B·I·J·L FLOPs, 8 for complex numbers; an element of u is read J'/tile_j times, one of v I'/tile_i times.
Source    Volkov & Demmel 2008, "Benchmarking GPUs to tune dense linear algebra", §IV (sums and factors in registers);
          Nath, Tomov & Dongarra 2010, "An improved MAGMA GEMM for Fermi GPUs" (tiles of a block and of a thread);
          NVIDIA, "CUDA C++ Programming Guide", "Asynchronous data copies" (buffers of several stages).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from numba import cuda, float32, int32, int64, uint32

from algorithms.gemm.batched_tile import Tile
from algorithms.gemm.stages import WAITS
from algorithms.pairs import require_pairs
from convbench.devices import Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import (
    commit_copies,
    copy_async_16,
    copy_async_16_if,
    fast_kernel,
    load_4,
    multiply_add_2,
    static,
    store_4,
    unrolled,
)

__all__ = ["Sizes", "Tile", "launch_batched_gemm", "make_kernel", "padded"]


@dataclass(frozen=True)
class Sizes:
    """The sizes L, I, I' and J' of a product. A kernel has them baked in, or takes them as an argument."""

    l: int  # noqa: E741  (the field's letter for the summed index)
    i: int
    padded_i: int
    padded_j: int

    @classmethod
    def of(cls, u: Array, v: Array, m: Array) -> Self:
        """Return the sizes of arrays in the layouts above."""
        return cls(u.shape[1], m.shape[1], u.shape[2], v.shape[2])


def padded(extent: int, tile: int) -> int:
    """Round an extent up to a multiple of a tile's extent."""
    return -(-extent // tile) * tile


def launch_batched_gemm(
    device: Device,
    u: Array,
    v: Array,
    m: Array,
    *,
    tile: Tile,
    is_complex: bool = False,
    is_specialised: bool = False,
    is_packed: bool = False,
) -> None:
    """Queue the product in the phase `multiply`.

    Parameters
    ----------
    u, v, m : float32 in the layouts above, so that u.shape = (B, L, I'), v.shape = (B, L, J'), m.shape = (B, I, J')
    is_complex : whether neighbours in the last axes are (re, im), so that I' = 2 · the elements of u in a row, while
        I, the rows of m, still counts elements
    is_specialised : whether to compile a kernel for these sizes alone
    is_packed : whether one instruction adds two products (`algorithms.pairs`)

    Raises ConfigError if the shapes do not fit each other or the tile, or if the device has no packed multiply-adds.
    """
    require_pairs(tile, device, is_packed=is_packed)
    (batches, depth, padded_i), (_, _, padded_j), rows = u.shape, v.shape, m.shape[1]
    given = f"u {tuple(u.shape)}, v {tuple(v.shape)}, m {tuple(m.shape)}"
    if v.shape[:2] != (batches, depth) or (m.shape[0], m.shape[2]) != (batches, padded_j):
        raise ConfigError(f"{given}: u is (B, L, I'), v (B, L, J'), m (B, I, J')")
    if padded_i % tile.tile_i or padded_j % tile.tile_j or not 1 <= rows * (1 + is_complex) <= padded_i:
        raise ConfigError(f"{given}: I' and J' are multiples of tile_i and tile_j, and I at most I', of {tile}")
    sizes = Sizes.of(u, v, m)
    kernel = make_kernel(tile, is_complex, is_packed, sizes if is_specialised else None)
    grid = batches * (padded_i // tile.tile_i) * (padded_j // tile.tile_j)
    flat = (array.reshape(-1) for array in (u, v, m))
    device.launch(
        "multiply", kernel, grid, tile.threads, *flat, (sizes.l, sizes.i, sizes.padded_i, sizes.padded_j)
    )  # fmt: skip


@cache
def make_multiply(thread_i: int, thread_j: int, is_complex: bool, is_packed: bool) -> Any:
    """Make the device function that adds a thread's products for one l to its sums.

    Packed multiply-adds take neighbours in j, which a wide load puts into neighbouring registers, or both parts of a
    complex number. For the latter, each element of v is turned by a quarter once.
    """

    @cuda.jit(device=True)
    @unrolled
    def multiply(tiles: Array, u_at: int, v_at: int, total: Array) -> None:
        us = cuda.local.array(thread_i, float32)
        vs = cuda.local.array(thread_j, float32)
        for i in static(thread_i // 4):
            us[4 * i], us[4 * i + 1], us[4 * i + 2], us[4 * i + 3] = load_4(tiles, u_at + uint32(16 * i))
        for j in static(thread_j // 4):
            vs[4 * j], vs[4 * j + 1], vs[4 * j + 2], vs[4 * j + 3] = load_4(tiles, v_at + uint32(32 * j))
        if is_complex and is_packed:
            for j in range(thread_j // 2):
                pair, turned = (vs[2 * j], vs[2 * j + 1]), (-vs[2 * j + 1], vs[2 * j])
                for i in range(thread_i // 2):
                    place = 2 * (i * (thread_j // 2) + j)
                    both = multiply_add_2(us[2 * i], pair, (total[place], total[place + 1]))
                    total[place], total[place + 1] = multiply_add_2(us[2 * i + 1], turned, both)
        elif is_packed:
            for i in range(thread_i):
                for j in range(thread_j // 2):
                    place = i * thread_j + 2 * j
                    total[place], total[place + 1] = multiply_add_2(
                        us[i], (vs[2 * j], vs[2 * j + 1]), (total[place], total[place + 1])
                    )
        elif is_complex:
            for i in range(thread_i // 2):
                for j in range(thread_j // 2):
                    place = 2 * (i * (thread_j // 2) + j)
                    total[place] += us[2 * i] * vs[2 * j]
                    total[place] -= us[2 * i + 1] * vs[2 * j + 1]
                    total[place + 1] += us[2 * i] * vs[2 * j + 1]
                    total[place + 1] += us[2 * i + 1] * vs[2 * j]
        else:
            for i in range(thread_i):
                for j in range(thread_j):
                    total[i * thread_j + j] += us[i] * vs[j]

    return multiply


@cache
def make_kernel(tile: Tile, is_complex: bool, is_packed: bool, sizes: Sizes | None = None) -> Kernel:
    """Make the kernel of a tile, for any sizes or for the given sizes alone."""
    known_l, known_i, known_padded_i, known_padded_j = (
        (None, None, None, None) if sizes is None else (sizes.l, sizes.i, sizes.padded_i, sizes.padded_j)
    )
    tile_i, tile_j, tile_l, thread_i, thread_j = tile.tile_i, tile.tile_j, tile.tile_l, tile.thread_i, tile.thread_j
    threads, stages, wait = tile.threads, tile.stages, WAITS[tile.stages]
    u_stage, v_stage = tile_l * tile_i, tile_l * tile_j  # numbers of a tile
    v_first = stages * u_stage
    in_shared = v_first + stages * v_stage
    warps_j = tile_j // (8 * thread_j)
    u_wide, v_wide = tile_i // 4, tile_j // 4  # copies of 16 bytes in a row of a tile
    u_rows, v_rows = threads // u_wide, threads // v_wide  # rows that all threads copy at a time
    u_pass, v_pass = u_rows * tile_i, v_rows * tile_j  # the numbers in these rows
    u_copies, v_copies = tile_l // u_rows, tile_l // v_rows
    parts, multiply = 2 if is_complex else 1, make_multiply(thread_i, thread_j, is_complex, is_packed)
    sums = thread_i * thread_j // parts
    is_ragged = known_l is None or known_l % tile_l != 0  # whether the last step may have rows beyond L
    all_rows = known_i is not None and known_padded_i == parts * known_i

    @fast_kernel(threads=threads, blocks=tile.least_blocks)
    def batched_gemm(u: Array, v: Array, m: Array, sizes: Any) -> None:
        # map
        depth = int64(sizes[0]) if known_l is None else int64(known_l)
        rows = int64(sizes[1]) if known_i is None else int64(known_i)
        padded_i = int64(sizes[2]) if known_padded_i is None else int64(known_padded_i)
        padded_j = int64(sizes[3]) if known_padded_j is None else int64(known_padded_j)
        tiles_i, tiles_j = uint32(padded_i // tile_i), uint32(padded_j // tile_j)
        block = uint32(cuda.blockIdx.x)
        first_i = uint32(uint32(block % tiles_i) * uint32(tile_i))
        first_j = uint32(uint32(uint32(block // tiles_i) % tiles_j) * uint32(tile_j))
        b = int64(uint32(block // uint32(tiles_i * tiles_j)))
        thread = uint32(cuda.threadIdx.x)
        warp, lane = uint32(thread >> uint32(5)), uint32(thread & uint32(31))
        i_in_tile = uint32(
            uint32(warp // uint32(warps_j)) * uint32(4 * thread_i) + uint32(lane >> uint32(3)) * uint32(4)
        )
        j_in_tile = uint32(uint32(warp % uint32(warps_j)) * uint32(8 * thread_j) + uint32(lane & uint32(7)) * uint32(4))
        u_row, u_column = uint32(thread // uint32(u_wide)), uint32(uint32(thread % uint32(u_wide)) * uint32(4))
        v_row, v_column = uint32(thread // uint32(v_wide)), uint32(uint32(thread % uint32(v_wide)) * uint32(4))
        u_place = uint32(u_row * uint32(tile_i) + u_column)
        v_place = uint32(uint32(v_first) + v_row * uint32(tile_j) + v_column)
        u_next = (b * depth + int64(u_row)) * padded_i + int64(first_i + u_column)
        v_next = (b * depth + int64(v_row)) * padded_j + int64(first_j + v_column)
        tiles = cuda.shared.array(in_shared, float32, alignment=16)
        total = cuda.local.array(sums, float32)
        for place in range(sums):
            total[place] = float32(0)

        steps = int32((depth + (tile_l - 1)) // tile_l)
        missing = int32(depth)  # terms whose copies have not begun
        stage = uint32(0)  # that is written next
        for _ in range(int32(stages - 1)):
            # load: the first steps
            u_to, v_to = uint32(u_place + stage * uint32(u_stage)), uint32(v_place + stage * uint32(v_stage))
            for part in static(u_copies):
                copy_async_16_if(
                    tiles, u_to + uint32(part * u_pass), u, u_next + int64(part * u_rows) * padded_i,
                    int32(u_row) < int32(missing - int32(part * u_rows)),
                )  # fmt: skip
            for part in static(v_copies):
                copy_async_16_if(
                    tiles, v_to + uint32(part * v_pass), v, v_next + int64(part * v_rows) * padded_j,
                    int32(v_row) < int32(missing - int32(part * v_rows)),
                )  # fmt: skip
            commit_copies()
            u_next += int64(tile_l) * padded_i
            v_next += int64(tile_l) * padded_j
            missing = int32(missing - int32(tile_l))
            stage = uint32(stage + uint32(1))

        ready = uint32(0)  # the stage that is read
        for _ in range(steps):
            wait()
            cuda.syncthreads()  # every thread's copies have landed, and none still reads what is overwritten next
            if missing > int32(0):
                # load: the step `stages` − 1 ahead
                u_to, v_to = uint32(u_place + stage * uint32(u_stage)), uint32(v_place + stage * uint32(v_stage))
                for part in static(u_copies):
                    to, source = u_to + uint32(part * u_pass), u_next + int64(part * u_rows) * padded_i
                    if is_ragged:
                        copy_async_16_if(tiles, to, u, source, int32(u_row) < int32(missing - int32(part * u_rows)))
                    else:
                        copy_async_16(tiles, to, u, source)
                for part in static(v_copies):
                    to, source = v_to + uint32(part * v_pass), v_next + int64(part * v_rows) * padded_j
                    if is_ragged:
                        copy_async_16_if(tiles, to, v, source, int32(v_row) < int32(missing - int32(part * v_rows)))
                    else:
                        copy_async_16(tiles, to, v, source)
                u_next += int64(tile_l) * padded_i
                v_next += int64(tile_l) * padded_j
                missing = int32(missing - int32(tile_l))
            commit_copies()  # of nothing too, so that the wait counts steps
            # accumulate: zeros beyond L add nothing
            u_begin = uint32(ready * uint32(u_stage) + i_in_tile)
            v_begin = uint32(uint32(v_first) + ready * uint32(v_stage) + j_in_tile)
            for l in static(tile_l):  # noqa: E741
                # sums of 64 bits, of which the constant becomes part of the instruction
                multiply(tiles, u_begin + uint32(l * tile_i), v_begin + uint32(l * tile_j), total)
            stage = uint32(stage + uint32(1)) if stage < uint32(stages - 1) else uint32(0)
            ready = uint32(ready + uint32(1)) if ready < uint32(stages - 1) else uint32(0)

        # store
        for r in static(thread_i // parts):
            i = int64(uint32(first_i + i_in_tile + uint32(16 * (parts * r // 4) + parts * r % 4)) // uint32(parts))
            if all_rows or i < rows:
                place = (b * rows + i) * padded_j + int64(first_j + j_in_tile)
                for j in static(thread_j // 4):
                    four = (
                        total[r * thread_j + 4 * j], total[r * thread_j + 4 * j + 1],
                        total[r * thread_j + 4 * j + 2], total[r * thread_j + 4 * j + 3],
                    )  # fmt: skip
                    store_4(m, place + int64(32 * j), four)

    return batched_gemm
