"""Kernels side by side: barriers, blocks, memory, divisions, faults; and those that stay one after another."""

import math

import numpy as np
import pytest
from numba import cuda, float32, int32

SIZE = 1000


def test_a_guard_at_the_end_of_an_array(both, most):
    @cuda.jit
    def scale(x, y):
        i = cuda.grid(1)
        if i < y.size:
            y[i] = 2 * x[i] + 1

    assert both(scale, -(-SIZE // 64), 64, np.arange(SIZE, dtype=np.float32), np.zeros(SIZE, np.float32)) == most


@pytest.mark.parametrize("block", [(16, 16), (8, 8), (4, 8), (32, 2), (8, 2, 4)])
def test_a_tiled_product_with_barriers(both, most, block):
    wide, high = block[0], math.prod(block[1:])

    @cuda.jit
    def multiply(a, b, c):
        tile = cuda.shared.array((8, 32), float32)
        x, y = cuda.threadIdx.x, cuda.threadIdx.z * cuda.blockDim.y + cuda.threadIdx.y
        column, row = cuda.blockIdx.x * wide + x, cuda.blockIdx.y * high + y
        total = float32(0)
        for first in range(0, a.shape[1], 8):
            if y < 8 and x < 32:
                for k in range(y, 8, high):
                    tile[k, x] = b[first + k, column] if column < b.shape[1] else float32(0)
            cuda.syncthreads()
            if row < c.shape[0]:
                for k in range(8):
                    total += a[row, first + k] * tile[k, x]
            cuda.syncthreads()
        if row < c.shape[0] and column < c.shape[1]:
            c[row, column] = total

    a, b = np.random.default_rng(0).standard_normal((2, 40, 40), np.float32)
    c = np.zeros((40, 40), np.float32)
    grid = -(-40 // wide), -(-40 // high)
    assert both(multiply, grid, block, a, b, c) == most
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-4)


def test_a_padded_map_whose_rows_end_between_lanes(both, most):
    @cuda.jit
    def correlate(x, f, y):
        i = cuda.grid(1)
        if i >= y.size:
            return
        p, q = i // y.shape[1], i % y.shape[1]
        total = float32(0)
        for r in range(3):
            h = p + r - 1
            for s in range(3):
                w = q + s - 1
                if h >= 0 and h < x.shape[0] and w >= 0 and w < x.shape[1]:
                    total += x[h, w] * f[r, s]
        y[p, q] = total

    for width in (5, 28, 37):
        x, f = np.random.default_rng(0).standard_normal((19, width), np.float32), np.ones((3, 3), np.float32)
        assert both(correlate, -(-x.size // 128), 128, x, f, np.zeros_like(x)) == most


def test_a_thread_that_does_not_divide_may_have_a_divisor_of_zero(both, most):
    @cuda.jit
    def divide(a, b, y):
        i = cuda.grid(1)
        if b[i] != 0:
            y[i] = a[i] // b[i] + a[i] % b[i]

    a, b = np.random.default_rng(0).integers(-99, 99, (2, 64))
    b[::3] = 0
    assert both(divide, 2, 32, a, b, np.zeros(64, np.int64)) == most


def test_a_value_that_a_thread_takes_out_of_a_loop_stays_its_own(both, most):
    @cuda.jit
    def collatz(start, steps, highest):
        i = cuda.grid(1)
        n, count, top = start[i], 0, start[i]
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            count += 1
            top = max(top, n)
        steps[i], highest[i] = count, top

    assert both(collatz, 2, 64, np.arange(1, 129), np.zeros(128, np.int64), np.zeros(128, np.int64)) == most


def test_of_threads_that_write_one_place_the_last_one_counts(both, most):
    @cuda.jit
    def write(x, y):
        i = cuda.grid(1)
        if x[i] > 0:
            y[i // 64] = i

    x = np.random.default_rng(0).integers(-1, 2, 128)
    y = np.zeros(2, np.int64)
    assert both(write, 2, 64, x, y) == most
    assert list(y) == [np.flatnonzero(half > 0)[-1] + first for first, half in ((0, x[:64]), (64, x[64:]))]


def test_local_arrays_double_precision_functions_and_vectors_of_a_thread(both, most):
    @cuda.jit
    def compute(x, y, z):
        i = cuda.grid(1)
        own = cuda.local.array(8, float32)
        for k in range(8):
            own[(k * 3 + i) % 8] = x[i * 8 + k]
        total = 0.0
        for k in range(i % 8 + 1):
            total += math.exp(own[k]) * math.sin(own[7 - k])
        z[i] = total
        for k in range(4):
            y[i * 4 + k] = own[k] * own[k + 4]

    x = np.random.default_rng(0).standard_normal(64 * 8, np.float32)
    assert both(compute, 2, 32, x, np.zeros(64 * 4, np.float32), np.zeros(64)) == most


def test_half_precision_and_small_integers(both, most):
    @cuda.jit
    def mix(h, b, y):
        i = cuda.grid(1)
        if b[i] > 3:
            h[i] = h[i] * h[i] + h[i]
            y[i] = int32(b[i]) << (i % 5)

    h, b = np.linspace(-2, 2, 64).astype(np.float16), np.arange(64, dtype=np.int8)
    assert both(mix, 1, 64, h, b, np.zeros(64, np.int32)) == most


@cuda.jit
def _atomic(y):
    cuda.atomic.add(y, cuda.threadIdx.x % 4, 1)


@cuda.jit
def _shuffle(y):
    y[cuda.grid(1)] = cuda.shfl_down_sync(0xFFFFFFFF, y[cuda.grid(1)], 1)


@cuda.jit
def _vote(y):
    y[cuda.grid(1)] = cuda.syncthreads_count(y[cuda.grid(1)])


@cuda.jit
def _leave_before_a_barrier(y):
    i = cuda.grid(1)
    if y[i] > 5:
        return
    cuda.syncthreads()
    y[i] += 1


@pytest.mark.parametrize("kernel", [_atomic, _shuffle, _vote, _leave_before_a_barrier])
def test_what_threads_do_together_stays_one_after_another(both, kernel):
    assert both(kernel, 1, 32, np.arange(32, dtype=np.int32) % 9) == 1


def test_a_block_that_lanes_do_not_divide_stays_one_after_another(both):
    @cuda.jit
    def scale(y):
        y[cuda.grid(1)] *= 3

    assert both(scale, 2, 15, np.arange(30, dtype=np.float32)) == 1


def test_many_sums_in_registers_stay_one_after_another(both):
    @cuda.jit
    def sums(x, y):
        i = cuda.grid(1)
        a = b = c = d = e = f = g = h = float32(0)
        for k in range(i, x.size - 8, 32):
            a, b, c, d = a + x[k], b + x[k + 1], c + x[k + 2], d + x[k + 3]
            e, f, g, h = e + x[k + 4], f + x[k + 5], g + x[k + 6], h + x[k + 7]
        y[i] = a * b + c * d + e * f + g * h

    assert both(sums, 1, 32, np.ones(999, np.float32), np.zeros(32, np.float32)) == 1


@pytest.mark.parametrize(("first", "block"), [(37, (64,)), (0, (64,)), (63, (64,)), (37, (8, 8)), (50, (4, 2, 8))])
def test_a_fault_is_that_of_the_first_thread_that_makes_it(faults_of, first, block):
    @cuda.jit
    def reach(x, y, far):
        t = (cuda.threadIdx.z * cuda.blockDim.y + cuda.threadIdx.y) * cuda.blockDim.x + cuda.threadIdx.x
        if t >= far:
            y[t] = x[t + 100000]
        y[t] += x[t]

    x, y = np.ones(64, np.float32), np.zeros(64, np.float32)
    alone, wide = faults_of(reach, 1, block, x, y, first)
    assert f"thread ({first % block[0]}," in alone
    assert wide == alone


def test_a_kernel_whose_threads_never_return_stays_one_after_another(faults_of):
    @cuda.jit
    def climb(y):
        i = cuda.grid(1)
        while True:
            y[i] += 1
            i += 1

    alone, wide = faults_of(climb, 1, 32, np.ones(32, np.float32))
    assert wide == alone
