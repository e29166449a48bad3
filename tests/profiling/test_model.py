"""The model of time: laws that it must keep, and published times of kernels that have one clear limit."""

from dataclasses import replace

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import profile
from convbench.profiling import chips, model
from support.products import tiled

TAKEN = model.Resources(32, 8192)


@cuda.jit
def conflicted(x, y):
    tile = cuda.shared.array((32, 32), float32)
    i, j = cuda.threadIdx.x, cuda.threadIdx.y
    for _ in range(100):
        tile[i, j] = x[j, i]
        cuda.syncthreads()
    y[j, i] = tile[j, i]


@pytest.fixture(scope="module")
def product():
    a = np.zeros((1024, 1024), np.float32)
    return profile(tiled, (32, 32), (32, 32), a, a.copy(), a.copy(), blocks=1)


@pytest.mark.parametrize(("gpu", "gflops"), [("a6000", 2980), ("a100", 5452), ("rtx4090", 6481)])
def test_a_product_by_tiles_takes_about_the_published_time(product, gpu, gflops):
    found = model.predict(product, TAKEN, chips.get(gpu))
    assert found.bound == "shared memory"
    assert 2 * 1024**3 / found.us / 1e3 == pytest.approx(gflops, rel=0.25)
    assert found.caption == f"predicted for {chips.get(gpu).name}, not measured"


@pytest.mark.parametrize("gpu", chips.known())
def test_every_chip_predicts(product, gpu):
    found = model.predict(product, TAKEN, chips.get(gpu))
    assert 0 < found.low_us <= found.us <= found.high_us
    assert found.low_us == pytest.approx(max(found.limits.values()) + model.LAUNCH_US)
    assert chips.get(gpu).source


@pytest.mark.parametrize(
    "change", [{"clock_mhz": 900}, {"multiprocessors": 20}, {"dram_gbytes": 1}], ids=lambda change: next(iter(change))
)
def test_a_slower_chip_is_not_faster(product, change):
    chip = chips.get("a100")
    assert model.predict(product, TAKEN, replace(chip, **change)).us > model.predict(product, TAKEN, chip).us


def test_a_conflict_is_named_with_its_line_and_what_it_costs():
    x = np.zeros((32, 32), np.float32)
    found = model.predict(profile(conflicted, 200, (32, 32), x, x.copy(), blocks=2), TAKEN, chips.get("a100"))
    assert found.bound == "shared memory"
    assert "`tile[i, j] = x[j, i]`" in found.sentence
    assert "is a 32-way conflict; without it" in found.sentence
