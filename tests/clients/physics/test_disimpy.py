"""disimpy: its own tests of the functions for the device, unedited, and walkers against theory."""

import numpy as np
import pytest
from disimpy import gradients, simulations, substrates
from disimpy.tests import test_simulations as own

TESTS = sorted(name for name in vars(own) if name.startswith("test__cuda_"))


@pytest.fixture(autouse=True)
def _numpy_1_names(monkeypatch):
    for old, new in (("product", np.prod), ("trapz", np.trapezoid)):
        monkeypatch.setattr(np, old, new, raising=False)  # disimpy calls what NumPy 2 does not have


def test_its_tests_were_found():
    assert len(TESTS) == 11


@pytest.mark.parametrize("name", TESTS)
def test_a_function_of_the_device(name):
    getattr(own, name)()


def pulses(strengths, steps):
    gradient = np.zeros((1, 100, 3))
    gradient[0, 1:11, 0], gradient[0, -11:-1, 0] = 1, -1
    gradient = np.concatenate([gradient] * len(strengths))
    gradient, step = gradients.interpolate_gradient(gradient, 80e-3 / 99, steps)
    return gradients.set_b(gradient, step, strengths), step


def test_the_signal_of_free_walkers():
    strengths = np.linspace(1, 2e9, 4)
    gradient, step = pulses(strengths, 100)
    found = simulations.simulation(3000, 2e-9, gradient, step, substrates.free(), quiet=True)
    np.testing.assert_allclose(found / 3000, np.exp(-strengths * 2e-9), atol=0.04)


def test_walkers_stay_inside_a_mesh():
    radius = 5e-6
    corners = radius * np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)], float)
    faces = np.array([(a, b, c) for a in (0, 1) for b in (2, 3) for c in (4, 5)])
    parts = np.full(3, 5)
    mesh = substrates.mesh(corners, faces, periodic=False, init_pos="intra", n_sv=parts, quiet=True)
    gradient, step = pulses(np.array([1e9]), 60)
    signal, places = simulations.simulation(200, 2e-9, gradient, step, mesh, final_pos=True, quiet=True)
    assert 0 < signal[0] < 200
    sizes = np.abs(places - mesh.voxel_size / 2).sum(1) / radius  # an octahedron in the middle of a box
    assert 0.5 < sizes.max() <= 1 + 1e-9
