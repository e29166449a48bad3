"""Implicit GEMM on tensor cores by mma.sync: the windows of a packed map, times filters, in float32 accumulators.

    target[g, m, o] = addend[g,m] + Σ_t f[g, m, t] · x[n, h, w, g, l]
                      h = i·u − top + r·d_h, w = j·v − left + s·d_w, t = (r·S + s)·L_w + l, o = (n·I + i)·J + j;
                      forward and backward_data as in `algorithms.correlation`, f and x as
                      `algorithms.tensor_cores.packing` writes them, in words
    split             f = f₁ + f₂ and x = x₁ + x₂, each part of 11 bits; the products are f₂·x₁ + f₁·x₂ + f₁·x₁, and the
                      sums of every 32 words are added up by float32 additions, which round and do not cut

Layouts   f (M, ·) and x (N·H·W, G·L_w) in words of 32 bits, target (N, M, I, J), all seen flat and contiguous.
Index map blockIdx.x → (group, o tile, m tile), m tile fastest, so that neighbours share windows · a warp → warp_m ×
          warp_o of the tile, a lane → the fragments of `convbench.intrinsics.tensor` · threads as they copy:
          `algorithms.tensor_cores.windows` · loop over t in steps of 32 words, of which `stages` are under way; a step
          stages a tile of f and one of x in shared memory.
Cost      2·N·M·I·J·L/G·R·S FLOPs, three times as many when split, with L/G rounded up to 16 bytes.
Source    Ootomo & Yokota 2022, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32
          theoretical peak performance", IJHPCA 36(4), for the split and the sums outside; NVIDIA, CUTLASS, "Efficient
          GEMM in CUDA", for the pipeline. PTX ISA, ldmatrix and mma.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda, float32, int32, uint32, uint64
from numba.cuda import types

from algorithms.gemm import WAITS
from algorithms.tensor_cores.packing import STEP, Kind
from algorithms.tensor_cores.windows import CHUNKS, make_copies
from convbench.devices import Array, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import (
    bits,
    commit_copies,
    fast_kernel,
    ldmatrix_x4,
    mma_bf16,
    mma_f16,
    mma_tf32,
    static,
    store_2,
    unbits,
    unrolled,
)

u = uint32
WARP = 32
MULTIPLY = {"tf32": mma_tf32, "float32": mma_tf32, "float16": mma_f16, "bfloat16": mma_bf16}
NUMBERS = {"tf32": float32, "float32": float32, "float16": types.float16, "bfloat16": types.bfloat16}
HIGH, HALF_OF_LAST = 0xFFFFE000, 0x1000  # of a float32: the bits of TF32, and half the last of them


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the product is cut up, and whether the problem's sizes are constants of the kernel.

    Parameters
    ----------
    tile_m, tile_o : filters and outputs of a block
    warp_m, warp_o : filters and outputs of a warp
    stages : steps of 32 words in shared memory
    blocks : blocks for which a multiprocessor should have registers
    unroll : quarters of a step written out one after another
    """

    tile_m: int = 32
    tile_o: int = 32
    warp_m: int = 16
    warp_o: int = 16
    stages: int = 3
    blocks: int = 4
    unroll: int = 1
    is_specialised: bool = False

    def __post_init__(self) -> None:
        rules = (
            (self.tile_m % self.warp_m == 0 and self.tile_o % self.warp_o == 0, "tiles are whole numbers of warps'"),
            (self.warp_m % 16 == 0 and self.warp_o % 16 == 0, "a warp's part is a multiple of 16 × 16"),
            (WARP <= self.threads <= 1024, "a block holds 32 to 1024 threads"),
            (self.tile_m % self.rows == 0 and self.tile_o % self.rows == 0, f"{self.rows} rows are copied at a time"),
            (self.stages in WAITS, f"stages is one of {', '.join(map(str, WAITS))}"),
            (self.blocks >= 1, "blocks is at least 1"),
            (self.unroll in (1, 2, 4), "unroll is 1, 2 or 4"),
        )
        for holds, rule in rules:
            if not holds:
                raise ConfigError(f"{self}: {rule}")

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return (self.tile_m // self.warp_m) * (self.tile_o // self.warp_o) * WARP

    @property
    def rows(self) -> int:
        """Rows of a tile that the threads copy at a time."""
        return self.threads // CHUNKS

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block."""
        return self.stages * (self.tile_m + self.tile_o) * STEP * 4


@cache
def make_kernel(config: Config, kind: Kind, is_spread: bool, baked: tuple[int, ...] | None = None) -> Kernel:
    """Make the kernel of a config, for problems of any size or of the `baked` sizes alone. `float32` factors are split.

    The map of the windows and the copies are those of `windows.make_copies`.
    """
    tile_m, tile_o, warp_m, warp_o, rows = config.tile_m, config.tile_o, config.warp_m, config.warp_o, config.rows
    stages, ahead, wait = config.stages, config.stages - 1, WAITS[config.stages]
    f_passes, x_passes, warps_o, sums = tile_m // rows, tile_o // rows, tile_o // warp_o, warp_m * warp_o // WARP
    f_tile_words, x_tile_words = tile_m * STEP, tile_o * STEP
    f_stages_words, step = f_tile_words * stages, STEP
    find_windows, copy_filters, copy_windows = make_copies(rows, f_passes, x_passes, is_spread, baked)
    accumulate = make_accumulate(config, kind)
    store = make_store(config, kind, baked)

    @fast_kernel(threads=config.threads, blocks=config.blocks)
    def tensor_gemm(
        f: Array, x: Array, addend: Array, target: Array, given: Any
    ) -> None:  # fmt: skip
        """One tile of the target for each block, by tensor cores.

        Excess: The channels of a group are padded to 16 bytes, and a copy moves as many. Where a group has no more, as
        in a depthwise layer, a copy takes half a sector, and the blocks of the next group take the rest. A store takes
        eight neighbouring pixels of a channel. In half precision they are half a sector, and the next store fills it.
        """
        # map, the block: its tile of filters and of outputs
        sizes = given if baked is None else baked  # as `sizes_of` lists them
        block, m_tiles, o_tiles = u(cuda.blockIdx.x), u(sizes[11]), u(sizes[12])
        m_tile, rest = u(block % m_tiles), u(block // m_tiles)
        o_tile, g = u(rest % o_tiles), u(rest // o_tiles)
        first_m, first_o = u(m_tile * u(tile_m)), u(o_tile * u(tile_o))

        # map, the copies: the windows of the thread's rows
        thread = u(cuda.threadIdx.x)
        warp, lane = u(thread >> u(5)), u(thread & u(31))
        row = u(thread >> u(3))
        shared = cuda.shared.array(0, uint32, alignment=128)
        total = cuda.local.array(sums, float32)
        begin = cuda.local.array(x_passes, int32)  # the image's first row, counted over all images
        h_first, w_first = cuda.local.array(x_passes, int32), cuda.local.array(x_passes, int32)
        for number in range(sums):
            total[number] = float32(0)
        find_windows(u(first_o + row), given, begin, h_first, w_first)

        # map, the sums: the warp's first filter and output in the tile; for ldmatrix, where the lane's rows begin, and
        # which half of 32 bytes it reads
        warp_first_m, warp_first_o = u((warp // u(warps_o)) * u(warp_m)), u((warp % u(warps_o)) * u(warp_o))
        f_row, f_half = u((warp_first_m + (lane & u(15))) * u(step)), u(lane >> u(4))
        x_row = u((warp_first_o + (lane & u(7)) + ((lane >> u(4)) << u(3))) * u(step))
        x_half, swizzle = u((lane >> u(3)) & u(1)), u(lane & u(7))
        steps = u(u(sizes[10]) // u(step))
        writing, reading = u(0), u(0)

        for time in range(int32(steps) + int32(ahead)):
            now = u(time)
            if now >= u(ahead):
                wait()  # for the copies of the step that is next
            cuda.syncthreads()
            # load: step `now`, `ahead` of the one that is summed
            if now < steps:
                copy_filters(shared, u(writing * u(f_tile_words)), f, u(first_m + row), g, now, given)
                x_to = u(u(f_stages_words) + writing * u(x_tile_words))
                copy_windows(shared, x_to, x, begin, h_first, w_first, g, now, given)
                writing = u(writing + u(1)) if writing < u(ahead) else u(0)
            commit_copies()  # an empty group after the last step too, because the waits count groups
            if now >= u(ahead):
                f_from = u(reading * u(f_tile_words) + f_row)
                x_from = u(u(f_stages_words) + reading * u(x_tile_words) + x_row)
                reading = u(reading + u(1)) if reading < u(ahead) else u(0)
                accumulate(shared, f_from, f_half, x_from, x_half, swizzle, total)

        store(target, addend, total, lane, g, first_m, warp_first_m, first_o, warp_first_o, given)

    return tensor_gemm


@cache
def make_split(words: int) -> Any:
    """Make the device function that splits so many words of float32 in two parts of 11 bits each."""

    @cuda.jit(device=True, inline="always")
    def split(high: Array, low: Array) -> None:
        """Leave the first part in `high`, where the words are, and write the second to `low`."""
        for number in range(words):
            first_part = u((high[number] + u(HALF_OF_LAST)) & u(HIGH))
            low[number] = u(bits(unbits(high[number]) - unbits(first_part)) & u(HIGH))
            high[number] = first_part

    return split


@cache
def make_accumulate(config: Config, kind: Kind) -> Any:
    """Accumulate: make the device function that adds the products of one step to a warp's sums."""
    f_parts, x_parts = config.warp_m // 16, config.warp_o // 8
    f_words, x_words, sums = f_parts * 4, x_parts * 2, f_parts * x_parts * 4
    multiply, is_split = MULTIPLY[kind], kind == "float32"
    products = 3 if is_split else 1
    pair_rows, steps_in_row, written = 16 * STEP, STEP // CHUNKS, config.unroll
    split_f, split_x = make_split(f_words), make_split(x_words)

    @cuda.jit(device=True, inline="always")
    @unrolled
    def accumulate(
        shared: Array, f_from: Any, f_half: Any, x_from: Any, x_half: Any, swizzle: Any, total: Array
    ) -> None:  # fmt: skip
        """Multiply the tiles in which this lane's rows begin at `f_from` and at `x_from`."""
        part = cuda.local.array(sums, float32)
        into = part if is_split else total
        f_high, f_low = cuda.local.array(f_words, uint32), cuda.local.array(f_words, uint32)
        x_high, x_low = cuda.local.array(x_words, uint32), cuda.local.array(x_words, uint32)
        if is_split:
            for number in range(sums):
                part[number] = float32(0)
        for k in range(0, steps_in_row, written):
            for more in static(written):
                f_at = u(f_from + (((u(2 * (k + more)) + f_half) ^ swizzle) << u(2)))
                x_at = u(x_from + (((u(2 * (k + more)) + x_half) ^ swizzle) << u(2)))
                for a in static(f_parts):
                    f_high[4 * a], f_high[4 * a + 1], f_high[4 * a + 2], f_high[4 * a + 3] = ldmatrix_x4(
                        shared, u(f_at + u(a * pair_rows))
                    )
                for b in static(x_parts // 2):
                    x_high[4 * b], x_high[4 * b + 1], x_high[4 * b + 2], x_high[4 * b + 3] = ldmatrix_x4(
                        shared, u(x_at + u(b * pair_rows))
                    )
                if is_split:
                    split_f(f_high, f_low)
                    split_x(x_high, x_low)
                # the small products first; each over all sums, so that none waits for the one before
                for term in static(products):
                    left = f_low if is_split and term == 0 else f_high
                    other = x_low if is_split and term == 1 else x_high
                    for a in range(f_parts):
                        for b in range(x_parts):
                            at = (a * x_parts + b) * 4
                            into[at], into[at + 1], into[at + 2], into[at + 3] = multiply(
                                (into[at], into[at + 1], into[at + 2], into[at + 3]),
                                (left[4 * a], left[4 * a + 1], left[4 * a + 2], left[4 * a + 3]),
                                (other[2 * b], other[2 * b + 1]),
                            )
        if is_split:
            for number in range(sums):
                total[number] += part[number]

    return accumulate


@cache
def make_store(config: Config, kind: Kind, baked: tuple[int, ...] | None) -> Any:
    """Store: make the device function that writes a warp's sums, with the addend of their channel."""
    f_parts, x_parts, stored = config.warp_m // 16, config.warp_o // 8, NUMBERS[kind]
    # two neighbours in one store: they begin at an even place, in one image
    is_paired = baked is not None and baked[2] * baked[3] % 2 == 0

    @cuda.jit(device=True, inline="always")
    @unrolled
    def store(
        target: Array, addend: Array, total: Array, lane: Any, g: Any, first_m: Any, warp_first_m: Any, first_o: Any,
        warp_first_o: Any, given: Any,
    ) -> None:  # fmt: skip
        """Write the fragments of this lane; the firsts are the block's, and the warp's within its tile."""
        sizes = given if baked is None else baked
        images, per_group, groups = u(sizes[4]), u(sizes[5]), u(sizes[6])
        pixels = u(u(sizes[2]) * u(sizes[3]))
        for b in range(x_parts):
            for a in range(f_parts):
                for lower in range(2):
                    at = (a * x_parts + b) * 4 + 2 * lower
                    o = u(first_o + warp_first_o + u(8 * b) + ((lane & u(3)) << u(1)))
                    m = u(first_m + warp_first_m + u(16 * a + 8 * lower) + (lane >> u(2)))
                    if m < per_group:
                        m = u(g * per_group + m)
                        bias = float32(addend[m])
                        n = u(o // pixels)
                        there = uint64(n * groups * per_group + m) * uint64(pixels) + uint64(o - n * pixels)
                        if is_paired:
                            if n < images:
                                store_2(target, there, (stored(total[at] + bias), stored(total[at + 1] + bias)))
                        else:
                            if n < images:
                                target[there] = total[at] + bias
                            o = u(o + u(1))
                            n = u(o // pixels)
                            there = uint64(n * groups * per_group + m) * uint64(pixels) + uint64(o - n * pixels)
                            if n < images:
                                target[there] = total[at + 1] + bias

    return store
