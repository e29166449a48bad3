"""Tiles in shared memory: transposes, stencils, products, copies in stages, sorting networks, histograms."""

import numpy as np
from numba import cuda, float32, int32

from cases.patterns.table import ORDER, OUTSIDE, RACES, UNWRITTEN, numbers, pattern
from convbench.emulator import FaultKind
from convbench.intrinsics import commit_copies, copy_async_4, wait_copies_0, wait_copies_1

COPIES = frozenset({FaultKind.COPY_TARGET, FaultKind.COPY_SOURCE})


def matrix():
    return np.arange(1024, dtype=np.float32).reshape(32, 32), np.zeros((32, 32), np.float32)


@pattern(RACES, (2, 2), (16, 16), matrix)
def transpose_without_a_barrier(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array((16, 17), float32)
        i, j = cuda.threadIdx.x, cuda.threadIdx.y
        row, column = cuda.blockIdx.y * 16 + j, cuda.blockIdx.x * 16 + i
        tile[j, i] = x[row, column]  # here
        if not bug:
            cuda.syncthreads()
        y[cuda.blockIdx.x * 16 + j, cuda.blockIdx.y * 16 + i] = tile[i, j]  # here

    return kernel


@pattern(RACES, (2, 2), (16, 16), matrix)
def transpose_in_place(bug):
    @cuda.jit
    def kernel(x, y):
        column, row = cuda.grid(2)
        if bug:
            x[column, row] = x[row, column]  # here
        else:
            y[column, row] = x[row, column]

    return kernel


@pattern(OUTSIDE, (2, 2), (16, 16), lambda: (np.ones((30, 25), np.float32), np.zeros((25, 30), np.float32)))
def transpose_whose_bounds_are_swapped(bug):
    @cuda.jit
    def kernel(x, y):
        column, row = cuda.grid(2)
        rows, columns = x.shape
        if (row < columns and column < rows) if bug else (row < rows and column < columns):
            y[column, row] = x[row, column]  # here

    return kernel


@pattern(UNWRITTEN, 2, 64, numbers(128, 128))
def stencil_without_its_right_halo(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(66, int32)
        i, at = cuda.threadIdx.x, cuda.grid(1)
        tile[i + 1] = x[at]
        if i == 0:
            tile[0] = x[at - 1] if at > 0 else 0
        if i == (64 if bug else 63):
            tile[65] = x[at + 1] if at + 1 < x.size else 0
        cuda.syncthreads()
        y[at] = tile[i] + tile[i + 1] + tile[i + 2]  # here

    return kernel


@pattern(OUTSIDE, 2, 64, numbers(128, 128))
def stencil_that_looks_beyond_the_end(bug):
    @cuda.jit
    def kernel(x, y):
        at = cuda.grid(1)
        if 0 < at < x.size - 1 + bug:
            y[at] = x[at - 1] + x[at] + x[at + 1]  # here

    return kernel


@pattern(RACES, 3, 64, numbers(192, 192))
def stencil_in_place_between_blocks(bug):
    @cuda.jit
    def kernel(x, y):
        at = cuda.grid(1)
        left = x[at - 1] if at > 0 else 0  # here
        if bug:
            x[at] = left + x[at]  # here
        else:
            y[at] = left + x[at]

    return kernel


@pattern(RACES, (1, 1), (8, 8), lambda: (np.ones((10, 10), np.float32), np.zeros((8, 8), np.float32)))
def stencil_of_two_axes_whose_corner_is_late(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array((10, 10), float32)
        i, j = cuda.threadIdx.x, cuda.threadIdx.y
        for row in range(j, 10, 8):
            for column in range(i, 10, 8):
                if not bug or row < 8 or column < 8:
                    tile[row, column] = x[row, column]
        cuda.syncthreads()
        if bug and i == 0 and j == 0:
            tile[8, 8] = x[8, 8]  # here
            tile[8, 9] = x[8, 9]  # here
            tile[9, 8] = x[9, 8]  # here
            tile[9, 9] = x[9, 9]  # here
        total = 0.0
        for row in range(3):
            for column in range(3):
                total += tile[j + row, i + column]  # here
        y[j, i] = total

    return kernel


@pattern(
    RACES, (2, 2), (8, 8), lambda: (*(np.ones((16, 16), np.float32) for _ in range(2)), np.zeros((16, 16), np.float32))
)
def product_of_tiles_without_the_second_barrier(bug):
    @cuda.jit
    def kernel(a, b, c):
        left = cuda.shared.array((8, 8), float32)
        right = cuda.shared.array((8, 8), float32)
        i, j = cuda.threadIdx.x, cuda.threadIdx.y
        column, row = cuda.grid(2)
        total = 0.0
        for part in range(2):
            left[j, i] = a[row, part * 8 + i]  # here
            right[j, i] = b[part * 8 + j, column]  # here
            cuda.syncthreads()
            for k in range(8):
                total += left[j, k] * right[k, i]  # here
            if not bug:
                cuda.syncthreads()
        c[row, column] = total

    return kernel


@pattern(RACES, 1, 64, numbers(256, 64))
def two_stages_with_the_barrier_in_the_wrong_place(bug):
    @cuda.jit
    def kernel(x, y):
        stage = cuda.shared.array((2, 64), int32)
        i = cuda.threadIdx.x
        stage[0, i] = x[i]
        total = 0
        for k in range(4):
            if not bug:
                cuda.syncthreads()
            if k < 3:
                stage[(k + 1) % 2, i] = x[64 * (k + 1) + i]  # here
            if bug:
                cuda.syncthreads()
            total += stage[k % 2, 63 - i]  # here
        y[i] = total

    return kernel


@pattern(UNWRITTEN | COPIES, 1, 64, numbers(256, 64))
def stages_of_copies_that_wait_for_one_too_few(bug):
    @cuda.jit
    def kernel(x, y):
        stage = cuda.shared.array(128, int32)
        i = cuda.threadIdx.x
        copy_async_4(stage, i, x, i)
        commit_copies()
        total = 0
        for k in range(4):
            if k < 3:
                copy_async_4(stage, (k + 1) % 2 * 64 + i, x, 64 * (k + 1) + i)
                commit_copies()
                if not bug:
                    wait_copies_1()
            else:
                wait_copies_0()
            cuda.syncthreads()
            total += stage[k % 2 * 64 + 63 - i]  # here
            cuda.syncthreads()
        y[i] = total

    return kernel


@pattern(RACES, 1, 64, numbers(256, 64))
def copies_that_each_thread_waits_for_without_a_barrier(bug):
    @cuda.jit
    def kernel(x, y):
        stage = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        copy_async_4(stage, i, x, i)  # here
        commit_copies()
        wait_copies_0()  # here
        if not bug:
            cuda.syncthreads()
        y[i] = stage[63 - i]  # here

    return kernel


@pattern(RACES | COPIES, 1, 64, numbers(256, 64))
def copy_into_a_stage_that_others_still_read(bug):
    @cuda.jit
    def kernel(x, y):
        stage = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        total = 0
        for k in range(4):
            copy_async_4(stage, i, x, 64 * k + i)  # here
            commit_copies()
            wait_copies_0()  # here
            cuda.syncthreads()
            total += stage[63 - i]  # here
            if not bug:
                cuda.syncthreads()
        y[i] = total

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def bitonic_sort_without_a_barrier_in_the_inner_loop(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        cuda.syncthreads()
        size = 2
        while size <= 64:
            step = size // 2
            while step > 0:
                other = i ^ step
                if other > i:
                    low, high = tile[i], tile[other]  # here
                    if (low > high) == ((i & size) == 0):
                        tile[i], tile[other] = high, low  # here
                if not bug:
                    cuda.syncthreads()
                step //= 2
            cuda.syncthreads()
            size *= 2
        y[i] = tile[i]

    return kernel


@pattern(RACES, 1, 32, numbers(64, 64))
def odd_even_sort_whose_pairs_overlap(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        tile[i], tile[i + 32] = x[i], x[i + 32]
        cuda.syncthreads()
        for turn in range(64):
            at = i + 1 if bug and turn == 5 else 2 * i + turn % 2
            if at + 1 < 64 and tile[at] > tile[at + 1]:  # here
                tile[at], tile[at + 1] = tile[at + 1], tile[at]  # here
            cuda.syncthreads()
        y[i], y[i + 32] = tile[i], tile[i + 32]

    return kernel


@pattern(RACES, 2, 64, numbers(128, 23))
def histogram_without_atomics(bug):
    @cuda.jit
    def kernel(x, counts):
        own = cuda.shared.array(23, int32)
        i = cuda.threadIdx.x
        if i < 23:
            own[i] = 0
        cuda.syncthreads()
        if bug:
            own[x[cuda.grid(1)]] += 1  # here
        else:
            cuda.atomic.add(own, x[cuda.grid(1)], 1)
        cuda.syncthreads()
        if i < 23:
            cuda.atomic.add(counts, i, own[i])

    return kernel


@pattern(RACES | UNWRITTEN, 2, 64, numbers(128, 23))
def histogram_cleared_without_a_barrier(bug):
    @cuda.jit
    def kernel(x, counts):
        own = cuda.shared.array(23, int32)
        i = cuda.threadIdx.x
        if i >= 64 - 23:
            own[63 - i] = 0  # here
        if not bug:
            cuda.syncthreads()
        cuda.atomic.add(own, x[cuda.grid(1)], 1)  # here
        cuda.syncthreads()
        if i < 23:
            cuda.atomic.add(counts, i, own[i])

    return kernel


@pattern(OUTSIDE, 2, 64, lambda: (np.arange(128, dtype=np.int32) % 24, np.zeros(23, np.int32)))
def histogram_with_a_value_beyond_its_bins(bug):
    @cuda.jit
    def kernel(x, counts):
        value = x[cuda.grid(1)]
        if bug or value < counts.size:
            cuda.atomic.add(counts, value, 1)  # here

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64), shared_bytes=512)
def dynamic_memory_whose_parts_overlap(bug):
    @cuda.jit
    def kernel(x, y):
        words = cuda.shared.array(0, int32)
        values = cuda.shared.array(0, float32)
        i = cuda.threadIdx.x
        words[i] = x[i]  # here
        values[(32 if bug else 64) + i] = x[i] * 0.5  # here
        cuda.syncthreads()
        y[i] = words[63 - i] + values[64 + i % 32]  # here

    return kernel


RECORD = np.dtype([("kind", np.int8), ("weight", np.float64), ("count", np.int16)], align=True)


@pattern(RACES, 1, 64, lambda: (np.zeros(64, RECORD), np.zeros(64, np.float64)))
def records_of_neighbours_that_are_read_too_early(bug):
    @cuda.jit
    def kernel(items, y):
        i = cuda.threadIdx.x
        items[i].kind = i % 5
        items[i].weight = i * 0.5  # here
        items[i].count = i
        if not bug:
            cuda.syncthreads()
        y[i] = items[63 - i].weight  # here

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def bytes_of_one_word_that_two_threads_write(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, int32)
        i = cuda.threadIdx.x
        tile[i // 2 if bug else i] = x[i]  # here
        cuda.syncthreads()
        y[i] = tile[i // 2]

    return kernel


@pattern(ORDER, 1, 64, lambda: (np.array([1e8, 1, -1e8] * 21 + [1], np.float32), np.zeros(1, np.float32)))
def sum_of_floats_in_any_order(bug):
    @cuda.jit
    def kernel(x, total):
        i = cuda.threadIdx.x
        if bug:
            cuda.atomic.add(total, 0, x[i])
        elif i == 0:
            found = float32(0)
            for j in range(x.size):
                found += x[j]
            total[0] = found

    return kernel


@pattern(RACES, 1, 96, numbers(96, 96))
def rows_of_warps_that_reach_into_the_next(bug):
    @cuda.jit
    def kernel(x, y):
        rows = cuda.shared.array((3, 32), int32)
        warp, lane = cuda.threadIdx.x // 32, cuda.threadIdx.x % 32
        rows[warp, lane] = x[cuda.threadIdx.x]  # here
        cuda.syncwarp()
        other = (warp + 1) % 3 if bug else warp
        y[cuda.threadIdx.x] = rows[other, 31 - lane]  # here

    return kernel


@pattern(RACES, 1, 64, numbers(64, 64))
def stripes_of_a_loop_whose_stride_is_wrong(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        stride = 32 if bug else 64
        for at in range(i, x.size, stride):
            y[at] = x[at] + i * 0  # here

    return kernel
