"""No arithmetic of a kernel traps, and its values are those of PTX, whatever the operands."""

import itertools

import numpy as np
import pytest
from numba import cuda

from convbench.emulator import CompilationError, Emulator, compiler_fault

nvvm = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")
INTEGERS = np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64
BORDERS = 0.0, 1.5, 2.5, 127.5, 128.5, 255.9, 300, 40_000, 65_535.5, 70_000, 3e9, 5e9, 1e19, 2e19, np.inf
FLOATS = [*BORDERS, *(-value for value in BORDERS), np.nan]


@cuda.jit
def _count(a, out):
    count = 0
    for _ in range(a[0], a[1], a[2]):
        count += 1
        if count > 5:
            break
    out[0] = count


@pytest.mark.parametrize("options", [{"code": "ptx"}, {"code": "llvm"}, {"checked": True}])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_a_range_from_0_to_the_smallest_number_by_minus_one_does_not_trap(kind, options):
    """The quotient is the smallest number itself, so that the range is empty, as in PTX."""
    found = np.full(1, 7.0)
    Emulator(**options).launch(_count, 1, 1, np.array([0, np.iinfo(kind).min, -1], kind), found)
    assert found[0] == 0


@cuda.jit
def _integers(a, b, quotient, remainder, left, right):
    i = cuda.threadIdx.x
    quotient[i], remainder[i] = a[i] // b[i], a[i] % b[i]
    left[i], right[i] = a[i] << b[i], a[i] >> b[i]


@cuda.jit
def _conversions(x, i8, u8, i16, u16, i32, u32, i64, u64):
    i = cuda.threadIdx.x
    i8[i], u8[i], i16[i], u16[i] = np.int8(x[i]), np.uint8(x[i]), np.int16(x[i]), np.uint16(x[i])
    i32[i], u32[i], i64[i], u64[i] = np.int32(x[i]), np.uint32(x[i]), np.int64(x[i]), np.uint64(x[i])


@cuda.jit
def _remainders(a, b, remainder):
    i = cuda.threadIdx.x
    remainder[i] = a[i] % b[i]


def _everywhere(kernel, inputs, kinds):
    """Assert that both modes on LLVM code give the results of PTX."""
    found = []
    for options in ({"code": "ptx"}, {"code": "llvm"}, {"checked": True}):
        outputs = [np.zeros(inputs[0].size, kind) for kind in kinds]
        Emulator(**options).launch(kernel, 1, inputs[0].size, *inputs, *outputs)
        found.append(outputs)
    for ptx, fast, checked in zip(*found, strict=True):
        np.testing.assert_array_equal(fast, ptx, err_msg=str(ptx.dtype))
        np.testing.assert_array_equal(checked, ptx, err_msg=str(ptx.dtype))


@nvvm
@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64, np.uint64])
def test_quotients_remainders_and_shifts_of_any_operands_are_those_of_ptx(kind):
    limits = np.iinfo(kind)
    edges = {0, 1, 2, 7, 31, 32, 33, 63, 64, 65, limits.max, limits.max - 1, limits.min, limits.min + 1, 2**31 - 1}
    edges |= {-1, -2, -33} if limits.min else {2**31, 2**32 - 1}
    edges |= {2**32 + 1, 2**33} if limits.bits == 64 else set()
    a, b = np.array(list(itertools.product(sorted(edges), repeat=2)), kind).T.copy()
    _everywhere(_integers, (a, b), [kind] * 4)


@nvvm
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_conversions_of_any_number_to_any_integer_are_those_of_ptx(kind):
    with np.errstate(over="ignore"):
        x = np.array(FLOATS, kind)
    _everywhere(_conversions, (x,), INTEGERS)


@nvvm
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_remainders_of_any_numbers_are_those_of_ptx(kind):
    a, b = np.array(list(itertools.product(FLOATS, repeat=2)), kind).T.copy()
    _everywhere(_remainders, (a[:1000], b[:1000]), [kind])


@cuda.jit
def _is_true(x, out):
    if x[0]:
        out[0] = 1


def test_a_float16_as_a_condition_is_refused_with_its_line_as_for_a_gpu():
    with pytest.raises(CompilationError, match=r"test_arithmetic\.py:\d+: .*float16 as a condition"):
        Emulator().launch(_is_true, 1, 1, np.ones(1, np.float16), np.zeros(1))
