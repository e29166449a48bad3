"""Code in which a launch's integers are constants gives the values and the faults of the common code."""

import importlib

import numpy as np
import pytest
from numba import cuda

from convbench.emulator import Emulator, KernelFault, load_ptx
from convbench.emulator.ready import Launches
from emulator.ptx.test_load_ptx import SCALE

launch = importlib.import_module("convbench.emulator.launch")
ALWAYS, NEVER = 0, 1e9


@cuda.jit
def strided(x, y, first, step, factor):
    """Reads through a stride and an offset that are arguments, of an array with two axes."""
    i = cuda.grid(1)
    if i < y.shape[0]:
        total = np.float32(0)
        for column in range(x.shape[1]):
            total += x[i, column]
        y[i] = total * factor + x[first + step * i, 0]


@pytest.fixture
def built(monkeypatch):
    """The integers of each kernel that is built; None for common code."""
    found = []
    build = launch.build

    def noted(linked, machine, block, scalars=None):
        found.append(scalars)
        return build(linked, machine, block, scalars)

    monkeypatch.setattr(launch, "build", noted)
    monkeypatch.setattr(launch, "_CACHE", launch.Cache())
    monkeypatch.setattr(launch, "LAUNCHES", Launches())
    return found


def _run(monkeypatch, pays, rows, first=0, step=1, factor=0.1):
    monkeypatch.setattr(launch, "PAYS", pays)
    x = np.random.default_rng(rows).standard_normal((rows, 5)).astype(np.float32)
    y = np.zeros(rows, np.float32)
    Emulator(code="ptx", workers=1).launch(strided, 2, 32, x, y, first, step, np.float32(factor))
    return y


@pytest.mark.parametrize("arguments", [(40,), (17, 2, 0), (40, 39, -1), (33, 0, 1, -2.5)])
def test_values_are_those_of_common_code(monkeypatch, built, arguments):
    common, special = (_run(monkeypatch, pays, *arguments) for pays in (NEVER, ALWAYS))
    assert built[0] is None
    assert built[-1] is not None
    np.testing.assert_array_equal(actual=special, desired=common)


def test_the_fault_is_that_of_common_code(monkeypatch):
    told = []
    for pays in (NEVER, ALWAYS):
        with pytest.raises(KernelFault) as caught:
            _run(monkeypatch, pays, 20, 300, 100)
        fault = caught.value
        told.append((fault.kind, fault.line, fault.thread, fault.block))
    assert told[0] == told[1]


def test_addresses_and_floats_are_no_constants(monkeypatch, built):
    monkeypatch.setattr(launch, "PAYS", ALWAYS)
    kernel = load_ptx(SCALE)["scale"]
    for factor, count in ((2.5, 100), (-3.0, 100), (0.5, 60)):
        x, y = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
        kernel.launch(4, 32, x, y, factor, count)
        np.testing.assert_array_equal(actual=y, desired=np.where(np.arange(100) < count, factor * x, 0))
    # the float is among the words of an argument list, so each has its own code; the common code is built once
    assert built.count(None) == 1


def test_it_is_made_once_the_common_code_has_run_long_enough(monkeypatch, built):
    for _ in range(3):
        _run(monkeypatch, NEVER, 40)
    assert built == [None]
    for _ in range(3):
        _run(monkeypatch, 1e-9, 40)
    assert [scalars is None for scalars in built] == [True, False]
    _run(monkeypatch, 1e-9, 41)  # other integers begin anew
    assert len(built) == 2
