"""Maps and filters packed for tensor cores: words of 32 bits, channels fastest, each group padded to 16 bytes.

    packed[n, h, w, g, l] = source[n, g·L/G + l, h, w]           0 ≤ l < L/G, zeros up to a multiple of 4 words
    words[m, (r·S + s)·L_w + l] = f[m, l, r, s]                  zeros up to a multiple of 32 words

A word is a float32 rounded to TF32 or as it is, or two neighbouring float16 or bfloat16, the first in the low half; L_w
is the words of a group. Every float32 NaN becomes the quiet NaN, because rounding its bits could make it a number.

Layouts   source (N, L, H·W) and packed (N·H·W, G·L_w), both seen flat; f (M, L/G, R, S), words (M, ·); contiguous.
Index map of the map: blockIdx.x → (n, 32 pixels), blockIdx.y → (g, 32 words); threadIdx.x → pixel as it loads and
          word as it stores, threadIdx.y → 8 of the others · of filters: blockIdx.x · threads + threadIdx.x → (m, word).
Source    Harris 2013, "An efficient matrix transpose in CUDA C/C++", NVIDIA (tiles in shared memory).
"""

from functools import cache
from typing import Any, Literal

from numba import cuda, int64, uint32

from convbench.devices import Array, Device, Kernel, Phase
from convbench.intrinsics import (
    bits,
    fast_kernel,
    half_bits,
    load_1,
    load_1_if,
    round_to_tf32,
    static,
    store_1,
    unflatten_on_device,
)

u = uint32
Kind = Literal["tf32", "float32", "float16", "bfloat16"]

SIDE, ROWS, THREADS = 32, 8, 256
PITCH = SIDE + 1  # so that the words of a column lie in different banks
CHUNK = 4  # words of 16 bytes, which one copy moves
STEP = 32  # words of filters that one step of the product takes
PER_WORD: dict[Kind, int] = {"tf32": 1, "float32": 1, "float16": 2, "bfloat16": 2}
_QUIET_NAN = 0x7FC00000


def words_of_group(channels: int, kind: Kind) -> int:
    """Count the words of one group's channels at one pixel, L_w."""
    return -(-channels // (CHUNK * PER_WORD[kind])) * CHUNK


def words_of_filter(channels: int, taps: int, kind: Kind) -> int:
    """Count the words of one filter."""
    return -(-taps * words_of_group(channels, kind) // STEP) * STEP


def launch_pack_map(device: Device, kind: Kind, source: Array, packed: Array, groups: int) -> None:
    """Queue the packing of an (N, L, H, W) map; packed is flat."""
    n, channels, height, width = source.shape
    pixels, per_group = height * width, channels // groups
    words = words_of_group(per_group, kind)
    grid = n * -(-pixels // SIDE), groups * -(-words // SIDE)
    device.launch(
        "pack", make_map_kernel(kind), grid, (SIDE, ROWS),
        source.reshape(source.size), packed, groups, per_group, words, pixels,
    )  # fmt: skip


def launch_pack_filters(device: Device, phase: Phase, kind: Kind, filters: Array, words: Array) -> None:
    """Queue the packing of (M, L/G, R, S) filters into (M, ·) words."""
    grid = -(-words.size // THREADS)
    device.launch(phase, make_filter_kernel(kind), grid, THREADS, filters, words)


@cache
def make_word(kind: Kind) -> Any:
    """Make the device function that turns a number into a word, or into the low half of one."""
    if PER_WORD[kind] == 2:

        @cuda.jit(device=True)
        def of_half(value: Any) -> Any:
            return half_bits(value)

        return of_half

    if kind == "tf32":

        @cuda.jit(device=True)
        def of_rounded(value: Any) -> Any:
            return round_to_tf32(value)

        return of_rounded

    @cuda.jit(device=True)
    def of_single(value: Any) -> Any:
        return uint32(_QUIET_NAN) if value != value else bits(value)

    return of_single


@cache
def make_map_kernel(kind: Kind) -> Kernel:
    """Make the kernel that packs maps of any size."""
    word, per_word = make_word(kind), PER_WORD[kind]
    shape, passes, is_single = (SIDE, PITCH), SIDE // ROWS, per_word == 1

    @fast_kernel(threads=THREADS)
    def pack_map(
        source: Array, packed: Array, given_groups: int, given_per_group: int, given_words: int, given_pixels: int
    ) -> None:
        # map
        groups, per_group, words, pixels = u(given_groups), u(given_per_group), u(given_words), u(given_pixels)
        pixel_tiles, word_tiles = u((pixels + u(SIDE - 1)) // u(SIDE)), u((words + u(SIDE - 1)) // u(SIDE))
        n = u(u(cuda.blockIdx.x) // pixel_tiles)
        g = u(u(cuda.blockIdx.y) // word_tiles)
        first_pixel = u((u(cuda.blockIdx.x) - n * pixel_tiles) * u(SIDE))
        first_word = u((u(cuda.blockIdx.y) - g * word_tiles) * u(SIDE))
        column, line = u(cuda.threadIdx.x), u(cuda.threadIdx.y)
        tile = cuda.shared.array(shape, uint32)

        # load
        pixel = u(first_pixel + column)
        image = int64(n * groups + g) * int64(per_group) * int64(pixels) + int64(pixel)
        for number in static(passes):
            row = u(line + u(number * ROWS))
            first = u((first_word + row) * u(per_word))  # channel within the group
            at = image + int64(first) * int64(pixels)
            if is_single:
                found = word(load_1_if(source, at, (pixel < pixels) & (first < per_group)))
            else:
                found = u(0)
                for half in static(per_word):
                    if pixel < pixels and u(first + u(half)) < per_group:
                        found = u(found | (word(load_1(source, at + int64(half) * int64(pixels))) << u(16 * half)))
            tile[row, column] = found
        cuda.syncthreads()

        # store
        place = u(first_word + column)
        there = int64(u(n * pixels + first_pixel + line)) * int64(groups * words) + int64(g * words + place)
        for number in static(passes):
            row = u(line + u(number * ROWS))
            if u(first_pixel + row) < pixels and place < words:
                store_1(packed, there + int64(u(number * ROWS)) * int64(groups * words), tile[column, row])

    return pack_map


@cache
def make_filter_kernel(kind: Kind) -> Kernel:
    """Make the kernel that packs filters of any size."""
    word, per_word = make_word(kind), PER_WORD[kind]

    @cuda.jit
    def pack_filters(filters: Array, words: Array) -> None:
        """Write the filters as the words that tensor cores read, channels fastest.

        Excess: Neighbouring threads write neighbouring channels and read them R·S elements apart. The kernel runs once
        for a set of weights, and other taps of the same sectors are read soon after, from the L2 cache.
        """
        # map
        flat = cuda.blockIdx.x * THREADS + cuda.threadIdx.x
        if flat >= words.size:
            return  # the grid is rounded up to whole blocks
        channels, taps_r, taps_s = filters.shape[1], filters.shape[2], filters.shape[3]
        per_tap = (channels + CHUNK * per_word - 1) // (CHUNK * per_word) * CHUNK
        m, column = flat // words.shape[1], flat % words.shape[1]
        _, r, s, l = unflatten_on_device(column, taps_r, taps_s, per_tap)  # noqa: E741  (the word within the group)

        # load
        found = uint32(0)
        if column < taps_r * taps_s * per_tap:
            for half in range(per_word):
                if l * per_word + half < channels:
                    found |= word(filters[m, l * per_word + half, r, s]) << uint32(16 * half)

        # store
        words[m, column] = found

    return pack_filters
