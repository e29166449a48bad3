"""Kernels in CUDA C++, compiled by nvcc and by NVRTC, compute what NumPy computes."""

import ctypes
from math import erf

import numpy as np
import pytest
from compilers import compiled

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def integers(low, high, *shape):
    return RNG.integers(low, high, shape).astype(np.int32)


@pytest.fixture(scope="module", params=["nvcc sm_80", "nvcc sm_90a", "nvrtc sm_90", "nvrtc sm_120"])
def module(request, tmp_path_factory):
    return compiled("kernels.cu", request.param, tmp_path_factory.mktemp("ptx"))


@pytest.fixture(params=[False, True], ids=["fast", "checked"])
def checked(request):
    return request.param


# ---- elements


def test_saxpy(module, checked):
    x, y, out = floats(1000), floats(1000), np.zeros(1000, np.float32)
    module["saxpy"].launch(8, 128, x, y, out, 2.5, 1000, checked=checked)
    np.testing.assert_allclose(out, 2.5 * x + y, rtol=1e-5, atol=1e-6)


def test_branches(module, checked):
    x, out = integers(-300, 300, 700), np.zeros(700, np.int32)
    module["clipped"].launch(2, 64, x, out, 700, checked=checked)
    negative = np.where(np.fmod(x, 7) != 0, -x, -(-x // 3))
    np.testing.assert_array_equal(out, np.where(x < 0, negative, np.where((x > 100) & (x % 2 == 1), 100, x)))


def test_vectors(module, checked):
    x, d, c = floats(64, 4), RNG.random((64, 2)), RNG.integers(0, 256, (64, 4)).astype(np.uint8)
    out, out_d, out_c = np.zeros_like(x), np.zeros_like(d), np.zeros_like(c)
    module["scale_vectors"].launch(2, 32, x, out, d, out_d, c, out_c, checked=checked)
    np.testing.assert_array_equal(out, 2 * x[:, ::-1])
    np.testing.assert_array_equal(out_d, np.stack([d[:, 1], d[:, 0] + d[:, 1]], 1))
    np.testing.assert_array_equal(out_c, np.stack([c[:, 3], c[:, 2] + c[:, 0], c[:, 1], c[:, 0]], 1))


def test_bits(module, checked):
    x, y = RNG.integers(0, 2**32, (2, 64), dtype=np.uint32)
    x[0] = 0
    out = np.zeros((64, 10), np.uint32)
    module["bits"].launch(1, 64, x, y, out, checked=checked)
    for i, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        bytes_a, bytes_b = a.to_bytes(4, "little"), b.to_bytes(4, "little")
        assert out[i].tolist() == [
            a.bit_count(), 32 - a.bit_length(), int(f"{a:032b}"[::-1], 2), (a & -a).bit_length(),
            int.from_bytes(bytes([*bytes_a, *bytes_b][n] for n in (2, 5, 1, 6)), "little"),
            ((b << 32 | a) << i % 32) >> 32 & 0xFFFFFFFF, a * b >> 32,
            sum(p * q for p, q in zip(bytes_a, bytes_b, strict=True)) + 5,
            int.from_bytes(bytes((p + q) & 255 for p, q in zip(bytes_a, bytes_b, strict=True)), "little"),
            abs(a - b) + 3 & 0xFFFFFFFF,
        ]  # fmt: skip


def test_wide_integers(module, checked):
    x = RNG.integers(-(2**62), 2**62, 32)
    y = RNG.integers(1, 2**40, 32) * RNG.choice([-1, 1], 32)
    out, quotients = np.zeros((32, 3), np.int64), np.zeros(32)
    module["wide"].launch(1, 32, x, y, out, quotients, checked=checked)
    for a, b, found in zip(x.tolist(), y.tolist(), out.tolist(), strict=True):
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        assert found == [quotient, a - quotient * b, a * b >> 64]
    np.testing.assert_array_equal(quotients, x / y)


def test_functions(module, checked):
    x, out = 3 * floats(100), np.zeros((100, 8), np.float32)
    module["functions"].launch(1, 128, x, out, 100, checked=checked)
    v = x.astype(float)
    wanted = [
        np.exp(v), np.sin(v), np.log(abs(v) + 1), abs(v) ** 1.5, np.tanh(v), np.vectorize(erf)(v), np.cbrt(v),
        np.sqrt(abs(v)),
    ]  # fmt: skip
    np.testing.assert_allclose(out, np.stack(wanted, 1), rtol=2e-6, atol=1e-7)


def test_functions_of_doubles(module, checked):
    x, out = 3 * RNG.standard_normal(64), np.zeros((64, 4))
    module["doubles"].launch(1, 64, x, out, checked=checked)
    wanted = [np.exp(x), np.sin(x * 1e5), np.arctan2(x, 2), np.fmod(x * 100, 0.7)]
    np.testing.assert_allclose(out, np.stack(wanted, 1), rtol=1e-14, atol=1e-14)


def test_halves(module, checked):
    x, y = (RNG.standard_normal((2, 64, 2)) * 4).astype(np.float16)
    b = (floats(64).view(np.uint32) >> 16).astype(np.uint16)
    out, widened, narrowed = np.zeros_like(x), np.zeros(64, np.float32), np.zeros(64, np.uint16)
    module["halves"].launch(2, 32, x, y, out, b, widened, narrowed, checked=checked)
    v = (x.astype(float) * y + 0.5).astype(np.float16)
    np.testing.assert_array_equal(out, np.where(v[:, :1] > v[:, 1:], v, v[:, ::-1]))
    np.testing.assert_array_equal(widened.view(np.uint32), b.astype(np.uint32) << 16)
    np.testing.assert_allclose((narrowed.astype(np.uint32) << 16).view(np.float32), widened * 1.25, rtol=2**-8)


# ---- blocks and warps


def test_a_sum_of_blocks(module, checked):
    x, out = floats(5000), np.zeros(1, np.float32)
    module["block_sum"].launch(4, 256, x, out, 5000, checked=False)  # the order of the last sums decides
    np.testing.assert_allclose(out[0], x.astype(float).sum(), rtol=1e-5, atol=1e-3)
    whole, out = np.round(4 * x), np.zeros(1, np.float32)
    module["block_sum"].launch(4, 256, whole, out, 5000, checked=checked)
    assert out[0] == whole.sum()


def test_warps(module, checked):
    x = integers(-4, 12, 128)
    sums, largest, votes = np.zeros(128, np.int32), np.zeros(128, np.int32), np.zeros((128, 4), np.uint32)
    module["warp_scan"].launch(2, 64, x, sums, largest, votes, checked=checked)
    rows = x.reshape(4, 32)
    np.testing.assert_array_equal(sums, rows.cumsum(1).ravel())
    np.testing.assert_array_equal(largest, rows.max(1).repeat(32))
    lanes = 1 << np.arange(32)
    for i, v in enumerate(x):
        row = rows[i // 32]
        wanted = [(lanes * (row > 0)).sum(), (row == 3).any(), (lanes * (row & 3 == v & 3)).sum(), row.sum()]
        assert votes[i].tolist() == [int(number) & 0xFFFFFFFF for number in wanted]


def test_a_matrix_product(module, checked):
    a, b, c = floats(50, 37), floats(37, 41), np.zeros((50, 41), np.float32)
    module["matmul_tiled"].launch((3, 4), (16, 16), a, b, c, 50, 41, 37, checked=checked)
    np.testing.assert_allclose(c, a @ b, atol=1e-4)


def test_softmax(module, checked):
    x, out = floats(6, 300), np.zeros((6, 300), np.float32)
    module["softmax"].launch(6, 128, x, out, 300, checked=checked)
    wanted = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(out, wanted / wanted.sum(1, keepdims=True), rtol=1e-5)


def test_dynamic_shared_memory(module, checked):
    x, out = RNG.random((48, 48)), np.zeros((48, 48))
    module["transposed"].launch((3, 3), (16, 16), x, out, 48, shared_bytes=16 * 17 * 8, checked=checked)
    np.testing.assert_array_equal(out, x.T)


def test_cooperative_groups(module, checked):
    x, out = integers(0, 100, 64), np.zeros(17, np.int32)
    module["groups"].launch(1, 64, x, out, checked=checked)
    np.testing.assert_array_equal(out[:8], x.reshape(8, 8).sum(1))
    assert out[16] == (x & 1).sum()


def test_asynchronous_copies(module, checked):
    x, out = floats(128, 4), np.zeros(64, np.float32)
    module["copied"].launch(1, 64, x, out, checked=checked)
    np.testing.assert_allclose(out, (x[:64, 0] + x[64:, 0] * 2 + x[64:, 1] * 3)[::-1], rtol=1e-5, atol=1e-5)


# ---- atomics, printf, constants, calls


def test_atomics(module):
    x = integers(-1000, 1000, 500)
    counts, extremes, total = np.zeros(16, np.int32), np.zeros(3, np.int32), np.zeros(1, np.uint64)
    module["histogram"].launch(4, 128, x, counts, extremes, total, 500)
    np.testing.assert_array_equal(counts, np.bincount(x & 15, minlength=16))
    assert extremes.tolist() == [x.max(), x.min(), np.bitwise_xor.reduce(x)]
    assert total[0] == (x & 255).sum()


def test_the_last_block_adds_up(module):
    x, parts, out = np.round(4 * floats(256)), np.zeros(8, np.float32), np.zeros(1, np.float32)
    module["last_block"].launch(8, 32, x, parts, out)
    assert out[0] == x.sum()


def test_printf(module, capfd):
    module["greet"].launch(2, 32, np.array([10], np.int32))
    lines = sorted(capfd.readouterr().out.splitlines())
    assert lines == [f"thread 1 of block {block}: 1099511627776,  2.50, done" for block in (0, 1)]


def test_constants(module, checked):
    x, out = floats(20, 30), np.zeros((20, 30), np.float32)
    module["blur"].launch((4, 3), (8, 8), x, out, 20, 30, checked=checked)
    wide, taps = np.pad(x, 1), np.outer([1, 2, 1], [1, 2, 1]) / 16
    wanted = sum(taps[r, s] * wide[r : r + 20, s : s + 30] for r in range(3) for s in range(3))
    np.testing.assert_allclose(out, wanted, atol=1e-6)


def test_a_convolution_whose_shape_is_a_structure(module, checked):
    x, weights, out = floats(2, 3, 9, 8), floats(4, 3, 3, 2), np.zeros((2, 4, 7, 7), np.float32)
    shape = (ctypes.c_int * 7)(2, 3, 9, 8, 4, 3, 2)
    module["convolve"].launch(4, 128, x, weights, out, shape, checked=checked)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), (2, 3))
    np.testing.assert_allclose(out, np.einsum("ncpqrs,kcrs->nkpq", windows, weights), atol=1e-5)


def test_a_function_that_is_not_inlined(module, checked):
    x, out = floats(32, 5), np.zeros((32, 3))
    module["described"].launch(1, 32, x, out, 5, checked=checked)
    np.testing.assert_allclose(out, np.stack([0.5 + x.sum(1, dtype=float), x.max(1), np.full(32, 7)], 1), rtol=1e-12)


def test_pointers_to_functions(module, checked):
    x, out = floats(32), np.zeros(32, np.float32)
    module["through_pointers"].launch(1, 32, x, out, checked=checked)
    np.testing.assert_array_equal(out, np.where(np.arange(32) % 2, x * x, 2 * x))


def test_local_arrays(module, checked):
    x, out = integers(0, 99, 32, 16), np.zeros((32, 16), np.int32)
    module["sorted"].launch(1, 32, x, out, checked=checked)
    np.testing.assert_array_equal(out, np.sort(x, 1))


def test_a_switch(module, checked):
    x, out = np.arange(32, dtype=np.int32) % 9, np.zeros(32, np.int32)
    module["switched"].launch(1, 32, x, out, checked=checked)
    wanted = [11, 29, 28, -3, (4 * 977).bit_count(), 160, 2, 1000, 1000]
    assert out.tolist() == [wanted[v] for v in x]


# ---- tensor cores


def test_fragments_of_wmma(module, checked):
    a, b = integers(-8, 8, 16, 64).astype(np.float16), integers(-8, 8, 16, 64).astype(np.float16)
    c = np.zeros((16, 16), np.float32)
    module["wmma_halves"].launch(1, 32, a, b, c, checked=checked)
    np.testing.assert_array_equal(c, 2 * (1 + a.astype(float) @ b.T.astype(float)))
