"""Kernels of numba-cuda-mlir compute what NumPy computes."""

from functools import cache
from math import erf

import numba_cuda_mlir.tools
import numpy as np
import pytest

numba_cuda_mlir.tools._cached_cc = 9, 0  # it asks for the device's, whatever it compiles for

import mlir_kernels as kernels  # noqa: E402
from numba_cuda_mlir import cuda, types  # noqa: E402

from convbench.emulator import load_ptx  # noqa: E402

RNG = np.random.default_rng(4)
TYPES = {"float32": types.float32, "int32": types.int32, "uint32": types.uint32}


@cache
def compiled(name, signature, capability):
    code, *_ = cuda.compile_ptx(getattr(kernels, name), signature, cc=capability)
    return load_ptx(code)[name]


def words(array):
    """An array as the kernel's parameters have it: memory, again, offset, extents, and strides in elements."""
    return array, array, 0, *array.shape, *(stride // array.itemsize for stride in array.strides)


def launch(name, grid, block, *arguments, capability, checked=False):
    signature, given = [], []
    for value in arguments:
        if isinstance(value, np.ndarray):
            signature.append(types.Array(TYPES[value.dtype.name], value.ndim, "A"))
            given += words(value)
        else:
            signature.append(types.float32)
            given.append(value)
    compiled(name, tuple(signature), capability).launch(grid, block, *given, checked=checked)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def integers(low, high, *shape):
    return RNG.integers(low, high, shape).astype(np.int32)


@pytest.fixture(params=[(8, 0), (9, 0)], ids=lambda pair: f"sm_{pair[0]}{pair[1]}")
def capability(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["fast", "checked"])
def checked(request):
    return request.param


def test_axpy(capability, checked):
    x, y, out = floats(1000), floats(1000), np.zeros(1000, np.float32)
    launch("axpy", 8, 128, x, y, out, 2.5, capability=capability, checked=checked)
    np.testing.assert_allclose(out, 2.5 * x + y, rtol=1e-5, atol=1e-6)


def test_a_view_with_strides(capability, checked):
    x, y, out = floats(200)[::2], floats(100), np.zeros(300, np.float32)[::3]
    launch("axpy", 2, 64, x, y, out, 0.5, capability=capability, checked=checked)
    np.testing.assert_allclose(out, 0.5 * x + y, rtol=1e-5, atol=1e-6)


def test_branches(capability, checked):
    x, out = integers(-300, 300, 700), np.zeros(700, np.int32)
    launch("clipped", 2, 64, x, out, capability=capability, checked=checked)
    np.testing.assert_array_equal(out, np.where(x < 0, np.where(x % 7 != 0, -x, x // 3), np.minimum(x, 100)))


def test_a_sum_of_blocks(capability, checked):
    x, out = np.round(4 * floats(3000)), np.zeros(1, np.float32)
    launch("block_sum", 4, 128, x, out, capability=capability, checked=checked)
    assert out[0] == x.sum()


def test_warps(capability, checked):
    x, sums, votes = integers(-4, 12, 128), np.zeros(128, np.int32), np.zeros(128, np.uint32)
    launch("warp_scan", 2, 64, x, sums, votes, capability=capability, checked=checked)
    rows = x.reshape(4, 32)
    np.testing.assert_array_equal(sums, rows.cumsum(1).ravel())
    np.testing.assert_array_equal(votes, ((rows > 0) << np.arange(32)).sum(1).repeat(32))


def test_a_matrix_product(capability, checked):
    a, b, c = floats(20, 13), floats(13, 18), np.zeros((20, 18), np.float32)
    launch("matmul_tiled", (3, 3), (8, 8), a, b, c, capability=capability, checked=checked)
    np.testing.assert_allclose(c, a @ b, atol=1e-5)


def test_softmax(capability, checked):
    x, out = floats(6, 100), np.zeros((6, 100), np.float32)
    launch("softmax", 6, 32, x, out, capability=capability, checked=checked)
    wanted = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(out, wanted / wanted.sum(1, keepdims=True), rtol=1e-5)


def test_atomics(capability, checked):
    x, counts, extremes = integers(-1000, 1000, 500), np.zeros(16, np.int32), np.zeros(2, np.int32)
    launch("histogram", 4, 128, x, counts, extremes, capability=capability, checked=checked)
    np.testing.assert_array_equal(counts, np.bincount(x & 15, minlength=16))
    assert extremes.tolist() == [x.max(), x.min()]


def test_print(capability, capfd):
    launch("greet", 1, 32, np.array([10, 20], np.int32), capability=capability)
    assert capfd.readouterr().out == "thread 1 value 20\n"


def test_constants(capability, checked):
    x, out = floats(20, 30), np.zeros((20, 30), np.float32)
    launch("blur", (4, 3), (8, 8), x, out, capability=capability, checked=checked)
    wide = np.pad(x, 1)
    wanted = sum(kernels.FILTER[r, s] * wide[r : r + 20, s : s + 30] for r in range(3) for s in range(3))
    np.testing.assert_allclose(out, wanted, atol=1e-5)


def test_a_convolution(capability, checked):
    x, weights, out = floats(2, 3, 9, 8), floats(4, 3, 3, 2), np.zeros((2, 4, 7, 7), np.float32)
    launch("convolve", 4, 128, x, weights, out, capability=capability, checked=checked)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), (2, 3))
    np.testing.assert_allclose(out, np.einsum("ncpqrs,kcrs->nkpq", windows, weights), atol=1e-5)


def test_device_functions(capability, checked):
    x, out = floats(100), floats(100)
    wanted = sum((v * 0.5 + 1) * v for v in (x, out))
    launch("called", 1, 128, x, out, capability=capability, checked=checked)
    np.testing.assert_allclose(out, wanted, rtol=1e-5, atol=1e-5)


def test_local_arrays(capability, checked):
    x, out = integers(0, 99, 32, 16), np.zeros((32, 16), np.int32)
    launch("local_sorted", 1, 32, x, out, capability=capability, checked=checked)
    np.testing.assert_array_equal(out, np.sort(x, 1))


def test_functions(capability, checked):
    x, out = 3 * floats(64), np.zeros((64, 6), np.float32)
    launch("functions", 1, 64, x, out, capability=capability, checked=checked)
    v = x.astype(float)
    wanted = [np.exp(v), np.sin(v), np.log(abs(v) + 1), np.sqrt(abs(v)), np.vectorize(erf)(v), np.tanh(v)]
    np.testing.assert_allclose(out, np.stack(wanted, 1), rtol=2e-6, atol=1e-7)
