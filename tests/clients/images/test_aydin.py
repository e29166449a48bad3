"""aydin: its uniform filter on the GPU, by its own function, against SciPy."""

import bare
import numpy as np
import pytest
from scipy.ndimage import uniform_filter

filters = bare.module("aydin.util.fast_uniform_filter.numba_gpu_uf")


@pytest.mark.parametrize("shape", [(23, 17), (9, 12, 7), (4, 5, 6, 7)])
@pytest.mark.parametrize("size", [3, 5])
def test_a_filter(shape, size):
    image = np.random.default_rng(1).random(shape)
    found = filters.numba_gpu_uniform_filter(image, size=size)
    np.testing.assert_allclose(found, uniform_filter(image, size, mode="nearest"), rtol=1e-10)
