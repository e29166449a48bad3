"""Kernels of warpgroups that write an operand of a product (wgmma) that is still under way."""

import numpy as np
from numba import cuda, float32, uint32, uint64

from cases.planted.bugs import FaultKind, planted
from convbench.intrinsics import (
    commit_copies,
    commit_warpgroup,
    copy_async_4,
    fence_async_proxy,
    matrix_descriptor_on_device,
    shared_address,
    wait_copies_0,
    wait_warpgroup_0,
    wait_warpgroup_1,
    warpgroup_fence,
    wgmma_tf32,
)

OPERAND = FaultKind.OPERAND
WORDS = 32  # of a row of a factor: 64 rows of A, then 64 of B
STAGE, STAGES = 128 * WORDS, 2 * 128 * WORDS
product, wait_0, wait_1 = wgmma_tf32(64), wait_warpgroup_0(64), wait_warpgroup_1(64)


def factors(*, stages=1):
    return lambda: (np.ones(stages * STAGE, np.float32), np.zeros((128, 32), np.float32))


@cuda.jit(device=True)
def fill(tile, x, stage):
    """Copy a stage of both factors with the first 128 threads; then products may read it behind a barrier."""
    for word in range(WORDS):
        at = stage * STAGE + word * 128 + cuda.threadIdx.x
        tile[at] = x[at]
    fence_async_proxy()


@cuda.jit(device=True)
def descriptor(tile, first):
    return matrix_descriptor_on_device(shared_address(tile, uint32(first)), uint32(16), uint32(1024))


@planted(OPERAND, "tile", 1, 128, args=factors())
def operand_overwritten_before_the_wait(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(STAGE, float32, alignment=1024)
        sums = cuda.local.array(32, float32)
        i = cuda.threadIdx.x
        for j in range(32):
            sums[j] = 0
        fill(tile, x, 0)
        cuda.syncthreads()
        warpgroup_fence()
        product(sums, descriptor(tile, 0), descriptor(tile, 64 * WORDS))
        commit_warpgroup()
        if not bug:
            wait_0(sums)
        cuda.syncthreads()
        tile[i * WORDS] = 2  # planted
        wait_0(sums)
        for j in range(32):
            y[i, j] = sums[j]

    return kernel


@planted(OPERAND, "tile", 1, 128, args=factors(stages=2))
def stage_filled_while_a_product_still_reads_it(bug):
    """Three rounds over two stages; a wait that lets one group go on ends the group of the other stage."""

    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(STAGES, float32, alignment=1024)
        sums = cuda.local.array(32, float32)
        i = cuda.threadIdx.x
        for j in range(32):
            sums[j] = 0
        fill(tile, x, 0)
        fill(tile, x, 1)
        cuda.syncthreads()
        warpgroup_fence()
        product(sums, descriptor(tile, 0), descriptor(tile, 64 * WORDS))
        commit_warpgroup()
        product(sums, descriptor(tile, STAGE), descriptor(tile, STAGE + 64 * WORDS))
        commit_warpgroup()
        wait_1(sums)
        cuda.syncthreads()
        stage = 1 if bug else 0
        tile[stage * STAGE + i] = x[i]  # planted
        fence_async_proxy()
        cuda.syncthreads()
        warpgroup_fence()
        product(sums, descriptor(tile, 0), descriptor(tile, 64 * WORDS))
        commit_warpgroup()
        wait_0(sums)
        for j in range(32):
            y[i, j] = sums[j]

    return kernel


@planted(OPERAND, "tile", 1, 256, args=factors())
def operand_overwritten_by_another_warpgroup(bug):
    """The first 128 threads multiply, and the others store behind a barrier."""

    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(STAGE, float32, alignment=1024)
        sums = cuda.local.array(32, float32)
        i = cuda.threadIdx.x
        for j in range(32):
            sums[j] = 0
        if i < 128:
            fill(tile, x, 0)
        cuda.syncthreads()
        if i < 128:
            warpgroup_fence()
            product(sums, descriptor(tile, 0), descriptor(tile, 64 * WORDS))
            commit_warpgroup()
            if not bug:
                wait_0(sums)
        cuda.syncthreads()
        if i >= 128:
            tile[i * 8] = 2  # planted
        cuda.syncthreads()
        if i < 128:
            wait_0(sums)
            for j in range(32):
                y[i, j] = sums[j]

    return kernel


@planted(OPERAND, "tile", 1, 128, args=factors())
def asynchronous_copy_to_an_operand_before_the_wait(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(STAGE, float32, alignment=1024)
        sums = cuda.local.array(32, float32)
        i = cuda.threadIdx.x
        for j in range(32):
            sums[j] = 0
        fill(tile, x, 0)
        cuda.syncthreads()
        warpgroup_fence()
        product(sums, descriptor(tile, 0), descriptor(tile, 64 * WORDS) + uint64(2))
        commit_warpgroup()
        if not bug:
            wait_0(sums)
        cuda.syncthreads()
        copy_async_4(tile, i * WORDS, x, i)  # planted
        commit_copies()
        wait_0(sums)
        wait_copies_0()
        for j in range(32):
            y[i, j] = sums[j] + tile[i * WORDS]

    return kernel


@planted(OPERAND, "sums", 1, 128, args=factors())
def sums_cleared_before_the_wait(bug):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(STAGE, float32, alignment=1024)
        sums = cuda.local.array(32, float32)
        i = cuda.threadIdx.x
        for j in range(32):
            sums[j] = 0
        fill(tile, x, 0)
        cuda.syncthreads()
        warpgroup_fence()
        product(sums, descriptor(tile, 0), descriptor(tile, 64 * WORDS))
        commit_warpgroup()
        if not bug:
            wait_0(sums)
        for j in range(32):
            sums[j] = 0  # planted
        wait_0(sums)
        for j in range(32):
            y[i, j] = sums[j]

    return kernel
