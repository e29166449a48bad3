"""Winograd's transforms of tiles and filters without loops: each thread has a whole tile in registers.

    U[ξν·G + g, l, m] = (G f_{m,l} Gᵀ)[ξ, ν],   V[ξν·G + g, l, t] = (Bᵀ d_{l,t} B)[ξ, ν]
    target tile t = Aᵀ M[·, m, t] A + addend,   M[ξν·G + g, m, t]                      0 ≤ ξ, ν < α, ξν = ξ·α + ν

The matrices are those of `algorithms.winograd.matrices`, with each entry rounded once. Products with 0 are left out.
The transforms compute in float32; tensors of other dtypes are converted when they are read or written.

Layouts   source (N, L, ·, ·), f (M, L/G, 3, 3), target (N, M, ·, ·), contiguous; U (α²·G, L', M'), V (α²·G, L/G, T'),
          M (α²·G, M/G, T'), contiguous float32, with T' ≥ T = N · tiles of one image, and L' ≥ L/G, M' ≥ M/G. U and V
          are zero beyond L/G, M/G and T, so that every element that is read was written.
Index map filters: blockIdx.x, threadIdx.x → (g, l, m), m fastest · inputs: blockIdx.x → (channel, 128 tiles),
          threadIdx.x → t, so that neighbouring threads write neighbours in V · outputs: the same, with a channel of the
          target. Tile t of an image is (row, column), column fastest. With dilation d the samples of a tile, and its
          outputs, are d apart.
Source    Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", arXiv 1509.09308, algorithm 1.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from numba import cuda, float32, int64, uint32

from algorithms.correlation import Correlation
from algorithms.tiling import Tiling
from algorithms.winograd.matrices import TAPS, Matrix, Transforms
from convbench.devices import Array, Kernel
from convbench.intrinsics import fast_kernel, load_1, load_1_if, static, store_1, store_2, store_4, unrolled
from convbench.problem import Pair

THREADS = 128
MOST_COUNTED = 2**32 - 1024  # tiles and channels: 32 bits also hold what whole blocks and tiles add to them
BLOCKS = 8  # in a multiprocessor, which then has 64 registers for a thread, and enough loads under way


@cache
def make_transform(matrix: Matrix) -> Any:
    """A device function: a matrix times elements of one local array, written to another array or to the same one.

    transform(given, first, step, made, place, stride) reads given[first + a · step] for each column a of the matrix and
    writes made[place + i · stride] for each row i.
    """
    terms = tuple(tuple((a, float(entry)) for a, entry in enumerate(row) if entry != 0) for row in matrix)
    rows, columns = len(matrix), len(matrix[0])

    @cuda.jit(device=True)
    @unrolled
    def transform(given: Array, first: int, step: int, made: Array, place: int, stride: int) -> None:
        values = cuda.local.array(columns, float32)
        for a in static(columns):
            values[a] = given[first + a * step]
        for i in static(rows):
            total = float32(terms[i][0][1]) * values[terms[i][0][0]]
            for term in static(1, len(terms[i])):
                total += float32(terms[i][term][1]) * values[terms[i][term][0]]
            made[place + i * stride] = total

    return transform


@cache
def make_filter_kernel(transforms: Transforms) -> Kernel:
    """The kernel that writes U, zeros beyond L/G and M/G included."""
    alpha = transforms.alpha
    transform, points = make_transform(transforms.g), alpha * alpha
    in_half, in_filter = alpha * TAPS, TAPS * TAPS

    @fast_kernel(threads=THREADS)
    def winograd_filters(filters: Array, u: Array, groups: int) -> None:
        """U, one filter of one channel for each thread.

        Excess: Neighbouring threads write neighbouring m and read filters that are L/G·9 elements apart. A thread's
        nine loads use the same two sectors, and the kernel runs once for a set of weights.
        """
        # map
        flat = int64(cuda.blockIdx.x) * int64(THREADS) + int64(cuda.threadIdx.x)
        m = flat % u.shape[2]
        l = flat // u.shape[2] % u.shape[1]  # noqa: E741  (the channel of the source)
        g = flat // (u.shape[2] * u.shape[1])
        if g >= groups:
            return  # the grid is rounded up to whole blocks
        m_per_group = filters.shape[0] // groups

        # load
        f = cuda.local.array(in_filter, float32)
        for tap in range(in_filter):
            f[tap] = float32(0)
        if m < m_per_group and l < filters.shape[1]:
            for r in range(TAPS):
                for s in range(TAPS):
                    f[r * TAPS + s] = float32(filters[g * m_per_group + m, l, r, s])

        # accumulate G f, and of that (G f) Gᵀ
        half = cuda.local.array(in_half, float32)
        made = cuda.local.array(points, float32)
        for s in range(TAPS):
            transform(f, s, TAPS, half, s, TAPS)
        for i in range(alpha):
            transform(half, i * TAPS, 1, made, i * alpha, 1)

        # store
        for point in range(points):
            u[point * groups + g, l, m] = made[point]

    return winograd_filters


@dataclass(frozen=True)
class Places:
    """The places of a correlation's tiles. The transforms take them as an argument or as constants.

    `padded_tiles` is T'. The other fields are those of `Correlation` and `Tiling`.
    """

    images: int
    sources: int
    size: Pair
    targets: int
    outputs: Pair
    padded_tiles: int
    counts: Pair
    phases: Pair
    top_left: Pair
    dilation: Pair

    @classmethod
    def of(cls, geometry: Correlation, tiling: Tiling, padded_tiles: int) -> Self:
        """The places of the tiles of a geometry."""
        return cls(
            geometry.n, geometry.sources, geometry.size, geometry.targets, geometry.outputs, padded_tiles,
            tiling.counts, tiling.phases, geometry.top_left, geometry.dilation,
        )  # fmt: skip

    @property
    def of_source(self) -> tuple[int, ...]:
        """The argument of the kernel that reads the source."""
        return self.images, self.sources, *self.size, self.padded_tiles, *self.of_tiles, *self.top_left

    @property
    def of_target(self) -> tuple[int, ...]:
        """The argument of the kernel that writes the target."""
        return self.images, self.targets, *self.outputs, self.padded_tiles, *self.of_tiles

    @property
    def of_tiles(self) -> tuple[int, ...]:
        """The part of both that `tile_place` takes, and the dilation."""
        return *self.counts, *self.phases, *self.dilation

    @property
    def is_dilated(self) -> bool:
        """Whether tiles interleave, so that their samples are not neighbours."""
        return self.dilation != (1, 1)


def miscounts(geometry: Correlation, transforms: Transforms) -> str | None:
    """The reason why kernels that count tiles and channels in 32 bits cannot compute a correlation; or None."""
    tiles = geometry.n * Tiling.of(geometry, (transforms.m, transforms.m)).per_image
    if (most := max(tiles, geometry.sources, geometry.targets)) > MOST_COUNTED:
        return f"its counts of tiles and of channels have 32 bits, and one of them reaches {most:,}"
    return None


@cuda.jit(device=True)
def tile_place(
    t: int, tile_rows: int, tile_columns: int, phases_h: int, phases_w: int, step_h: int, step_w: int
) -> tuple[int, int, int]:
    """The image of tile t of all images, and its first output in the target, by `indexing.tile_start`.

    A step is the number of outputs of one tile along an axis, times the dilation. Divisions have 32 bits: one of 64
    bits takes some hundred instructions. `miscounts` refuses problems with more tiles than they can count.
    """
    row_of_all, column = uint32(uint32(t) // uint32(tile_columns)), uint32(uint32(t) % uint32(tile_columns))
    n, row = uint32(row_of_all // uint32(tile_rows)), uint32(row_of_all % uint32(tile_rows))
    first_i = int64(uint32(row // uint32(phases_h))) * step_h + int64(uint32(row % uint32(phases_h)))
    first_j = int64(uint32(column // uint32(phases_w))) * step_w + int64(uint32(column % uint32(phases_w)))
    return int64(n), first_i, first_j


@cache
def make_input_kernel(
    transforms: Transforms, is_single: bool, is_dilated: bool, known: tuple[int, ...] | None = None
) -> Kernel:
    """The kernel that writes V, with zeros beyond T. It takes any places, or is compiled for those of `known` alone.

    Parameters
    ----------
    is_single : whether the source is float32
    """
    alpha, extent = transforms.alpha, transforms.m
    transform, points = make_transform(transforms.b_t), alpha * alpha

    @fast_kernel(threads=THREADS, blocks=BLOCKS)
    def winograd_inputs(source: Array, v: Array, places: Any) -> None:
        """V, one tile of one channel for each thread.

        Excess: Neighbouring tiles are 2 or 4 samples apart, so one load of a warp takes every second or fourth sample
        of a row. The thread's next loads take the others from the same sectors, which the L1 cache then has.
        """
        # map
        (
            images, channels, height, width, padded_tiles,
            tile_rows, tile_columns, phases_h, phases_w, dilation_h, dilation_w, top, left,
        ) = places if known is None else known  # fmt: skip
        d_h, d_w = (dilation_h, dilation_w) if is_dilated else (1, 1)
        blocks = uint32((padded_tiles + (THREADS - 1)) // THREADS)  # of a channel
        c = int64(uint32(uint32(cuda.blockIdx.x) // blocks))  # of all groups
        t = uint32(uint32(uint32(cuda.blockIdx.x) % blocks) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if t >= padded_tiles:
            return  # the grid is rounded up to whole blocks
        if is_dilated:
            n, first_i, first_j = tile_place(
                t, tile_rows, tile_columns, phases_h, phases_w, extent * dilation_h, extent * dilation_w
            )
        else:
            n, first_i, first_j = tile_place(t, tile_rows, tile_columns, 1, 1, extent, extent)
        first_h, first_w = first_i - top, first_j - left
        first = ((n * channels + c) * height + first_h) * width + first_w

        # load d: zeros outside the map, and beyond T
        d = cuda.local.array(points, float32)
        for i in range(alpha):
            is_row = n < images and 0 <= first_h + i * d_h < height
            for j in range(alpha):
                place = first + i * d_h * width + j * d_w
                if is_single:
                    d[i * alpha + j] = load_1_if(source, place, is_row and 0 <= first_w + j * d_w < width)
                else:
                    d[i * alpha + j] = float32(0)
                    if is_row and 0 <= first_w + j * d_w < width:
                        d[i * alpha + j] = float32(load_1(source, place))

        # accumulate Bᵀ d, and of that (Bᵀ d) B
        for j in static(alpha):  # `range` would stay a loop for compute capability 10.0, with d in local memory
            transform(d, uint32(j), uint32(alpha), d, uint32(j), uint32(alpha))
        for i in static(alpha):
            transform(d, uint32(i * alpha), uint32(1), d, uint32(i * alpha), uint32(1))

        # store
        place = c * padded_tiles + int64(t)
        for point in range(points):
            store_1(v, place, d[point])
            place += channels * padded_tiles

    return winograd_inputs


@cache
def make_output_kernel(transforms: Transforms, is_wide: bool, known: tuple[int, ...] | None = None) -> Kernel:
    """The kernel that writes the target. `is_wide` if the rows of every tile are whole, aligned and float32."""
    alpha, extent = transforms.alpha, transforms.m
    transform, in_half, in_tile = make_transform(transforms.a_t), extent * alpha, extent * extent

    @fast_kernel(threads=THREADS, blocks=BLOCKS)
    def winograd_outputs(products: Array, addend: Array, target: Array, places: Any) -> None:
        """The target, one tile of one channel for each thread.

        Excess: Neighbouring tiles are 2 or 4 elements apart. Where a tile may pass the end of a row, or the target is
        not float32, its elements are stored one by one, and a warp stores every second or fourth of them; the next
        stores fill the same sectors.
        """
        # map
        (
            images, channels, height, width, padded_tiles,
            tile_rows, tile_columns, phases_h, phases_w, dilation_h, dilation_w,
        ) = places if known is None else known  # fmt: skip
        d_h, d_w = (1, 1) if is_wide else (dilation_h, dilation_w)
        blocks = uint32((padded_tiles + (THREADS - 1)) // THREADS)  # of a channel
        m = int64(uint32(uint32(cuda.blockIdx.x) // blocks))  # of all groups
        t = uint32(uint32(uint32(cuda.blockIdx.x) % blocks) * uint32(THREADS) + uint32(cuda.threadIdx.x))
        if is_wide:
            n, first_p, first_q = tile_place(t, tile_rows, tile_columns, 1, 1, extent, extent)
        else:
            n, first_p, first_q = tile_place(
                t, tile_rows, tile_columns, phases_h, phases_w, extent * dilation_h, extent * dilation_w
            )
        if n >= images:
            return  # beyond T: the grid is rounded up to whole blocks, and T' to whole tiles
        first = ((n * channels + m) * height + first_p) * width + first_q

        # load, and accumulate Aᵀ M and of that (Aᵀ M) A
        column = cuda.local.array(alpha, float32)
        half = cuda.local.array(in_half, float32)
        tile = cuda.local.array(in_tile, float32)
        column_first, to_next = m * padded_tiles + int64(t), channels * padded_tiles
        for j in range(alpha):
            place = column_first
            for i in range(alpha):
                column[i] = load_1(products, place)
                place += alpha * to_next
            column_first += to_next
            transform(column, 0, 1, half, j, alpha)
        for i in range(extent):
            transform(half, i * alpha, 1, tile, i * extent, 1)

        # store where the tile is inside the target
        more = float32(addend[m])
        for i in range(extent):
            if first_p + i * d_h < height:
                place = first + i * d_h * width
                if is_wide and extent == 2:
                    store_2(target, place, (tile[i * extent] + more, tile[i * extent + 1] + more))
                elif is_wide:
                    first_two = tile[i * extent] + more, tile[i * extent + 1] + more
                    store_4(target, place, (*first_two, tile[i * extent + 2] + more, tile[i * extent + 3] + more))
                else:
                    for j in range(extent):
                        if first_q + j * d_w < width:
                            target[place + j * d_w] = tile[i * extent + j] + more

    return winograd_outputs
