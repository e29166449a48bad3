"""Kernels in CUDA C++ that use its library, objects and tensor cores compute what NumPy computes."""

import ml_dtypes
import numpy as np
import pytest
from compilers import compiled

RNG = np.random.default_rng(6)


def integers(low, high, *shape, dtype=np.int32):
    return RNG.integers(low, high, shape).astype(dtype)


@pytest.fixture(scope="module", params=["nvcc sm_90", "nvrtc sm_90a", "nvrtc sm_120"])
def module(request, tmp_path_factory):
    return compiled("library.cu", request.param, tmp_path_factory.mktemp("ptx"))


@pytest.fixture(params=[False, True], ids=["fast", "checked"])
def checked(request):
    return request.param


# ---- barriers in memory, pipelines, bulk copies


def test_barriers(module, checked):
    x, out = integers(0, 99, 128), np.zeros(128, np.int32)
    module["with_barrier"].launch(1, 128, x, out, checked=checked)
    both = 3 * x + x[::-1]
    np.testing.assert_array_equal(out, both + np.roll(both, -1))


def test_copies_of_a_group(module, checked):
    x, out = integers(0, 99, 512), np.zeros(512, np.int32)
    module["with_memcpy"].launch(1, 128, x, out, checked=checked)
    np.testing.assert_array_equal(out, x[::-1])


def test_pipelines(module, checked):
    x, out = integers(0, 99, 5, 128, dtype=np.float32), np.zeros(128, np.float32)
    module["with_pipeline"].launch(1, 128, x, out, 5, checked=checked)
    np.testing.assert_array_equal(out, x[:, ::-1].sum(0))


def test_bulk_copies(module, checked):
    x, out = integers(0, 99, 256), np.zeros(256, np.int32)
    module["bulk"].launch(1, 128, x, out, checked=checked)
    np.testing.assert_array_equal(out, x + np.arange(256))


# ---- atomics, objects, numbers, groups


def test_references_that_are_atomic(module):
    x, y, f, d = np.zeros(8, np.int32), np.zeros(1, np.uint64), np.zeros(1, np.float32), np.zeros(1)
    x[5] = 7
    module["atomic_refs"].launch(1, 32, x, y, f, d)
    assert x[0] >= 96
    assert x[1:7].tolist() == [32, 32, 32 % 6, 9, 6, -64]
    assert [y[0], f[0], d[0]] == [0, 32, 16]


def test_atomics_on_halves_and_vectors(module):
    half, halves = np.zeros(1, np.float16), np.zeros(2, np.float16)
    brain, brains = np.zeros(1, ml_dtypes.bfloat16), np.zeros(2, ml_dtypes.bfloat16)
    four = np.zeros((40, 4), np.float32)
    views = (value.view(np.uint16) for value in (brain, brains))
    module["atomic_halves"].launch(1, 32, half, halves, *views, four)
    assert [half[0], *halves, brain[0], *brains] == [16, 32, 64, 16, 32, 64]
    assert four[:2].tolist() == [[32, 64, 96, 128], [32, 64, 0, 0]]
    assert sorted(four[2:34, 0]) == list(range(32))


def test_virtual_functions(module, checked):
    x, out = RNG.random(32, dtype=np.float32), np.zeros(32, np.float32)
    module["virtuals"].launch(1, 32, x, out, checked=checked)
    np.testing.assert_array_equal(out, np.where(np.arange(32) % 2, x * 2, x + 3))


def test_numbers_of_eight_bits(module, checked):
    x = (3 * RNG.standard_normal(32)).astype(np.float32)
    out, back, half = np.zeros((32, 2), np.uint8), np.zeros((32, 2), np.float32), np.zeros(32, np.float16)
    module["fp8"].launch(1, 32, x, out, back, half, checked=checked)
    for n, dtype in enumerate((ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)):
        np.testing.assert_array_equal(out[:, n], x.astype(dtype).view(np.uint8))
        np.testing.assert_array_equal(back[:, n], x.astype(dtype).astype(np.float32))
    np.testing.assert_allclose(half, np.tanh(np.sqrt(np.maximum(np.exp(x), 1))), atol=2e-3)


def test_integers_of_128_bits(module, checked):
    x, out = np.array([2**63 + 12345, 2**62 + 999], np.uint64), np.zeros(2, np.uint64)
    module["int128"].launch(1, 1, x, out, checked=checked)
    a, b = x.tolist()
    p = (a * b + (a << 70) - b) % 2**128
    assert int(out[0]) + (int(out[1]) << 64) == (p // 3 + p % 1000000007) % 2**128


def test_groups(module, checked):
    x, out = integers(0, 100, 64), np.zeros((64, 6), np.int32)
    module["cgroups"].launch(1, 64, x, out, checked=checked)
    rows = x.reshape(2, 32)
    np.testing.assert_array_equal(out[:, 0], rows.sum(1).repeat(32))
    np.testing.assert_array_equal(out[:, 1], rows.max(1).repeat(32))
    np.testing.assert_array_equal(out[:, 2], rows.cumsum(1).ravel())
    for n, v in enumerate(x):
        row = rows[n // 32]
        same = row & 2 == v & 2
        assert out[n, 3:].tolist() == [(row & 1 == v & 1).sum(), same[: n % 32].sum(), same.sum()]


def test_addresses_of_parameters(module, checked):
    table = np.zeros(1, np.dtype([("a", np.int32, 8), ("f", np.float32), ("d", np.float64, 3)], align=True))
    table["a"], table["f"], table["d"] = np.arange(10, 18), 3, [100, 200, 300]
    x, out = integers(0, 1000, 32), np.zeros(32, np.int32)
    module["of_parameters"].launch(1, 32, table, x, out, checked=checked)
    a, d = table["a"][0], table["d"][0]
    np.testing.assert_array_equal(out, a[x & 7] + a[(x + 1) & 7] + d[x % 3] + 3)


# ---- tensor cores


def test_fragments_of_bytes(module, checked):
    a, b, c = integers(-9, 9, 8, 16, dtype=np.int8), integers(-9, 9, 32, 16, dtype=np.int8), np.zeros((8, 32), np.int32)
    module["wmma_bytes"].launch(1, 32, a, b, c, checked=checked)
    np.testing.assert_array_equal(c, a.astype(int) @ b.T.astype(int) + 5)


def test_fragments_of_tf32(module, checked):
    a, b, c = (integers(-9, 9, rows, 16, dtype=np.float32) for rows in (8, 8, 16))
    wanted = (c.T + a.T @ b).T
    module["wmma_tf32"].launch(1, 32, a, b, c, checked=checked)
    np.testing.assert_array_equal(c, wanted)


def test_fragments_of_doubles(module, checked):
    a, b, c = (*(integers(-9, 9, 8, 4, dtype=np.float64) for _ in range(2)), np.zeros((8, 8)))
    module["wmma_double"].launch(1, 32, a, b, c, checked=checked)
    np.testing.assert_array_equal(c, a @ b.T + 0.5)


def test_fragments_of_bits(module, checked):
    a, b = RNG.integers(0, 2**32, (2, 8, 4), dtype=np.uint32)
    c = np.zeros((8, 8), np.int32)
    module["wmma_bits"].launch(1, 32, a, b, c, checked=checked)
    np.testing.assert_array_equal(c, np.bitwise_count(a[:, None] & b[None]).sum(-1))


def test_fragments_of_bfloat16(module, checked):
    a, b = integers(-9, 9, 32, 16, dtype=ml_dtypes.bfloat16), integers(-9, 9, 16, 8, dtype=ml_dtypes.bfloat16)
    c = np.zeros((32, 8), np.float32)
    module["wmma_bf16"].launch(1, 32, a.view(np.uint16), b.view(np.uint16), c, checked=checked)
    np.testing.assert_array_equal(c, a.astype(np.float32) @ b.astype(np.float32))
