"""Launches by code for several threads at once, compared with those by code for one."""

import importlib

import numpy as np
import pytest

from convbench.emulator import Emulator, KernelFault, compiler_fault
from convbench.emulator.machine import Machine

launch = importlib.import_module("convbench.emulator.launch")


@pytest.fixture
def ways(monkeypatch):
    """Launches by the common code, and by that for the integers of the launch, which may be wide."""
    if fault := compiler_fault():
        pytest.skip(fault)
    monkeypatch.setattr(launch.LAUNCHES, "get", lambda key: None)

    def each(kernel, grid, block, *args):
        for pays in (1e9, 0):  # how long the common code must have run
            monkeypatch.setattr(launch, "PAYS", pays)
            yield lambda: Emulator(code="ptx", workers=1).launch(kernel, grid, block, *args)

    return each


@pytest.fixture
def both(monkeypatch, ways):
    """Launch a kernel by both kinds of code, which must leave the same bits; gives the number of lanes."""

    def run(kernel, grid, block, *args):
        built, usual = [], launch.build
        monkeypatch.setattr(launch, "build", lambda *words: built.append(usual(*words)) or built[-1])
        results, arrays = [], [arg for arg in args if isinstance(arg, np.ndarray)]
        before = [array.copy() for array in arrays]
        for way in ways(kernel, grid, block, *args):
            for array, values in zip(arrays, before, strict=True):
                array[...] = values
            way()
            results.append([array.copy() for array in arrays])
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one.view(np.uint8), other.view(np.uint8))
        return built[-1].lanes

    return run


@pytest.fixture
def faults_of(ways):
    """The texts of the faults of a kernel, by both kinds of code."""

    def run(kernel, grid, block, *args):
        texts = []
        for way in ways(kernel, grid, block, *args):
            with pytest.raises(KernelFault) as caught:
                way()
            texts.append(str(caught.value))
        return texts

    return run


@pytest.fixture
def most():
    """As many lanes as a vector register of this machine has float32 numbers; 1 if it has none."""
    return next(iter(Machine().lanes), 1)
