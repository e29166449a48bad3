"""Launches that a program repeats with other arguments: the second one takes a shorter way."""

import pytest

from support.programs import emulated

AGAIN = """
import numpy as np
from numba import cuda, types
from convbench.emulator.install import quick

taken = []
run = quick.run
quick.run = lambda *given: taken.append(run(*given)) or taken[-1]

@cuda.jit("void(float64[:], float64[:], int8, uint8, boolean, float32, int64)")
def declared(x, y, small, byte, on, single, wide):
    i = cuda.grid(1)
    if i < y.size and on:
        y[i] = x[i] * small + byte + single + wide

@cuda.jit
def summed(a, b, out):
    i = cuda.threadIdx.x
    if i < out.size:
        out[i] = a[i, 0] + b[i]

def given(*values):
    small, byte, on, single, wide = values
    x = np.random.default_rng(1).random(50)
    to = cuda.device_array(50)
    declared[1, 64](cuda.to_device(x), to, *values)
    if on:
        expected = x * np.int64(small).astype(np.int8) + byte + np.float64(np.float32(single)) + wide
        np.testing.assert_allclose(to.copy_to_host(), expected)

for _ in range(2):
    given(3, 200, True, 0.5, 2**40)
    given(-1, 255, True, 0.1, -(2**62))
    given(np.int8(-5), np.uint8(7), True, np.float32(2), np.int64(9))
    given(2, 3, False, 1.0, 1)
print(taken)
taken.clear()

whole = cuda.to_device(np.arange(200.0).reshape(50, 4))
others = []
for start in (0, 10, 10, 20, 0):
    host = np.arange(50.0) * 7
    out = cuda.device_array(20)
    summed[1, 32](whole[start:start + 20], cuda.to_device(host)[5:25], out)
    others.append(cuda.device_array(1000))  # memory changes between launches
    np.testing.assert_array_equal(out.copy_to_host(), np.arange(start, start + 20) * 4 + host[5:25])
    del host
summed[1, 32](np.ones((20, 1)), np.ones(20), out := np.zeros(20))
assert (out == 2).all()
print(taken)
empty = cuda.device_array(0)
for _ in range(2):
    summed[1, 32](whole, empty, empty)
out = cuda.device_array(100)
for number in (100, 20, 20):
    try:
        summed[1, 128](cuda.to_device(np.ones((100, 2))), cuda.to_device(np.ones(number)), out)
    except Exception as error:
        print(type(error).__name__, str(error).partition("`")[2])
"""


@pytest.mark.parametrize("code", ["ptx", "llvm"])
def test_other_arguments_have_their_own_results(code, tmp_path):
    ended = emulated(AGAIN, "--code", code, folder=tmp_path)
    assert ended.status == 1, ended.err  # because of the faults
    declared, views, *faults = ended.out.splitlines()
    if code == "ptx":
        assert declared == str([False] + 7 * [True])
        assert views == str([False, False, True, True, True])  # from the beginning of an allocation, and from inside
    kind, message = faults[0].split(" ", 1)
    assert kind == "KernelFault"
    assert ("axis 0 of b" if code == "llvm" else "behind the end of b") in message
    assert len(faults) == 2
    assert faults[0] == faults[1]


def test_a_flag_of_numpy_is_a_flag(tmp_path):
    text = """
import numpy as np
from numba import cuda

@cuda.jit
def kernel(x, on):
    if on:
        x[0] = 1

x = cuda.to_device(np.zeros(1))
kernel[1, 1](x, np.bool_(False))
assert x.copy_to_host()[0] == 0
kernel[1, 1](x, np.bool_(True))
print(x.copy_to_host()[0])
"""
    assert emulated(text, folder=tmp_path).out == "1.0\n"
