"""Kernels with wild indices and arrays: beyond every end, in views and slices, and with unexpected arguments."""

import numpy as np
from numba import cuda, float32, int32, uint64

from cases.wild.launches import HUGE, case, zeros


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
def casts(y, x):
    y[int32(x[0])] = 1
    y[uint64(x[0])] = 1


@case
def nan_as_index(emulator):
    emulator.launch(casts, 1, 1, zeros(4), np.array([np.nan]))


@case
def infinity_as_index(emulator):
    emulator.launch(casts, 1, 1, zeros(4), np.array([np.inf]))


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
