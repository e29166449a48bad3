"""The kernels whose predicted times are compared with published ones: their results, and their launches."""

from itertools import pairwise

import numpy as np
import pytest

from runs import predictions_launches as launches
from runs.predictions import BLOCKS, built

N = 3000
# take the lanes of a warp to be in step, as the talk did, which neither Volta nor the emulator promises
IN_STEP = "Reduction - Unroll Last Warp", "Reduction - Completely Unrolled", "Reduction - Multiple Loads"


def run(case, first):
    """Run the launches of a case, each on what the one before has written; the results of all."""
    found, given = [], first
    for launch in case.launches:
        module, _ = built(launch, "sm_86")
        arrays = [np.zeros(size, dtype) for size, dtype in launch.arrays]
        arrays[0][:] = given
        module[launch.kernel].launch(
            launch.grid, launch.block, *arrays, *launch.numbers, shared_bytes=launch.shared_bytes
        )
        found.append(arrays)
        given = arrays[1]
    return found


def of_row(benchmark, **columns):
    return launches.case_of({"benchmark": benchmark, **{name: str(value) for name, value in columns.items()}})


@pytest.mark.parametrize("name", launches.REDUCTIONS)
def test_a_reduction_ends_with_one_sum(name):
    case = of_row(name, array_size=N, num_threads=512)
    x = np.arange(N) % 1000
    found = run(case, x)
    assert len(case.launches) == 2
    if name not in IN_STEP:
        assert found[-1][1].tolist() == [x.sum()]
    for before, after in pairwise(case.launches):
        assert before.arrays[1] == after.arrays[0]


@pytest.mark.parametrize(("elements", "passes", "waits"), [(512, 1, 1), (513, 2, 4), (1 << 18, 2, 4), (1 << 26, 3, 5)])
def test_the_passes_of_a_reduction(elements, passes, waits):
    case = of_row("Simple Reduction", array_size=elements, num_threads=512)
    assert (len(case.launches), case.waits) == (passes, waits)
    assert case.launches[-1].grid == (1,)


@pytest.mark.parametrize("name", launches.SCANS)
def test_a_block_scans_its_part_and_tells_its_sum(name):
    kernel, part, _ = launches.SCANS[name]
    case = of_row(name, num_elements=3 * part)
    x = np.arange(3 * part) % 7
    ((_, y, sums),) = run(launches.Case(case.launches[:1]), x)
    parts = x.reshape(3, part)
    assert np.array_equal(y.reshape(3, part), parts.cumsum(1))
    assert np.array_equal(sums, parts.sum(1))
    assert [launch.kernel for launch in case.launches] == [kernel, kernel, "scan_add"]


def test_a_scan_of_many_blocks_scans_sums_of_sums():
    kernels = [
        (launch.kernel, launch.grid) for launch in of_row(next(iter(launches.SCANS)), num_elements=1 << 26).launches
    ]
    scan = "scan_kogge_stone"
    assert kernels == [
        (scan, (131072,)), (scan, (256,)), (scan, (1,)), ("scan_add", (255,)), ("scan_add", (131071,)),
    ]  # fmt: skip


@pytest.mark.parametrize(("elements", "frees"), [(512, 1), (513, 1), (1 << 18, 1), (1 << 19, 2), (1 << 26, 2)])
def test_a_scan_waits_once_for_each_of_its_allocations(elements, frees):
    """It has one for each level of sums: 512 blocks have their sums scanned by one block, 1,024 need another level."""
    assert of_row(next(iter(launches.SCANS)), num_elements=elements).waits == frees


@pytest.mark.parametrize("name", ["Simple Histogram", "Histogram Shared Bins"])
def test_a_histogram_counts_every_element(name, monkeypatch):
    """The simple one has a race, as published: blocks may add before block 0 has cleared the bins. Here it is first."""
    case = of_row(name, array_size=N, num_bins=64, num_threads=128)
    module, _ = built(case.launches[0], "sm_86")
    emulator = module[case.launches[0].kernel]._emulator
    monkeypatch.setattr(emulator, "workers", 1)  # which runs one block after another
    x = np.arange(N) ** 2 % 64
    ((_, bins),) = run(case, x)
    assert np.array_equal(bins, np.bincount(x, minlength=64))


@pytest.mark.parametrize(
    "name",
    [
        "Simple Matrix Matrix Multiplication", "Matrix Matrix Multiplication with Tiles",
        "Matrix Matrix Multiplication with Rectangular Tiles",
    ],
)  # fmt: skip
def test_a_product_has_a_thread_for_each_result(name):
    """Both inputs are ones, so that each result is the number of products; halves of rectangular tiles overlap."""
    case = of_row(name, num_rows_1=48, num_threads=16)
    (launch,) = case.launches
    module, _ = built(launch, "sm_86")
    a, b, c = np.ones((48, 48), np.int32), np.ones((48, 48), np.int32), np.zeros((48, 48), np.int32)
    module[launch.kernel].launch(launch.grid, launch.block, a, b, c, *launch.numbers, shared_bytes=launch.shared_bytes)
    assert np.array_equal(c, np.full((48, 48), 48))


@pytest.mark.parametrize(
    "kernel", ["sgemm_tiles", "sgemm_registers_1d", "sgemm_registers_2d", "sgemm_vectorised", "sgemm_warp_tiles"]
)
def test_a_step_of_the_series_is_a_product(kernel):
    n, (_, block) = 128, BLOCKS[kernel]
    grid = {"sgemm_tiles": (4, 4), "sgemm_registers_1d": (2, 2)}.get(kernel, (1, 1))
    generator = np.random.default_rng(0)
    a, b = (generator.integers(-4, 5, (n, n)).astype(np.float32) for _ in range(2))
    c = np.zeros((n, n), np.float32)
    module, _ = built(launches.Launch(kernel, grid, block, (), ()), "sm_86")
    module[kernel].launch(grid, block, a, b, c, n)
    assert np.array_equal(c, a @ b)
