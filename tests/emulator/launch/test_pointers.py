"""Accesses without a subscript of an array: through raw pointers, and with cache hints."""

import numpy as np
import pytest
from numba import cuda
from numba.cuda import types

from cases.planted.bugs import floats
from convbench.emulator import Emulator, FaultKind, KernelFault, UnsupportedError, compiler_fault

POINTER = types.CPointer(types.float32)
ARRAY = types.float32[::1]
ptx = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")


@cuda.jit
def copy_by_pointer(p, x, y):
    i = cuda.threadIdx.x
    y[i] = p[i]


def test_a_pointer_may_lead_into_an_argument():
    x, y = floats(8), np.zeros(4, np.float32)
    Emulator(checked=True).launch(copy_by_pointer, 1, 4, x.ctypes.data + 16, x, y, types=(POINTER, ARRAY, ARRAY))
    assert y.tolist() == [4, 5, 6, 7]


def test_a_pointer_that_nobody_watches_is_refused():
    x, y = floats(8), np.zeros(4, np.float32)
    with pytest.raises(UnsupportedError, match="argument p is a raw pointer"):
        Emulator(code="llvm").launch(copy_by_pointer, 1, 4, x.ctypes.data, x, y, types=(POINTER, ARRAY, ARRAY))


@ptx
def test_ptx_looks_up_where_a_pointer_leads():
    x, y, emulator = floats(8), np.zeros(8, np.float32), Emulator(code="ptx")
    begin = x.ctypes.data
    emulator.launch(copy_by_pointer, 1, 4, begin + 16, x, y, types=(POINTER, ARRAY, ARRAY))
    assert y[:4].tolist() == [4, 5, 6, 7]
    emulator.launch(copy_declared, 1, 8, begin, y, memory=[x])
    np.testing.assert_array_equal(y, x)
    with pytest.raises(KernelFault, match="reads 4 bytes outside every array") as caught:
        emulator.launch(copy_declared, 1, 8, begin + 4, y, memory=[x])
    assert (caught.value.kind, caught.value.thread) == (FaultKind.READ_OUTSIDE, (7, 0, 0))
    with pytest.raises(KernelFault, match="reads 4 bytes outside every array"):
        emulator.launch(copy_declared, 1, 8, begin, y)  # nobody names x


@cuda.jit((POINTER, ARRAY))
def copy_declared(p, y):
    i = cuda.threadIdx.x
    y[i] = p[i]


# ---- cache hints


@cuda.jit
def copy_with_hints(x, y):
    i = cuda.threadIdx.x
    cuda.stcg(y, i, cuda.ldcg(x, i))


DTYPES = (
    np.int8, np.uint16, np.int32, np.int64, np.float16,
    np.float32, np.float64,
)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_read_or_write_with_a_hint_is_one(dtype):
    x, y = np.arange(8).astype(dtype), np.zeros(8, dtype)
    Emulator(checked=True).launch(copy_with_hints, 1, 8, x, y)
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_read_with_a_hint_is_of_what_somebody_wrote(dtype):
    emulator, x = Emulator(checked=True), np.zeros(8, dtype)
    emulator.forget(x)
    with pytest.raises(KernelFault) as caught:
        emulator.launch(copy_with_hints, 1, 8, x, np.zeros(8, dtype))
    assert (caught.value.kind, caught.value.array) == (FaultKind.UNWRITTEN, "x")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_write_with_a_hint_can_race(dtype):
    @cuda.jit
    def kernel(x, y):
        cuda.stcg(y, 0, x[cuda.threadIdx.x])

    with pytest.raises(KernelFault) as caught:
        Emulator(checked=True).launch(kernel, 1, 8, np.arange(8).astype(dtype), np.zeros(8, dtype))
    assert (caught.value.kind, caught.value.array) == (FaultKind.RACE_WRITE, "y")


@pytest.mark.parametrize("checked", [False, True])
def test_an_index_with_a_hint_is_checked(checked):
    with pytest.raises(KernelFault) as caught:
        Emulator(checked=checked).launch(copy_with_hints, 1, 8, np.zeros(7, np.int32), np.zeros(8, np.int32))
    kind = FaultKind.INDEX if checked else FaultKind.READ_OUTSIDE  # PTX has no axes
    assert (caught.value.kind, caught.value.array) == (kind, "x")
