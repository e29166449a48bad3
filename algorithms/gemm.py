"""Batched matrix product with a bias, the multiply step that several algorithms share.

    out[b, i, j] = bias[b mod B_a, i] + Σ_l a[b mod B_a, i, l] · b[b, l, j]        0 ≤ i < I, 0 ≤ j < J, 0 ≤ l < L

Layouts   a (B_a, I, L), b (B, L, J), out (B, I, J), bias (B_a, I), contiguous, of one dtype, real or complex.
Index map blockIdx.x → (batch, i tile, j tile), j tile fastest · threadIdx.y, threadIdx.x → i, j in the tile · loop
          over l in steps of `tile`; a step stages a tile of a and one of b in shared memory.
Cost      2·B·I·J·L FLOPs; an element of a is read J/tile times, one of b I/tile times.
Source    NVIDIA, "CUDA C++ Programming Guide", §3.2.4, matrix multiplication with shared memory.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import cuda
from numba.cuda import types
from numba.cuda.np import numpy_support

from algorithms.indexing import unflatten_on_device
from convbench.devices.device import Array, Device, Kernel

TILES = 16, 8, 32


def tiles_for(rows: int, columns: int) -> tuple[int, ...]:
    """Sides of tiles worth trying for an output of rows × columns, the default first: none that is mostly edge."""
    return TILES if min(rows, columns) > TILES[1] else TILES[1:2] + TILES[:1]


def launch_gemm(device: Device, a: Array, b: Array, bias: Array, out: Array, *, tile: int) -> None:
    """Queue out[b] = a[b mod B_a] @ b[b] + bias; the phase is `multiply`."""
    batches, rows, columns = out.shape
    tiles = -(-rows // tile), -(-columns // tile)
    device.launch(
        "multiply", make_kernel(tile, np.dtype(out.dtype)), batches * tiles[0] * tiles[1], (tile, tile),
        a, b, bias, out, tiles,
    )  # fmt: skip


@cache
def make_kernel(tile: int, dtype: npt.DTypeLike) -> Kernel:
    """The kernel for square tiles of `tile` and one dtype, for matrices of any size."""
    number: types.Number = numpy_support.from_dtype(dtype)
    shape = (tile, tile)

    @cuda.jit
    def gemm(a: Array, b: Array, bias: Array, out: Array, tiles: tuple[int, int]) -> None:
        # map
        _, batch, i_tile, j_tile = unflatten_on_device(cuda.blockIdx.x, out.shape[0], tiles[0], tiles[1])
        shared_batch = batch % a.shape[0]
        i = i_tile * tile + cuda.threadIdx.y
        j = j_tile * tile + cuda.threadIdx.x
        a_tile = cuda.shared.array(shape, number)
        b_tile = cuda.shared.array(shape, number)
        total = number(0)

        for first in range(0, a.shape[2], tile):
            # load: zeros past the edges
            a_tile[cuda.threadIdx.y, cuda.threadIdx.x] = number(0)
            b_tile[cuda.threadIdx.y, cuda.threadIdx.x] = number(0)
            if i < out.shape[1] and first + cuda.threadIdx.x < a.shape[2]:
                a_tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[shared_batch, i, first + cuda.threadIdx.x]
            if j < out.shape[2] and first + cuda.threadIdx.y < a.shape[2]:
                b_tile[cuda.threadIdx.y, cuda.threadIdx.x] = b[batch, first + cuda.threadIdx.y, j]
            cuda.syncthreads()
            # accumulate: zeros past the edge of l add nothing
            for l in range(tile):  # noqa: E741  (the field's letter for the summed index)
                total += a_tile[cuda.threadIdx.y, l] * b_tile[l, cuda.threadIdx.x]
            cuda.syncthreads()  # the next step overwrites the tiles

        # store
        if i < out.shape[1] and j < out.shape[2]:
            out[batch, i, j] = total + bias[shared_batch, i]

    return gemm
