"""sarracen: its interpolation of particles to images on the GPU, by its own functions, against its backend for the CPU.

A kernel calls a function that is compiled for the CPU too.
"""

import bare
import numpy as np

for name in ("sarracen", "sarracen.interpolate"):
    bare.folder(name)
cpu = bare.module("sarracen.interpolate.cpu_backend").CPUBackend
gpu = bare.module("sarracen.interpolate.gpu_backend").GPUBackend
kernel = bare.module("sarracen.kernels.cubic_spline").CubicSplineKernel()

RNG = np.random.default_rng(1)
N = 60
X, Y, Z = RNG.uniform(0, 1, (3, N))
WEIGHT, SMOOTHING = RNG.uniform(1, 2, N), RNG.uniform(0.05, 0.2, N)
PIXELS, BOX = (20, 15), (0.0, 1.0, 0.0, 1.0)


def test_an_image():
    found, expected = (
        backend.interpolate_2d_render(
            X, Y, WEIGHT, SMOOTHING, kernel.w, kernel.get_radius(), *PIXELS, *BOX, exact=False
        )
        for backend in (gpu, cpu)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_a_line_through_a_volume():
    found, expected = (
        backend.interpolate_3d_line(
            X, Y, Z, WEIGHT, SMOOTHING, kernel.w, kernel.get_radius(), 30, 0.1, 0.9, 0.2, 0.8, 0.0, 1.0
        )
        for backend in (gpu, cpu)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
