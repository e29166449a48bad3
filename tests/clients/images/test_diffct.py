"""diffct: its projections of an image and their adjoints, which must agree in one scalar product, and known lengths."""

import bare
import numpy as np
import pytest
from numba import cuda

bare.folder("diffct.kernels")
parallel, fan = bare.module("diffct.kernels.parallel_beam"), bare.module("diffct.kernels.fan_beam")

NX, NY, ANGLES, DETECTORS = 20, 16, 12, 24
TURNS = np.linspace(0.05, 3.1, ANGLES)
ALONG = np.column_stack([np.cos(TURNS), np.sin(TURNS)]).astype(np.float32)
ACROSS = np.column_stack([-np.sin(TURNS), np.cos(TURNS)]).astype(np.float32)
ORIGIN = (-40 * ALONG).astype(np.float32)
GRID, BLOCK = (1, 2), (16, 16)


def projected(kernels, image, sinogram, *geometry):
    """The projection of an image, and the image that its adjoint makes of a sinogram."""
    forward, backward = kernels
    sizes = (NX, NY), (ANGLES, DETECTORS)
    given = [cuda.to_device(x) if isinstance(x, np.ndarray) else x for x in geometry]
    out = cuda.to_device(np.zeros((ANGLES, DETECTORS), np.float32))
    forward[GRID, BLOCK](cuda.to_device(image), *sizes[0], out, *sizes[1], np.float32(1), *given)
    back = cuda.to_device(np.zeros((NY, NX), np.float32))
    backward[GRID, BLOCK](cuda.to_device(sinogram), *sizes[1], back, *sizes[0], np.float32(1), *given)
    return out.copy_to_host(), back.copy_to_host()


NOWHERE = np.zeros((0, 0, 2), np.float32)  # the detectors lie on a line
CENTRE = np.float32(NX / 2), np.float32(NY / 2)
PARALLEL = parallel._parallel_2d_forward_kernel, parallel._parallel_2d_backward_kernel
FAN = fan._fan_2d_forward_kernel, fan._fan_2d_backward_kernel
SOURCE = (-60 * ALONG).astype(np.float32)
BEAMS = {
    "parallel": (PARALLEL, (ALONG, ORIGIN, ACROSS)),
    "fan": (FAN, (SOURCE, (40 * ALONG).astype(np.float32), ACROSS)),
}
SPACINGS = {"one": np.float32(1), "each axis": (np.float32(1), np.float32(0.8))}


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("beam", BEAMS)
def test_the_adjoint(beam, spacing):
    rng, (kernels, geometry) = np.random.default_rng(1), BEAMS[beam]
    image, sinogram = (rng.random(size).astype(np.float32) for size in ((NY, NX), (ANGLES, DETECTORS)))
    forward, back = projected(kernels, image, sinogram, *geometry, *CENTRE, SPACINGS[spacing], NOWHERE)
    assert (forward > 0).sum() > 200
    assert np.vdot(forward, sinogram) == pytest.approx(np.vdot(image, back), rel=1e-4)


def test_the_length_of_each_ray_in_an_image_of_ones():
    kernels, geometry = BEAMS["parallel"]
    image = np.ones((NY, NX), np.float32)
    nothing = np.zeros((ANGLES, DETECTORS), np.float32)
    found, _ = projected(kernels, image, nothing, *geometry, *CENTRE, np.float32(1), NOWHERE)
    offsets = np.arange(DETECTORS) + 0.5 - DETECTORS / 2
    for angle in range(ANGLES):
        points = ORIGIN[angle] + offsets[:, None] * ACROSS[angle]
        with np.errstate(divide="ignore"):
            ends = (np.array([[-NX, -NY], [NX, NY]])[:, None] / 2 - points) / ALONG[angle]
        near, far = ends.min(0).max(1), ends.max(0).min(1)
        np.testing.assert_allclose(found[angle], np.maximum(far - near, 0), atol=1e-3)
