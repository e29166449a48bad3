"""Two multiply-adds by one instruction: each is rounded once, on both emulators and the simulator."""

from fractions import Fraction

import numpy as np
import pytest
from numba import cuda, float32, types

from cases import intrinsic_kernels as kernels
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import CompileError, RefusedError
from convbench.intrinsics import multiply_add_2
from support.devices import DEVICES

T = kernels.THREADS
ABLE = (10, 0)
EMULATORS = {
    "emulator": EmulatorDevice(compute_capability=ABLE),
    "checked": EmulatorDevice(checked=True, compute_capability=ABLE),
    "llvm": EmulatorDevice(code="llvm", compute_capability=ABLE),
}


def rounded(exact: Fraction) -> np.float32:
    """The nearest float32, by comparison with both neighbours; of two as near, the one whose last bit is 0."""
    near = np.float32(float(exact))
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    return min(around, key=lambda one: (abs(Fraction(float(one)) - exact), int(one.view(np.uint32)) & 1))


def result(device, x):
    given, y = device.upload(x.reshape(-1)), device.upload(np.full(2 * T, np.nan, np.float32))
    device.launch("multiply", kernels.pairs, 1, T, given, y)
    return device.download(y).reshape(T, 2)


def operands():
    """Random numbers, and sums that would be wrong if they were rounded to float64 before float32."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((T, 5)).astype(np.float32)
    x[: T // 2, 3:] *= np.float32(2.0) ** rng.integers(-40, 40, (T // 2, 2)).astype(np.float32)
    x[0] = 1 + 2.0**-12, 1 + 2.0**-12, 1 + 2.0**-12, 2.0**-60, -(2.0**-60)  # a tie of float32, and a little beside it
    x[1] = 2.0**-100, 2.0**-48, 3 * 2.0**-48, 2.0**-149, -(2.0**-149)  # denormals
    return x


@pytest.mark.parametrize("name", [*EMULATORS, "simulator"])
def test_each_of_two_multiply_adds_is_rounded_once(name):
    device = EMULATORS.get(name) or DEVICES[name]
    x = operands()
    expected = [
        [rounded(Fraction(float(row[0])) * Fraction(float(row[1 + i])) + Fraction(float(row[3 + i]))) for i in range(2)]
        for row in x
    ]
    np.testing.assert_array_equal(result(device, x), np.array(expected))


@pytest.mark.parametrize("name", ["emulator", "checked"])
def test_what_is_not_a_number_is_as_on_a_gpu(name):
    x = operands()
    x[0], x[1] = (np.inf, 1, -1, 0, 0), (np.inf, 0, 1, 1, -np.inf)
    y = result(EMULATORS[name], x)
    np.testing.assert_array_equal(y[0], [np.inf, -np.inf])
    np.testing.assert_array_equal(y[1].view(np.uint32), 0x7FFFFFFF)


@pytest.mark.parametrize(("code", "checked"), [("ptx", False), ("llvm", False), (None, True)])
@pytest.mark.parametrize("capability", [(8, 6), (9, 0)])
def test_a_gpu_without_the_instruction_refuses_the_kernel(capability, code, checked):
    device = EmulatorDevice(code=code, checked=checked, compute_capability=capability)
    words = "`fma.rn.f32x2` requires .target sm_100 or higher, and this is for sm_{}{}"
    with pytest.raises(RefusedError, match=words.format(*capability)):
        result(device, operands())


def test_the_instruction_is_one_for_both():
    array = types.Array(types.float32, 1, "C")
    text = cuda.compile(
        kernels.pairs.py_func, (array, array), cc=(10, 0), device=False, abi="numba", output="ptx"
    )[0]  # fmt: skip
    assert text.count("fma.rn.f32x2") == 1
    assert "fma.rn.f32 " not in text


def test_other_types_are_refused():
    @cuda.jit
    def wrong(y):
        y[0] = multiply_add_2(1.0, (float32(1), float32(2)), (float32(3), float32(4)))[0]

    with pytest.raises(CompileError, match=r"multiply_add_2\(float64"):
        DEVICES["emulator"].launch("multiply", wrong, 1, 1, DEVICES["emulator"].empty((1,), np.float32))
