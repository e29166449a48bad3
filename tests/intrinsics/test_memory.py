"""Wide, predicated and asynchronous accesses agree on both emulators and the simulator, and wrong ones are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import cuda, types

from cases import intrinsic_kernels as kernels
from convbench.errors import DeviceError, KernelError
from support.devices import DEVICES

T = kernels.THREADS
X = np.arange(256, dtype=np.float32) + 1


def result(device, kernel, x, size, *more, blocks=1):
    """y, whose array is filled with NaN before the launch."""
    given_x, y = device.upload(x), device.upload(np.full(size, np.nan, np.float32))
    device.launch("multiply", kernel, blocks, T, given_x, y, *more)
    return device.download(y)


def test_wide_loads_and_stores_move_neighbours(device):
    np.testing.assert_array_equal(result(device, kernels.each_width, X, 4 * T, 8), X[8 : 8 + 4 * T])


@given(st.integers(0, T))
def test_a_predicated_load_gives_zero_and_reads_nothing(limit):
    for device in DEVICES.values():
        expected = np.where(np.arange(T) < limit, X[:T], 0)
        np.testing.assert_array_equal(result(device, kernels.predicated, X, T, limit), expected)


def test_bits_are_those_of_the_number(device):
    x = np.array([0, -0.0, 1, np.inf, 1e-45, -2.5, *X[: T - 6]], np.float32)
    actual = result(device, kernels.through_bits, x, T)
    np.testing.assert_array_equal(actual.view(np.uint32), (-x).view(np.uint32))


@pytest.mark.parametrize("limit", [0, 5, T])
def test_every_kind_of_copy_arrives(device, limit):
    quads, ok = X[: 4 * T].reshape(T, 4).sum(1), np.arange(T) < limit
    expected = X[:T] + X[32 : 32 + 4 * T].reshape(T, 4).sum(1) + np.where(ok, X[:T] + quads, 0)
    np.testing.assert_array_equal(result(device, kernels.copied, X, T, limit), expected)


def of_steps(steps):
    return np.random.default_rng(steps).integers(-9, 9, (steps, T)).astype(np.float32)


@pytest.mark.parametrize("stages", [2, 3, 4])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_pipeline_that_waits_is_right(device, stages, steps):
    x = of_steps(steps)
    actual = result(device, kernels.pipeline(stages, pending=stages - 2), x.reshape(-1), T, steps)
    np.testing.assert_array_equal(actual, x.sum(0)[::-1])


@pytest.mark.parametrize("stages", [2, 3, 4])
@pytest.mark.parametrize("steps", [1, 7])
def test_a_wait_for_one_group_too_few_is_found(stages, steps):
    """The copy arrives at the wait. Before it the tile holds nothing; after it other threads read the tile at once."""
    kernel = kernels.pipeline(stages, pending=stages - 1)
    with pytest.raises(KernelError, match=r"reads tile\[\d+\], which (was never written|thread .* wrote)"):
        result(DEVICES["checked"], kernel, of_steps(steps).reshape(-1), T, steps)


def test_a_wait_that_counts_groups_which_nobody_committed_is_found():
    kernel = kernels.pipeline(3, pending=1, commits=False)
    with pytest.raises(KernelError, match="which was never written"):
        result(DEVICES["checked"], kernel, of_steps(7).reshape(-1), T, 7)


def test_a_copy_that_another_thread_reads_without_a_barrier_is_a_race():
    kernel = kernels.pipeline(2, pending=0, barriers=False)
    with pytest.raises(KernelError, match="data race"):
        result(DEVICES["checked"], kernel, of_steps(7).reshape(-1), T, 7)


def test_a_copy_into_what_another_thread_reads_is_a_race():
    with pytest.raises(KernelError, match=r"data race: (writes|reads) tile"):
        result(DEVICES["checked"], kernels.copies_over_what_is_read, X, T)


def test_copies_that_nobody_needs_are_no_fault(device):
    np.testing.assert_array_equal(result(device, kernels.never_waits, X, T), X[:T])


def test_copies_under_way_end_with_their_block(device):
    np.testing.assert_array_equal(result(device, kernels.over_many_blocks, X, 256, blocks=8), X)


@pytest.mark.parametrize(
    ("kernel", "size", "more"),
    [
        (kernels.each_width, 4 * T - 1, (0,)),  # the last of four stored
        (kernels.each_width, 4 * T, (256 - 4 * T + 4,)),  # a load past the end
        (kernels.backwards, T, ()),
        (kernels.copied, T, (64,)),
    ],
    ids=["store", "load", "negative", "copy"],
)
def test_what_lies_outside_the_array_is_found(device, kernel, size, more):
    x = X if kernel is not kernels.copied else X[:100]
    with pytest.raises((KernelError, DeviceError), match=r"index|outside every array"):
        result(device, kernel, x, size, *more)


@pytest.mark.parametrize("name", ["checked", "simulator"])
def test_a_wide_access_at_an_odd_place_is_found(name):
    with pytest.raises((KernelError, DeviceError), match=r"no multiple of 16|at index 1"):
        result(DEVICES[name], kernels.misaligned, X, T)


def test_a_gpu_gets_one_instruction_for_each():
    """No checks, no branches, no arithmetic for negative indices."""
    array = types.Array(types.float32, 1, "C")

    def ptx(kernel, *more):
        signature = (array, array, *(types.int64 for _ in more))
        return cuda.compile(kernel.py_func, signature, cc=(8, 0), device=False, abi="numba", output="ptx")[0]

    wide = ptx(kernels.each_width, 8)
    assert wide.count("ld.global.v4.f32") == 1
    assert wide.count("st.global.v4.f32") == 1
    assert "setp" not in wide
    assert "@p ld.global.nc.f32" in ptx(kernels.predicated, 8)
    copies = ptx(kernels.copied, 8)
    assert copies.count("cp.async.cg.shared.global") == 2
    assert copies.count("cp.async.ca.shared.global") == 2
    assert "call" not in copies
