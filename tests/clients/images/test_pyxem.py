"""pyxem: templates against an image in polar coordinates at all turns, against sums of NumPy."""

import bare
import numpy as np
from numba import cuda

kernels = bare.module("pyxem.utils.cuda_utils")

THETA, R, TEMPLATES, SPOTS = 300, 25, 3, 270  # more angles and spots than a block has threads


def test_correlations():
    rng = np.random.default_rng(1)
    image = rng.random((THETA, R)).astype(np.float32)
    r, t = rng.integers(1, R, (TEMPLATES, SPOTS)), rng.integers(0, THETA, (TEMPLATES, SPOTS))
    intensity = rng.random((TEMPLATES, SPOTS)).astype(np.float32)
    found, mirrored = (cuda.to_device(np.zeros((TEMPLATES, THETA), np.float32)) for _ in range(2))
    given = (cuda.to_device(x) for x in (image, r, t, intensity))
    blocks = TEMPLATES, -(-THETA // kernels.TPB)
    kernels._correlate_polar_image_to_library_gpu[blocks, (1, kernels.TPB)](*given, found, mirrored)
    for sign, result in ((1, found), (-1, mirrored)):
        at = (sign * t[:, None, :] + np.arange(THETA)[None, :, None]) % THETA
        expected = (image[at, r[:, None, :]].astype(float) * intensity[:, None, :]).sum(-1)
        np.testing.assert_allclose(result.copy_to_host(), expected, rtol=1e-4)
