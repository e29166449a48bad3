"""abtem: its kernels for images of atoms, by its own functions, against NumPy.

They take arrays of CuPy there, and of NumPy here.
"""

import sys
from itertools import pairwise

import bare
import numpy as np
import pytest

bare.stand_in("cupy", **vars(np))
kernels = bare.module("abtem.core._cuda")
del sys.modules["cupy"]  # other packages see that it is absent

RNG = np.random.default_rng(1)


def test_crops():
    images, corners = RNG.random((4, 40, 50)), RNG.integers(0, 8, (4, 2))
    found = kernels.batch_crop_2d(images, corners, (31, 37))
    expected = [image[x : x + 31, y : y + 37] for image, (x, y) in zip(images, corners, strict=True)]
    np.testing.assert_array_equal(found, expected)


def test_sums_of_runs():
    values, ends = RNG.random((3, 100)), np.array([0, 4, 4, 37, 99])
    found = np.zeros((3, 4))
    kernels.sum_run_length_encoded(values, found, ends)
    expected = [[row[a:b].sum() for a, b in pairwise(ends)] for row in values]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("atoms", [1, 7])
def test_radial_functions_on_a_grid(atoms):
    sampling, radii = np.array([0.2, 0.25]), np.geomspace(0.05, 2, 30)
    places = RNG.uniform(0, 6, (atoms, 2))
    values = RNG.random((atoms, 30))
    slopes = np.diff(values) / np.diff(radii)
    disk = np.array([(x, y) for x in range(-9, 10) for y in range(-7, 8)])
    counts = RNG.integers(100, len(disk), atoms)
    found = np.zeros((32, 28))
    kernels.interpolate_radial_functions(found, places, disk, counts, sampling, radii, values, slopes)
    expected = np.zeros_like(found)
    for place, own, count in zip(places, values, counts, strict=True):
        for pixel in np.round(place / sampling).astype(int) + disk[:count]:
            if (pixel >= 0).all() and (pixel < found.shape).all():
                r = np.hypot(*(pixel * sampling - place))
                expected[tuple(pixel)] += np.interp(r, radii, own) if r < radii[-1] else 0
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
