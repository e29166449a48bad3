"""In random order, threads let others run at atomics, so that an update in two parts may lose another's update."""

import numpy as np
import pytest
from numba import cuda, int32

from convbench.emulator import Emulator, KernelFault, OrderDependenceError, compiler_fault

CODES = pytest.mark.parametrize(
    "code",
    ["llvm", pytest.param("ptx", marks=pytest.mark.skipif(compiler_fault() is not None, reason="no NVVM"))],
)


def zeros(count):
    return np.zeros(count, np.int32)


@cuda.jit
def read_then_exchanged(x, other):
    if cuda.threadIdx.x == 0:
        cuda.atomic.exch(x, 0, cuda.atomic.add(x, 0, 0) + 1)


@cuda.jit
def added_where_it_was_small(x, other):
    if cuda.threadIdx.x == 0 and cuda.atomic.add(x, 0, 0) < 3:
        cuda.atomic.add(x, 0, 1)


@cuda.jit
def compared_once(x, other):
    """A compare-and-swap whose failure nobody notices."""
    if cuda.threadIdx.x == 0:
        old = cuda.atomic.max(x, 0, 0)
        cuda.atomic.cas(x, 0, old, old + 1)


@cuda.jit
def counted_in_shared_memory(x, other):
    count = cuda.shared.array(1, int32)
    i = cuda.threadIdx.x
    if i == 0:
        count[0] = 0
    cuda.syncthreads()
    cuda.atomic.exch(count, 0, cuda.atomic.add(count, 0, 0) + 1)
    cuda.syncthreads()
    if i == 0:
        cuda.atomic.add(x, 0, count[0])


@cuda.jit
def lock_that_looks_before_it_takes(x, lock):
    """Two threads may both see that the lock is free."""
    if cuda.threadIdx.x == 0:
        while cuda.atomic.add(lock, 0, 0) != 0:
            pass
        cuda.atomic.exch(lock, 0, 1)
        cuda.threadfence()
        cuda.atomic.exch(x, 0, cuda.atomic.add(x, 0, 0) + 1)
        cuda.threadfence()
        cuda.atomic.exch(lock, 0, 0)


@CODES
@pytest.mark.parametrize(
    "kernel",
    [
        read_then_exchanged,
        added_where_it_was_small,
        compared_once,
        counted_in_shared_memory,
        lock_that_looks_before_it_takes,
    ],
    ids=lambda kernel: kernel.py_func.__name__,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_update_that_is_lost_between_two_atomics_is_found(kernel, seed, code):
    with pytest.raises((OrderDependenceError, KernelFault)) as caught:
        Emulator(checked=True, seed=seed, code=code).launch(kernel, 6, 32, zeros(1), zeros(1))
    assert "random order" in str(caught.value)


@cuda.jit
def swapped_until_nobody_came_between(x, other):
    old = cuda.atomic.add(x, 0, 0)
    while True:
        seen = cuda.atomic.cas(x, 0, old, old + 1)
        if seen == old:
            break
        old = seen


@cuda.jit
def guarded_by_a_lock(x, lock):
    while cuda.atomic.cas(lock, 0, 0, 1) != 0:
        pass
    cuda.threadfence()
    x[0] += 1
    cuda.threadfence()
    cuda.atomic.exch(lock, 0, 0)


@cuda.jit
def added_twice(x, other):
    cuda.atomic.add(x, 0, 3)
    cuda.syncwarp()
    cuda.atomic.sub(x, 0, 2)


@CODES
@pytest.mark.parametrize(
    "kernel",
    [swapped_until_nobody_came_between, guarded_by_a_lock, added_twice],
    ids=lambda kernel: kernel.py_func.__name__,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_an_update_that_cannot_be_lost_is_right(kernel, seed, code):
    x = zeros(1)
    Emulator(checked=True, seed=seed, code=code).launch(kernel, 20, 32, x, zeros(1))
    assert x[0] == 640


def test_a_seed_stands_for_one_interleaving():
    found = set()
    for seed in (0, 0, 0):
        x = zeros(1)
        Emulator(checked=True, orders=["random"], seed=seed).launch(read_then_exchanged, 40, 32, x, zeros(1))
        found.add(int(x[0]))
    assert len(found) == 1
