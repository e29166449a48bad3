"""Where tiles lie along an axis: plain functions for the host, and one of them as a device function."""

from numba import cuda


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


tile_start_on_device = cuda.jit(device=True)(tile_start)
