"""Kernels in Triton compute what NumPy computes.

In histograms, several warps store one value in the same place. With a lock, all threads load what one of them stores.
Checked mode tells both as races, so such kernels run without checks.
"""

from functools import cache
from math import erf

import ml_dtypes  # noqa: F401  (names the small types for NumPy)
import numpy as np
import pytest
import triton
import triton_kernels as kernels
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from convbench.emulator import UnsupportedError, load_ptx

RNG = np.random.default_rng(1)
TYPES = {
    "int8": "i8",
    "int32": "i32",
    "float16": "fp16",
    "float32": "fp32",
    "bfloat16": "bf16",
    "float8_e4m3fn": "fp8e4nv",
}
TYPES |= {"float8_e5m2": "fp8e5"}
SCRATCH = 0, 0  # memory for all programs, and for a profiler: Triton adds them to the parameters


@cache
def compiled(name, types, constants, capability, warps, aligned, stages):
    function = getattr(kernels, name)
    names = function.arg_names
    signature = dict(zip(names, (*types, *["constexpr"] * len(constants)), strict=True))
    values = {(len(types) + n,): value for n, value in enumerate(constants)}
    attributes = {(n,): [["tt.divisibility", 16]] for n in range(len(types)) if aligned and types[n] != "fp32"}
    kernel = triton.compile(
        ASTSource(function, signature, values, attributes), target=GPUTarget("cuda", capability, 32),
        options={"num_warps": warps, "num_stages": stages, "enable_fp_fusion": True},
    )  # fmt: skip
    return load_ptx(kernel.asm["ptx"])[name], kernel.metadata.shared, kernel.asm["ptx"]


def launch(name, grid, *arguments, constants, capability, warps=4, checked=False, aligned=False, stages=3):
    types = tuple(
        f"*{TYPES[value.dtype.name]}"
        if isinstance(value, np.ndarray)
        else "fp32"
        if isinstance(value, float)
        else "i32"
        for value in arguments
    )
    kernel, shared, text = compiled(name, types, constants, capability, warps, aligned, stages)
    given = [
        value.view(f"u{value.itemsize}") if isinstance(value, np.ndarray) and value.dtype.kind == "V" else value
        for value in arguments
    ]
    kernel.launch(grid, 32 * warps, *given, *SCRATCH, shared_bytes=shared, checked=checked)
    return text


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.fixture(params=[80, 90, 120], ids=lambda value: f"sm_{value}")
def capability(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["fast", "checked"])
def checked(request):
    return request.param


@pytest.mark.parametrize("aligned", [False, True])
def test_add(capability, checked, aligned):
    n = 1008
    x, y, out = floats(n), floats(n), np.zeros(n, np.float32)
    text = launch(
        "add", 4, x, y, out, n, constants=(256,), capability=capability, checked=checked, aligned=aligned, warps=2
    )
    assert (".v4" in text) == aligned
    np.testing.assert_array_equal(out, x + y)


def test_branches_without_branches(capability, checked):
    x, out = RNG.integers(-300, 300, 500).astype(np.int32), np.zeros(500, np.int32)
    launch("clipped", 2, x, out, 500, constants=(256,), capability=capability, checked=checked)
    w = np.where(x < 0, np.where(np.fmod(x, 7) != 0, -x, -(-x // 3)), np.minimum(x, 100))
    np.testing.assert_array_equal(out, (w << 1) ^ (x >> 2))


def test_softmax(capability, checked):
    x, out = floats(5, 200), np.zeros((5, 200), np.float32)
    launch("softmax", 5, x, out, 200, constants=(256,), capability=capability, checked=checked)
    wanted = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(out, wanted / wanted.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
def test_a_normalised_layer(capability, checked, dtype):
    x = floats(4, 500).astype(dtype)
    weight, bias, out = floats(500), floats(500), np.zeros((4, 500), np.float32)
    launch("normalised", 4, x, weight, bias, out, 500, 1e-5, constants=(512,), capability=capability, checked=checked)
    v = x.astype(float)
    wanted = (v - v.mean(1, keepdims=True)) / np.sqrt(v.var(1, keepdims=True) + 1e-5) * weight + bias
    np.testing.assert_allclose(out, wanted, atol=1e-4)


def test_atomics(capability, checked):
    x = RNG.integers(-1000, 1000, 500).astype(np.int32)
    counts, extremes = np.zeros(16, np.int32), np.zeros(3, np.int32)
    launch("histogram", 2, x, counts, extremes, 500, constants=(256,), capability=capability, checked=checked)
    np.testing.assert_array_equal(counts, np.bincount(x & 15, minlength=16))
    assert extremes.tolist() == [x.max(), x.min(), np.bitwise_xor.reduce(x)]


def test_a_lock(capability):
    x, total, lock = np.round(4 * floats(1000)), np.zeros(1, np.float32), np.zeros(1, np.int32)
    launch("summed", 8, x, total, lock, 1000, constants=(128,), capability=capability)
    assert total[0] == x.sum()


PRODUCTS = [
    ("float16", (64, 64, 32), 4), ("float16", (16, 32, 64), 2), ("bfloat16", (16, 16, 16), 1),
    ("float32", (32, 32, 32), 2), ("int8", (32, 32, 64), 2), ("int8", (64, 64, 64), 4),
    ("float8_e4m3fn", (64, 64, 64), 4), ("float8_e5m2", (32, 32, 32), 2),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "tile", "warps"), PRODUCTS)
def test_a_matrix_product(capability, checked, dtype, tile, warps):
    m, n, k = 96, 80, 64
    # small integers: exact in every type
    a, b = (RNG.integers(-3, 4, shape).astype(np.dtype(dtype)) for shape in ((m, k), (k, n)))
    c = np.zeros((m, n), np.int32 if dtype == "int8" else np.float32)
    if capability == 80 and dtype == "float8_e4m3fn":
        pytest.skip("Triton has no e4m3 before compute capability 8.9")
    grid = -(-m // tile[0]), -(-n // tile[1])
    text = launch(
        "matmul",
        grid,
        a,
        b,
        c,
        m,
        n,
        k,
        constants=tile,
        capability=capability,
        warps=warps,
        checked=checked,
        aligned=True,
    )
    assert "wgmma" in text or "mma.sync" in text
    np.testing.assert_array_equal(c, a.astype(np.float64) @ b.astype(np.float64))


def test_scans_and_sorts(capability, checked):
    x = RNG.integers(-99, 99, 256).astype(np.int32)
    sums, ordered = np.zeros_like(x), np.zeros_like(x)
    launch("scanned", 2, x, sums, ordered, constants=(128,), capability=capability, checked=checked)
    np.testing.assert_array_equal(sums, x.reshape(2, 128).cumsum(1).ravel())
    np.testing.assert_array_equal(ordered, np.sort(x.reshape(2, 128), 1).ravel())


def test_a_convolution(capability, checked):
    x, weights, out = floats(3, 8, 40), floats(4, 3, 3, 3), np.zeros((4, 6, 38), np.float32)
    launch("convolve", (6, 4), x, weights, out, 3, 8, 40, constants=(3, 64), capability=capability, checked=checked)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    np.testing.assert_allclose(out, np.einsum("cpqrs,kcrs->kpq", windows, weights), atol=1e-5)


def test_a_function_that_is_not_inlined(capability, checked):
    x, out = floats(128), np.zeros(128, np.float32)
    text = launch("called", 1, x, out, 128, constants=(), capability=capability, warps=1, checked=checked)
    assert "call.uni" in text
    np.testing.assert_allclose(out, sum((v * 0.5 + 1) * v - 3 for v in (x, x + 1)), rtol=1e-4, atol=1e-5)


def test_printf(capability, capfd):
    launch("greet", 1, np.arange(64, dtype=np.int32) * 3, constants=(64,), capability=capability, warps=2)
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 64
    assert sorted(int(line.rsplit("value: ")[-1]) for line in lines) == [3 * i for i in range(64)]


def test_functions(capability, checked):
    x, out = 3 * floats(128), np.zeros((7, 128), np.float32)
    launch("functions", 1, x, out, 128, constants=(128,), capability=capability, checked=checked)
    v = x.astype(float)
    third = (x / np.float32(3)).astype(float)
    rounded = np.floor(v) + np.ceil(3 * x)
    wanted = [2.0**v, np.sin(v), np.log(abs(v) + 1), np.vectorize(erf)(v), rounded, np.sqrt(abs(x)), third]
    np.testing.assert_allclose(out, wanted, rtol=2e-6, atol=1e-6)


def test_a_transposed_tile(capability, checked):
    x, out = floats(64, 64), np.zeros((64, 64), np.float32)
    launch("transposed", 1, x, out, constants=(64,), capability=capability, checked=checked)
    np.testing.assert_array_equal(out, x.T)


def test_what_is_missing_is_refused_by_name():
    x, out = floats(64, 64), np.zeros((32, 32), np.float32)
    with pytest.raises(UnsupportedError, match="textures and tensors"):
        launch("described", 1, x, out, 64, constants=(32,), capability=90, aligned=True)


@pytest.mark.parametrize(("dtype", "warps"), [("float16", 4), ("bfloat16", 2)])
def test_attention(capability, checked, dtype, warps):
    q, k, v = (floats(128, 64).astype(dtype) for _ in range(3))
    out = np.zeros((128, 64), np.float32)
    arguments = q, k, v, out, 128, 0.125
    launch(
        "attention",
        2,
        *arguments,
        constants=(64, 64, 64),
        capability=capability,
        checked=checked,
        warps=warps,
        aligned=True,
    )
    s = q.astype(float) @ k.astype(float).T * 0.125
    p = np.exp(s - s.max(1, keepdims=True))
    wanted = p / p.sum(1, keepdims=True) @ v.astype(float)
    np.testing.assert_allclose(out, wanted, atol=5e-3 if dtype == "float16" else 4e-2)


@pytest.mark.parametrize("stages", [1, 3, 4])
def test_stages_of_copies(capability, checked, stages):
    a, b = (RNG.integers(-3, 4, (128, 128)).astype(np.float16) for _ in range(2))
    c = np.zeros((128, 128), np.float32)
    text = launch(
        "matmul", (2, 2), a, b, c, 128, 128, 128, constants=(64, 64, 32), capability=capability, checked=checked,
        aligned=True, stages=stages,
    )  # fmt: skip
    assert ("cp.async" in text) == (stages > 1)
    np.testing.assert_array_equal(c, a.astype(float) @ b.astype(float))


def test_a_product_of_halves(capability, checked):
    a, b = (RNG.integers(-3, 4, (64, 64)).astype(np.float16) for _ in range(2))
    c = np.zeros((64, 64), np.float16)
    launch("half_product", 1, a, b, c, constants=(64,), capability=capability, checked=checked, aligned=True)
    np.testing.assert_array_equal(c, a.astype(float) @ b.astype(float))


def test_gathers_and_flips(capability, checked):
    x, out = floats(128), np.zeros(128, np.float32)
    index = RNG.integers(0, 128, 128).astype(np.int32)
    launch("gathered", 1, x, index, out, constants=(128,), capability=capability, checked=checked)
    np.testing.assert_array_equal(out, x[index] + x[::-1])


def test_counts(capability):
    x, out = RNG.integers(0, 16, 256).astype(np.int32), np.zeros(16, np.int32)
    launch("counted", 1, x, out, constants=(256, 16), capability=capability)
    np.testing.assert_array_equal(out, np.bincount(x, minlength=16))


@pytest.mark.parametrize("capability", [90, 120])
def test_conversions(capability, checked):
    x = (floats(256) * 8).astype(np.float32)
    four, five, back = np.zeros(256, np.int8), np.zeros(256, np.int8), np.zeros(256, np.float32)
    launch("small_numbers", 1, x, four, five, back, constants=(256,), capability=capability, checked=checked)
    np.testing.assert_array_equal(four.view(np.uint8), x.astype("float8_e4m3fn").view(np.uint8))
    np.testing.assert_array_equal(five.view(np.uint8), x.astype("float8_e5m2").view(np.uint8))
    rounded = (x.astype(dtype).astype(np.float32) for dtype in ("float8_e5m2", "bfloat16", "float16"))
    np.testing.assert_allclose(back, sum(rounded), rtol=1e-6)


def test_random_numbers(capability, checked):
    out = np.zeros(64, np.int32)
    launch("random_numbers", 1, out, 42, constants=(64,), capability=capability, checked=checked)
    np.testing.assert_array_equal(out.view(np.uint32), [philox(i, 42) for i in range(64)])


def philox(counter, key):
    """The first word of Philox 4×32-10 (Salmon, Moraes, Dror & Shaw 2011)."""
    c, k = [counter, 0, 0, 0], [key, 0]
    for _ in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [high >> 32 ^ c[1] ^ k[0], high & 0xFFFFFFFF, low >> 32 ^ c[3] ^ k[1], low & 0xFFFFFFFF]
        k = [k[0] + 0x9E3779B9 & 0xFFFFFFFF, k[1] + 0xBB67AE85 & 0xFFFFFFFF]
    return c[0]
