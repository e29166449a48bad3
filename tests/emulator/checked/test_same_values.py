"""Stores of one value in one place: no race by lanes of a warp, and a note by others where it is allowed."""

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import Emulator, FaultKind, KernelFault

CODES = "llvm", "ptx"


@cuda.jit
def set_flag(x, flag):
    if x[cuda.grid(1)] > 0:
        flag[0] = 1


@cuda.jit
def set_shared(x, flag):
    tile = cuda.shared.array(2, float32)
    tile[0] = x[0]
    cuda.syncthreads()
    flag[cuda.threadIdx.x] = tile[0]


@cuda.jit
def last_one_wins(x, flag):
    flag[0] = x[cuda.grid(1)]


@cuda.jit
def read_what_another_sets(x, flag):
    if cuda.threadIdx.x < 32:
        flag[0] = 1
    else:
        flag[cuda.threadIdx.x] = flag[0]


def launched(kernel, grid, block, dtype, code, **options):
    x, flag = np.arange(1, 129).astype(dtype), np.zeros(128, dtype)
    emulator = Emulator(checked=True, code=code, **options)
    emulator.launch(kernel, grid, block, x, flag)
    return emulator, flag


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("kernel", [set_flag, set_shared], ids=lambda kernel: kernel.py_func.__name__)
@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_lanes_of_a_warp_may_store_one_value(kernel, dtype, code):
    emulator, flag = launched(kernel, 1, 32, dtype, code)
    assert flag[0] == 1
    assert emulator.remarks == []


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("grid", "block", "other"), [(1, 64, "thread (0, 0, 0)"), (2, 32, "another block")])
def test_others_may_if_it_is_allowed_and_it_is_noted(grid, block, other, code):
    emulator, flag = launched(set_flag, grid, block, np.float32, code, strict_store=False, orders=("forward",))
    assert flag[0] == 1
    (remark,) = emulator.remarks
    assert "writes flag[0], as" in remark.message
    assert other in remark.message
    assert "with the same value" in remark.message
    with pytest.raises(KernelFault, match="data race: writes") as raised:
        launched(set_flag, grid, block, np.float32, code)
    assert raised.value.kind == FaultKind.RACE_WRITE


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("kernel", [last_one_wins, read_what_another_sets], ids=lambda kernel: kernel.py_func.__name__)
def test_other_values_and_reads_are_races_in_any_case(kernel, code):
    with pytest.raises(KernelFault, match="data race"):
        launched(kernel, 1, 64, np.float32, code, strict_store=False)
