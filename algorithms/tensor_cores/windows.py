"""The copies of the products on tensor cores: steps of packed filters and windows, 16 bytes in each copy.

    step `now`   words 32·now to 32·now + 31 of a filter, t = (r·S + s)·L_w + l; zeros beyond the last tap
    filter row   m → f[m, t]; zeros beyond the filters of the group
    window row   o = (n·I + i)·J + j → x[n, h, w, g, l], h = i·u − top + r·d_h, w = j·v − left + s·d_w; zeros where h or
                 w is not divisible by the spread, or outside of the map, or o beyond the outputs

Layouts   f (M, ·) and x (N·H·W, G·L_w) in words, as `algorithms.tensor_cores.packing` writes them. In shared memory
          rows of 128 bytes, each of eight pieces of 16 bytes. Piece i of row r lies at i xor (r mod 8), so that one
          piece of eight rows spreads over all banks. This is the 128-byte swizzle that wgmma reads.
Index map threadIdx.x → row threadIdx.x // 8 and every `rows`-th after it, piece threadIdx.x mod 8.
Source    PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory Layout", for the swizzle.
"""

from functools import cache
from typing import Any

from numba import cuda, int32, int64, uint32

from algorithms.correlation import Correlation
from algorithms.tensor_cores.packing import CHUNK, STEP, Kind, words_of_filter, words_of_group
from convbench.devices import Array
from convbench.intrinsics import copy_async_16_if, static, unrolled

u = uint32
CHUNKS = 8  # of 16 bytes in a row of a tile
FAR = -(2**30)  # a row that no tap brings into the map


def sizes_of(geometry: Correlation, tile_m: int, tile_o: int, kind: Kind) -> tuple[int, ...]:
    """Return the sizes that the kernels take, in their order. The grid is groups times both numbers of tiles."""
    outputs = geometry.n * geometry.outputs[0] * geometry.outputs[1]
    taps = geometry.taps[0] * geometry.taps[1]
    words = words_of_group(geometry.sources_per_group, kind)
    return (
        *geometry.size, *geometry.outputs, geometry.n, geometry.targets_per_group, geometry.groups, taps,
        geometry.taps[1], words // CHUNK, words_of_filter(geometry.sources_per_group, taps, kind),
        -(-geometry.targets_per_group // tile_m), -(-outputs // tile_o),
        *geometry.stride, *geometry.top_left, *geometry.dilation, *geometry.spread,
    )  # fmt: skip


@cache
def make_copies(
    rows: int, f_passes: int, x_passes: int, is_spread: bool, baked: tuple[int, ...] | None
) -> tuple[Any, Any, Any]:
    """Make the device functions that find a thread's windows, and that copy its part of a step of filters and windows.

    Parameters
    ----------
    rows : rows of a tile that all threads copy at a time
    f_passes, x_passes : how often the threads copy so many rows for a tile of filters, and for one of windows
    baked : the sizes of `sizes_of` if they are constants of the kernel; else None
    """
    pass_words, row_words, next_row = rows * STEP, STEP, rows

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def find_windows(first_row: Any, given: Any, begin: Array, h_first: Array, w_first: Array) -> None:
        """Of each output that this thread copies: its image's first row among all images', and where its taps begin."""
        sizes = given if baked is None else baked
        height, outputs_j, images = u(sizes[0]), u(sizes[3]), u(sizes[4])
        pixels = u(u(sizes[2]) * outputs_j)
        for number in static(x_passes):
            o = u(first_row + u(number * next_row))
            n = u(o // pixels)
            within = u(o - n * pixels)
            i = u(within // outputs_j)
            j = u(within - i * outputs_j)
            begin[number] = int32(n * height)
            h_first[number] = int32(FAR) if n >= images else int32(int32(i) * int32(sizes[13]) - int32(sizes[15]))
            w_first[number] = int32(int32(j) * int32(sizes[14]) - int32(sizes[16]))

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def copy_filters(shared: Array, to: Any, f: Array, first_row: Any, g: Any, now: Any, given: Any) -> None:
        """Begin to copy step `now` of filters to the tile at `to`."""
        sizes = given if baked is None else baked
        per_group, filter_words = u(sizes[5]), u(sizes[10])
        row, chunk = u(u(cuda.threadIdx.x) >> u(3)), u(u(cuda.threadIdx.x) & u(7))
        column = u(now * u(CHUNKS) + chunk)
        copied = u(to + row * u(row_words) + ((chunk ^ (row & u(7))) << u(2)))
        for number in static(f_passes):
            m = u(first_row + u(number * next_row))
            here = int64(g * per_group + m) * int64(filter_words) + int64(column * u(4))
            copy_async_16_if(shared, u(copied + u(number * pass_words)), f, here, m < per_group)

    @cuda.jit(device=True, forceinline=True)
    @unrolled
    def copy_windows(
        shared: Array, to: Any, x: Array, begin: Array, h_first: Array, w_first: Array, g: Any, now: Any, given: Any
    ) -> None:
        """Begin to copy step `now` of windows to the tile at `to`."""
        sizes = given if baked is None else baked
        height, width, groups = u(sizes[0]), u(sizes[1]), u(sizes[6])
        taps, taps_s, chunks = u(sizes[7]), u(sizes[8]), u(sizes[9])
        row, chunk = u(u(cuda.threadIdx.x) >> u(3)), u(u(cuda.threadIdx.x) & u(7))
        column = u(now * u(CHUNKS) + chunk)
        tap = u(column // chunks)
        r = u(tap // taps_s)
        s = u(tap - r * taps_s)
        down, right = int32(int32(r) * int32(sizes[17])), int32(int32(s) * int32(sizes[18]))
        offset = int64(g * chunks + column - tap * chunks) * int64(4)
        copied = u(to + row * u(row_words) + ((chunk ^ (row & u(7))) << u(2)))
        for number in static(x_passes):
            h, w = int32(h_first[number] + down), int32(w_first[number] + right)
            ok = tap < taps
            if is_spread:
                ok &= (h >= int32(0)) & (w >= int32(0))
                ok &= (u(h) % u(sizes[19]) == u(0)) & (u(w) % u(sizes[20]) == u(0))
                h, w = int32(u(h) // u(sizes[19])), int32(u(w) // u(sizes[20]))
            ok &= (u(h) < height) & (u(w) < width)
            pixel = u((u(begin[number]) + u(h)) * width + u(w))
            here = int64(pixel) * int64(groups * chunks * u(4)) + offset
            copy_async_16_if(shared, u(copied + u(number * pass_words)), x, here, ok)

    return find_windows, copy_filters, copy_windows
