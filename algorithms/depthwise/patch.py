"""Depthwise convolution by patches: a thread computes a few rows and columns of one channel from registers.

    target[n,m,i,j] = addend[m] + Σ_l Σ_{r,s} source[n, g·L/G + l, i·u − top + r·d_h, j·v − left + s·d_w] · f[m,l,r,s]
                      0 ≤ l < L/G, 0 ≤ r < R, 0 ≤ s < S, zeros outside of the map; i = rows·a + i', j = columns·b + j';
                      L/G is 1 forward and the depth multiplier in backward_data, g = m // (M/G), as in
                      `algorithms.depthwise.depthwise`

Layouts   source (N, L, ·, ·), f (M, L/G, R, S), target (N, M, ·, ·), all flat and contiguous float32.
Index map blockIdx.x, threadIdx.x → (n, m, a, b), b fastest, so that neighbouring threads read neighbouring patches of
          one row · loops over l, then over the rows of the map that the patch reads. Each row is loaded once, and used
          for every pair of i' and r that reads it.
Cost      2·N·K·P·Q·R·S FLOPs; a thread loads ((rows − 1)·u + d_h·(R − 1) + 1) · ((columns − 1)·v + d_w·(S − 1) + 1)
          elements for rows · columns results. Elements that patches share come from the first cache, so that memory
          bandwidth is the limit.
Source    Chollet 2017, "Xception", §2 (the operation); Volkov 2010, "Better performance at lower occupancy", GTC
          (several outputs for each thread, held in registers).
"""

from dataclasses import dataclass
from functools import cache
from math import gcd
from typing import Any

from numba import cuda, float32, int32, int64, uint32

from algorithms.correlation import INDICES, Correlation, CorrelationPlan, farthest, not_neighbours
from convbench.devices import MAX_THREADS_PER_BLOCK, Array, Device, Kernel
from convbench.errors import ConfigError
from convbench.intrinsics import fast_kernel, load_1, load_1_if, static, store_1, store_2, store_4, unrolled
from convbench.problem import ConvProblem, Direction, Pair

# The static model: neighbouring threads are `columns` · stride elements apart. In a cycle the first cache gives a warp
# 128 bytes of the range that it spans, and four warps issue an instruction each. The memory gives 4.3 TB/s to 132
# multiprocessors of 1.755 GHz (an H200).
OF_A_READ, AROUND = 2.5, 100  # instructions for an element of the map, and outside of the loop, counted for sm_90
BYTES_A_CYCLE = 18.6
ENOUGH = 0.8  # of the time that the memory takes: other work that takes less than this is hidden

MOST_SUMS = 64  # of a thread
LEAST_WIDE = 2**32  # from so many threads on, 32 bits do not hold their number
MOST_STEPS = 1024  # products of one thread and channel in the unrolled loop
MOST_READS = 500  # elements of the map below a patch: code for more takes a compiler very long, if it ends at all
MOST_VALUES = 200  # sums, filter and a row of the map, for which 255 registers have room beside the addresses


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """Sizes of a thread's patch of the target, which is in registers, and of a block. For float32 only.

    Parameters
    ----------
    rows, columns : the size of the patch
    threads : the threads of a block
    blocks : the blocks that a multiprocessor should hold at once
    is_specialised : whether the kernel is compiled for the sizes of one problem
    """

    rows: int = 4
    columns: int = 4
    threads: int = 256
    blocks: int = 2
    is_specialised: bool = True

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.threads, self.blocks) < 1 or self.rows * self.columns > MOST_SUMS:
            raise ConfigError(f"{self}: every number is at least 1, and rows · columns at most {MOST_SUMS}")
        if self.threads % 32 or self.threads > MAX_THREADS_PER_BLOCK:
            raise ConfigError(f"{self}: threads are whole warps of 32, and at most {MAX_THREADS_PER_BLOCK}")


def fault(config: PatchConfig, problem: ConvProblem, direction: Direction) -> str | None:
    """The reason why a config cannot compute a zero-padded problem, on any device; None if it can."""
    if reason := not_neighbours(problem, direction):
        return reason
    geometry = Correlation.of(problem, direction)
    (r, s), sums = geometry.taps, config.rows * config.columns
    if sums * r * s > MOST_STEPS:
        return f"{r} · {s} taps of {sums} results are {sums * r * s} products, of which {MOST_STEPS} are written out"
    window = _extent(config.columns, geometry.stride[1], s, geometry.dilation[1])
    rows = _extent(config.rows, geometry.stride[0], r, geometry.dilation[0])
    if rows * window > MOST_READS:
        return f"a patch reads from {rows} × {window} elements, {MOST_READS} at most: its neighbours share too few"
    if sums + r * s + window > MOST_VALUES:
        return f"a thread has {sums + r * s + window} numbers in registers, {MOST_VALUES} at most: a row of {window}"
    most = max(farthest(geometry, (config.rows + rows, config.columns + window)), geometry.sources, geometry.targets)
    if most >= INDICES:
        return f"its indices of rows, of columns and of channels have 31 bits, and one of them reaches {most:,}"
    return None


def _extent(outputs: int, stride: int, taps: int, dilation: int) -> int:
    """Elements of the map along an axis, from the first to the last that neighbouring outputs read."""
    return (outputs - 1) * stride + dilation * (taps - 1) + 1


def patch_configs(problem: ConvProblem, direction: Direction) -> tuple[PatchConfig, ...]:
    """The configs that a search may try for a zero-padded problem. The first has the fastest prediction."""
    every = [
        PatchConfig(rows=rows, columns=columns, threads=threads)
        for rows in (4, 7, 8, 2)
        for columns in (4, 2, 1)
        for threads in (256, 128)
    ]
    able = [config for config in every if fault(config, problem, direction) is None]
    if not able:
        return ()
    geometry = Correlation.of(problem, direction)
    return *sorted(able, key=lambda config: cycles(config, geometry)), PatchConfig(columns=2, is_specialised=False)


def cycles(config: PatchConfig, geometry: Correlation) -> float:
    """Cycles of a multiprocessor for one channel of the target: the largest of three limits, by the model above."""
    (rows, columns), (u, v), (r, s), (d_h, d_w) = geometry.outputs, geometry.stride, geometry.taps, geometry.dilation
    patches = -(-rows // config.rows) * -(-columns // config.columns)
    reads = _extent(config.rows, u, r, d_h) * _extent(config.columns, v, s, d_w)
    sums = config.rows * config.columns
    cache = patches * (reads * config.columns * v + r * s + sums) / 32
    issue = patches * (sums * r * s + OF_A_READ * reads + AROUND) / 128
    memory = 4 * (rows * columns + geometry.size[0] * geometry.size[1]) / BYTES_A_CYCLE
    return max(cache, issue, ENOUGH * memory)


class PatchPlan(CorrelationPlan):
    """One launch over all patches of all channels."""

    def __init__(self, problem: ConvProblem, direction: Direction, device: Device, config: Any = None) -> None:
        if reason := fault(config, problem, direction):
            raise ConfigError(f"{config} is not for {direction} of {problem}: {reason}")
        super().__init__(problem, direction, device, config)

    def run(self, source: Array, target: Array) -> None:
        geometry, config = self.geometry, self.config
        sizes = (
            *geometry.size, *geometry.outputs, *geometry.top_left,
            geometry.n * geometry.targets, geometry.targets, geometry.sources_per_group, geometry.targets_per_group,
        )  # fmt: skip
        patches = -(-geometry.outputs[0] // config.rows) * -(-geometry.outputs[1] // config.columns)
        threads = geometry.n * geometry.targets * patches
        kernel = make_patch_kernel(
            config, geometry.taps, geometry.stride, geometry.dilation, sizes if config.is_specialised else None,
            gcd(geometry.outputs[1], 4), threads > LEAST_WIDE - config.threads,
        )  # fmt: skip
        self.device.launch(
            "multiply", kernel, -(-threads // config.threads), config.threads,
            source.reshape(-1), self.filters.reshape(-1), self.addend, target.reshape(-1), sizes,
        )  # fmt: skip


@cache
def make_store(at_once: int) -> Any:
    """A device function of the store step. It writes `at_once` neighbouring results, which begin at total[place]."""

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def store(target: Array, to: int, total: Array, place: int, more: float) -> None:
        if at_once == 4:
            first_two = total[place] + more, total[place + 1] + more
            store_4(target, to, (*first_two, total[place + 2] + more, total[place + 3] + more))
        elif at_once == 2:
            store_2(target, to, (total[place] + more, total[place + 1] + more))
        else:
            store_1(target, to, total[place] + more)

    return store


@cache
def make_patch_kernel(
    config: PatchConfig, taps: Pair, stride: Pair, dilation: Pair, known: tuple[int, ...] | None, even: int,
    is_wide: bool,
) -> Kernel:  # fmt: skip
    """The kernel for filters, strides and dilations of these sizes.

    Parameters
    ----------
    known : the sizes of the problem, as constants of the kernel; None for a kernel that takes them as an argument
    even : a power of two that divides the length of the target's rows; so many elements can be stored at once
    is_wide : whether threads must be counted in 64 bits
    """
    (count_r, count_s), (u, v), (d_h, d_w) = taps, stride, dilation
    rows, columns, threads = config.rows, config.columns, config.threads
    depth = _extent(rows, u, count_r, d_h)
    window = _extent(columns, v, count_s, d_w)
    sums, count = rows * columns, count_r * count_s
    number = int64 if is_wide else uint32
    at_once = gcd(even, columns, 4)
    store = make_store(at_once)
    is_row_read = tuple(
        any((y - r * d_h) % u == 0 and 0 <= y - r * d_h < rows * u for r in range(count_r)) for y in range(depth)
    )

    @fast_kernel(threads=threads, blocks=config.blocks)
    def depthwise_patch(source: Array, filters: Array, addend: Array, target: Array, sizes: Any) -> None:
        """One patch of one channel for each thread.

        Excess: Lanes have patches side by side, so one load of the warp takes every fourth or so sample of a row. The
        thread's next loads take the others from the same sectors, which the L1 cache then has. Filters begin anywhere
        in a sector, and lanes of two channels read two of them.
        """
        # map: the patch (a, b) of channel m of image n, where its first row of the map and its filter begin, and
        # registers for the sums, a filter and a row of the map
        given = sizes if known is None else known
        height = int32(given[0])
        width = int32(given[1])
        target_rows = uint32(given[2])
        target_columns = uint32(given[3])
        top = int32(given[4])
        left = int32(given[5])
        images = number(given[6])  # of all channels
        m_count = number(given[7])
        l_per_group = int32(given[8])
        m_per_group = uint32(given[9])
        across = uint32((target_columns + uint32(columns - 1)) // uint32(columns))
        down = uint32((target_rows + uint32(rows - 1)) // uint32(rows))
        flat = number(number(cuda.blockIdx.x) * number(threads) + number(cuda.threadIdx.x))
        b = uint32(flat % number(across))
        rest = number(flat // number(across))
        a = uint32(rest % number(down))
        image = number(rest // number(down))
        if image >= images:
            return  # the grid is rounded up to whole blocks
        n = number(image // m_count)
        m = uint32(image % m_count)
        l_count = int64(uint32(m_count) // m_per_group) * int64(l_per_group)
        first_l = int64(uint32(m // m_per_group)) * int64(l_per_group)
        h = int32(int32(a * uint32(rows * u)) - top)
        w = int32(int32(b * uint32(columns * v)) - left)
        plane = int64(height) * int64(width)
        begin = (int64(n) * l_count + first_l) * plane + int64(h) * int64(width) + int64(w)
        f_begin = int64(m) * int64(l_per_group) * int64(count)
        total = cuda.local.array(sums, float32)
        fs = cuda.local.array(count, float32)
        xs = cuda.local.array(window, float32)
        more = load_1(addend, m)
        for place in range(sums):
            total[place] = float32(0)

        for _ in range(l_per_group):
            # load: the filter, then the map row by row, zeros outside of it
            for tap in range(count):
                fs[tap] = load_1(filters, f_begin + int64(tap))
            for y in static(depth):
                if is_row_read[y]:
                    is_row = uint32(h + int32(y)) < uint32(height)
                    for x in range(window):
                        is_inside = is_row and uint32(w + int32(x)) < uint32(width)
                        xs[x] = load_1_if(source, begin + int64(y) * int64(width) + int64(x), is_inside)
                    # accumulate: every sum that this row of the map belongs to has its products with it
                    for r in static(count_r):
                        if (y - r * d_h) % u == 0 and 0 <= y - r * d_h < rows * u:
                            for j in range(columns):
                                for s in range(count_s):
                                    total[(y - r * d_h) // u * columns + j] += xs[j * v + s * d_w] * fs[r * count_s + s]
            begin += plane
            f_begin += int64(count)

        # store the rows and columns of the patch that are inside the target
        i = uint32(a * uint32(rows))
        j = uint32(b * uint32(columns))
        to = (int64(image) * int64(target_rows) + int64(i)) * int64(target_columns) + int64(j)
        for row in range(rows):
            if i + uint32(row) < target_rows:
                for first in range(0, columns, at_once):
                    if j + uint32(first) < target_columns:
                        store(target, to + int64(first), total, row * columns + first, more)
            to += int64(target_columns)

    return depthwise_patch
