"""pylops: its operators with the engine "cuda", given arrays of the device, against the same operators on the CPU.

The operators take arrays of CuPy there; the functions behind them take every array of the device.
"""

import numpy as np
import pytest
from numba import cuda
from pylops.signalprocessing import NonStationaryConvolve2D, NonStationaryConvolve3D
from pylops.signalprocessing import _nonstatconvolve2d_cuda as in_2d
from pylops.signalprocessing import _nonstatconvolve3d_cuda as in_3d

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("adjoint", [False, True])
def test_a_filter_that_changes_in_two_dimensions(adjoint):
    x, filters = RNG.standard_normal((21, 17)), RNG.standard_normal((3, 2, 5, 3))
    operator = NonStationaryConvolve2D(dims=x.shape, hs=filters, ihx=(4, 9, 14), ihz=(3, 11))
    expected = (operator.rmatvec if adjoint else operator.matvec)(x.ravel()).reshape(x.shape)
    found = cuda.to_device(np.zeros_like(x))
    in_2d._matvec_rmatvec_call(
        cuda.to_device(x), found, cuda.to_device(filters), (5, 3), x.shape, 4, 3, 5, 8, 3, 2, adjoint, (2, 2), (16, 16)
    )
    np.testing.assert_allclose(found.copy_to_host(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("adjoint", [False, True])
def test_a_filter_that_changes_in_three_dimensions(adjoint):
    x, filters = RNG.standard_normal((9, 8, 7)), RNG.standard_normal((2, 2, 2, 3, 5, 3))
    operator = NonStationaryConvolve3D(dims=x.shape, hs=filters, ihx=(2, 6), ihy=(1, 5), ihz=(1, 4))
    expected = (operator.rmatvec if adjoint else operator.matvec)(x.ravel()).reshape(x.shape)
    found = cuda.to_device(np.zeros_like(x))
    places = 2, 1, 1, 4, 4, 3, 2, 2, 2
    in_3d._matvec_rmatvec_call(
        cuda.to_device(x), found, cuda.to_device(filters), (3, 5, 3), x.shape, *places, adjoint, (3, 2, 2), (4, 4, 4)
    )
    np.testing.assert_allclose(found.copy_to_host(), expected, rtol=1e-10, atol=1e-12)
