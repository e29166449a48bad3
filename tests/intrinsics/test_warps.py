"""Reductions over a warp give every lane the result on each device, and refuse a warp that is not whole."""

import numpy as np
import pytest
from numba import cuda, types

from convbench.errors import DeviceError, KernelError
from convbench.intrinsics import warp_max, warp_sum
from support.devices import DEVICES

WARP = 32


@cuda.jit
def reduced(x, sums, largest):
    i = cuda.grid(1)
    sums[i] = warp_sum(x[i])
    largest[i] = warp_max(x[i])


@cuda.jit
def by_some(x, y):
    i = cuda.grid(1)
    if i < 20:
        y[i] = warp_sum(x[i])


def run(device, x):
    given, sums, largest = device.upload(x), device.upload(np.zeros_like(x)), device.upload(np.zeros_like(x))
    device.launch("reduce", reduced, 2, 2 * WARP, given, sums, largest)
    return device.download(sums), device.download(largest)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_every_lane_gets_the_sum_and_the_largest_of_its_warp(device, dtype):
    x = np.random.default_rng(1).integers(-999, 999, 4 * WARP).astype(dtype)
    sums, largest = run(device, x)
    warps = x.reshape(4, WARP)
    np.testing.assert_array_equal(sums.reshape(4, WARP), np.repeat(warps.sum(1)[:, None], WARP, 1))
    np.testing.assert_array_equal(largest.reshape(4, WARP), np.repeat(warps.max(1)[:, None], WARP, 1))


def test_devices_add_in_the_same_order():
    x = np.random.default_rng(2).standard_normal(4 * WARP).astype(np.float32)
    first, *others = (run(device, x)[0] for device in DEVICES.values())
    for other in others:
        np.testing.assert_array_equal(other, first)
    assert (first.reshape(4, WARP) == first.reshape(4, WARP)[:, :1]).all()


@pytest.mark.parametrize("name", ["checked", "simulator"])
def test_a_warp_that_is_not_whole_is_found(name):
    device, x = DEVICES[name], np.ones(WARP, np.float32)
    with pytest.raises((KernelError, DeviceError), match="lane"):
        device.launch("reduce", by_some, 1, WARP, device.upload(x), device.upload(x))


def test_a_gpu_gets_five_shuffles(monkeypatch):
    from types import SimpleNamespace

    from numba.cuda import dispatcher

    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=(8, 0)))
    array = types.Array(types.float32, 1, "C")
    ptx, _ = cuda.compile(reduced.py_func, (array,) * 3, cc=(8, 0), device=False, abi="numba", output="ptx")
    assert ptx.count("shfl.sync.bfly") in (2, 10)  # two loops, or their steps written out
