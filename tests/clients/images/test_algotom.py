"""algotom: its reconstruction and its shifts of images on the GPU, by its own functions, against those for the CPU."""

import numpy as np
import pytest
from algotom.rec import reconstruction
from algotom.util import correlation

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("edge_pad", [False, True])
def test_a_back_projection(edge_pad):
    sinogram, angles = RNG.random((30, 24)).astype(np.float32), np.linspace(0, np.pi, 30, dtype=np.float32)
    found = reconstruction.back_projection_gpu(sinogram, angles, 11.3, edge_pad=edge_pad)
    expected = reconstruction.back_projection_cpu(sinogram, angles, 11.3, edge_pad=edge_pad)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_back_projections_at_once():
    sinograms, angles = RNG.random((20, 3, 16)).astype(np.float32), np.linspace(0, np.pi, 20, dtype=np.float32)
    found = reconstruction.back_projection_gpu_chunk(sinograms, angles, 7.3)
    for number in range(3):
        sinogram = np.ascontiguousarray(sinograms[:, number])
        expected = reconstruction.back_projection_cpu(sinogram, angles, 7.3)
        np.testing.assert_allclose(found[:, number], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [0, 4])
def test_a_map_of_correlations(depth):
    shape = (depth, 20, 22) if depth else (20, 22)
    image, inner = RNG.random(shape), RNG.random((*shape[:-2], 14, 13))
    found = correlation.generate_correlation_map(image, inner, gpu=True)
    np.testing.assert_allclose(found, correlation.generate_correlation_map(image, inner), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("depth", "dim"), [(0, 2), (4, 1), (4, 2)])
def test_the_shift_of_each_pixel(depth, dim):
    image = RNG.random((depth, 26, 26) if depth else (26, 26))
    shifted = np.roll(image, 1, -1)
    options = {"dim": dim, "win_size": 7, "margin": 4, "norm": False}  # its kernel takes the norm of each part
    found = correlation.find_local_shifts(image, shifted, gpu=True, **options)
    expected = correlation.find_local_shifts(image, shifted, gpu=False, ncore=1, **options)
    np.testing.assert_allclose(found, expected, atol=1e-3)
