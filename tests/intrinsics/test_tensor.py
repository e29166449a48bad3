"""Tensor cores: fragments follow the figures of the PTX ISA, sums agree with NumPy, and misuse by a warp is found."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba import cuda, types

from cases import tensor_kernels as kernels
from cases.tensor_kernels import KINDS
from convbench.errors import DeviceError, KernelError
from support.devices import DEVICES

# PTX ISA, the figures of "Matrix Fragments for mma.m16n8k8" (.tf32) and "mma.m16n8k16" (.f16, .bf16): which lane has an
# element, and in which of its numbers; the first row of each pattern, of which the next has the next four lanes
A_TF32 = ("0:0 1:0 2:0 3:0 0:2 1:2 2:2 3:2", "0:1 1:1 2:1 3:1 0:3 1:3 2:3 3:3")
A_HALVES = (
    "0:0 0:1 1:0 1:1 2:0 2:1 3:0 3:1 0:4 0:5 1:4 1:5 2:4 2:5 3:4 3:5",
    "0:2 0:3 1:2 1:3 2:2 2:3 3:2 3:3 0:6 0:7 1:6 1:7 2:6 2:7 3:6 3:7",
)
B_TF32 = ("0:0 1:0 2:0 3:0 0:1 1:1 2:1 3:1",)  # transposed: a column of B in each row
B_HALVES = ("0:0 0:1 1:0 1:1 2:0 2:1 3:0 3:1 0:2 0:3 1:2 1:3 2:2 2:3 3:2 3:3",)
C = ("0:0 0:1 1:0 1:1 2:0 2:1 3:0 3:1", "0:2 0:3 1:2 1:3 2:2 2:3 3:2 3:3")
# "ldmatrix": which lane has the halves of a row
ROW = "0 0 1 1 2 2 3 3"


def owners(patterns):
    """(rows, columns) of lanes and of numbers: eight rows of each pattern."""
    table = np.array([[[*map(int, entry.split(":"))] for entry in pattern.split()] for pattern in patterns])
    lanes = np.concatenate([pattern[:, 0] + 4 * np.arange(8)[:, None] for pattern in table])
    return lanes, np.repeat(table[:, :, 1], 8, axis=0)


def scattered(matrix, patterns, numbers):
    """The fragments of a matrix, (32, numbers)."""
    fragments = np.empty((32, numbers), matrix.dtype)
    fragments[owners(patterns)] = matrix
    return fragments


def product(device, kind, a, b, c):
    """C + A·B by one warp."""
    is_tf32 = kind == "tf32"
    fragments = (
        scattered(a, A_TF32 if is_tf32 else A_HALVES, 4 if is_tf32 else 8).view(np.uint32),
        scattered(np.ascontiguousarray(b.T), B_TF32 if is_tf32 else B_HALVES, 2 if is_tf32 else 4).view(np.uint32),
        scattered(c, C, 4),
    )
    y = device.upload(np.full((32, 4), np.nan, np.float32))
    device.launch("multiply", kernels.multiply(kind), 1, 32, *map(device.upload, fragments), y)
    return device.download(y)[owners(C)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_element_is_where_the_figures_have_it(device, kind):
    """Integers, exact; and each row, column and place in the sum weighs differently."""
    depth = 8 if kind == "tf32" else 16
    a = (np.arange(16 * depth).reshape(16, depth) % 13 - 5).astype(KINDS[kind])
    b = (np.arange(depth * 8).reshape(depth, 8) % 11 - 4).astype(KINDS[kind])
    c = np.arange(128, dtype=np.float32).reshape(16, 8)
    expected = a.astype(np.float64) @ b.astype(np.float64) + c
    np.testing.assert_array_equal(product(device, kind, a, b, c), expected)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), scale=st.integers(-6, 6))
def test_a_product_is_exact_and_then_cut_to_float32(kind, seed, scale):
    """Towards zero, by less than the last bit of the result: 2⁻²³ of it."""
    random, depth = np.random.default_rng(seed), 8 if kind == "tf32" else 16
    a = random.normal(size=(16, depth)).astype(KINDS[kind])
    b = (random.normal(size=(depth, 8)) * 2.0**scale).astype(KINDS[kind])
    if kind == "tf32":  # of which the hardware reads the first 11 bits
        a, b = ((value.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) for value in (a, b))
    c = random.normal(size=(16, 8)).astype(np.float32)
    exact = a.astype(np.float64) @ b.astype(np.float64) + c
    for name in ("emulator", "simulator") if seed % 16 == 0 else ("emulator",):
        actual = product(DEVICES[name], kind, a, b, c).astype(np.float64)
        assert (np.abs(actual - exact) <= 2.0**-23 * np.abs(exact)).all()
        # the sums in float64, in another order, may be on the other side of a float32
        assert (np.abs(actual) <= np.abs(exact) * (1 + 2.0**-48)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_are_none_stay_in_their_row(device, kind):
    depth = 8 if kind == "tf32" else 16
    a, b = np.ones((16, depth), KINDS[kind]), np.ones((depth, 8), KINDS[kind])
    a[3, 2], a[9, 5], b[1, 4] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_array_equal(product(device, kind, a, b, np.zeros((16, 8), np.float32)), expected)


def test_the_smallest_halves_count(device):
    a, b = np.full((16, 16), 2.0**-24, np.float16), np.full((16, 8), 2.0**-20, np.float16)
    expected = np.full((16, 8), 16 * 2.0**-44, np.float32)
    np.testing.assert_array_equal(product(device, "f16", a, b, np.zeros((16, 8), np.float32)), expected)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_load_gives_each_lane_its_halves(device, transposed):
    matrices = np.arange(256, dtype=np.uint16).reshape(4, 8, 8)
    y = device.upload(np.zeros((32, 4), np.uint32))
    device.launch("multiply", kernels.load(transposed), 1, 32, device.upload(matrices.view(np.uint32).reshape(-1)), y)
    found = device.download(y).view(np.uint16).reshape(32, 4, 2)
    lanes = np.array([*map(int, ROW.split())]) + 4 * np.arange(8)[:, None]
    for number, matrix in enumerate(matrices.transpose(0, 2, 1) if transposed else matrices):
        np.testing.assert_array_equal(found[lanes, number, np.arange(8) % 2], matrix)


def run_faulty(device, fault, threads=32):
    y = device.upload(np.zeros(64, np.uint32))
    device.launch("multiply", kernels.faulty(fault), 1, threads, device.upload(np.arange(256, dtype=np.uint32)), y)
    return device.download(y)


@pytest.mark.parametrize("fault", ["nothing", "another order of lanes"])
def test_a_right_load_is_no_fault(device, fault):
    assert run_faulty(device, fault)[1] == (1 if fault == "nothing" else 5)


FOUND = {
    "no barrier": r"data race: writes tile\[\d+\], which thread .* read, with no barrier between",
    "not written": r"reads tile\[\d+\], which was never written",
    "misaligned": "no multiple of 16 bytes|out of bounds",
    "outside": "index 128 is out of bounds|index 131 is out of bounds",
    "returned": "the mask of a warp collective names a lane that has returned",
    "elsewhere": "lanes of one mask wait at different warp collectives",
}


@pytest.mark.parametrize("fault", FOUND)
def test_what_a_warp_must_not_do_is_found_and_named(fault):
    with pytest.raises(KernelError, match=FOUND[fault]) as caught:
        run_faulty(DEVICES["checked"], fault)
    assert "ldmatrix_x4" in str(caught.value) or fault in ("no barrier", "returned")


@pytest.mark.parametrize("name", ["emulator", "checked"])
def test_a_warp_that_is_not_whole_is_found(name):
    kernel, x = kernels.load(False), np.zeros(256, np.uint32)
    with pytest.raises(KernelError, match="names a lane that the block does not have"):
        DEVICES[name].launch("multiply", kernel, 1, 20, x, np.zeros((32, 4), np.uint32))


def test_the_simulator_says_so_too():
    kernel, x = kernels.load(False), np.zeros(256, np.uint32)
    with pytest.raises(DeviceError, match="20 lanes of a warp ask for what all 32 must do together"):
        DEVICES["simulator"].launch("multiply", kernel, 1, 20, x, np.zeros((32, 4), np.uint32))
    with pytest.raises(DeviceError, match="an access of 4 elements at index"):
        run_faulty(DEVICES["simulator"], "misaligned")


# ---- single numbers

HALFWAY = 1 + 2.0**-11  # between 1 and the next of 11 bits
BITS = (
    (0.0, 0), (-0.0, 0x80000000), (1.0, 0x3F800000), (HALFWAY, 0x3F802000), (-HALFWAY, 0xBF802000),
    (1 + 2.0**-12, 0x3F800000), (1 + 3 * 2.0**-11, 0x3F804000), (2 - 2.0**-23, 0x40000000), (np.inf, 0x7F800000),
    (3.4028234663852886e38, 0x7F800000), (2.0**-126, 0x00800000), (2.0**-149, 0), (2.0**-137, 0x2000),
    (np.nan, 0x7FFFFFFF), (-np.nan, 0x7FFFFFFF),
)  # fmt: skip


def mapped(device, kernel, x):
    y = device.upload(np.zeros(x.size, np.uint32))
    device.launch("multiply", kernel, 1, x.size, device.upload(x), y)
    return device.download(y)


def test_rounding_to_tf32_follows_the_table(device):
    x, expected = zip(*BITS, strict=True)
    assert mapped(device, kernels.rounded, np.array(x, np.float32)).tolist() == [*expected]


@given(arrays(np.uint32, 8))
def test_rounding_to_tf32_is_to_nearest_and_away_from_zero_halfway(words):
    x = words.view(np.float32)
    x = np.where(np.isfinite(x), x, 0)
    actual = mapped(DEVICES["emulator"], kernels.rounded, x).view(np.float32).astype(np.float64)
    wide = x.astype(np.float64)
    unit = np.exp2(np.maximum(np.frexp(wide)[1] - 11, -136))  # of the last bit that is kept
    expected = np.copysign(np.floor(np.abs(wide) / unit + 0.5) * unit, wide)
    np.testing.assert_array_equal(actual, np.where(np.abs(expected) < 2.0**128, expected, np.copysign(np.inf, wide)))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_the_bits_of_a_half_are_in_the_low_half(device, dtype):
    x = np.array([0, 1, -2.5, np.inf, 2.0**-14], dtype)
    np.testing.assert_array_equal(mapped(device, kernels.halves, x), x.view(np.uint16))


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_gets_the_instructions_themselves(kind):
    word, number = types.Array(types.uint32, 2, "C"), types.Array(types.float32, 2, "C")
    signature = word, word, number, number
    ptx, _ = cuda.compile(kernels.multiply(kind).py_func, signature, cc=(8, 0), device=False, abi="numba", output="ptx")
    assert f"mma.sync.aligned.m16n8k{8 if kind == 'tf32' else 16}.row.col.f32.{kind}.{kind}.f32" in ptx
    signature = types.Array(types.uint32, 1, "C"), word
    ptx, _ = cuda.compile(kernels.load(True).py_func, signature, cc=(8, 0), device=False, abi="numba", output="ptx")
    assert "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16" in ptx
