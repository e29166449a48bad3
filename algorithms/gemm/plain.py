"""Batched matrix product with a bias: the multiply step of several algorithms.

    out[o, i, j] = bias[o mod B_a, i] + Σ_e Σ_l a[b mod B_a, i, l] · b[b, l, j],        b = e·O + o
                   0 ≤ i < I, 0 ≤ j < J, 0 ≤ l < L, 0 ≤ e < B/O, 0 ≤ o < O: as many products are summed as B has of O

Layouts   a (B_a, I, L), b (B, L, J), out (O, I, J), bias (B_a, I), real or complex, in any order of memory; sums are in
          the accumulating dtype of out.
Index map blockIdx.x → (o, i tile, j tile), j tile fastest · threadIdx.y, threadIdx.x → i, j in the tile · loops over e
          and over l in steps of `tile`; a step stages a tile of a and one of b in shared memory.
Cost      2·B·I·J·L FLOPs; an element of a is read J/tile times, one of b I/tile times.
Source    NVIDIA, "CUDA C++ Programming Guide", §3.2.4, matrix multiplication with shared memory.
"""

from functools import cache
from typing import Any

import numpy as np
from numba import cuda

from algorithms.correlation import number_of
from convbench.devices import Array, Device, Kernel
from convbench.intrinsics import unflatten_on_device

TILES = 16, 8, 32
ACCUMULATORS = {"float16": "float32", "bfloat16": "float32"}  # every other dtype accumulates in itself


def tiles_for(rows: int, columns: int) -> tuple[int, ...]:
    """Return sides of tiles for an output of rows × columns, the default first. None of them is mostly edge."""
    return TILES if min(rows, columns) > TILES[1] else TILES[1:2] + TILES[:1]


def launch_gemm(device: Device, a: Array, b: Array, bias: Array, out: Array, *, tile: int, onto: bool = False) -> None:
    """Queue the product in the phase `multiply`. With `onto` it is added to the contents of out instead of the bias."""
    batches, rows, columns = out.shape
    tiles = -(-rows // tile), -(-columns // tile)
    name = np.dtype(out.dtype).name
    device.launch(
        "multiply", make_kernel(tile, ACCUMULATORS.get(name, name), onto), batches * tiles[0] * tiles[1], (tile, tile),
        a, b, bias, out, tiles,
    )  # fmt: skip


@cache
def make_kernel(tile: int, accumulator: str, onto: bool) -> Kernel:
    """Make the kernel for square tiles of side `tile` and one accumulating dtype, for matrices of any size."""
    number = number_of(accumulator)
    shape = (tile, tile)

    @cuda.jit
    def gemm(a: Array, b: Array, bias: Array, out: Array, tiles: Any) -> None:
        """One tile of the product for each block, in any dtype.

        Excess: A complex number is loaded and stored as two parts, one after the other, so a warp takes every second
        word of its rows, and the other words next. Rows of A, B and the product begin anywhere in a sector.
        """
        # map
        _, o, i_tile, j_tile = unflatten_on_device(cuda.blockIdx.x, out.shape[0], tiles[0], tiles[1])
        i = i_tile * tile + cuda.threadIdx.y
        j = j_tile * tile + cuda.threadIdx.x
        a_tile = cuda.shared.array(shape, number)
        b_tile = cuda.shared.array(shape, number)
        total = number(0)

        for batch in range(o, b.shape[0], out.shape[0]):
            for first in range(0, a.shape[2], tile):
                # load: zeros past the edges
                a_tile[cuda.threadIdx.y, cuda.threadIdx.x] = number(0)
                b_tile[cuda.threadIdx.y, cuda.threadIdx.x] = number(0)
                if i < out.shape[1] and first + cuda.threadIdx.x < a.shape[2]:
                    a_tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[batch % a.shape[0], i, first + cuda.threadIdx.x]
                if j < out.shape[2] and first + cuda.threadIdx.y < a.shape[2]:
                    b_tile[cuda.threadIdx.y, cuda.threadIdx.x] = b[batch, first + cuda.threadIdx.y, j]
                cuda.syncthreads()
                # accumulate: zeros past the edge of l add nothing
                for l in range(tile):  # noqa: E741  (the field's letter for the summed index)
                    total += a_tile[cuda.threadIdx.y, l] * b_tile[l, cuda.threadIdx.x]
                cuda.syncthreads()  # the next step overwrites the tiles

        # store
        if i < out.shape[1] and j < out.shape[2]:
            if onto:
                out[o, i, j] += total
            else:
                out[o, i, j] = total + number(bias[o % a.shape[0], i])

    return gemm
