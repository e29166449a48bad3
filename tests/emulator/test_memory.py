"""The emulator's memory stays bounded, arrays are released, and numba-cuda's own compilation is not disturbed."""

import gc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numba import cuda, float32
from numba.cuda import dispatcher
from numba.cuda.descriptor import cuda_target

from convbench.emulator import Emulator, FaultKind, KernelFault, disk
from convbench.emulator.ptx import numba_code

PAGE_KIB = 4
COMPILATIONS = 300


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KIB


def fresh(number):
    @cuda.jit
    def kernel(y):
        y[cuda.threadIdx.x] = number

    return kernel


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell what a process occupies")
def test_memory_stays_bounded_over_many_compilations():
    emulator, y = Emulator(workers=1), np.zeros(1, np.float32)
    sizes = []
    for number in range(COMPILATIONS):
        with disk.nothing_kept():
            emulator.launch(fresh(number), 1, 1, y)
        assert y[0] == number
        if number in (COMPILATIONS // 2, COMPILATIONS - 1):  # after half of them, the caches are full
            gc.collect()
            sizes.append(resident_kib())
    assert (sizes[1] - sizes[0]) / (COMPILATIONS / 2) < 30


# ---- which memory nobody has written


@cuda.jit
def reads(x, y):
    i = cuda.grid(1)
    y[i] = x[i]


VIEWS = {
    "whole": lambda x: x,
    "slice": lambda x: x[4:12],
    "strided": lambda x: x[1::3],
    "reversed": lambda x: x[::-1],
    "reshape": lambda x: x.reshape(2, 8)[1],
    "column": lambda x: x.reshape(4, 4)[:, 2],
    "other type": lambda x: x.view(np.int32),
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_is_forgotten_through_a_view_is_what_the_view_shows(name):
    emulator = Emulator(checked=True)
    x = np.ones(16, np.float32)
    shown = np.zeros(16, bool)
    (VIEWS[name](shown) if name != "other type" else shown)[...] = True
    emulator.forget(VIEWS[name](x))
    for i in range(16):
        if shown[i]:
            with pytest.raises(KernelFault) as caught:
                emulator.launch(reads, 1, 1, x[i:], np.zeros(1, np.float32))
            assert (caught.value.kind, caught.value.array) == (FaultKind.UNWRITTEN, "x")
        else:
            emulator.launch(reads, 1, 1, x[i:], np.zeros(1, np.float32))
    emulator.wrote(VIEWS[name](x))
    emulator.launch(reads, 1, 16, x, np.zeros(16, np.float32))


def test_what_a_kernel_wrote_is_written():
    emulator, x, y = Emulator(checked=True), np.ones(8, np.float32), np.zeros(8, np.float32)
    emulator.forget(y)
    emulator.launch(reads, 1, 8, x, y)
    emulator.launch(reads, 1, 8, y, x)


def test_a_map_dies_with_its_array():
    emulator, x = Emulator(checked=True), np.ones(8, np.float32)
    emulator.forget(x[2:4])
    assert len(emulator.memory._maps) == 1
    del x
    gc.collect()
    assert not emulator.memory._maps


# ---- numba-cuda and the emulator do not see each other


def doubling():
    """A kernel and the device function that it calls, both not yet compiled."""

    @cuda.jit(device=True)
    def twice(x):
        return x + x

    @cuda.jit
    def kernel(x, y):
        y[cuda.grid(1)] = twice(x[cuda.grid(1)])

    return kernel, twice


def ptx_of(kernel) -> str:
    signature = (float32[::1], float32[::1])
    ptx, _ = cuda.compile(kernel.py_func, signature, cc=(9, 0), device=False, abi="numba", output="ptx")
    return ptx


def instructions(ptx: str) -> list[str]:
    """The code without names, because numba-cuda numbers the functions of a process in them."""
    return [line.split("_Z")[0] for line in ptx.splitlines() if line.startswith("\t") and "_Z" not in line]


def test_helpers_that_are_compiled_with_lines_are_kept_apart():
    """NVVM refuses to link a helper with lines and code of NVRTC, so an ordinary compilation must not find one."""

    @cuda.jit
    def kernel(x):
        x[0] = x[0] ** 3 // x[1]  # numba-cuda compiles helpers for these

    public = cuda_target.target_context.cached_internal_func
    before = set(public)
    Emulator(code="ptx").launch(kernel, 1, 1, np.array([7, 2]))
    assert set(public) == before
    assert numba_code._HELPERS


@pytest.fixture
def no_device_needed(monkeypatch):
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: SimpleNamespace(compute_capability=(9, 0)))


@pytest.mark.parametrize("checked", [False, True])
def test_an_ordinary_compilation_finds_nothing_of_the_emulator(no_device_needed, checked):
    (untouched, _), (kernel, twice) = doubling(), doubling()
    options, y = dict(twice.targetoptions), np.zeros(4, np.float32)
    Emulator(checked=checked).launch(kernel, 1, 4, np.ones(4, np.float32), y)
    assert y.tolist() == [2, 2, 2, 2]
    compiled = 0 if checked else 1  # the PTX that a GPU gets comes of an ordinary compilation
    assert (dict(twice.targetoptions), len(twice.overloads)) == (options, compiled)
    ptx = ptx_of(kernel)
    assert "emu." not in ptx
    assert instructions(ptx) == instructions(ptx_of(untouched))


@pytest.mark.parametrize("checked", [False, True])
def test_the_emulator_finds_nothing_of_an_ordinary_compilation(no_device_needed, checked):
    kernel, twice = doubling()
    ptx, y = ptx_of(kernel), np.zeros(4, np.float32)
    overloads = dict(twice.overloads)
    Emulator(checked=checked).launch(kernel, 1, 4, np.ones(4, np.float32), y)
    assert y.tolist() == [2, 2, 2, 2]
    assert dict(twice.overloads) == overloads
    assert instructions(ptx_of(kernel)) == instructions(ptx)
