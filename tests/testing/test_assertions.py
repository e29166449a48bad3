"""`assert_kernel_clean` and the strategies: a clean kernel passes, a fault fails with its place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import cuda

from convbench.testing import arrays, assert_kernel_clean, launch_shapes


@cuda.jit
def scaled(x, y, factor):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = factor * x[i]


@cuda.jit
def unguarded(x, y):
    i = cuda.grid(1)
    y[i] = x[i]


@cuda.jit
def last(x, y):
    y[0] = x[-1]


@given(launch_shapes(max_threads=16, max_blocks=2), st.data())
@settings(max_examples=6, deadline=None)
def test_a_clean_kernel_passes_and_leaves_its_results(shape, data):
    x = data.draw(arrays(np.float32, st.integers(1, shape.threads)))
    y = np.zeros_like(x)
    assert_kernel_clean(scaled, shape.grid, shape.block, x, y, 3)
    np.testing.assert_array_equal(y, 3 * x)


def test_a_fault_fails_with_its_place():
    with pytest.raises(AssertionError, match=r"test_assertions\.py:\d+\): `y\[i\] = x\[i\]`: index 4 is out of bounds"):
        assert_kernel_clean(unguarded, 1, 5, np.zeros(4), np.zeros(4))


def test_a_negative_index_fails_only_if_it_is_asked_for():
    y = np.zeros(1)
    assert_kernel_clean(last, 1, 1, np.arange(4.0), y)
    assert y[0] == 3
    with pytest.raises(AssertionError, match="index -1 is out of bounds"):
        assert_kernel_clean(last, 1, 1, np.arange(4.0), y, strict_index=True)


@given(st.integers(1, 3), st.integers(32, 1024), st.integers(1, 50), st.booleans(), st.data())
@settings(max_examples=50)
def test_shapes_are_within_what_was_asked_for_and_what_hardware_allows(dimensions, threads, blocks, warps, data):
    shape = data.draw(launch_shapes(dimensions=dimensions, max_threads=threads, max_blocks=blocks, warps=warps))
    assert len(shape.grid) == len(shape.block) == dimensions
    assert 1 <= np.prod(shape.block) <= threads
    assert 1 <= np.prod(shape.grid) <= blocks
    assert np.prod(shape.block) % (32 if warps else 1) == 0
    assert dimensions < 3 or shape.block[2] <= 64


@given(st.sampled_from(["u1", "i2", "f4", "c8", "?"]), st.data())
@settings(max_examples=30)
def test_arrays_have_the_dtype_shape_and_bounds_that_were_asked_for(dtype, data):
    array = data.draw(arrays(dtype, (2, 3), smallest=-2, largest=5))
    assert (array.dtype, array.shape) == (np.dtype(dtype), (2, 3))
    assert array.real.max() <= 5
    assert array.real.min() >= -2


@pytest.mark.parametrize("wrong", [{"dimensions": 4}, {"max_threads": 2000}, {"max_blocks": 0}])
def test_wrong_bounds_of_a_strategy_are_told(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}: .* not {wrong[name]}"):
        launch_shapes(**wrong)


def test_the_fixture_is_a_checked_emulator(emulator):
    assert emulator.checked
    y = np.zeros(1)
    emulator.launch(last, 1, 1, np.arange(4.0), y)
    assert y[0] == 3
