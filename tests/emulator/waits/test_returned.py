"""Without checks, a barrier waits for the threads that have not returned, as hardware does; checks report them."""

import numpy as np
import pytest
from numba import cuda, int32
from numba.cuda import cg

from convbench.emulator import Emulator, FaultKind, KernelFault, compiler_fault

CODES = ["llvm", pytest.param("ptx", marks=pytest.mark.skipif(compiler_fault() is not None, reason="no NVVM"))]


@cuda.jit
def reversed_by_those_who_stay(x, counts):
    inside = cuda.shared.array(64, int32)
    i = cuda.threadIdx.x
    if i >= x.size:
        return
    inside[i] = x[i]
    cuda.syncthreads()
    x[i] = inside[x.size - 1 - i]
    counts[i, 0] = cuda.syncthreads_count(int32(i < 3))
    counts[i, 1] = cuda.syncthreads_and(int32(i < 50))
    counts[i, 2] = cuda.syncthreads_or(int32(i == 7))


@cuda.jit
def summed_by_those_who_stay(x):
    i = cuda.grid(1)
    if i >= x.size:
        return
    x[i] = i
    cg.this_grid().sync()
    if i == 0:
        for j in range(1, x.size):
            x[0] += x[j]


@pytest.mark.parametrize("code", CODES)
def test_a_block_goes_on_without_those_who_have_returned(code):
    x, counts = np.arange(50, dtype=np.int32), np.zeros((50, 3), np.int32)
    Emulator(code=code).launch(reversed_by_those_who_stay, 1, 64, x, counts)
    np.testing.assert_array_equal(x, np.arange(50)[::-1])
    assert {tuple(map(int, row)) for row in (counts != 0)} == {(1, 1, 1)}
    assert set(counts[:, 0].tolist()) == {3}


@pytest.mark.parametrize("code", CODES)
def test_a_grid_goes_on_without_those_who_have_returned(code):
    x = np.zeros(100, np.int64)
    Emulator(code=code).launch(summed_by_those_who_stay, 2, 64, x)
    assert x[0] == 99 * 100 / 2


def test_it_is_a_fault_with_checks():
    with pytest.raises(KernelFault, match="returned before a barrier") as raised:
        Emulator(checked=True).launch(
            reversed_by_those_who_stay, 1, 64, np.zeros(50, np.int32), np.zeros((50, 3), np.int32)
        )
    assert raised.value.kind == FaultKind.EARLY_EXIT


def test_checks_go_on_where_threads_may_return():
    x, counts = np.arange(50, dtype=np.int32), np.zeros((50, 3), np.int32)
    Emulator(checked=True, strict_return=False).launch(reversed_by_those_who_stay, 1, 64, x, counts)
    np.testing.assert_array_equal(x, np.arange(50)[::-1])
