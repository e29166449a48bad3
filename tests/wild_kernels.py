"""Kernels that try to bring the interpreter down in fast mode: `python wild_kernels.py [name …]` runs each in turn.

Prints the name of a kernel before it runs, and what came of it: "done", or the kind of error. A crash ends the list at
the name of its kernel.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, float32, int32, int64, uint64
from numba.cuda.core.errors import NumbaError

from convbench.emulator import Emulator, EmulatorError, FaultKind, KernelFault

CASES: dict[str, Callable[[Emulator], None]] = {}
HUGE = 2**40


def case(run: Callable[[Emulator], None]) -> Callable[[Emulator], None]:
    """Enter a case under its name."""
    CASES[run.__name__] = run
    return run


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    """An array to be spoilt."""
    return np.zeros(shape, dtype)


@cuda.jit
def write_at(y, where):
    y[where[cuda.grid(1)]] = 1


@cuda.jit
def add_at(y, where):
    cuda.atomic.add(y, where[cuda.grid(1)], 1)


@cuda.jit
def read_at(y, where):
    y[0] = y[where[0], where[0]]


@case
def huge_index(emulator):
    emulator.launch(write_at, 1, 1, zeros(8), np.array([HUGE]))


@case
def least_index(emulator):
    emulator.launch(write_at, 1, 1, zeros(8), np.array([-(2**63)]))


@case
def negative_index_beyond_the_beginning(emulator):
    emulator.launch(write_at, 1, 1, zeros(8), np.array([-9]))


@case
def unsigned_index_that_would_wrap(emulator):
    emulator.launch(write_at, 1, 1, zeros(8), np.array([2**64 - HUGE], np.uint64))


@case
def unsigned_32_bit_index(emulator):
    emulator.launch(write_at, 1, 1, zeros(8), np.array([2**32 - 1], np.uint32))


@case
def signed_8_bit_index(emulator):
    emulator.launch(write_at, 1, 1, zeros(8), np.array([-128], np.int8))


@case
def atomic_at_a_huge_index(emulator):
    emulator.launch(add_at, 1, 1, zeros(8), np.array([HUGE]))


@case
def atomic_at_a_negative_index(emulator):
    emulator.launch(add_at, 1, 1, zeros(8), np.array([-HUGE]))


@case
def atomic_at_an_unsigned_index(emulator):
    emulator.launch(add_at, 1, 1, zeros(8), np.array([2**64 - HUGE], np.uint64))


@case
def empty_array(emulator):
    emulator.launch(write_at, 1, 1, zeros(0), np.array([0]))


@case
def reversed_array(emulator):
    emulator.launch(write_at, 1, 1, zeros(8)[::-1], np.array([8]))


@case
def strided_array(emulator):
    emulator.launch(write_at, 1, 1, zeros(8)[::2], np.array([4]))


@case
def misaligned_array(emulator):
    emulator.launch(write_at, 1, 4, zeros(33, dtype=np.uint8)[1:].view(np.float32), np.arange(4))


@case
def misaligned_atomic(emulator):
    emulator.launch(add_at, 1, 4, zeros(33, dtype=np.uint8)[1:].view(np.float32), np.arange(4))


@case
def atomic_across_a_cache_line(emulator):
    base = zeros(256, dtype=np.uint8)
    start = -base.ctypes.data % 64 + 62
    emulator.launch(add_at, 1, 1, base[start : start + 8].view(np.int64), np.arange(1))


@cuda.jit
def shared_at(y, where):
    tile = cuda.shared.array(4, float32)
    tile[where[0]] = 1
    cuda.syncthreads()
    y[0] = tile[where[0]]


@case
def shared_memory_at_a_huge_index(emulator):
    emulator.launch(shared_at, 1, 1, zeros(1), np.array([HUGE]))


@cuda.jit
def local_at(y, where):
    local = cuda.local.array(4, float32)
    local[where[0]] = 1
    y[0] = local[where[0]]


@case
def local_memory_at_a_huge_index(emulator):
    emulator.launch(local_at, 1, 1, zeros(1), np.array([-HUGE]))


@cuda.jit
def dynamic_at(y, where):
    tile = cuda.shared.array(0, float32)
    tile[where[0]] = 1
    y[0] = tile[where[0]]


@case
def dynamic_memory_that_the_launch_does_not_give(emulator):
    emulator.launch(dynamic_at, 1, 1, zeros(1), np.array([0]))


@cuda.jit
def write_slice(y, where):
    part = y[where[0] : where[1]]
    part[where[2]] = 1
    y[where[0] : where[1]] = 7


@case
def slice_beyond_the_end(emulator):
    emulator.launch(write_slice, 1, 1, zeros(8), np.array([-HUGE, HUGE, 8]))


@case
def slice_that_runs_backwards(emulator):
    emulator.launch(write_slice, 1, 1, zeros(8), np.array([7, -HUGE, 0]))


@cuda.jit
def copy_slice(y, x):
    y[:] = x


@case
def slice_from_a_longer_array(emulator):
    emulator.launch(copy_slice, 1, 1, zeros(8), zeros(100_000))


@cuda.jit
def reshape_larger(y, shape):
    y.reshape((shape[0], shape[1]))[shape[0] - 1, shape[1] - 1] = 1


@case
def reshape_to_more_elements(emulator):
    emulator.launch(reshape_larger, 1, 1, zeros(8), np.array([HUGE, 16]))


@case
def reshape_that_overflows(emulator):
    emulator.launch(reshape_larger, 1, 1, zeros(8), np.array([2**32, 2**32]))


@cuda.jit
def view_wider(y, where):
    y.view(np.float64)[where[0]] = 1


@case
def view_with_an_odd_number_of_elements(emulator):
    emulator.launch(view_wider, 1, 1, zeros(7), np.array([3]))


@cuda.jit
def view_narrower(y, where):
    y.view(np.int8)[where[0]] = 1


@case
def view_of_bytes_beyond_the_end(emulator):
    emulator.launch(view_narrower, 1, 1, zeros(8), np.array([32]))


@cuda.jit
def fancy(y, where):
    part = y[where]
    part[0] = 1


@case
def array_as_index(emulator):
    emulator.launch(fancy, 1, 1, zeros(8), np.array([HUGE, 1]))


@cuda.jit
def write_0d(y):
    y[()] = 1


@case
def array_without_dimensions(emulator):
    emulator.launch(write_0d, 1, 1, zeros())


@cuda.jit
def tuple_at(y, pair, where):
    y[0] = pair[where[0]]


@case
def tuple_at_a_huge_index(emulator):
    emulator.launch(tuple_at, 1, 1, zeros(1), (1.0, 2.0), np.array([HUGE]))


@cuda.jit
def flat_at(y, where):
    y.flat[where[0]] = 1


@case
def flat_iterator_at_a_huge_index(emulator):
    emulator.launch(flat_at, 1, 1, zeros(2, 4), np.array([HUGE]))


@cuda.jit
def row_of(y, where):
    y[where[0]][where[1]] = 1


@case
def row_beyond_the_end(emulator):
    emulator.launch(row_of, 1, 1, zeros(4, 4), np.array([HUGE, 0]))


@cuda.jit
def ellipsis_at(y, where):
    y[..., where[0]] = 1


@case
def ellipsis_beyond_the_end(emulator):
    emulator.launch(ellipsis_at, 1, 1, zeros(4, 4), np.array([HUGE]))


@cuda.jit
def divide(y, by):
    y[0] = y[1] // by[0]
    y[2] = y[1] % by[0]


@case
def division_by_zero(emulator):
    emulator.launch(divide, 1, 1, np.array([0, 5, 0], np.int32), zeros(1, dtype=np.int32))


@case
def least_integer_by_minus_one(emulator):
    emulator.launch(divide, 1, 1, np.array([0, -(2**31), 0], np.int32), np.array([-1], np.int32))


@case
def least_long_integer_by_minus_one(emulator):
    emulator.launch(divide, 1, 1, np.array([0, -(2**63), 0]), np.array([-1]))


@case
def unsigned_division_by_zero(emulator):
    emulator.launch(divide, 1, 1, np.array([0, 5, 0], np.uint64), zeros(1, dtype=np.uint64))


@case
def float_division_by_zero(emulator):
    emulator.launch(divide, 1, 1, np.array([0, 5, 0], np.float32), zeros(1))


@cuda.jit
def divmods(y, by):
    y[0], y[1] = divmod(y[2], by[0])


@case
def divmod_of_the_least_integer(emulator):
    emulator.launch(divmods, 1, 1, np.array([0, 0, -(2**63)]), np.array([-1]))


@cuda.jit
def steps_of_zero(y, step):
    for i in range(0, 4, step[0]):
        y[i] = 1


@case
def range_with_a_step_of_zero(emulator):
    emulator.launch(steps_of_zero, 1, 1, zeros(4), zeros(1, dtype=np.int64))


@cuda.jit
def shifts(y, by):
    y[0] = y[1] << by[0]
    y[2] = y[1] >> by[0]


@case
def shift_by_too_much(emulator):
    emulator.launch(shifts, 1, 1, np.array([0, 5, 0]), np.array([1000]))


@cuda.jit
def large_local(y):
    large = cuda.local.array(120_000, float32)
    for i in range(120_000):
        large[i] = i
    y[cuda.grid(1)] = large[cuda.threadIdx.x]


@case
def half_a_megabyte_of_local_memory(emulator):
    emulator.launch(large_local, 4, 32, zeros(128))


@cuda.jit
def large_local_across_a_barrier(y):
    large = cuda.local.array(120_000, float32)
    for i in range(120_000):
        large[i] = i
    cuda.syncthreads()
    y[cuda.grid(1)] = large[cuda.threadIdx.x]


@case
def half_a_megabyte_of_local_memory_across_a_barrier(emulator):
    emulator.launch(large_local_across_a_barrier, 4, 32, zeros(128))


@cuda.jit(device=True)
def depth(n):
    if n <= 0:
        return 0
    return depth(n - 1) + 1


@cuda.jit
def recurse(y, n):
    y[0] = depth(n[0])


@case
def deep_recursion(emulator):
    emulator.launch(recurse, 1, 1, zeros(1, dtype=np.int64), np.array([10_000_000]))


@cuda.jit(device=True)
def sum_of_depths(n):
    scratch = cuda.local.array(64, int64)
    for i in range(64):
        scratch[i] = n * i
    if n <= 0:
        return 0
    return scratch[sum_of_depths(n - 1) % 64]


@cuda.jit
def recurse_with_memory(y, n):
    y[0] = sum_of_depths(n[0])


@case
def deep_recursion_with_local_memory(emulator):
    emulator.launch(recurse_with_memory, 1, 1, zeros(1, dtype=np.int64), np.array([1_000_000]))


@cuda.jit
def raises(y):
    if y[0] == 0:
        raise ValueError("no")
    y[0] = 1


@case
def kernel_that_raises(emulator):
    emulator.launch(raises, 1, 1, zeros(1))


@cuda.jit
def asserts(y):
    assert y[0] == 1, "no"


@case
def kernel_that_asserts(emulator):
    emulator.launch(asserts, 1, 1, zeros(1))


@cuda.jit
def casts(y, x):
    y[int32(x[0])] = 1
    y[uint64(x[0])] = 1


@case
def nan_as_index(emulator):
    emulator.launch(casts, 1, 1, zeros(4), np.array([np.nan]))


@case
def infinity_as_index(emulator):
    emulator.launch(casts, 1, 1, zeros(4), np.array([np.inf]))


@cuda.jit
def shuffles(y, lane):
    y[cuda.grid(1)] = cuda.shfl_sync(0xFFFFFFFF, cuda.laneid, lane[0])


@case
def shuffle_from_a_wild_lane(emulator):
    emulator.launch(shuffles, 1, 32, zeros(32), np.array([-12345], np.int32))


@cuda.jit
def odd_mask(y, mask):
    y[cuda.grid(1)] = cuda.ballot_sync(mask[0], True)


@case
def vote_with_an_empty_mask(emulator):
    emulator.launch(odd_mask, 1, 32, zeros(32), np.array([0], np.int32))


@case
def read_only_array(emulator):
    y = zeros(8)
    y.flags.writeable = False
    emulator.launch(write_at, 1, 1, y, np.arange(1))


@case
def broadcast_array(emulator):
    emulator.launch(read_at, 1, 1, np.broadcast_to(zeros(1), (4, 4)), np.arange(1))


@case
def array_for_another_type(emulator):
    emulator.launch(write_at, 1, 1, zeros(8), "nothing that a kernel takes")


@case
def too_few_arguments(emulator):
    emulator.launch(write_at, 1, 1, zeros(8))


def main(names: list[str]) -> None:
    """Run the cases of these names, by default all but those of deep recursion."""
    emulator = Emulator(workers=2)
    for name in names or [name for name in CASES if not name.startswith("deep_recursion")]:
        print(name, end=" ", flush=True)
        try:
            CASES[name](emulator)
        except KernelFault as fault:
            print(FaultKind(fault.kind).name, flush=True)
        except EmulatorError as error:
            print(type(error).__name__, flush=True)
        except NumbaError:
            print("NumbaError", flush=True)
        else:
            print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
