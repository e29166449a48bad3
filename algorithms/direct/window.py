"""Direct convolution with a window in registers: a thread slides over a row of the map and reads each element once.

    target[n,m,i,j] = addend[m] + Σ_l Σ_r Σ_s halo[l', i'·u + r·d_h, j'·v + s·d_w] · packed[l', r, s, m']
                      0 ≤ l < L/G, 0 ≤ r < R, 0 ≤ s < S; i = tile_i·a + i', j = tile_j·b + j', m = tile_m·e + m' in its
                      group, l = channels·step + l'; forward and backward_data as in `algorithms.correlation`

Layouts   source (N, L, ·, ·), target (N, M, ·, ·), both flat and contiguous float32; packed filters (G, m tiles, L/G
          rounded up to `channels`, R, S, tile_m), zeros where a group has no such filter or channel, so that the
          filters of one step are contiguous. In dynamic shared memory two stages, each a halo (channels, halo_h,
          halo_w) and filters (channels, R, S, tile_m).
Index map blockIdx.x → (n, g, i tile, j tile, m tile), m tile fastest: neighbours share a halo while the cache has it ·
          threadIdx.x → (i', segment of `pixels` neighbours in j', group of filters), the last fastest: then eight
          neighbours read one place of the halo and 128 bytes of filters in a row, and no two of them one bank · loops
          over steps, l', r, s, then the thread's pixels × its filters, which are groups of four m' apart from each
          other.
Copies    A step's halo and filters arrive by cp.async while the step before is multiplied.
Cost      2·N·M·L/G·P·Q·R·S FLOPs; a row of the window is loaded once for all S taps of all the thread's filters.
Source    NVIDIA 2007, V. Podlozhnyuk, "Image convolution with CUDA" (tiles with an apron); Volkov 2010, "Better
          performance at lower occupancy", GTC (several outputs for each thread, held in registers).
"""

from functools import cache
from typing import Any

from numba import boolean, cuda, float32, int32, int64, uint32

from algorithms.direct.window_shapes import Layout, WindowConfig
from convbench.devices import Array, Kernel
from convbench.intrinsics import (
    commit_copies,
    copy_async_4_if,
    copy_async_16,
    fast_kernel,
    load_1,
    static,
    store_1,
    store_4,
    unrolled,
    wait_copies_1,
)
from convbench.problem import Pair

# rows of taps that are written out: more outgrow the instruction cache, and a loop costs least where taps are many
MOST_WRITTEN_ROWS = 5


@cache
def make_window_kernel(
    config: WindowConfig, taps: Pair, stride: Pair, dilation: Pair, known: tuple[int, ...] | None, is_quad: bool,
    is_wide: bool,
) -> Kernel:  # fmt: skip
    """Make the kernel of a config for filters, strides and dilations of these sizes.

    Parameters
    ----------
    known : the sizes in the order of `window_shapes.sizes_of`, baked in; None for a kernel that takes them as its last
        argument
    is_quad : whether rows of the target are multiples of four elements, so that four can be stored at once
    is_wide : whether places within the channels of one step need 64 bits
    """
    layout = Layout.of(config, taps, stride, dilation)
    (u, v), halo_w = stride, layout.halo[1]
    tile_m, tile_i, tile_j, channels, threads = (
        config.tile_m, config.tile_i, config.tile_j, config.channels, config.threads,
    )  # fmt: skip
    segments, filter_groups = tile_j // config.pixels, tile_m // config.filters
    pixels, sums, filter_tile = config.pixels, config.pixels * config.filters, layout.filter_elements
    stage, plane_copies = layout.source_elements + filter_tile, -(-layout.plane // threads)
    offset = int64 if is_wide else int32
    load = make_load(config, layout, known)
    accumulate = make_accumulate(config, layout, taps, stride, dilation)
    store = make_store(config, known, is_quad)

    @fast_kernel(threads=threads, blocks=config.blocks)
    def direct_tiled_window(source: Array, packed: Array, addend: Array, target: Array, sizes: Any) -> None:
        """One tile of the target for each block, a window of the map in registers.

        Excess: Four lanes have the same pixels and other filters. So a load of the addend, and a store of one pixel of
        each thread, touch the planes of four channels or more, and every eighth pixel of them; the thread's next stores
        fill these sectors. A store of four pixels is half a sector, and the next store fills it. Rows of the window
        are copied from anywhere in a sector. Pairs of words that all lanes read in one pass come from several rows of
        the window, two of which may lie in the same banks.
        """
        # map, the block: its tile of the target
        given = sizes if known is None else known
        height = int32(given[0])
        width = int32(given[1])
        rows = uint32(given[2])
        columns = uint32(given[3])
        top = int32(given[4])
        left = int32(given[5])
        l_per_group = int32(given[6])
        m_per_group = uint32(given[7])
        groups = uint32(given[8])
        m_tiles = uint32((m_per_group + uint32(tile_m - 1)) // uint32(tile_m))
        i_tiles = uint32((rows + uint32(tile_i - 1)) // uint32(tile_i))
        j_tiles = uint32((columns + uint32(tile_j - 1)) // uint32(tile_j))
        steps = int32((l_per_group + int32(channels - 1)) // int32(channels))
        plane = int64(height) * int64(width)
        tile = uint32(cuda.blockIdx.x)
        m_tile = uint32(tile % m_tiles)
        tile = uint32(tile // m_tiles)
        j_tile = uint32(tile % j_tiles)
        tile = uint32(tile // j_tiles)
        i_tile = uint32(tile % i_tiles)
        tile = uint32(tile // i_tiles)
        g = uint32(tile % groups)
        n = uint32(tile // groups)

        # map, the sums: the thread's first filter, its row and its first column within the tile
        thread = uint32(cuda.threadIdx.x)
        m_in_tile = uint32(uint32(thread % uint32(filter_groups)) * uint32(4))
        pixel_group = uint32(thread // uint32(filter_groups))
        i_in_tile = uint32(pixel_group // uint32(segments))
        j_in_tile = uint32(uint32(pixel_group % uint32(segments)) * uint32(pixels))
        total = cuda.local.array(sums, float32)
        for place in range(sums):
            total[place] = float32(0)

        # map, the copies: which elements of the halo the thread copies, and where those of the next step begin
        first_h = int32(i_tile * uint32(tile_i * u)) - top
        first_w = int32(j_tile * uint32(tile_j * v)) - left
        tiles = cuda.shared.array(0, float32, alignment=16)  # NVVM then joins loads of four neighbours
        places = cuda.local.array(plane_copies, offset)
        inside = cuda.local.array(plane_copies, boolean)
        for copy in range(plane_copies):
            element = uint32(thread + uint32(copy * threads))
            h = int32(first_h + int32(element // uint32(halo_w)))
            w = int32(first_w + int32(element % uint32(halo_w)))
            places[copy] = offset(offset(h) * offset(width) + offset(w))
            inside[copy] = uint32(h) < uint32(height) and uint32(w) < uint32(width)
        source_next = int64(n * groups + g) * int64(l_per_group) * plane
        packed_next = int64(g * m_tiles + m_tile) * int64(steps) * int64(filter_tile) + int64(thread * uint32(4))
        missing_l = l_per_group  # channels that nobody has begun to copy

        for step in range(int32(steps + int32(1))):
            if step < steps:
                to = uint32(0) if step & int32(1) == int32(0) else uint32(stage)
                load(tiles, to, source, source_next, plane, places, inside, missing_l, packed, packed_next)
                source_next += int64(channels) * plane
                packed_next += int64(filter_tile)
                missing_l = int32(missing_l - int32(channels))
            commit_copies()
            if step > int32(0):
                wait_copies_1()
                cuda.syncthreads()  # the copies of all threads for the step before have landed
                begin = uint32(stage) if step & int32(1) == int32(0) else uint32(0)
                accumulate(tiles, begin, i_in_tile, j_in_tile, m_in_tile, total)
                cuda.syncthreads()  # the step after the next overwrites this stage

        i = uint32(i_tile * uint32(tile_i) + i_in_tile)
        j = uint32(j_tile * uint32(tile_j) + j_in_tile)
        store(target, addend, total, n, g, uint32(m_tile * uint32(tile_m) + m_in_tile), i, j, sizes)

    return direct_tiled_window


@cache
def make_load(config: WindowConfig, layout: Layout, known: tuple[int, ...] | None) -> Any:
    """Load: make the device function that begins a thread's copies of one step's halo and filters."""
    channels, threads = config.channels, config.threads
    plane_tile, source_tile, filter_tile = layout.plane, layout.source_elements, layout.filter_elements
    plane_copies, filter_copies = -(-plane_tile // threads), -(-(filter_tile // 4) // threads)
    all_l = known is not None and known[6] % channels == 0

    @cuda.jit(device=True, inline="always")
    @unrolled
    def load(
        tiles: Array, to: Any, source: Array, source_next: Any, plane: Any, places: Array, inside: Array,
        missing_l: Any, packed: Array, packed_next: Any,
    ) -> None:  # fmt: skip
        """Fill the stage that begins at `to`, with zeros where the map or the group has no such element."""
        thread = uint32(cuda.threadIdx.x)
        for l in range(channels):  # noqa: E741  (the channel of the source)
            for copy in range(plane_copies):
                if (copy + 1) * threads <= plane_tile or thread < uint32(plane_tile - copy * threads):
                    copy_async_4_if(
                        tiles, uint32(to + thread + uint32(l * plane_tile + copy * threads)),
                        source, source_next + int64(places[copy]) + int64(l) * plane,
                        inside[copy] and (all_l or int32(l) < missing_l),
                    )  # fmt: skip
        for copy in range(filter_copies):
            if (copy + 1) * threads * 4 <= filter_tile or thread < uint32(filter_tile // 4 - copy * threads):
                copy_async_16(
                    tiles, uint32(to + thread * uint32(4) + uint32(source_tile + copy * threads * 4)),
                    packed, packed_next + int64(copy * threads * 4),
                )  # fmt: skip

    return load


@cache
def make_accumulate(config: WindowConfig, layout: Layout, taps: Pair, stride: Pair, dilation: Pair) -> Any:
    """Accumulate: make the device function that adds the products of one step to a thread's sums."""
    (count_r, count_s), (u, v), (d_h, d_w) = taps, stride, dilation
    tile_m, channels, pixels, filters_each = config.tile_m, config.channels, config.pixels, config.filters
    halo_w, window, plane_tile, source_tile = layout.halo[1], 4 * layout.vectors, layout.plane, layout.source_elements
    between = filters_between(config)
    written_r = count_r if count_r <= MOST_WRITTEN_ROWS else 1  # rows of taps that are written out

    @cuda.jit(device=True, inline="always")
    @unrolled
    def accumulate(tiles: Array, begin: Any, i_in_tile: Any, j_in_tile: Any, m_in_tile: Any, total: Array) -> None:
        """Slide the thread's window over the stage that begins at `begin`; a row is loaded once for all its taps."""
        xs = cuda.local.array(window, float32)
        fs = cuda.local.array(filters_each, float32)
        x_place = int64(uint32(begin + i_in_tile * uint32(u * halo_w) + j_in_tile * uint32(v)))
        f_place = int64(uint32(begin + uint32(source_tile) + m_in_tile))
        for _ in range(int32(channels)):
            for _ in range(int32(count_r // written_r)):
                for r in static(written_r):
                    for place in range(window):
                        xs[place] = load_1(tiles, x_place + int64(r * d_h * halo_w + place))
                    for s in static(count_s):
                        for f in range(filters_each):
                            fs[f] = load_1(
                                tiles, f_place + int64((r * count_s + s) * tile_m + f // 4 * between + f % 4)
                            )
                        for pixel in range(pixels):
                            for f in range(filters_each):
                                total[pixel * filters_each + f] += xs[pixel * v + s * d_w] * fs[f]
                x_place += int64(written_r * d_h * halo_w)
                f_place += int64(written_r * count_s * tile_m)
            x_place += int64(plane_tile - count_r * d_h * halo_w)

    return accumulate


@cache
def make_store(config: WindowConfig, known: tuple[int, ...] | None, is_quad: bool) -> Any:
    """Store: make the device function that writes a thread's sums, with the addend of their channel."""
    tile_m, tile_i, tile_j, pixels, filters_each = (
        config.tile_m, config.tile_i, config.tile_j, config.pixels, config.filters,
    )  # fmt: skip
    between = filters_between(config)
    all_m = known is not None and known[7] % tile_m == 0
    all_i, all_j = (known is not None and known[a] % tile == 0 for a, tile in ((2, tile_i), (3, tile_j)))

    @cuda.jit(device=True, inline="always")
    @unrolled
    def store(
        target: Array, addend: Array, total: Array, n: Any, g: Any, first_m: Any, i: Any, j: Any, sizes: Any
    ) -> None:
        """Write `pixels` outputs of row i, from column j on, for each filter; `first_m` is the first in the group."""
        given = sizes if known is None else known
        rows, columns, m_per_group, groups = uint32(given[2]), uint32(given[3]), uint32(given[7]), uint32(given[8])
        if all_i or i < rows:
            for f in range(filters_each):
                m = uint32(first_m + uint32(f // 4 * between + f % 4))
                if all_m or m < m_per_group:
                    m_of_all = uint32(g * m_per_group + m)
                    more = load_1(addend, m_of_all)
                    row = (int64(n) * int64(groups * m_per_group) + int64(m_of_all)) * int64(rows) + int64(i)
                    to_place = row * int64(columns) + int64(j)
                    for first in static(0, pixels, 4):
                        if is_quad:
                            if all_j or j + uint32(first) < columns:
                                store_4(
                                    target, to_place + int64(first),
                                    (
                                        total[first * filters_each + f] + more,
                                        total[(first + 1) * filters_each + f] + more,
                                        total[(first + 2) * filters_each + f] + more,
                                        total[(first + 3) * filters_each + f] + more,
                                    ),
                                )  # fmt: skip
                        else:
                            for pixel in static(first, first + 4):
                                if j + uint32(pixel) < columns:
                                    store_1(target, to_place + int64(pixel), total[pixel * filters_each + f] + more)

    return store


def filters_between(config: WindowConfig) -> int:
    """Filters from the first of one group of four of a thread to the first of its next group."""
    return config.tile_m // (config.filters // 4)
