"""Tiles of a map to their spectra and back. Shared memory passes the columns' transforms to those of the rows.

    V[f, z, t] = F(d_{z,t})[ξ, ν], or its conjugate     d_{z,t} the Λ × Λ samples of tile t of channel z
    target tile t of channel z = F⁻¹(M[f, z, t]) + addend[z], of which the outputs that did not wrap around are stored
    f = (ξ − 1)·Λ + ν for 0 < ξ < Λ/2, 0 ≤ ν < Λ;   (Λ/2 − 1)·Λ + ν and Λ/2 + 1 more for ξ = 0 and Λ/2, 0 ≤ ν ≤ Λ/2

The input is real, so the other frequencies are the conjugates of these Λ²/2 + 2. Between the two transforms the rows
ξ = 0 and Λ/2 are real; in shared memory they are one complex row.

Layouts   source and target (N, Z, ·, ·), or filters (G·M', Z/G, R, S), with M' tiles of each group and one tile in each
          image; spectra (F, Z, T') of pairs (re, im) of neighbours. Tile t of a pass is at t, and tiles of zeros fill
          them up to T', a multiple of `together(Λ)`. All are contiguous float32.
Index map blockIdx.x → (z, `together` tiles), tiles fastest · columns: threadIdx.x, then threadIdx.x + THREADS → (tile,
          column w), w fastest, so that a warp reads and writes neighbours of the map · rows: threadIdx.x → (ξ, tile),
          tile fastest, so that a warp reads and writes neighbours of a spectrum.
Cost      a column of a tile takes about (5/4)·Λ·log₂Λ FLOPs, a row twice that. Spectra have as many bytes as the tiles.
Source    Vasilache et al. 2015, "fbfft", arXiv 1412.7580, §5 (small transforms in registers), §6 (tiling); Oppenheim &
          Schafer, "Discrete-time signal processing", §8.7.3 (overlap-save).
"""

from functools import cache
from typing import Any

from numba import cuda, float32, int32, int64, uint32

from algorithms.fft.registers import make_fft, make_real_join, make_real_split
from algorithms.indexing import tile_start_on_device
from algorithms.tiling import Tiling
from convbench.devices import Array, Kernel
from convbench.intrinsics import fast_kernel, load_1_if, load_2, static, store_1, store_2
from convbench.problem import Pair

THREADS = 128
BLOCKS = 5  # in a multiprocessor, with 96 registers a thread, which 32 complex numbers and their sums take

# The distances from row to row and from tile to tile, in complex numbers of shared memory. Half a warp makes its
# accesses of 8 bytes together. Modulo 16, its 16 tiles are an odd distance apart, or its 8 tiles are 2 apart and its
# two rows 1. So it meets every bank once.
PITCHES = {16: (16, 16 // 2 * 16 + 1), 32: (33, 32 // 2 * 33 + 2)}


def frequencies(length: int) -> int:
    """F: the frequencies of a real tile of length × length that are not the conjugate of another."""
    return length**2 // 2 + 2


def together(length: int) -> int:
    """Tiles of a block: a thread has two of their columns, and one of their rows."""
    return 2 * THREADS // length


# Channels, height and width of the map. Then along both axes: tiles, tiles that interleave, outputs of a tile, top and
# left, dilation, and the spread of a source or the stride of a target. Last T' and Z.
Sizes = tuple[int, ...]


def sizes_of(
    shape: tuple[int, ...], tiling: Tiling, *, top_left: Pair, step: Pair, row: int, channels: int
) -> Sizes:  # fmt: skip
    """The `Sizes` that the kernels take, for a map (N, Z, ·, ·) in tiles."""
    pairs = tiling.counts, tiling.phases, tiling.extent, top_left, tiling.dilation, step
    return (*shape[1:], *(size for pair in pairs for size in pair), row, channels)


@cache
def make_spectra_kernel(length: int, known: Sizes | None = None) -> Kernel:
    """The kernel that writes V of inputs, or of filters, by `sign` −1, its conjugate. Only inputs may be `known`."""
    is_dense = known is not None and known[13:15] == (1, 1)
    fft_column, split, fft_row = make_fft(length // 2), make_real_split(length), make_fft(length)
    half, tiles, (row_pitch, tile_pitch) = length // 2, together(length), PITCHES[length]
    columns, shared = length * tiles, 2 * tiles * tile_pitch
    real_rows = (half - 1) * length  # the first frequency of rows 0 and Λ/2

    @fast_kernel(threads=THREADS, blocks=BLOCKS)
    def fft_spectra(
        source: Array, spectra: Array, sizes: Any, pass_first: int, pass_tiles: int, sign: int
    ) -> None:  # fmt: skip
        """The spectra of the tiles of a block, from the map or from the filters.

        Excess: The columns of a tile are neighbours in a row of the map, or of a filter, which is shorter. They begin
        anywhere in a sector. The thread's next rows use the rest of it.
        """
        # map: the block's channel z and its tiles, in columns first and then in rows
        (
            channels, height, width, tile_rows, tile_columns, phases_h, phases_w, extent_h, extent_w, top, left,
            d_h, d_w, e_h, e_w, row, all_channels,
        ) = sizes if known is None else known  # fmt: skip
        factor = float32(sign) if known is None else float32(1)
        blocks = uint32(uint32(row) // uint32(tiles))
        z = uint32(uint32(cuda.blockIdx.x) // blocks)
        first_tile = uint32(uint32(uint32(cuda.blockIdx.x) % blocks) * uint32(tiles))
        thread = uint32(cuda.threadIdx.x)
        rows = cuda.shared.array(shared, float32, alignment=16)  # for accesses of two elements
        re = cuda.local.array(length, float32)
        im = cuda.local.array(length, float32)

        for more in range(0, columns, THREADS):
            # map: the thread's column of a tile, as the image n and the place (h, w) of its first sample
            w_in_tile = uint32(uint32(thread + uint32(more)) % uint32(length))
            in_block = uint32(uint32(thread + uint32(more)) // uint32(length))
            tile = uint32(first_tile + in_block)
            place = uint32(uint32(pass_first) + tile)
            across, down = uint32(place % uint32(tile_columns)), uint32(place // uint32(tile_columns))
            # z counts the channels of all groups, and a group's filters are the tiles of a pass
            n = int64(uint32(down // uint32(tile_rows))) + int64(uint32(z // uint32(channels))) * int64(pass_tiles)
            down = uint32(down % uint32(tile_rows))
            h = int32(tile_start_on_device(down, uint32(extent_h), uint32(d_h), uint32(phases_h)) - int32(top))
            w = int32(tile_start_on_device(across, uint32(extent_w), uint32(d_w), uint32(phases_w)) - int32(left))
            w = int32(w + int32(int32(w_in_tile) * int32(d_w)))
            is_there = tile < uint32(pass_tiles)
            h_step, beyond, beyond_step = int32(d_h), int32(0), int32(0)
            if not is_dense:  # now h and w count elements of the source; the sample lies `beyond` below element h
                is_there = is_there and w % int32(e_w) == 0
                w = int32(w // int32(e_w))
                h, beyond = int32(h // int32(e_h)), int32(h % int32(e_h))
                h_step, beyond_step = int32(h_step // int32(e_h)), int32(h_step % int32(e_h))
            is_there = is_there and uint32(w) < uint32(width)
            channel = n * int64(channels) + int64(uint32(z % uint32(channels)))
            column = channel * int64(height) * int64(width) + int64(w)
            # load: re and im hold the even and odd samples, zeros past the map and past the last tile
            for pair in range(half):
                for part in static(2):
                    is_sample = is_there and uint32(h) < uint32(height) and beyond == int32(0)
                    value = load_1_if(source, column + int64(h) * int64(width), is_sample)
                    if part == 0:
                        re[pair] = value
                    else:
                        im[pair] = value
                    h = int32(h + h_step)
                    if not is_dense:
                        beyond = int32(beyond + beyond_step)
                        if beyond >= int32(e_h):
                            beyond, h = int32(beyond - int32(e_h)), int32(h + int32(1))
            # accumulate: `rows` has the column's spectrum, an element in each row ξ
            fft_column(re, im)
            split(re, im)
            to = uint32(uint32(in_block * uint32(tile_pitch)) + w_in_tile)
            for xi in range(half):
                store_2(rows, uint32(uint32(2) * uint32(to + uint32(xi * row_pitch))), (re[xi], im[xi]))
        cuda.syncthreads()

        # accumulate: re and im hold the spectrum of the thread's row ξ of a tile
        in_block, xi = uint32(thread % uint32(tiles)), uint32(thread // uint32(tiles))
        begin = uint32(uint32(in_block * uint32(tile_pitch)) + uint32(xi * uint32(row_pitch)))
        for nu in range(length):
            re[nu], im[nu] = load_2(rows, uint32(uint32(2) * uint32(begin + uint32(nu))))
        fft_row(re, im)

        # store the row, or, of ξ = 0, rows 0 and Λ/2, whose spectra are the two symmetric parts of the one of their sum
        step = int64(2) * int64(row) * int64(all_channels)
        to_spectra = int64(2) * (int64(z) * int64(row) + int64(uint32(first_tile + in_block)))
        if xi == uint32(0):
            to_spectra += int64(real_rows) * step
            for nu in range(half + 1):
                other = (length - nu) % length
                low = float32(0.5) * (re[nu] + re[other]), float32(0.5) * (im[nu] - im[other]) * factor
                high = float32(0.5) * (im[nu] + im[other]), float32(0.5) * (re[other] - re[nu]) * factor
                store_2(spectra, to_spectra, low)
                store_2(spectra, to_spectra + int64(half + 1) * step, high)
                to_spectra += step
        else:
            to_spectra += int64(uint32(uint32(xi - uint32(1)) * uint32(length))) * step
            for nu in range(length):
                store_2(spectra, to_spectra, (re[nu], im[nu] * factor))
                to_spectra += step

    return fft_spectra


@cache
def make_tiles_kernel(length: int, known: Sizes | None = None) -> Kernel:
    """The kernel that writes the target tiles from M, of any sizes or of `known` ones."""
    is_dense = known is not None and known[13:15] == (1, 1)
    fft_column, join, fft_row = make_fft(length // 2), make_real_join(length), make_fft(length)
    half, tiles, (row_pitch, tile_pitch) = length // 2, together(length), PITCHES[length]
    columns, shared = length * tiles, 2 * tiles * tile_pitch
    real_rows = (half - 1) * length
    scale = 1 / length**2  # a power of two

    @fast_kernel(threads=THREADS, blocks=BLOCKS)
    def fft_tiles(
        spectra: Array, addend: Array, target: Array, sizes: Any, pass_first: int, pass_tiles: int
    ) -> None:  # fmt: skip
        # map: the block's channel z and its tiles, in rows first and then in columns
        (
            channels, height, width, tile_rows, tile_columns, phases_h, phases_w, extent_h, extent_w, _, _,
            d_h, d_w, stride_h, stride_w, row, all_channels,
        ) = sizes if known is None else known  # fmt: skip
        blocks = uint32(uint32(row) // uint32(tiles))
        z = uint32(uint32(cuda.blockIdx.x) // blocks)
        first_tile = uint32(uint32(uint32(cuda.blockIdx.x) % blocks) * uint32(tiles))
        thread = uint32(cuda.threadIdx.x)
        rows = cuda.shared.array(shared, float32, alignment=16)  # for accesses of two elements
        re = cuda.local.array(length, float32)
        im = cuda.local.array(length, float32)

        # load the row ξ of a tile's spectrum, or, of ξ = 0, rows 0 and Λ/2, whose inverses are real and become one row
        in_block, xi = uint32(thread % uint32(tiles)), uint32(thread // uint32(tiles))
        step = int64(2) * int64(row) * int64(all_channels)
        place = int64(2) * (int64(z) * int64(row) + int64(uint32(first_tile + in_block)))
        if xi == uint32(0):
            place += int64(real_rows) * step
            for nu in range(half + 1):
                low_re, low_im = load_2(spectra, place)
                high_re, high_im = load_2(spectra, place + int64(half + 1) * step)
                other = (length - nu) % length
                re[other], im[other] = low_re + high_im, high_re - low_im
                re[nu], im[nu] = low_re - high_im, high_re + low_im
                place += step
        else:
            place += int64(uint32(uint32(xi - uint32(1)) * uint32(length))) * step
            for nu in range(length):
                re[nu], im[nu] = load_2(spectra, place)
                place += step
        # accumulate: `rows` has the row transformed back
        fft_row(im, re)
        begin = uint32(uint32(in_block * uint32(tile_pitch)) + uint32(xi * uint32(row_pitch)))
        for w in range(length):
            store_2(rows, uint32(uint32(2) * uint32(begin + uint32(w))), (re[w], im[w]))
        cuda.syncthreads()

        offset = addend[z]
        for more in range(0, columns, THREADS):
            # accumulate: re and im hold the even and odd elements of the thread's column of a tile
            w_in_tile = uint32(uint32(thread + uint32(more)) % uint32(length))
            in_block = uint32(uint32(thread + uint32(more)) // uint32(length))
            begin = uint32(uint32(in_block * uint32(tile_pitch)) + w_in_tile)
            for xi_read in range(half):
                re[xi_read], im[xi_read] = load_2(rows, uint32(uint32(2) * uint32(begin + uint32(xi_read * row_pitch))))
            join(re, im)
            fft_column(im, re)

            # map: the image n and the place (p, q) of the column's first output
            tile = uint32(first_tile + in_block)
            at = uint32(uint32(pass_first) + tile)
            across, down = uint32(at % uint32(tile_columns)), uint32(at // uint32(tile_columns))
            n = uint32(down // uint32(tile_rows))
            down = uint32(down % uint32(tile_rows))
            p = int32(tile_start_on_device(down, uint32(extent_h), uint32(d_h), uint32(phases_h)))
            q = int32(tile_start_on_device(across, uint32(extent_w), uint32(d_w), uint32(phases_w)))
            q = int32(q + int32(int32(w_in_tile) * int32(d_w)))
            is_there = tile < uint32(pass_tiles) and w_in_tile < uint32(extent_w)
            p_step, beyond, beyond_step = int32(d_h), int32(0), int32(0)
            if not is_dense:  # now p and q count stored outputs; the dense one lies `beyond` below output p
                is_there = is_there and q % int32(stride_w) == 0
                q = int32(q // int32(stride_w))
                p, beyond = int32(p // int32(stride_h)), int32(p % int32(stride_h))
                p_step, beyond_step = int32(p_step // int32(stride_h)), int32(p_step % int32(stride_h))
            is_there = is_there and q < int32(width)
            column = (int64(n) * int64(channels) + int64(z)) * int64(height) * int64(width) + int64(q)
            # store the outputs that did not wrap around and that the stride keeps
            for pair in range(half):
                for part in static(2):
                    value = re[pair] if part == 0 else im[pair]
                    is_output = is_there and uint32(2 * pair + part) < uint32(extent_h) and beyond == int32(0)
                    if is_output and p < int32(height):
                        store_1(target, column + int64(p) * int64(width), value * float32(scale) + offset)
                    p = int32(p + p_step)
                    if not is_dense:
                        beyond = int32(beyond + beyond_step)
                        if beyond >= int32(stride_h):
                            beyond, p = int32(beyond - int32(stride_h)), int32(p + int32(1))

    return fft_tiles
