"""Index arithmetic: every index map reaches each element once, and its inverse leads back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import complex64, cuda

from algorithms.fft.radix2 import bit_reversal, make_fft
from algorithms.indexing import tile_count, tile_phases, tile_start
from convbench.intrinsics.device_functions import unflatten

sizes = st.integers(1, 9)


@given(st.tuples(sizes, sizes, sizes, sizes))
def test_unflatten_is_the_order_of_memory(shape):
    for flat, index in enumerate(np.ndindex(*shape)):
        assert unflatten(flat, *shape[1:]) == index


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 300))
def test_tiles_hold_every_output_once(outputs, extent, dilation):
    phases, count = tile_phases(outputs, dilation), tile_count(outputs, extent, dilation)
    held = [tile_start(t, extent, dilation, phases) + i * dilation for t in range(count) for i in range(extent)]
    assert len(set(held)) == len(held), "no place twice"
    assert set(range(outputs)) <= set(held), "no output left out"
    assert count < 2 * outputs + 1, "no more than two tiles an output, whatever the dilation"


@given(st.integers(0, 8))
def test_bit_reversal_is_its_own_inverse(bits):
    order = bit_reversal(2**bits)
    assert sorted(order) == list(range(2**bits))
    assert [order[order[i]] for i in range(2**bits)] == list(range(2**bits))


def test_bit_reversal_of_eight():
    assert bit_reversal(8) == [0, 4, 2, 6, 1, 5, 3, 7]


@pytest.mark.parametrize("length", [1, 2, 4, 16, 32])
@pytest.mark.parametrize("inverse", [False, True])
def test_the_radix_2_transform_is_numpys(length, inverse, device):
    """Within Higham's theorem 24.2: log₂L levels of at most 7u each, in the norm."""
    fft = make_fft(length, "float32")

    @cuda.jit
    def transform(x, y):
        values = cuda.local.array(length, complex64)
        for i in range(length):
            values[i] = x[i]
        fft(values, inverse)
        for i in range(length):
            y[i] = values[i]

    rng = np.random.default_rng(length)
    x = (rng.uniform(-1, 1, length) + 1j * rng.uniform(-1, 1, length)).astype(np.complex64)
    y = device.empty((length,), np.complex64)
    device.launch("transform", transform, 1, 1, device.upload(x), y)
    wide = x.astype(np.complex128)
    exact = np.fft.ifft(wide) * length if inverse else np.fft.fft(wide)
    error = np.linalg.norm(device.download(y) - exact) / np.linalg.norm(exact)
    assert error <= 7 * math.log2(length) * 2**-24
