"""Index arithmetic that kernels share: plain functions for the host, and the same as device functions.

Every index is 64 bits wide in a kernel (Numba widens to it), so that none of these can overflow.
"""

from numba import cuda


def unflatten(flat: int, size_1: int, size_2: int, size_3: int) -> tuple[int, int, int, int]:
    """The four indices of a flat one, the last fastest: (N, K, P, Q) or any other four axes."""
    i3 = flat % size_3
    i2 = flat // size_3 % size_2
    i1 = flat // (size_3 * size_2) % size_1
    i0 = flat // (size_3 * size_2 * size_1)
    return i0, i1, i2, i3


def tile_start(tile: int, extent: int, dilation: int, phases: int) -> int:
    """The first of the `extent` stride-1 outputs, `dilation` apart, that a tile along one axis holds.

    Tiles come in groups of `phases` that interleave: tile 0 holds outputs 0, d, 2d, …, tile 1 outputs 1, 1 + d, ….
    """
    return tile // phases * (extent * dilation) + tile % phases


def tile_phases(outputs: int, dilation: int) -> int:
    """How many tiles interleave: as many as the dilation, unless there are fewer outputs to begin at."""
    return min(outputs, dilation)


def tile_count(outputs: int, extent: int, dilation: int) -> int:
    """How many such tiles cover the stride-1 outputs of one axis: at most two for each output."""
    return -(-outputs // (extent * dilation)) * tile_phases(outputs, dilation)


unflatten_on_device = cuda.jit(device=True)(unflatten)
tile_start_on_device = cuda.jit(device=True)(tile_start)
