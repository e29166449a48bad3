"""Options of `cuda.jit` as the real dispatcher has them: declared signatures convert arguments, unknown names fail."""

import numpy as np
import pytest
from numba import cuda

from convbench.emulator import CompilationError, Emulator, compiler_fault
from convbench.emulator.sources import Code

CODES = ["llvm", pytest.param("ptx", marks=pytest.mark.skipif(compiler_fault() is not None, reason="no NVVM"))]


@cuda.jit("void(float32[:], float32, int16)")
def fill(x, value, step):
    x[cuda.threadIdx.x] = value + step


@cuda.jit(["void(int32[::1], int32)", "void(float64[::1], float64)"])
def add(x, value):
    x[0] += value


@pytest.mark.parametrize("code", CODES)
def test_a_declared_signature_converts_its_arguments(code: Code):
    x = np.zeros(4, np.float32)
    Emulator(code=code).launch(fill, 1, 4, x, 1 / 3, 70000)  # to float32 and to 70000 - 2**16
    np.testing.assert_array_equal(x, np.float32(np.float32(1 / 3) + 4464))
    every_other = np.zeros(8, np.float32)[::2]  # any layout
    Emulator(code=code).launch(fill, 1, 4, every_other, np.int8(3), np.uint8(2))
    np.testing.assert_array_equal(every_other, 5)


@pytest.mark.parametrize("code", CODES)
def test_the_signature_that_fits_best_is_taken(code: Code):
    whole, real = np.zeros(1, np.int32), np.zeros(1, np.float64)
    Emulator(code=code).launch(add, 1, 1, whole, 3)
    Emulator(code=code).launch(add, 1, 1, real, 3)  # the integer becomes a float64
    assert (whole[0], real[0]) == (3, 3)


@pytest.mark.parametrize(
    ("kernel", "arguments", "message"),
    [
        (
            fill,
            (np.zeros(4), 1.0, 2),
            r"fill is declared for \(array\(float32, 1d, A\), float32, int16\), and takes",
        ),
        (fill, (np.zeros(4, np.float32), 1.0), "and takes no .array.float32, 1d, C., float64.$"),
        (fill, (np.zeros(4, np.float32), 1.0, 2.5), "argument step is int16 and cannot take 2.5"),
        (
            add,
            (np.zeros(1, np.float32), 1.0),
            r"declared for \(array\(int32, 1d, C\), int32\) or \(array\(float64",
        ),
        (add, (np.zeros(4, np.int32)[::2], 1), "takes no .array.int32, 1d, A., int64."),
    ],
)
def test_arguments_that_no_declared_signature_takes_are_refused(kernel, arguments, message):
    with pytest.raises(CompilationError, match=message):
        Emulator().launch(kernel, 1, 1, *arguments)


def test_a_device_function_is_declared_too():
    @cuda.jit("int32(int32)", device=True)
    def twice(value):
        return 2 * value

    @cuda.jit
    def kernel(x):
        x[0] = twice(x[0])

    x = np.array([2.5], np.float32)
    Emulator().launch(kernel, 1, 1, x)
    assert x[0] == 4  # numba-cuda converts 2.5 to 2


@pytest.mark.parametrize("code", CODES)
def test_an_option_that_cuda_jit_does_not_have_is_named(code: Code):
    @cuda.jit(fastmth=True)
    def kernel(x):
        x[0] = 1

    with pytest.raises(CompilationError, match=r"unexpected keyword argument 'fastmth': its options are link, debug"):
        Emulator(code=code).launch(kernel, 1, 1, np.zeros(1))
