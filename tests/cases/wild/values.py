"""Kernels with undefined arithmetic, large local memory, recursion, exceptions, or lanes that do not exist."""

import numpy as np
from numba import cuda, float32, int64

from cases.wild.launches import case, zeros


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
