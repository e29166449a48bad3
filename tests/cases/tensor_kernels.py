"""Kernels of one warp that load, multiply and round as tensor cores do, and the same kernels with one fault each."""

from functools import cache

import ml_dtypes
import numpy as np
from numba import cuda, uint32

from convbench.intrinsics import (
    half_bits,
    ldmatrix_x4,
    ldmatrix_x4_transposed,
    mma_bf16,
    mma_f16,
    mma_tf32,
    round_to_tf32,
)

KINDS = {"tf32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
WORDS = 128  # four matrices of 8 rows of 4 words
MULTIPLY = {"tf32": mma_tf32, "f16": mma_f16, "bf16": mma_bf16}
FAULTS = (
    "nothing", "no barrier", "not written", "misaligned", "outside", "returned", "elsewhere", "another order of lanes",
)  # fmt: skip


@cache
def multiply(kind):
    mma = MULTIPLY[kind]

    @cuda.jit
    def warp_product(a, b, c, y):
        lane = cuda.threadIdx.x
        sums = mma(
            (c[lane, 0], c[lane, 1], c[lane, 2], c[lane, 3]),
            (a[lane, 0], a[lane, 1], a[lane, 2], a[lane, 3]),
            (b[lane, 0], b[lane, 1]),
        )
        for i in range(4):
            y[lane, i] = sums[i]

    return warp_product


@cache
def load(transposed):
    ldmatrix = ldmatrix_x4_transposed if transposed else ldmatrix_x4

    @cuda.jit
    def warp_load(x, y):
        lane = cuda.threadIdx.x
        tile = cuda.shared.array(128, uint32, alignment=16)
        for i in range(4):
            tile[4 * lane + i] = x[4 * lane + i]
        cuda.syncthreads()
        found = ldmatrix(tile, uint32(4 * lane))
        for i in range(4):
            y[lane, i] = found[i]

    return warp_load


@cache
def faulty(fault):
    """A load by the warps of a block, each from its own rows, with one fault."""
    barrier, written = fault != "no barrier", 3 if fault == "not written" else 4
    moved = {"misaligned": 1, "outside": 4}.get(fault, 0)
    returns, parts = fault == "returned", fault == "elsewhere"
    shuffled = fault in ("no barrier", "another order of lanes")

    @cuda.jit
    def warp_fault(x, y):
        thread = cuda.threadIdx.x
        tile = cuda.shared.array(128, uint32, alignment=16)
        for i in range(written):
            tile[4 * thread + i] = x[4 * thread + i]
        if barrier:
            cuda.syncthreads()
        if returns and thread == 7:
            return
        row = thread ^ 1 if shuffled else thread
        if parts and thread == 7:
            found = ldmatrix_x4(tile, uint32(4 * row))
        else:
            found = ldmatrix_x4(tile, uint32(4 * row + moved))
        y[thread] = found[0]

    return warp_fault


@cuda.jit
def rounded(x, y):
    at = cuda.threadIdx.x
    y[at] = round_to_tf32(x[at])


@cuda.jit
def halves(x, y):
    at = cuda.threadIdx.x
    y[at] = half_bits(x[at])
