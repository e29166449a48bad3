"""Where the tiles of a map begin: plain functions for the host, and device functions for kernels."""

from typing import Any

from numba import cuda

from convbench.intrinsics import unflatten_on_device


def tile_start(tile: int, extent: int, dilation: int, phases: int) -> int:
    """The first stride-1 output of a tile along one axis. The tile has `extent` outputs, `dilation` apart.

    Tiles come in groups of `phases` that interleave: tile 0 holds outputs 0, d, 2d, …, tile 1 outputs 1, 1 + d, ….
    """
    return tile // phases * (extent * dilation) + tile % phases


def tile_phases(outputs: int, dilation: int) -> int:
    """How many tiles interleave: as many as the dilation, or as many as there are outputs if those are fewer."""
    return min(outputs, dilation)


def tile_count(outputs: int, extent: int, dilation: int) -> int:
    """How many such tiles cover the stride-1 outputs of one axis: at most two for each output."""
    return -(-outputs // (extent * dilation)) * tile_phases(outputs, dilation)


tile_start_on_device = cuda.jit(device=True)(tile_start)


@cuda.jit(device=True)
def find_tile(flat: int, channels: int, tiles: Any, phases: Any, extent: Any, dilation: Any) -> Any:
    """Map a flat number, column of tiles fastest, to the image, the channel, the tile, and its first output (i, j).

    The tile is a number among those of all images. `tiles`, `phases`, `extent` and `dilation` are (rows, columns), as
    in `algorithms.tiling`.
    """
    n, channel, row, column = unflatten_on_device(flat, channels, tiles[0], tiles[1])
    first_i = tile_start_on_device(row, extent[0], dilation[0], phases[0])
    first_j = tile_start_on_device(column, extent[1], dilation[1], phases[1])
    return n, channel, (n * tiles[0] + row) * tiles[1] + column, first_i, first_j
