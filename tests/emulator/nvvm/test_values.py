"""Checked mode on the code before NVVM gives the bits of the PTX of the same kernel."""

import math

import numpy as np
import pytest
from numba import cuda

from convbench.emulator import Emulator

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
