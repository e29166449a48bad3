"""The launches of the published benchmarks, by a row of their tables: grids, blocks, arrays, and what else is timed.

How they were timed is read from the benchmarks (`*_bench.cu`) and from NVBench (`measure_cold.cuh`, `l2flush.cuh`):

- A time is that of one run between two events. Before it, NVBench fills a buffer as large as the L2 cache, so that the
  run begins with a cache full of lines that the memory still lacks.
- A reduction repeats its launch until one sum is left. Before each launch it copies one vector of thrust into another
  and resizes one. The host waits for each of these (NVIDIA/cccl, pull request 3149, tells that copies do so).
- A scan of many blocks scans their sums, too, and adds them. The host allocates the sums and frees them in each step of
  its recursion. Freeing waits for the GPU (NVIDIA's blog, "Fast, flexible allocation for NVIDIA CUDA with RAPIDS
  Memory Manager").
- All inputs are zeros, because thrust's vectors are. So all elements of a histogram are in one bin.
- Rectangular tiles are launched with a block for each half tile, which is four times as many as needed.
"""

from typing import NamedTuple

Shape = tuple[int, ...]


class Launch(NamedTuple):
    kernel: str
    grid: Shape
    block: Shape
    arrays: tuple[tuple[int, str], ...]  # elements and dtypes
    numbers: tuple[int, ...]
    shared_bytes: int = 0


class Case(NamedTuple):
    """One run of a benchmark."""

    launches: tuple[Launch, ...]
    waits: int = 0  # how often the host waits for work on the GPU between the events


def up(size: int, by: int) -> int:
    return -(-size // by)


def square(
    kernel: str, n: int, block: int, arrays: str, numbers: Shape = (), *, mask: int = 0, shared: int = 0
) -> Case:
    """A launch for n by n elements, in square blocks."""
    sizes = [(n * n, arrays)] * 3 if not mask else [(n * n, arrays), (mask, arrays), (n * n, arrays)]
    grid = up(n, block), up(n, block)
    return Case((Launch(kernel, grid, (block, block), tuple(sizes), numbers or (n,), shared),))


ONE_DIMENSION = {
    "Convolution 1D Basic": "convolution_1d",
    "Convolution 1D Constant Memory": "convolution_1d_constant",
    "Convolution 1D Tiled": "convolution_1d_tiled",
    "Convolution 1D Tiled and Caching": "convolution_1d_tiled_and_cached",
}
TWO_DIMENSIONS = {
    "Convolution 2D Basic": "convolution_2d",
    "Convolution 2D Constant Memory": "convolution_2d_constant",
    "Convolution 2D Tiled": "convolution_2d_tiled",
}
REDUCTIONS = {  # and how many elements a thread loads
    "Simple Reduction": ("reduction_simple", 1),
    "Reduction - Adjacent Threads": ("reduction_adjacent", 1),
    "Reduction - Sequential Addressing": ("reduction_sequential", 1),
    "Reduction - Two Loads per Thread": ("reduction_two_loads", 2),
    "Reduction - Unroll Last Warp": ("reduction_last_warp", 2),
    "Reduction - Completely Unrolled": ("reduction_unrolled", 2),
    "Reduction - Multiple Loads": ("reduction_many_loads", 2),
}
SCANS = {  # elements and words of shared memory of a block of 512 threads
    "Hierarchical Scan Kogge-Stone": ("scan_kogge_stone", 512, 1024),
    "Hierarchical Scan Brent-Kung": ("scan_brent_kung", 1024, 2048),
    "Hierarchical Scan Three-Phase": ("scan_three_phases", 4096, 4096),
}


def case_of(row: dict[str, str]) -> Case | None:
    """The launches of a published time; None if we have no kernel for it."""
    name = row["benchmark"].partition(" (")[0]
    n = int(row.get("axis_size") or 0)
    if name in ("Coalesced", "Not Coalesced"):
        return square("add_coalesced" if name == "Coalesced" else "add_by_columns", n, 16, "f4")
    if name == "Image to Grayscale":
        arrays = (3 * n * n, "u1"), (n * n, "u1")
        return Case((Launch("greyscale", (up(n, 16), up(n, 16)), (16, 16), arrays, (n,)),))
    if name == "Simple Matrix Vector Multiplication":
        rows, columns, block = int(row["num_rows"]), int(row["num_cols"]), int(row["num_threads"])
        arrays = (rows * columns, "i4"), (columns, "i4"), (rows, "i4")
        return Case((Launch("matrix_vector", (up(rows, block),), (block,), arrays, (rows, columns)),))
    if "Matrix Matrix" in name:
        return product(name, int(row["num_rows_1"]), int(row["num_threads"]))
    if name in ONE_DIMENSION:
        size, width, block = int(row["array_size"]), int(row["mask_width"]), int(row["block_dim"])
        mask = ((width, "f4"),) if name.endswith("Basic") else ()
        arrays = (size, "f4"), *mask, (size, "f4")
        return Case((Launch(ONE_DIMENSION[name], (up(size, block),), (block,), arrays, (size, width)),))
    if name in TWO_DIMENSIONS:
        sizes = (int(row[column]) for column in ("mask_width", "num_channels", "block_axis_dim"))
        return two_dimensions(name, n, *sizes)
    if name in REDUCTIONS:
        return reduction(*REDUCTIONS[name], int(row["array_size"]), int(row["num_threads"]))
    if name in SCANS:
        launches = tuple(scan(*SCANS[name], int(row["num_elements"])))
        return Case(launches, waits=max(sum(launch.kernel == "scan_add" for launch in launches), 1))
    if "Histogram" in name:
        size, bins, block = int(row["array_size"]), int(row["num_bins"]), int(row["num_threads"])
        kernel, shared = ("histogram", 0) if name.startswith("Simple") else ("histogram_of_blocks", 4 * bins)
        arrays = (size, "u4"), (bins, "u4")
        return Case((Launch(kernel, (up(size, block),), (block,), arrays, (size, bins), shared),))
    return None


def product(name: str, n: int, block: int) -> Case:
    tile = 4 * block * block
    if name.startswith("Simple"):
        return square("matrix_product", n, block, "i4")
    if "Rectangular" not in name:
        return square("matrix_product_tiles", n, block, "i4", shared=2 * tile)
    grid = up(n, block // 2), up(n, block)
    return Case((Launch("matrix_product_wide_tiles", grid, (block, block), ((n * n, "i4"),) * 3, (n,), 3 * tile),))


def two_dimensions(name: str, n: int, width: int, channels: int, block: int) -> Case:
    image, numbers = (n * n * channels, "f4"), (n, width, channels)
    results = block - width + 1 if name.endswith("Tiled") else block
    mask = ((width * width, "f4"),) if name.endswith("Basic") else ()
    shared = 4 * block * block if name.endswith("Tiled") else 0
    grid = up(n, results), up(n, results)
    return Case((Launch(TWO_DIMENSIONS[name], grid, (block, block), (image, *mask, image), numbers, shared),))


def reduction(kernel: str, loads: int, size: int, block: int) -> Case:
    launches = []
    while not launches or size > 1:
        blocks = up(size, block * loads)
        launches.append(Launch(kernel, (blocks,), (block,), ((size, "i4"), (blocks, "i4")), (size,)))
        size = blocks
    # a copy of one element; if there are more sums, they are filled and copied in two parts; then a copy for each pass
    return Case(tuple(launches), waits=1 if len(launches) == 1 else len(launches) + 2)


def scan(kernel: str, part: int, words: int, size: int) -> list[Launch]:
    def one(size: int, blocks: int) -> Launch:
        numbers = (size, words) if kernel == "scan_three_phases" else (size,)
        arrays = (size, "i4"), (size, "i4"), (blocks, "i4")
        return Launch(kernel, (blocks,), (512,), arrays, numbers, 4 * words)

    blocks = up(size, part)
    launches = [one(size, blocks)]
    if blocks > 1:
        launches += scan(kernel, part, words, blocks) if blocks > part else [one(blocks, 1)]
        arrays = (size - part, "i4"), (blocks, "i4")
        launches.append(Launch("scan_add", (blocks - 1,), (512,), arrays, (size - part, part)))
    return launches
