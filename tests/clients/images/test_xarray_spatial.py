"""xarray-spatial: its CUDA kernels, launched as its functions launch them, against its functions for NumPy.

Its own functions take arrays of CuPy there. The kernels are called directly, with its own block sizes.
"""

import math
from importlib import import_module

import numpy as np
import pytest
import xarray as xr
from numba import cuda
from xrspatial.utils import cuda_args

# the package has functions of the same names in its own name space
aspect, classify, convolution, curvature, focal, hillshade, multispectral, perlin, slope = (
    import_module(f"xrspatial.{name}")
    for name in (
        "aspect", "classify", "convolution", "curvature", "focal", "hillshade", "multispectral", "perlin", "slope",
    )
)  # fmt: skip

ROWS, COLUMNS = 23, 31
TERRAIN = (np.random.default_rng(1).random((ROWS, COLUMNS)) * 100).astype(np.float32)
BANDS = [np.random.default_rng(seed).random((ROWS, COLUMNS)).astype(np.float32) + 0.1 for seed in range(3)]
MASK = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.float32)
GRID = xr.DataArray(TERRAIN, dims=["y", "x"], attrs={"res": (1.0, 1.0)})


def run(kernel, *args, shape=TERRAIN.shape):
    out = cuda.to_device(np.full(shape, np.nan, np.float32))
    griddim, blockdim = cuda_args(shape)
    kernel[griddim, blockdim](*[cuda.to_device(x) if isinstance(x, np.ndarray) else x for x in args], out)
    return out.copy_to_host()


def one(value):
    return np.array([value], np.float32)


def test_slope():
    found = run(slope._run_gpu, TERRAIN, one(1), one(1))
    np.testing.assert_allclose(found, slope.slope(GRID).data, rtol=1e-4)


def test_aspect():
    np.testing.assert_allclose(run(aspect._run_gpu, TERRAIN), aspect.aspect(GRID).data, rtol=1e-4, atol=1e-3)


def test_curvature():
    np.testing.assert_allclose(run(curvature._run_gpu, TERRAIN, one(1)), curvature.curvature(GRID).data, rtol=1e-3)


def test_hillshade():
    altitude, azimuth = 25 * math.pi / 180, (360 - 225) * math.pi / 180
    out = cuda.to_device(np.full(TERRAIN.shape, np.nan, np.float32))
    griddim, blockdim = cuda_args(TERRAIN.shape)
    hillshade._gpu_calc_numba[griddim, blockdim](
        cuda.to_device(TERRAIN), out, math.sin(altitude), math.cos(altitude), azimuth
    )
    np.testing.assert_allclose(out.copy_to_host(), hillshade.hillshade(GRID).data, rtol=1e-3)


def test_convolution():
    found = run(convolution._convolve_2d_cuda, TERRAIN, MASK)
    np.testing.assert_allclose(found, convolution.convolve_2d(TERRAIN, MASK), rtol=1e-4)


def test_mean():
    found = run(focal._mean_gpu, TERRAIN, np.array([np.nan], np.float32))
    np.testing.assert_allclose(found, focal.mean(GRID).data, rtol=1e-4)


@pytest.mark.parametrize("name", ["min", "max", "range", "std", "var", "sum", "mean"])
def test_focal_statistics(name):
    found = run(getattr(focal, f"_focal_{name}_cuda"), TERRAIN, MASK)
    expected = focal.focal_stats(GRID, MASK.astype(float), stats_funcs=[name]).data[0]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("kernel", "function", "bands", "more"),
    [
        ("_arvi_gpu", "_arvi_cpu", 3, ()),
        ("_evi_gpu", "_evi_cpu", 3, (6.0, 7.5, 1.0, 2.5)),
        ("_gci_gpu", "_gci_cpu", 2, ()),
        ("_normalized_ratio_gpu", "_normalized_ratio_cpu", 2, ()),
        ("_savi_gpu", "_savi_cpu", 2, (1.0,)),
        ("_sipi_gpu", "_sipi_cpu", 3, ()),
        ("_ebbi_gpu", "_ebbi_cpu", 3, ()),
    ],
)
def test_bands(kernel, function, bands, more):
    found = run(getattr(multispectral, kernel), *BANDS[:bands], *more)
    expected = getattr(multispectral, function)(*BANDS[:bands], *more)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_classes():
    values = np.array([1.0, 2.0], np.float32)
    classes = np.round(TERRAIN / 30).astype(np.float32)
    found = run(classify._run_gpu_binary, classes, values)
    np.testing.assert_array_equal(found, classify.binary(xr.DataArray(classes), [1, 2]).data)


def test_bins():
    bins, values = np.array([25, 50, 100], np.float32), np.array([1, 2, 3], np.float32)
    found = run(classify._run_gpu_bin, TERRAIN, bins, values)
    np.testing.assert_array_equal(found, classify.reclassify(GRID, bins=[25, 50, 100], new_values=[1, 2, 3]).data)


def test_noise():
    table = np.random.default_rng(5).permutation(2**20).astype(np.int32)
    table = np.append(table, table)
    found = run(perlin._perlin_gpu, table, 0.0, 1.0, 0.0, 1.0, 1.0)
    x, y = (
        np.linspace(0, 1, COLUMNS, endpoint=False, dtype=np.float32),
        np.linspace(0, 1, ROWS, endpoint=False, dtype=np.float32),
    )
    expected = perlin._perlin(table, *np.meshgrid(x, y))
    np.testing.assert_allclose(found, expected, atol=1e-4)
