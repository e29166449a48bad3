"""A device function with a declared signature takes arrays with strides, whose addresses are sums of integers."""

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import Emulator, FaultKind, KernelFault
from convbench.emulator.analysis import find_roots, without_integers


@cuda.jit("void(float32[:], float32[:])", device=True)
def wrapped(d, box):
    for axis in range(2):
        if d[axis] >= box[axis] / 2:
            d[axis] -= box[axis]
    d[1] += 0


@cuda.jit("float32(float32[:, :], int64)", device=True)
def of_row(table, row):
    return table[row, 0] + table[row, 1]


@cuda.jit
def distances(x, box, y, written, row):
    i = cuda.grid(1)
    d = cuda.local.array(2, float32)
    d[0] = x[i, 0]
    if written:
        d[1] = x[i, 1]
    wrapped(d, box)
    table = cuda.shared.array((2, 2), float32)
    if i < 2:
        table[i, 0], table[i, 1] = 1, 2
    cuda.syncthreads()
    y[i] = d[0] * d[0] + d[1] * d[1] + of_row(table, row)


def launched(*, written=True, row=1):
    x, y = np.random.default_rng(1).random((32, 2)).astype(np.float32), np.zeros(32, np.float32)
    Emulator(checked=True, code="llvm").launch(distances, 1, 32, x, np.ones(2, np.float32), y, written, row)
    moved = np.where(x >= 0.5, x - 1, x)
    np.testing.assert_allclose(actual=y, desired=(moved**2).sum(axis=1) + 3, rtol=1e-5)


def test_a_local_and_a_shared_array_that_it_takes_are_in_bounds():
    launched()


@pytest.mark.parametrize(
    ("wrong", "kind", "array"),
    [({"written": False}, FaultKind.UNWRITTEN, "d"), ({"row": 2}, FaultKind.INDEX, "table")],
)
def test_a_fault_in_it_is_told(wrong, kind, array):
    with pytest.raises(KernelFault) as caught:
        launched(**wrong)
    assert caught.value.kind == kind
    assert array in caught.value.array or kind == FaultKind.INDEX


def test_sums_of_an_address_are_pointers():
    body = """b:
  %"a" = call ptr @emu.local.0()
  %i = ptrtoint ptr %"a" to i64, !dbg !1
  %j = add nuw i64 %i, %row
  %k = add i64 4, %j
  %"p" = inttoptr i64 %k to ptr, !dbg !2
  %other = add i64 %row, 8
  %q = inttoptr i64 %other to ptr""".splitlines()
    found = without_integers(body)
    assert found[5:8] == [
        '  %"p.0" = getelementptr i8, ptr %"a", i64 %row',
        '  %"p" = getelementptr i8, ptr %"p.0", i64 4, !dbg !2',
        "  %other = add i64 %row, 8",
    ]
    assert found[-1] == body[-1]
    assert find_roots(found, [])['%"p"'] == ("local", "0")
