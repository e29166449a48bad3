"""Blocks, warps and threads that wait for others: valid programs end with the right result, deadlocks are reported."""

import inspect

import numpy as np
import pytest
from numba import cuda, int32

from convbench.emulator import Emulator, FaultKind, KernelFault, LaunchError
from convbench.emulator.orders import ORDERS

FAST = {order: Emulator(orders=[order], seed=3) for order in ORDERS}
CHECKED = {order: Emulator(checked=True, orders=[order], seed=3) for order in ORDERS}
EVERY = pytest.mark.parametrize(
    "emulator", [*FAST.values(), *CHECKED.values()], ids=[*(f"fast-{order}" for order in ORDERS), *ORDERS]
)


def zeros(*shape):
    return np.zeros(shape, np.int32)


@cuda.jit
def neighbours(x, flags):
    """Each block waits for the one after it, which begins later."""
    b = cuda.blockIdx.x
    if cuda.threadIdx.x == 0:
        if b + 1 < cuda.gridDim.x:
            while cuda.atomic.add(flags, b + 1, 0) == 0:
                pass
            cuda.threadfence()
            x[b] = x[b + 1] + 1
        else:
            x[b] = 1
        cuda.threadfence()
        cuda.atomic.exch(flags, b, 1)


@cuda.jit
def look_back(x, out, ticket, state, sums):
    """A prefix sum in one pass: each block adds the sum of the blocks before it, as soon as it is known."""
    shared = cuda.shared.array(64, int32)
    mine = cuda.shared.array(2, int32)
    i = cuda.threadIdx.x
    if i == 0:
        mine[0] = cuda.atomic.add(ticket, 0, 1)
    cuda.syncthreads()
    b = mine[0]
    shared[i] = x[b * 64 + i]
    step = 1
    while step < 64:
        cuda.syncthreads()
        value = shared[i - step] if i >= step else 0
        cuda.syncthreads()
        shared[i] += value
        step *= 2
    cuda.syncthreads()
    if i == 0:
        sums[b, 0] = shared[63]
        cuda.threadfence()
        cuda.atomic.exch(state, b, 1)  # its own sum is known
        before, k = 0, b - 1
        while k >= 0:
            known = cuda.atomic.or_(state, k, 0)
            if known == 0:
                continue
            cuda.threadfence()
            before += sums[k, known - 1]
            if known == 2:
                break
            k -= 1
        sums[b, 1] = before + shared[63]
        cuda.threadfence()
        cuda.atomic.exch(state, b, 2)  # so is the sum of all blocks up to it
        mine[1] = before
    cuda.syncthreads()
    out[b * 64 + i] = shared[i] + mine[1]


@cuda.jit
def later_thread(x, flag):
    """Lane 0 waits for a later lane of its warp, and the first warp for the last."""
    i = cuda.threadIdx.x
    if i == 0:
        while cuda.atomic.cas(flag, 0, 2, 3) != 2:
            pass
    elif i == 31:
        while cuda.atomic.add(flag, 0, 0) != 1:
            pass
        cuda.atomic.exch(flag, 0, 2)
    elif i == 127:
        cuda.atomic.exch(flag, 0, 1)
    x[i] = i


@cuda.jit
def ticket_lock(total, next_ticket, serving):
    if cuda.threadIdx.x % 8 == 0:
        mine = cuda.atomic.add(next_ticket, 0, 1)
        while cuda.atomic.add(serving, 0, 0) != mine:
            pass
        cuda.threadfence()
        total[0] += cuda.blockIdx.x
        cuda.threadfence()
        cuda.atomic.add(serving, 0, 1)


@cuda.jit
def whole_grid(x, y):
    grid = cuda.cg.this_grid()
    i, n = cuda.grid(1), x.size
    for _ in range(3):
        x[i] = y[i] + 1
        grid.sync()
        y[i] = x[n - 1 - i]
        grid.sync()


@cuda.jit
def grid_with_shared_memory(x, y):
    tile = cuda.shared.array(32, int32)
    grid = cuda.cg.this_grid()
    i, b = cuda.threadIdx.x, cuda.blockIdx.x
    tile[i] = x[b * 32 + i]
    grid.sync()
    x[((b + 1) % cuda.gridDim.x) * 32 + i] = tile[31 - i]
    grid.sync()
    y[b * 32 + i] = x[b * 32 + i]


@EVERY
def test_blocks_wait_for_later_blocks(emulator):
    x = zeros(40)
    emulator.launch(neighbours, 40, 32, x, zeros(40))
    assert x.tolist() == list(range(40, 0, -1))


@EVERY
def test_decoupled_look_back(emulator):
    x, out = np.arange(64 * 12, dtype=np.int32), zeros(64 * 12)
    emulator.launch(look_back, 12, 64, x, out, zeros(1), zeros(12), zeros(12, 2))
    assert (out == np.cumsum(x)).all()


@EVERY
def test_lanes_and_warps_wait_for_later_ones(emulator):
    x, flag = zeros(128), zeros(1)
    emulator.launch(later_thread, 1, 128, x, flag)
    assert flag[0] == 3
    assert (x == np.arange(128)).all()


@EVERY
def test_a_lock_that_serves_tickets(emulator):
    total = zeros(1)
    emulator.launch(ticket_lock, 6, 32, total, zeros(1), zeros(1))
    assert total[0] == 4 * 15


@EVERY
def test_a_grid_synchronises(emulator):
    x, y = zeros(96), np.arange(96, dtype=np.int32)
    emulator.launch(whole_grid, 3, 32, x, y)
    assert (y == np.arange(96)[::-1] + 3).all()
    x, y = np.arange(96, dtype=np.int32), zeros(96)
    emulator.launch(grid_with_shared_memory, 3, 32, x, y)
    assert (y.reshape(3, 32) == np.roll(np.arange(96).reshape(3, 32)[:, ::-1], 1, axis=0)).all()


# ---- faults


@cuda.jit
def without_the_second_synchronisation(x, y):
    grid = cuda.cg.this_grid()
    i = cuda.grid(1)
    x[i] = y[i]
    grid.sync()
    y[i] = x[x.size - 1 - i]
    x[i] = 0


@cuda.jit
def one_block_leaves(x):
    if cuda.blockIdx.x < 2:
        cuda.cg.this_grid().sync()
    x[cuda.grid(1)] = 1


@cuda.jit
def two_that_wait_for_each_other(flags):
    b = cuda.blockIdx.x
    if cuda.threadIdx.x == 5:
        while cuda.atomic.add(flags, 1 - b, 0) == 0:
            pass
        cuda.atomic.exch(flags, b, 1)
    cuda.syncthreads()


@cuda.jit
def lock_that_is_not_released(lock, x):
    while cuda.atomic.cas(lock, 0, 0, 1) != 0:
        pass
    x[0] += 1


def fault_of(emulator, kernel, grid, block, *args):
    with pytest.raises(KernelFault) as caught:
        emulator.launch(kernel, grid, block, *args)
    return caught.value


def line_of(kernel, text):
    lines, first = inspect.getsourcelines(kernel.py_func)
    return next(number for number, line in enumerate(lines, first) if text in line)


@pytest.mark.parametrize("order", ORDERS)
def test_a_race_after_a_grid_synchronisation_is_found(order):
    fault = fault_of(CHECKED[order], without_the_second_synchronisation, 2, 32, zeros(64), zeros(64))
    lines = {line_of(without_the_second_synchronisation, text) for text in ("y[i] = x[x", "x[i] = 0")}
    assert fault.line in lines
    assert "of another block" in str(fault)


@EVERY
def test_a_block_that_leaves_before_the_others_synchronise_is_reported(emulator):
    fault = fault_of(emulator, one_block_leaves, 3, 32, zeros(96))
    assert fault.kind is FaultKind.INCOMPLETE_BARRIER
    assert fault.line == line_of(one_block_leaves, ".sync()")


@EVERY
def test_a_deadlock_says_who_waits_where(emulator):
    fault = fault_of(emulator, two_that_wait_for_each_other, 2, 32, zeros(2))
    line = line_of(two_that_wait_for_each_other, "while")
    assert (fault.kind, fault.thread) == (FaultKind.SPINNING, (5, 0, 0))
    assert abs(fault.line - line) <= 1
    barrier = line_of(two_that_wait_for_each_other, "syncthreads")
    for block in range(2):
        assert f"block ({block}, 0, 0): 1 thread spinning at line {fault.line}" in str(fault)
        assert f"block ({block}, 0, 0): 31 threads at a barrier at line {barrier}" in str(fault)


@EVERY
def test_a_lock_that_nobody_releases_is_a_deadlock(emulator):
    fault = fault_of(emulator, lock_that_is_not_released, 1, 4, zeros(1), zeros(1))
    assert fault.kind is FaultKind.SPINNING
    assert "3 threads spinning" in str(fault)


def test_a_grid_that_is_too_large_to_synchronise_is_refused():
    with pytest.raises(LaunchError, match="cannot be on a device at once"):
        FAST["forward"].launch(whole_grid, 40_000, 1, zeros(40_000), zeros(40_000))
