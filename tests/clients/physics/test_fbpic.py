"""fbpic: its kernels of particles, unedited, against its functions for the CPU.

Without CuPy it does not define its decorator `compile_cupy`, which wraps `numba.cuda.jit`: that stands in its place.
"""

import fbpic.utils.cuda
import numpy as np
import pytest
from numba import cuda
from scipy.constants import e, m_e

fbpic.utils.cuda.compile_cupy = cuda.jit

from fbpic.fields import cuda_methods as fields  # noqa: E402
from fbpic.particles.deposition import cuda_methods_unsorted as deposition  # noqa: E402
from fbpic.particles.deposition import threading_methods as cpu_deposition  # noqa: E402
from fbpic.particles.gathering import cuda_methods as gathering  # noqa: E402
from fbpic.particles.gathering import cuda_methods_one_mode as gathering_one  # noqa: E402
from fbpic.particles.gathering import threading_methods as cpu_gathering  # noqa: E402
from fbpic.particles.gathering import threading_methods_one_mode as cpu_gathering_one  # noqa: E402
from fbpic.particles.push import cuda_methods as push  # noqa: E402
from fbpic.particles.push import numba_methods as cpu_push  # noqa: E402

N, NZ, NR = 300, 16, 12
RNG = np.random.default_rng(1)
FIELDS = np.array([[1e10]] * 3 + [[30.0]] * 3)  # volts for each metre, and tesla


def launch(kernel, *args, n=N):
    """Launch with one thread for each particle, and return the arrays as they are afterwards."""
    given = [cuda.to_device(x) if isinstance(x, np.ndarray) else x for x in args]
    kernel[-(-n // 64), 64](*given)
    return [x.copy_to_host() for x in given if hasattr(x, "copy_to_host")]


def particles():
    x, y = RNG.uniform(-0.9 * NR, 0.9 * NR, (2, N)) / np.sqrt(2)
    z = RNG.uniform(1, NZ - 1, N)
    return x, y, z


def momenta():
    ux, uy, uz = RNG.standard_normal((3, N))
    return ux, uy, uz, 1 / np.sqrt(1 + ux**2 + uy**2 + uz**2)


def mesh():
    return RNG.standard_normal((NZ, NR)) + 1j * RNG.standard_normal((NZ, NR))


def test_positions():
    place, (ux, uy, uz, inv_gamma) = particles(), momenta()
    found = launch(push.push_x_gpu, *place, ux, uy, uz, inv_gamma, 1e-9, 1.0, 1.0, 1.0)
    mine = [x.copy() for x in place]
    cpu_push.push_x_numba(*mine, ux, uy, uz, inv_gamma, N, 1e-9, 1.0, 1.0, 1.0)
    for x, expected in zip(found, mine, strict=False):
        np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_momenta():
    state, field = momenta(), list(RNG.standard_normal((6, N)) * FIELDS)
    found = launch(push.push_p_gpu, *state, *field, -e, m_e, N, 1e-15)
    mine = [x.copy() for x in state]
    cpu_push.push_p_numba(*mine, *field, -e, m_e, N, 1e-15)
    for x, expected in zip(found, mine, strict=False):
        np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_momenta_after_a_plane():
    state, field, z = momenta(), list(RNG.standard_normal((6, N)) * FIELDS), particles()[2]
    found = launch(push.push_p_after_plane_gpu, z, NZ / 2, *state, *field, -e, m_e, N, 1e-15)
    mine = [x.copy() for x in state]
    cpu_push.push_p_after_plane_numba(z, NZ / 2, *mine, *field, -e, m_e, N, 1e-15)
    for x, expected in zip(found[1:], mine, strict=False):
        np.testing.assert_allclose(x, expected, rtol=1e-12)


@pytest.mark.parametrize("shape", ["linear", "cubic"])
def test_gathering(shape):
    place, grids, out = particles(), [mesh() for _ in range(12)], list(np.zeros((6, N)))
    sizes = NR, 1.0, 0.0, NZ, 1.0, 0.0, NR
    *_, ex, ey, ez, bx, by, bz = launch(getattr(gathering, f"gather_field_gpu_{shape}"), *place, *sizes, *grids, *out)
    mine = [x.copy() for x in out]
    if shape == "linear":
        cpu_gathering.gather_field_numba_linear(*place, *sizes, *grids, *mine)
    else:
        cpu_gathering.gather_field_numba_cubic(*place, *sizes, *grids, *mine, 1, np.array([0, N]))
    for x, expected in zip((ex, ey, ez, bx, by, bz), mine, strict=True):
        np.testing.assert_allclose(x, expected, rtol=1e-9, atol=1e-9)


def test_gathering_of_one_mode():
    place, grids, out = particles(), [mesh() for _ in range(6)], list(np.zeros((6, N)))
    sizes = NR, 1.0, 0.0, NZ, 1.0, 0.0, NR
    kernel = gathering_one.gather_field_gpu_linear_one_mode
    found = launch(kernel, *place, *sizes, *grids, 1, *out)[-6:]
    mine = [x.copy() for x in out]
    cpu_gathering_one.gather_field_numba_linear_one_mode(*place, *sizes, *grids, 1, *mine)
    for x, expected in zip(found, mine, strict=True):
        np.testing.assert_allclose(x, expected, rtol=1e-9, atol=1e-9)


def test_deposition_without_sorting():
    place, weights = particles(), RNG.random(N)
    beta = np.zeros(NR + 1)
    rho = np.zeros((NZ, NR), complex)
    found = launch(deposition.deposit_rho_gpu_unsorted, *place, weights, 1.0, 1.0, 0.0, NZ, 1.0, 0.0, NR, rho, 0, beta)[
        4
    ]
    parts = np.zeros((1, 1, NZ + 4, NR + 4), complex)
    cpu_deposition.deposit_rho_numba_linear(
        *place, weights, 1.0, 1.0, 0.0, NZ, 1.0, 0.0, NR, parts, 1, 1, np.array([0, N]), beta, beta
    )
    np.testing.assert_allclose(found.sum(), parts.sum(), rtol=1e-9)  # the edges are folded elsewhere


def test_fields():
    old, new = mesh(), mesh()
    given = cuda.to_device(old), cuda.to_device(new)
    fields.cuda_push_rho[(1, 1), (NZ, NR)](*given, NZ, NR)
    np.testing.assert_array_equal(given[0].copy_to_host(), new)
    assert not given[1].copy_to_host().any()
    volume = cuda.to_device(np.arange(1.0, NR + 1))
    scaled = cuda.to_device(old)
    fields.cuda_divide_scalar_by_volume[(1, 1), (NZ, NR)](scaled, volume)
    np.testing.assert_allclose(scaled.copy_to_host(), old * np.arange(1.0, NR + 1))
