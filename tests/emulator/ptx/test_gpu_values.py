"""PTX mode, and checked mode on the code before NVVM, give a GPU's values where the host or LLVM would give others.

Expected values follow from the PTX ISA (version 9.5), at the instruction that each test names. Those marked "folded"
are what ptxas makes of the same instruction with constants.
"""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from numba import cuda
from numba.cuda import fp16, libdevice
from numba.cuda.types import float16

from convbench.emulator import CompilationError, Emulator, KernelFault

EMULATOR = Emulator(code="ptx", workers=1)
BEFORE_NVVM = Emulator(checked=True, code="llvm", workers=1)
LEAST, MOST = -(2**63), 2**63 - 1
NAN, INF = math.nan, math.inf


def results(kernel, result, *columns):
    """The results of a kernel, one thread for each row of the columns. They have the same bits in every code."""
    found = []
    for emulator in (EMULATOR, BEFORE_NVVM):
        out = np.zeros(columns[0].size, result)
        emulator.launch(kernel, 1, out.size, *columns, out)
        found.append(out)
    assert all(bits_of(out) == bits_of(found[0]) for out in found)
    return found[0]


def bits_of(values):
    return values.view(f"u{values.itemsize}").tolist()


# ---- sums of products (PTX ISA, "fma", "mul")


@cuda.jit
def product_and_sum(x, y, z, out):
    i = cuda.threadIdx.x
    out[i] = x[i] * y[i] + z[i]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_that_is_added_is_not_rounded(dtype):
    x = np.array([0.1, 1 / 3], dtype)
    rounded = x * x
    pairs = zip(x.tolist(), rounded.tolist(), strict=True)
    exact = [Fraction(value) ** 2 - Fraction(product) for value, product in pairs]
    found = results(product_and_sum, dtype, x, x, -rounded)
    assert found.tolist() == [float(value) for value in exact]  # what rounding loses fits the type


@cuda.jit
def product_and_sum_of_halves(x, y, z, out):
    i = cuda.threadIdx.x
    out[i] = x[i] * y[i] + z[i]


def test_halves_are_multiplied_and_added_with_one_rounding():
    generator = np.random.default_rng(3)
    x, y, z = generator.standard_normal((3, 512)).astype(np.float16)
    exact = x.astype(np.float64) * y.astype(np.float64) + z.astype(np.float64)  # in a double without rounding
    found = results(product_and_sum_of_halves, np.float16, x, y, z)
    np.testing.assert_array_equal(actual=found, desired=exact.astype(np.float16))


# ---- conversions to integers (PTX ISA, "cvt": clamped; NaN is 0, or the least of 64 bits or from f64)


def conversion(result):
    @cuda.jit
    def convert(x, out):
        i = cuda.threadIdx.x
        out[i] = x[i]

    convert.result = result
    return convert


@pytest.mark.parametrize(
    ("source", "result", "rows"),
    [
        (np.float32, np.uint32, {-1.5: 0, 5e9: 2**32 - 1, 1.9: 1}),  # folded
        (np.float32, np.int32, {3e9: 2**31 - 1, INF: 2**31 - 1, -INF: -(2**31), NAN: 0, -1.9: -1}),  # folded
        (np.float32, np.int64, {INF: MOST, 1e20: MOST, -1e20: LEAST}),  # folded
        (np.float32, np.uint64, {-1.0: 0}),  # folded
        (np.float32, np.uint8, {-1.5: 0, 70000.0: 255, 255.9: 255}),  # cvt.rzi.u16, and its low byte
        (np.float32, np.int8, {3e9: -1, -1e5: 0, -5.9: -5}),  # cvt.rzi.s16, and its low byte
        (np.float16, np.int32, {NAN: 0, INF: 2**31 - 1, 1.5: 2, 2.5: 2, -2.75: -3}),  # cvt.rni, to nearest
        (np.float16, np.uint32, {-1.5: 0}),
    ],
)
def test_conversions_clamp(source, result, rows):
    x = np.array(list(rows), source)
    assert results(conversion(result), result, x).tolist() == list(rows.values())


@cuda.jit
def rounds(x, out):
    i = cuda.threadIdx.x
    out[i] = round(x[i])


def test_round_clamps():
    x = np.array([1e20, -1e20, 2.5, 3.5])
    assert results(rounds, np.int64, x).tolist() == [MOST, LEAST, 2, 4]


@cuda.jit
def casts_of_doubles(x, out):
    i = cuda.threadIdx.x
    if i == 0:
        out[i] = libdevice.double2int_rz(x[i])
    elif i == 1:
        out[i] = libdevice.double2int_rn(x[i])
    else:
        out[i] = libdevice.double2uint_rz(x[i])


def test_a_nan_of_64_bits_becomes_the_highest_bit():
    found = results(casts_of_doubles, np.int64, np.full(3, NAN))
    assert [value & 0xFFFFFFFF for value in found.tolist()] == [0x80000000] * 3


# ---- remainders and quotients (NVVM: a - floor(a / b) * b)


@cuda.jit
def remainders(x, y, out):
    i = cuda.threadIdx.x
    out[i] = x[i] % y[i]


def test_the_remainder_of_floats_is_nvvms():
    x, y = np.array([1e10, 5, 1e9], np.float32), np.array([3, INF, 0.1], np.float32)
    found = results(remainders, np.float32, x, y)
    assert found[0] == 256
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(-14.80, abs=0.01)
    assert results(remainders, np.float64, np.array([1e17]), np.array([3.0])).tolist() == [4]


# ---- shifts (PTX ISA, "shl", "shr": amounts above the width are clamped)


@cuda.jit
def shifts_left(x, s, out):
    i = cuda.threadIdx.x
    out[i] = x[i] << s[i]


@cuda.jit
def shifts_right(x, s, out):
    i = cuda.threadIdx.x
    out[i] = x[i] >> s[i]


def test_shifts_are_clamped():
    x, s = np.array([1, 1, 1, 1]), np.array([64, 65, -1, 63])
    assert results(shifts_left, np.int64, x, s).tolist() == [0, 0, 0, LEAST]  # folded
    x = np.array([5, -8, 5, -8])
    assert results(shifts_right, np.int64, x, np.array([64, 64, -1, 1])).tolist() == [0, -1, 0, -4]  # folded


# ---- atomics, extrema, NaNs


@cuda.jit
def adds_globally(x, v):
    cuda.atomic.add(x, 0, v[0])


@cuda.jit
def adds_in_shared(v, out):
    tile = cuda.shared.array(1, np.float32)
    tile[0] = 0
    cuda.syncthreads()
    cuda.atomic.add(tile, 0, v[0])
    out[0] = tile[0]


def test_an_atomic_addition_in_global_memory_flushes_subnormals_and_in_shared_memory_it_does_not():
    x, small = np.zeros(1, np.float32), np.array([1e-40], np.float32)
    EMULATOR.launch(adds_globally, 1, 1, x, small)
    assert x[0] == 0
    assert results(adds_in_shared, np.float32, small)[0] == small[0]


@cuda.jit
def least(x, y, out):
    i = cuda.threadIdx.x
    out[i] = min(x[i], y[i])


@cuda.jit
def most(x, y, out):
    i = cuda.threadIdx.x
    out[i] = max(x[i], y[i])


def test_zeros_have_an_order():
    x, y = np.array([0.0, -0.0], np.float32), np.array([-0.0, 0.0], np.float32)
    assert np.signbit(results(least, np.float32, x, y)).tolist() == [True, True]  # folded
    assert np.signbit(results(most, np.float32, x, y)).tolist() == [False, False]  # folded


@cuda.jit
def quotients(x, y, out):
    i = cuda.threadIdx.x
    out[i] = x[i] / y[i]


@cuda.jit
def signs_of_quotients(x, y, out):
    i = cuda.threadIdx.x
    out[i] = math.copysign(np.float32(1), x[i] / y[i])


@cuda.jit
def copies(x, out):
    i = cuda.threadIdx.x
    out[i] = x[i]


def test_computed_nans_are_canonical_and_copied_ones_are_not():
    zero = np.zeros(1, np.float32)
    assert bits_of(results(quotients, np.float32, zero, zero)) == [0x7FFFFFFF]
    assert results(signs_of_quotients, np.float32, zero, zero).tolist() == [1]
    payload = np.array([0x7FC12345, 0xFF812345], np.uint32).view(np.float32)
    assert bits_of(results(copies, np.float32, payload)) == [0x7FC12345, 0xFF812345]
    assert bits_of(results(product_and_sum, np.float32, payload, payload, payload)) == [0x7FFFFFFF] * 2


# ---- fast mathematics, and powers


@cuda.jit(fastmath=True)
def approximates(x, out):
    i = cuda.threadIdx.x
    if i == 0:
        out[i] = math.log(x[i])
    elif i == 1:
        out[i] = math.exp(x[i])
    else:
        out[i] = np.float32(1) / x[i]


def test_approximate_functions_flush_subnormals():
    found = results(approximates, np.float32, np.array([1e-40, -100, 2.0**127], np.float32))
    assert found.tolist() == [-INF, 0, 0]


@cuda.jit
def powers(n, out):
    i = cuda.threadIdx.x
    out[i] = 2 ** n[i]


def test_a_huge_power_is_the_largest_integer():
    assert results(powers, np.int64, np.array([100_000])).tolist() == [MOST]


# ---- range, whose length is a quotient


@cuda.jit
def counts_steps(bounds, out):
    taken = 0
    for _ in range(bounds[0], bounds[1], bounds[2]):
        taken += 1
        if taken > 5:
            break
    out[0] = taken


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_no_quotient_ends_the_process(dtype):
    bounds = np.array([0, np.iinfo(dtype).min, -1], dtype)
    found = np.zeros(1, np.int64)
    EMULATOR.launch(counts_steps, 1, 1, bounds, found)
    assert found[0] in (0, 6)  # the quotient of the least number and -1 is itself, or positive in more bits


# ---- halves


@cuda.jit
def chooses(x, out):
    i = cuda.threadIdx.x
    out[i] = 1 if x[i] > float16(0) else 2


def test_halves_compare():
    assert results(chooses, np.int32, np.array([1, -1, NAN, 0], np.float16)).tolist() == [1, 2, 2, 2]


@cuda.jit
def halves_fused(x, y, z, out):
    i = cuda.threadIdx.x
    out[i] = fp16.hfma(x[i], y[i], z[i])


def test_hfma_rounds_once():
    x, z = np.array([1 + 3 * 2.0**-10], np.float16), np.array([-1], np.float16)
    assert results(halves_fused, np.float16, x, x, z).tolist() == [6 * 2.0**-10 + 8 * 2.0**-20]  # of 9, ties to even


# ---- libdevice functions that only PTX has


@cuda.jit
def directed(x, y, out):
    i = cuda.threadIdx.x
    out[0, i] = libdevice.fadd_rd(x[i], y[i])
    out[1, i] = libdevice.fadd_ru(x[i], y[i])
    out[2, i] = libdevice.fmul_rz(x[i], y[i])
    out[3, i] = libdevice.fdiv_ru(x[i], y[i])
    out[4, i] = libdevice.fsqrt_rd(x[i])
    out[5, i] = libdevice.fmaf_rz(x[i], y[i], y[i])


def test_every_rounding_is_directed_as_its_name_says():
    generator = np.random.default_rng(5)
    x, y = generator.random((2, 200)).astype(np.float32) + np.float32(0.1)
    out = np.zeros((6, x.size), np.float32)
    EMULATOR.launch(directed, 1, x.size, x, y, out)
    wide_x, wide_y = x.astype(np.longdouble), y.astype(np.longdouble)
    total, product = wide_x + wide_y, wide_x * wide_y
    exact = total, total, product, wide_x / wide_y, np.sqrt(wide_x), product + wide_y
    for found, value, up in zip(out, exact, (0, 1, 0, 1, 0, 0), strict=True):
        assert np.all(found >= value) if up else np.all(found <= value)
        other = np.nextafter(found, np.float32(-INF if up else INF))
        assert np.all(other < value) if up else np.all(other > value)


@cuda.jit
def rare_functions(x, out):
    out[0] = libdevice.erfinv(x[0])
    out[1] = libdevice.normcdf(x[0])
    out[2] = libdevice.cospi(x[0])
    out[3] = libdevice.byte_perm(0x33221100, 0x77665544, 0x7531)


def test_libdevice_functions_that_llvm_mode_refuses():
    out = np.zeros(4)
    EMULATOR.launch(rare_functions, 1, 1, np.array([0.5]), out)
    assert out[:3].tolist() == pytest.approx([0.4769362762044699, 0.6914624612740131, 0.0], abs=1e-15)
    assert out[3] == 0x77553311


def test_bits_of_immediates():
    """A kernel's constants reach the code as they are: signed zeros, infinities and a subnormal."""
    constants = [-0.0, INF, -INF, 1e-45, struct.unpack("<f", struct.pack("<I", 0x7FC00000))[0]]
    a, b, c, d, e = map(np.float32, constants)

    @cuda.jit
    def writes(out):
        out[0], out[1], out[2], out[3], out[4] = a, b, c, d, e

    out = np.zeros(5, np.float32)
    EMULATOR.launch(writes, 1, 1, out)
    assert bits_of(out) == bits_of(np.array(constants, np.float32))


# ---- threads that wait for each other (independent since compute capability 7.0)


@cuda.jit
def waits_for_another_thread(flag, out):
    i = cuda.threadIdx.x
    if i == 0:
        while cuda.atomic.add(flag, 0, 0) == 0:
            pass
        out[0] = 7
    elif i == cuda.blockDim.x - 1:
        cuda.atomic.add(flag, 0, 1)


@pytest.mark.parametrize("threads", [2, 32, 64])
def test_a_thread_may_wait_for_another_of_its_block(threads):
    flag, out = np.zeros(1, np.int32), np.zeros(1, np.int32)
    EMULATOR.launch(waits_for_another_thread, 1, threads, flag, out)
    assert out[0] == 7


def test_a_thread_that_waits_for_ever_is_told():
    flag, out = np.zeros(1, np.int32), np.zeros(1, np.int32)
    with pytest.raises(KernelFault, match="spins on memory that nobody changes") as caught:
        EMULATOR.launch(waits_for_another_thread, 1, 1, flag, out)
    assert caught.value.thread == (0, 0, 0)
    assert caught.value.line == waits_for_another_thread.py_func.__code__.co_firstlineno + 4


# ---- what a GPU refuses

LARGE = np.zeros(20_000, np.float32)


@cuda.jit
def reads_many_constants(i, out):
    out[0] = LARGE[i[0]]


@cuda.jit(fma=False)
def has_an_unknown_option(out):
    out[0] = 1


def test_a_kernel_that_a_gpu_refuses_is_refused():
    with pytest.raises(CompilationError, match=r"80,000 bytes of constants.*65,536"):
        EMULATOR.launch(reads_many_constants, 1, 1, np.zeros(1, np.int64), np.zeros(1, np.float32))
    with pytest.raises(CompilationError, match="unexpected keyword argument 'fma'"):
        EMULATOR.launch(has_an_unknown_option, 1, 1, np.zeros(1))
