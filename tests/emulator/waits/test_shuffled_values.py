"""A shuffle from outside its mask is a fault where its value reaches memory or control flow, and only there."""

import inspect

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import Emulator, FaultKind, KernelFault, compiler_fault

NVVM = pytest.mark.skipif(compiler_fault() is not None, reason="no NVVM")
CODES = pytest.mark.parametrize("code", ["llvm", pytest.param("ptx", marks=NVVM)])


def floats(count):
    return np.arange(1, count + 1, dtype=np.float32)


@cuda.jit
def half_warp(x, y):
    i = cuda.threadIdx.x
    if i < 16:
        v = x[i]
        for k in (8, 4, 2, 1):
            v += cuda.shfl_down_sync(0xFFFF, v, k)
        if i == 0:
            y[0] = v


@cuda.jit
def whole_loop(x, y):
    i = cuda.threadIdx.x
    v, k = x[i], 8
    while k > 0:
        v = max(v, cuda.shfl_down_sync(0xFFFF, v, k))
        k //= 2
    if i == 0:
        y[0] = v


@cuda.jit
def chosen(x, y):
    """A prefix sum, in which lanes select what they may use."""
    i = cuda.threadIdx.x
    v = x[i]
    for k in (1, 2, 4, 8):
        other = cuda.shfl_sync(0xFFFF, v, i - k)
        v += other if i >= k else float32(0)
    if i == 15:
        y[0] = v


@cuda.jit
def doubles(x, y):
    i = cuda.threadIdx.x
    v = np.float64(x[i])
    for k in (8, 4, 2, 1):
        v += cuda.shfl_down_sync(0xFFFF, v, k)
    if i < 1:
        y[0] = v


@CODES
@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize(
    ("kernel", "expected", "threads"),
    [(half_warp, 136, 32), (whole_loop, 16, 16), (chosen, 136, 16), (doubles, 136, 16)],
)
def test_an_unused_value_from_outside_the_mask_is_no_fault(kernel, expected, threads, checked, code):
    y = np.zeros(1, np.float32)
    Emulator(checked=checked, code=code).launch(kernel, 1, threads, floats(32), y)
    assert y[0] == expected


@cuda.jit
def sum_is_stored_by_a_wrong_lane(x, y):
    i = cuda.threadIdx.x
    if i < 16:
        v = x[i]
        for k in (8, 4, 2, 1):
            v += cuda.shfl_down_sync(0xFFFF, v, k)  # shuffled
        if i == 3:
            y[0] = v


@cuda.jit
def decides_a_branch(x, y):
    i = cuda.threadIdx.x
    if cuda.shfl_down_sync(0xFFFF, x[i], 8) > 3:  # shuffled
        y[i] = 1


@cuda.jit
def is_an_index(x, y):
    i = cuda.threadIdx.x
    k = cuda.shfl_down_sync(0xFFFF, i, 1)  # shuffled
    x[k] = 0


@cuda.jit
def is_added_atomically(x, y):
    i = cuda.threadIdx.x
    v = cuda.shfl_down_sync(0xFFFF, x[i], 4) * 2  # shuffled
    cuda.atomic.add(y, 0, v)


@cuda.jit
def distance_is_one_too_far(x, y):
    i = cuda.threadIdx.x
    v = x[i]
    for k in (9, 4, 2, 1):
        v += cuda.shfl_down_sync(0xFFFF, v, k)  # shuffled
    if i < 1:
        y[0] = v


@pytest.mark.parametrize(
    ("kernel", "lane"),
    [
        (sum_is_stored_by_a_wrong_lane, None),
        (decides_a_branch, 8),
        (is_an_index, 15),
        (is_added_atomically, 12),
        (distance_is_one_too_far, None),
    ],
)
@CODES
def test_a_used_value_from_outside_the_mask_names_the_lane_that_read_it(kernel, lane, code):
    emulator = Emulator(checked=True, orders=["forward"], code=code)
    with pytest.raises(KernelFault) as caught:
        emulator.launch(kernel, 1, 16, floats(32), np.zeros(16, np.float32))
    fault = caught.value
    lines, first = inspect.getsourcelines(kernel.py_func)
    assert fault.kind is FaultKind.SOURCE_NOT_IN_MASK, str(fault)
    assert fault.line == next(number for number, line in enumerate(lines, first) if "# shuffled" in line)
    assert "in lane " in str(fault)
    if lane is not None:
        assert f"in lane {lane}," in str(fault)
        assert fault.thread == (lane, 0, 0)
