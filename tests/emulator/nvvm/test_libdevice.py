"""Code before NVVM has libdevice's own functions: the bits that the PTX of the same kernel gives."""

import numpy as np
import pytest
from numba import cuda
from numba.cuda import libdevice

from convbench.emulator import Emulator
from convbench.emulator.nvvm import intrinsics
from convbench.emulator.nvvm.libdevice import Reflected, definition

SINGLE = ["sinf", "cosf", "tanf", "expf", "logf", "erff", "tgammaf", "cbrtf", "asinhf", "j0f", "normcdff", "rsqrtf"]
DOUBLE = ["sin", "cos", "tan", "exp", "log1p", "erfinv", "lgamma", "rcbrt", "atan", "sinpi", "dsqrt_ru", "drcp_rd"]
VALUES = [0.0, -0.0, 0.5, -1.0, 7.25, -88.5, 1e5, 12345.678, 1e30, 3e-40, np.inf, -np.inf]


def kernel_of(names):
    text = "".join(f"    out[{row}, i] = libdevice.{name}(x[i])\n" for row, name in enumerate(names))
    scope = {"cuda": cuda, "libdevice": libdevice}
    exec(f"def kernel(x, out):\n    i = cuda.threadIdx.x\n{text}", scope)
    return cuda.jit(scope["kernel"])


@pytest.mark.parametrize(("names", "dtype"), [(SINGLE, np.float32), (DOUBLE, np.float64)])
def test_a_function_gives_the_bits_of_a_gpu(names, dtype):
    x = np.array(VALUES, dtype)
    kernel, found = kernel_of(names), []
    for emulator in (Emulator(code="ptx", workers=1), Emulator(code="llvm", checked=True, workers=1)):
        out = np.zeros((len(names), x.size), dtype)
        emulator.launch(kernel, 1, x.size, x, out)
        found.append(out)
    for row, name in enumerate(names):
        np.testing.assert_array_equal(found[0][row], found[1][row], err_msg=name)


@cuda.jit
def powers(x, y, out):
    i = cuda.threadIdx.x
    out[i] = libdevice.pow(x[i], y[i])


def test_an_amount_of_a_shift_beyond_the_width_is_a_gpus():
    """`pow` shifts the exponent's significand by its exponent, to ask whether it is odd: 2 ** 63 is not."""
    y = np.array([3.0, 2.0**62, 2.0**63, 2.0**64, -(2.0**63)])
    out = np.zeros(5)
    Emulator(code="llvm", checked=True, workers=1).launch(powers, 1, 5, np.full(5, -3.0), y, out)
    np.testing.assert_array_equal(out, [-27, np.inf, np.inf, np.inf, 0])
    assert not np.signbit(out[4])


@cuda.jit
def through_pointers(x, out):
    i = cuda.threadIdx.x
    out[0, i], out[1, i] = libdevice.sincos(x[i])
    out[2, i], out[3, i] = libdevice.modf(x[i])
    out[4, i], out[5, i] = libdevice.frexp(x[i])


def test_a_function_of_two_results_gives_both():
    x = np.array([0.3, -4.75, 1e6])
    out = np.zeros((6, 3))
    Emulator(code="llvm", checked=True, workers=1).launch(through_pointers, 1, 3, x, out)
    np.testing.assert_allclose(out[:2], [np.sin(x), np.cos(x)], rtol=3e-16)
    np.testing.assert_array_equal(out[2:4], np.modf(x))
    np.testing.assert_array_equal(out[4:], np.frexp(x))


def test_every_function_has_a_definition():
    """No intrinsic and no inline PTX of libdevice lacks a rule, whatever is reflected."""
    names = [name for name in vars(libdevice) if not name.startswith("_")]
    assert len(names) > 300
    for reflected in (Reflected((7, 5), fastmath=False), Reflected((9, 0), fastmath=True)):
        assert all(definition(f"__nv_{name}", reflected) for name in names)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("add.rm.ftz.f", "add.rm.ftz.f32"),
        ("d2ll.rz", "cvt.rzi.s64.f64"),
        ("ull2f.rp", "cvt.rp.f32.u64"),
        ("d2f.rn.ftz", "cvt.rn.ftz.f32.f64"),
        ("floor.d", "cvt.rmi.f64.f64"),
        ("fmax.f", "max.f32"),
        ("mulhi.ui", "mul.hi.u32"),
        ("rcp.approx.ftz.d", "rcp.approx.ftz.f64"),
    ],
)
def test_an_intrinsic_is_an_instruction(name, words):
    found = intrinsics.instruction_of(name)
    assert found is not None
    assert found[0] == words


def test_an_unknown_intrinsic_has_none():
    assert intrinsics.instruction_of("barrier0") is None
