"""datashader: its kernels, with its own block sizes, against its functions for NumPy.

Its canvas needs CuPy and cuDF there, so the kernels are called directly.
"""

from math import nan

import numpy as np
import pytest
from datashader import utils
from datashader.transfer_functions import _cuda_utils as gpu
from numba import cuda

RNG = np.random.default_rng(1)
SHAPES = {"3d": (6, 7), "4d": (5, 6, 3)}


def sorted_pixels(shape, n, order):
    """`n` values for each pixel in the order of a reduction, of which some are missing."""
    values = RNG.permutation(np.prod(shape) * n * 2)[: np.prod(shape) * n].reshape(*shape, n)
    values = np.sort(values.astype(float))[..., ::order]
    values = np.ascontiguousarray(values)
    values[np.arange(n) >= RNG.integers(0, n + 1, shape)[..., None]] = nan
    return values


@pytest.mark.parametrize("dimensions", SHAPES)
@pytest.mark.parametrize("name", ["nanmax_n", "nanmin_n", "row_max_n", "row_min_n"])
def test_merging_the_best_of_each_pixel(name, dimensions):
    shape = SHAPES[dimensions]
    ret, other = (sorted_pixels(shape, 4, -1 if "max" in name else 1) for _ in range(2))
    if "row" in name:
        ret, other = (np.nan_to_num(pixels, nan=-1).astype(np.int64) for pixels in (ret, other))
    expected = ret.copy()
    getattr(utils, f"{name}_in_place_{dimensions}")(expected, other)
    found = cuda.to_device(ret)
    y, x, *more = shape
    kernel = getattr(gpu, f"cuda_{name}_in_place_{dimensions}")
    kernel[gpu.cuda_args((x, y, *more))](found, cuda.to_device(other))
    np.testing.assert_array_equal(found.copy_to_host(), expected)


def test_merging_rows():
    ret, other = (RNG.integers(-1, 50, (5, 6, 3)) for _ in range(2))
    expected = ret.copy()
    utils.row_min_in_place(expected, other)
    found = cuda.to_device(ret)
    gpu.cuda_row_min_in_place[gpu.cuda_args((6, 5, 3))](found, cuda.to_device(other))
    np.testing.assert_array_equal(found.copy_to_host(), expected)


def test_clipping():
    data, mask = RNG.standard_normal((20, 30)), RNG.random((20, 30)) < 0.3
    found = cuda.to_device(data)
    gpu.masked_clip_2d(found, cuda.to_device(mask), -0.5, 0.5)
    np.testing.assert_array_equal(found.copy_to_host(), np.where(mask, data, data.clip(-0.5, 0.5)))


def test_interpolation():
    x, xp = RNG.uniform(-1, 11, (20, 30)), np.sort(RNG.uniform(0, 10, 12))
    x[3, 4] = nan
    fp, out = RNG.random(12), cuda.device_array((20, 30))
    gpu.interp2d_kernel[gpu.cuda_args(x.shape)](*map(cuda.to_device, (x, xp, fp)), -7.0, 8.0, out)
    np.testing.assert_allclose(out.copy_to_host(), np.interp(x, xp, fp, -7.0, 8.0), rtol=1e-12)


@cuda.jit
def add_in_turn(mutex, total, count):
    i = cuda.grid(1)
    if i < count:
        gpu.cuda_mutex_lock(mutex, 0)
        total[0] += i
        gpu.cuda_mutex_unlock(mutex, 0)


def test_a_mutex():
    mutex, total = (cuda.to_device(np.zeros(1, np.int32)) for _ in range(2))
    add_in_turn[4, 32](mutex, total, 100)
    assert total.copy_to_host()[0] == sum(range(100))
