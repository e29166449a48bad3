"""Shuffles inside segments of a warp, narrower than numba-cuda's own, against the CUDA C++ Programming Guide.

numba-cuda's shuffles always span the warp. The instruction has more: PTX ISA, "shfl.sync", operand c holds the mask of
a segment, and how far a source may lie; nvcc makes it of `width` in `__shfl_sync(mask, value, source, width)`.
"""

import numpy as np
import pytest
from numba import cuda
from numba.cuda.extending import intrinsic
from numba.cuda.intrinsics import shfl_sync_intrinsic

from convbench.emulator import Emulator

WARP, EVERYBODY = 32, 0xFFFFFFFF
MODES = ("index", "up", "down", "xor")
WIDTHS = (1, 4, 16, 32)
EMULATOR = Emulator(workers=1)


def shuffle_of(mode, width):
    """A kernel: y is this shuffle of x by by[0] lanes."""
    c = (WARP - width) << 8 | (0 if mode == "up" else WARP - 1)

    @intrinsic
    def shuffle(typingctx, mask, value, by):
        return shfl_sync_intrinsic(typingctx, mask, MODES.index(mode), value, by, c)

    @cuda.jit
    def kernel(x, by, y):
        i = cuda.threadIdx.x
        y[i] = shuffle(EVERYBODY, x[i], by[0])

    return kernel


def source_of(lane, mode, width, by):
    """The lane whose value a lane gets: "Warp Shuffle Functions", where a segment is called a subsection."""
    first = lane // width * width
    if mode == "index":
        return first + by % width
    source = {"up": lane - by, "down": lane + by, "xor": lane ^ by}[mode]
    if mode == "xor":
        return source if source < first + width else lane  # earlier segments can be read, later ones cannot
    return source if first <= source < first + width else lane


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_shuffle_stays_in_its_segment(mode, width):
    kernel, x = shuffle_of(mode, width), np.arange(WARP, dtype=np.int32) * 7
    for by in range(WARP):
        y = np.zeros(WARP, np.int32)
        EMULATOR.launch(kernel, 1, WARP, x, np.array([by], np.int32), y)
        assert y.tolist() == [7 * source_of(lane, mode, width, by) for lane in range(WARP)]


@pytest.mark.parametrize(
    ("mode", "own"),
    [("index", cuda.shfl_sync), ("up", cuda.shfl_up_sync), ("down", cuda.shfl_down_sync), ("xor", cuda.shfl_xor_sync)],
)
def test_numba_cudas_own_shuffles_are_those_of_the_whole_warp(mode, own):
    @cuda.jit
    def kernel(x, by, y):
        i = cuda.threadIdx.x
        y[i] = own(EVERYBODY, x[i], by[0])

    x = np.arange(WARP, dtype=np.float64) / 3
    for by in (0, 1, 5, 31):
        y = np.zeros(WARP)
        EMULATOR.launch(kernel, 1, WARP, x, np.array([by], np.int32), y)
        assert y.tolist() == [x[source_of(lane, mode, WARP, by)] for lane in range(WARP)]
