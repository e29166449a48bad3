"""Kernels with planted bugs of waiting: barriers that some threads miss, collectives with lanes that do not exist."""

import numpy as np
from numba import cuda, float32, int32

from cases.planted.bugs import FaultKind, floats, pair, planted

EVERYBODY = 0xFFFFFFFF


@planted(FaultKind.EARLY_EXIT, "", 1, 64, args=pair(64), thread=(48, 0, 0))
def early_exit_before_a_barrier(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug and i >= 48:
            return
        cuda.syncthreads()  # planted
        y[i] = x[i]

    return kernel


@planted(FaultKind.EARLY_EXIT, "", 1, 64, args=pair(64), thread=(0, 0, 0))
def barrier_for_half_of_the_block(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i >= 32 or not bug:
            cuda.syncthreads()  # planted
        y[i] = x[i]

    return kernel


@planted(FaultKind.DIVERGENT_BARRIER, "", 1, 64, args=pair(64), thread=(1, 0, 0))
def different_barriers_in_two_branches(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug and i % 2:
            y[i] = -x[i]
            cuda.syncthreads()  # planted
        else:
            y[i] = x[i]
            cuda.syncthreads()
        y[i] += 1

    return kernel


@planted(FaultKind.DIVERGENT_BARRIER, "", 1, 64, args=pair(64), thread=(1, 0, 0))
def different_kinds_of_barrier(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug and i % 2:
            y[i] = cuda.syncthreads_count(i)  # planted
        else:
            y[i] = cuda.syncthreads_or(i)

    return kernel


@cuda.jit(device=True)
def total_of(tile, i):
    cuda.syncthreads()  # planted
    return tile[i ^ 1]


@planted(FaultKind.EARLY_EXIT, "", 1, 64, args=pair(64), thread=(32, 0, 0), beside=total_of.py_func)
def barrier_in_a_divergent_device_function(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(64, float32)
        i = cuda.threadIdx.x
        tile[i] = x[i]
        if i < 32 or not bug:
            y[i] = total_of(tile, i)

    return kernel


@planted(FaultKind.EARLY_EXIT, "", 1, 64, args=pair(64), thread=(0, 0, 0))
def loop_with_a_barrier_that_some_leave_early(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        for _ in range(2 + bug * (i >= 32)):
            cuda.syncthreads()  # planted
        y[i] = x[i]

    return kernel


# ---- warp collectives


@planted(FaultKind.MASK_NAMES_EXITED, "", 1, 32, args=pair(32))
def vote_with_a_lane_that_returned(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug and i >= 16:
            return
        y[i] = cuda.ballot_sync(EVERYBODY, x[i] > 0)  # planted

    return kernel


@planted(FaultKind.MASK_NAMES_EXITED, "", 1, 32, args=pair(32))
def shuffle_with_a_lane_that_returned(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug and i == 31:
            return
        y[i] = cuda.shfl_sync(EVERYBODY, x[i], 0)  # planted

    return kernel


@planted(FaultKind.MASK_NAMES_ABSENT, "", 1, 16, args=pair(16))
def shuffle_with_a_lane_that_the_block_does_not_have(bug):
    mask = 0x1FFFF if bug else 0xFFFF

    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        y[i] = cuda.shfl_xor_sync(mask, x[i], 1)  # planted

    return kernel


@planted(FaultKind.MASK_WITHOUT_SELF, "", 1, 32, args=pair(32))
def mask_without_the_caller(bug):
    mask = 0xFFFE if bug else EVERYBODY

    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        y[i] = cuda.any_sync(mask, x[i] > 3)  # planted

    return kernel


@planted(FaultKind.SOURCE_NOT_IN_MASK, "", 1, 32, args=pair(32))
def shuffle_from_a_lane_outside_its_mask(bug):
    source = 16 if bug else 3

    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i < 16:
            y[i] = cuda.shfl_sync(0xFFFF, x[i], source)  # planted

    return kernel


@planted(FaultKind.SOURCE_NOT_IN_MASK, "", 1, 16, args=pair(16))
def shuffle_from_a_lane_that_the_block_does_not_have(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        y[i] = cuda.shfl_down_sync(0xFFFF, x[i], 1 if bug or i < 0 else 0)  # planted

    return kernel


@planted(FaultKind.DIVERGENT_COLLECTIVE, "", 1, 32, args=pair(32))
def one_mask_in_two_branches(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if bug and i % 2:
            y[i] = cuda.shfl_xor_sync(EVERYBODY, x[i], 2)
        else:
            y[i] = cuda.shfl_xor_sync(EVERYBODY, x[i] + 1, 2)  # planted

    return kernel


@planted(FaultKind.INCOMPLETE_COLLECTIVE, "", 1, 32, args=pair(32))
def collective_that_half_of_the_warp_passes_by(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        if i < 16 or not bug:
            y[i] = cuda.shfl_xor_sync(EVERYBODY, x[i], 2)  # planted
        cuda.syncthreads()

    return kernel


@planted(FaultKind.INCOMPLETE_COLLECTIVE, "", 1, 32, args=pair(32))
def collectives_with_different_masks(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        mask = 0xFFFF if bug and i < 8 else EVERYBODY
        y[i] = cuda.all_sync(mask, x[i] > 0)  # planted

    return kernel


# ---- kernels that never end


@planted(FaultKind.STEPS, "", 1, 8, args=pair(8), thread=(0, 0, 0))
def loop_that_never_ends(bug):
    @cuda.jit
    def kernel(x, y):
        i = cuda.threadIdx.x
        k = 0
        while k < 8:
            y[i] += x[i]  # planted
            k += 0 if bug else 1

    return kernel


@planted(FaultKind.SPINNING, "", 2, 1, args=lambda: (floats(8), np.zeros(8, np.int32)), thread=(0, 0, 0))
def waiting_for_another_block(bug):
    @cuda.jit
    def kernel(x, flag):
        cuda.atomic.add(flag, 0, 1)
        while cuda.atomic.max(flag, 0, 0) < (3 if bug else 2):  # planted
            pass

    return kernel


@planted(FaultKind.STEPS, "", 1, 8, args=pair(8))
def barriers_for_ever(bug):
    @cuda.jit
    def kernel(x, y):
        flag = cuda.shared.array(1, int32)
        i = cuda.threadIdx.x
        if i == 0:
            flag[0] = 0 if bug else 1
        cuda.syncthreads()
        while flag[0] == 0:
            cuda.syncthreads()  # planted
        y[i] = x[i]

    return kernel
