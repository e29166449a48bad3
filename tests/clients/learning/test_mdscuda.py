"""mdscuda: its distances and products, by its own functions, against SciPy and NumPy."""

import numpy as np
import pytest
from mdscuda import minkowski, utils
from numba import cuda
from scipy.spatial.distance import pdist

X = np.random.default_rng(1).random((37, 21)).astype(np.float32)
WEIGHTS = np.random.default_rng(2).random(21).astype(np.float32)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_distances(p, tiled):
    pairs = minkowski.minkowski_pairs_tiled if tiled else minkowski.minkowski_pairs
    np.testing.assert_allclose(pairs(X, p=p, sqform=False), pdist(X, "minkowski", p=p), rtol=1e-4)


def test_weighted_distances():
    found = minkowski.minkowski_pairs(X, p=3, w=WEIGHTS, sqform=False)
    np.testing.assert_allclose(found, pdist(X, "minkowski", p=3, w=WEIGHTS), rtol=1e-4)


@pytest.mark.parametrize("name", ["matmul", "matmul_tiled"])
def test_products(name):
    y = np.ascontiguousarray(X.T[:, :29])
    np.testing.assert_allclose(getattr(minkowski, name)(X, y), X @ y, rtol=1e-5)


def test_euclidean_distances():
    found = cuda.device_array(37 * 18, np.float32)
    utils.euclidean_pairs_gpu[(3, 3), (16, 16)](cuda.to_device(X), found)
    np.testing.assert_allclose(found.copy_to_host(), pdist(X), rtol=1e-5)
