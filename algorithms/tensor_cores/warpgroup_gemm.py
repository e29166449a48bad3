"""Implicit GEMM on Hopper's tensor cores by wgmma: the windows of a packed map, times filters in shared memory.

    target[g, m, o] = addend[g,m] + Σ_t f[g, m, t] · x[n, h, w, g, l]
                      h, w, t and o as in `algorithms.tensor_cores.warp_gemm`, f and x as
                      `algorithms.tensor_cores.packing` writes them
    split             f = f₁ + f₂ and x = x₁ + x₂, each part of 11 bits: those of f are written out once, those of x
                      found in registers; the products are f₁·x₂ + f₂·x₁ + f₁·x₁, and the sums of every 32 words are
                      added up by float32 additions, which round and do not cut

Layouts   f₁ and f₂ (M, ·), x (N·H·W, G·L_w) in words of 32 bits, target (N, M, I, J), all seen flat and contiguous.
Index map blockIdx.x → (group, o tile, m tile), m tile fastest · four warps → 64 outputs of the tile, all its filters; a
          thread → the sums of `convbench.intrinsics.warpgroup`, outputs as rows · threads as they copy:
          `algorithms.tensor_cores.windows` · loop over t in steps of 32 words, of which `stages` are under way; a step
          stages a tile of x and one of f (two when split) in shared memory.
Cost      2·N·M·I·J·L/G·R·S FLOPs, three times as many when split, with L/G rounded up to 16 bytes.
Source    Ootomo & Yokota 2022, as in `algorithms.tensor_cores.warp_gemm`; NVIDIA, CUTLASS, "hopper" examples, for one
          operand from registers and sums tied to the waits. PTX ISA, wgmma.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from numba import cuda, float32, int32, uint32, uint64

from algorithms.gemm import WAITS
from algorithms.tensor_cores.packing import STEP, Kind
from algorithms.tensor_cores.warp_gemm import HALF_OF_LAST, HIGH, make_split
from algorithms.tensor_cores.windows import CHUNKS, make_copies
from convbench.devices import Array, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import (
    bits,
    commit_copies,
    commit_warpgroup,
    fast_kernel,
    fence_async_proxy,
    ldmatrix_x4,
    matrix_descriptor_on_device,
    shared_address,
    static,
    unbits,
    unrolled,
    wait_warpgroup_0,
    warpgroup_fence,
    wgmma_bf16,
    wgmma_f16,
    wgmma_tf32,
)

u = uint32
OUTPUTS, THREADS_OF_GROUP = 64, 128  # of a warpgroup
WIDTHS = 64, 128, 256
MULTIPLY = {"tf32": wgmma_tf32, "float32": wgmma_tf32, "float16": wgmma_f16, "bfloat16": wgmma_bf16}
K_WORDS = 8  # of a row that one product takes
_ROW_BYTES, _EIGHT_ROWS, _NEXT_K = 128, 1024, 2  # the last in descriptors' units of 16 bytes


@dataclass(frozen=True, kw_only=True)
class WarpgroupConfig:
    """How the product is cut up among warpgroups, and whether the problem's sizes are constants of the kernel.

    Parameters
    ----------
    tile_m, tile_o : filters and outputs of a block, 64 outputs for each warpgroup
    stages : steps of 32 words in shared memory
    blocks : blocks for which a multiprocessor should have registers
    """

    tile_m: int = 128
    tile_o: int = 128
    stages: int = 3
    blocks: int = 1
    is_specialised: bool = False

    def __post_init__(self) -> None:
        rules = (
            (self.tile_m in WIDTHS, f"tile_m is one of {', '.join(map(str, WIDTHS))}"),
            (self.tile_o > 0 and self.tile_o % OUTPUTS == 0, f"tile_o is a multiple of {OUTPUTS}"),
            (self.threads <= 1024, "a block holds at most 1024 threads"),
            (self.tile_m % max(self.rows, 1) == 0, f"{self.rows} rows are copied at a time"),
            (self.stages in WAITS, f"stages is one of {', '.join(map(str, WAITS))}"),
            (self.blocks >= 1, "blocks is at least 1"),
        )
        for holds, rule in rules:
            if not holds:
                raise ConfigError(f"{self}: {rule}")

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.tile_o // OUTPUTS * THREADS_OF_GROUP

    @property
    def rows(self) -> int:
        """Rows of a tile that the threads copy at a time."""
        return self.threads // CHUNKS

    def shared_bytes(self, kind: Kind) -> int:
        """Shared memory of a block. Split filters take twice the room."""
        filters = self.tile_m * (2 if kind == "float32" else 1)
        return self.stages * (self.tile_o + filters) * STEP * 4


@cache
def make_warpgroup_kernel(
    config: WarpgroupConfig, kind: Kind, is_spread: bool, baked: tuple[int, ...] | None = None
) -> Kernel:
    """Make the kernel of a config, for any sizes or for the `baked` sizes alone. `float32` factors are split."""
    tile_m, tile_o, rows, stages = config.tile_m, config.tile_o, config.rows, config.stages
    ahead, wait = stages - 1, WAITS[stages]
    f_passes, x_passes, sums = tile_m // rows, tile_o // rows, tile_m // 2
    x_tile_words, f_tile_words = tile_o * STEP, tile_m * STEP
    f_begin = x_tile_words * stages
    low_begin = f_begin + f_tile_words * stages
    x_tile_bytes, f_tile_bytes, group_bytes = tile_o * _ROW_BYTES, tile_m * _ROW_BYTES, OUTPUTS * _ROW_BYTES
    find_windows, copy_filters, copy_windows = make_copies(rows, f_passes, x_passes, is_spread, baked)
    is_split, step, quarters = kind == "float32", STEP, STEP // K_WORDS
    multiply, begin_sum = MULTIPLY[kind](tile_m), MULTIPLY[kind](tile_m, begins=True)
    wait_for_sums = wait_warpgroup_0(tile_m)
    words = 4 * quarters
    split, store = make_split(words), make_store(config, baked)

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def load(
        shared: Array, f: Array, f_low: Array, x: Array, begin: Array, h_first: Array, w_first: Array,
        given: Any, g: Any, first_row: Any, now: Any,
    ) -> None:  # fmt: skip
        """Copy this thread's part of step `now`, if there is one, to its stage; close the group of these copies."""
        writing, steps = u(now % u(stages)), u(u((given if baked is None else baked)[10]) // u(step))
        if now < steps:
            to = u(u(f_begin) + writing * u(f_tile_words))
            copy_filters(shared, to, f, first_row, g, now, given)
            if is_split:
                copy_filters(shared, u(to + u(low_begin - f_begin)), f_low, first_row, g, now, given)
            copy_windows(shared, u(writing * u(x_tile_words)), x, begin, h_first, w_first, g, now, given)
        commit_copies()  # an empty group after the last step too, because the waits count groups

    @fast_kernel(threads=config.threads, blocks=config.blocks)
    def warpgroup_gemm(f: Array, f_low: Array, x: Array, addend: Array, target: Array, given: Any) -> None:
        # map, the block: its tile of filters and of outputs
        sizes = given if baked is None else baked  # as `windows.sizes_of` lists them
        steps = u(u(sizes[10]) // u(step))
        block, m_tiles, o_tiles = u(cuda.blockIdx.x), u(sizes[11]), u(sizes[12])
        m_tile, rest = u(block % m_tiles), u(block // m_tiles)
        o_tile, g = u(rest % o_tiles), u(rest // o_tiles)
        first_m, first_o = u(m_tile * u(tile_m)), u(o_tile * u(tile_o))

        # map, the copies: the windows of the thread's rows
        thread = u(cuda.threadIdx.x)
        warp, lane = u(thread >> u(5)), u(thread & u(31))
        row = u(thread >> u(3))
        shared = cuda.shared.array(0, uint32, alignment=1024)
        total = cuda.local.array(sums, float32)
        part = cuda.local.array(sums, float32)
        high, low = cuda.local.array(words, uint32), cuda.local.array(words, uint32)
        begin = cuda.local.array(x_passes, int32)  # the image's first row, counted over all images
        h_first, w_first = cuda.local.array(x_passes, int32), cuda.local.array(x_passes, int32)
        for number in range(sums):
            total[number] = float32(0)
        find_windows(u(first_o + row), given, begin, h_first, w_first)

        # map, the products: where this lane's row begins for ldmatrix, and which half of 32 bytes it reads
        x_row, x_half = u((warp * u(16) + (lane & u(15))) * u(step)), u(lane >> u(4))
        swizzle, window = u(lane & u(7)), shared_address(shared, u(0))

        # load: the first steps; the loop loads each following one once its stage is free
        for time in range(ahead):
            load(shared, f, f_low, x, begin, h_first, w_first, given, g, u(first_m + row), u(time))
        for time in range(int32(steps)):
            reading = u(u(time) % u(stages))
            wait()  # for this thread's copies of this step
            fence_async_proxy()
            cuda.syncthreads()
            # accumulate: the step that has landed, queued for the tensor cores and waited for after the next load
            f_at = u(window + u(f_begin * 4) + reading * u(f_tile_bytes))
            f_matrix = matrix_descriptor_on_device(f_at, u(16), u(_EIGHT_ROWS))
            if is_split:
                low_at = u(window + u(low_begin * 4) + reading * u(f_tile_bytes))
                low_matrix = matrix_descriptor_on_device(low_at, u(16), u(_EIGHT_ROWS))
                x_from = u(reading * u(x_tile_words) + x_row)
                for k in static(quarters):
                    x_at = u(x_from + (((u(2 * k) + x_half) ^ swizzle) << u(2)))
                    high[4 * k], high[4 * k + 1], high[4 * k + 2], high[4 * k + 3] = ldmatrix_x4(shared, x_at)
                split(high, low)
                warpgroup_fence()
                for k in static(quarters):
                    highs = (high[4 * k], high[4 * k + 1], high[4 * k + 2], high[4 * k + 3])
                    lows = (low[4 * k], low[4 * k + 1], low[4 * k + 2], low[4 * k + 3])
                    f_k, low_k = f_matrix + uint64(k * _NEXT_K), low_matrix + uint64(k * _NEXT_K)
                    if k == 0:
                        begin_sum(part, lows, f_k)
                    else:
                        multiply(part, lows, f_k)
                    multiply(part, highs, low_k)
                    multiply(part, highs, f_k)
            else:
                x_at = u(window + reading * u(x_tile_bytes) + (warp >> u(2)) * u(group_bytes))
                x_matrix = matrix_descriptor_on_device(x_at, u(16), u(_EIGHT_ROWS))
                warpgroup_fence()
                for k in static(quarters):
                    multiply(total, x_matrix + uint64(k * _NEXT_K), f_matrix + uint64(k * _NEXT_K))
            commit_warpgroup()
            # after the barrier no thread multiplies from the stage that the next copies overwrite
            load(shared, f, f_low, x, begin, h_first, w_first, given, g, u(first_m + row), u(u(time) + u(ahead)))
            wait_for_sums(part if is_split else total)
            if is_split:
                for number in range(sums):
                    total[number] += part[number]

        store(target, addend, total, lane, g, first_m, u(first_o + warp * u(16)), given)

    return warpgroup_gemm


@cache
def make_store(config: WarpgroupConfig, baked: tuple[int, ...] | None) -> Any:
    """Store: make the device function that writes a thread's sums, with the addend of their channel."""
    columns = config.tile_m // 8

    @cuda.jit(device=True, inline="always")
    @unrolled
    def store(
        target: Array, addend: Array, total: Array, lane: Any, g: Any, first_m: Any, first_o: Any, given: Any
    ) -> None:
        """Write this lane's fragments: `first_m` is the block's first filter, `first_o` the warp's first output."""
        sizes = given if baked is None else baked
        images, per_group, groups = u(sizes[4]), u(sizes[5]), u(sizes[6])
        pixels = u(u(sizes[2]) * u(sizes[3]))
        for lower in static(2):
            o = u(first_o + u(8 * lower) + (lane >> u(2)))
            n = u(o // pixels)
            image = uint64(n * groups + g) * uint64(per_group)
            for after in static(2):
                for j in range(columns):
                    m = u(first_m + u(8 * j) + u(after) + ((lane & u(3)) << u(1)))
                    if n < images and m < per_group:
                        there = (image + uint64(m)) * uint64(pixels) + uint64(o - n * pixels)
                        target[there] = total[4 * j + 2 * lower + after] + float32(addend[g * per_group + m])

    return store


@cache
def make_split_kernel() -> Kernel:
    """Make the kernel that splits float32 words into two parts of 11 bits, the first in place. One thread per word."""

    @cuda.jit
    def split_words(words: Array, low: Array) -> None:
        # map
        flat = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        if flat >= words.size:
            return  # the grid is rounded up to whole blocks
        # load
        word = words[flat]
        # store
        first_part = u((word + u(HALF_OF_LAST)) & u(HIGH))
        words[flat] = first_part
        low[flat] = u(bits(unbits(word) - unbits(first_part)) & u(HIGH))

    return split_words
