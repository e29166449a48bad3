"""Checked mode on the code before NVVM gives the bits of the PTX of the same kernel."""

import math

import numpy as np
import pytest
from numba import cuda

from convbench.emulator import Emulator
from convbench.intrinsics import store_2, store_4

LANES = 32


def same_bits(kernel, x, y, rows):
    found = []
    for emulator in (Emulator(checked=True, workers=1), Emulator(workers=1)):
        out = np.zeros((rows, LANES), x.dtype)
        emulator.launch(kernel, 1, LANES, x, y, out)
        found.append(out.view(np.uint8))
    np.testing.assert_array_equal(*found)


@cuda.jit
def sums_of_powers(x, y, out):
    i = cuda.threadIdx.x
    a, b = x[i], y[i]
    out[0, i] = a**2 + b**3
    out[1, i] = a - b**2
    out[2, i] = a**0 + a**-2
    a **= 5
    out[3, i] = a + b


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_of_a_constant_power_are_fused_with_sums(dtype):
    x, y = np.random.default_rng(0).normal(size=(2, LANES)).astype(dtype)
    same_bits(sums_of_powers, x, y, 4)


@cuda.jit(fastmath=True)
def fast_tangent(x, y, out):
    i = cuda.threadIdx.x
    out[0, i] = math.tanh(x[i])


def test_an_approximate_tangent_is_the_rounded_exact_one():
    x = np.linspace(-3, 3, LANES).astype(np.float32)
    same_bits(fast_tangent, x, x, 1)


@cuda.jit
def halves(x, y, out):
    i = cuda.threadIdx.x
    a, b = x[i], y[i]
    out[0, i] = a - b
    out[1, i] = a * b + a
    out[2, i] = cuda.fp16.hsqrt(a)
    out[3, i] = np.float32(a) / np.float32(b)


def test_the_nan_of_a_half_is_canonical():
    x, y = (np.resize(np.array(v, np.float16), LANES) for v in ([np.inf, -1, 0, np.nan], [np.inf, 2, 0, 1, 3]))
    same_bits(halves, x, y, 4)


@cuda.jit
def side_by_side(x, y, out):
    """Sums in registers, which LLVM stores as vectors."""
    i = cuda.threadIdx.x
    total = cuda.local.array(4, np.float32)
    for j in range(4):
        total[j] = np.float32(0)
    for _ in range(3):
        for j in range(4):
            total[j] += x[i] * y[(i + j) % LANES]
    store_4(out, 4 * i, (total[0], total[1], total[2], total[3]))
    store_2(out, 4 * LANES + 2 * i, (total[0] * x[i], total[1] - y[i]))


def test_nans_that_are_stored_side_by_side_are_canonical():
    x, y = np.random.default_rng(0).normal(size=(2, LANES)).astype(np.float32)
    x[3], y[7] = np.nan, -np.inf
    x.view(np.uint32)[9], x[20] = 0xFFC12345, 0
    found = {}
    for code, checked in (("ptx", False), ("llvm", False), ("llvm", True)):
        out = np.zeros(6 * LANES, np.float32)
        Emulator(code=code, checked=checked, workers=1).launch(side_by_side, 1, LANES, x, y, out)
        found[code, checked] = out.view(np.uint32)
    assert {int(bits) for bits in found["llvm", False][np.isnan(out)]} == {0x7FFFFFFF}
    for bits in found.values():
        np.testing.assert_array_equal(bits, found["ptx", False])
