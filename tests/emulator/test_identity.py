"""A kernel's identity is the same in every process, and differs when anything changes the compiled code."""

import enum
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numba import cuda, float32, float64

from cases import intrinsic_kernels as kernels
from convbench.devices.kernel_cache import _KernelCache, keep_on_disk
from convbench.emulator.identity import identity
from convbench.intrinsics import fast_kernel, static


def made(*, steps=4, kind=float32, table=(1.0, 2.0), threads=32, blocks=1, device_step=1):
    """A kernel that depends on everything that a kernel can depend on."""
    taps = np.array(table, np.float32)

    @cuda.jit(device=True)
    def scaled(value):
        return value * device_step

    @fast_kernel(threads=threads, blocks=blocks)
    def kernel(x, y):
        t = cuda.threadIdx.x
        total = kind(0)
        for i in static(steps):
            total += scaled(x[t]) * i * cuda.const.array_like(taps)[0]
        y[t] = total

    return kernel


CHANGES = [
    {"steps": 5}, {"kind": float64}, {"table": (1.0, 3.0)}, {"threads": 64}, {"blocks": 2}, {"device_step": 2},
]  # fmt: skip


def test_the_same_kernel_made_twice_is_the_same():
    assert identity(made()) == identity(made()) is not None


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_the_code_depends_on_makes_another_kernel(change):
    assert identity(made(**change)) != identity(made())


def test_kernels_that_differ_in_an_unrolled_constant_alone_are_told_apart():
    """numba-cuda's own key has the byte code, in which they do not differ."""
    two, three = made(steps=2, table=(1.0,)), made(steps=2, table=(1.0,), device_step=3)
    assert two.py_func.__code__.co_code == three.py_func.__code__.co_code
    assert identity(two) != identity(three)


def test_intrinsics_count_by_what_they_do_not_by_their_number():
    assert len({identity(kernels.pipeline(stages, pending=pending)) for stages in (3, 4) for pending in (1, 2)}) == 4


def test_every_process_finds_the_same(tmp_path):
    script = """
from cases import intrinsic_kernels
from convbench.emulator.identity import identity
print(identity(intrinsic_kernels.copied))
"""
    found = {
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])},
            cwd=tmp_path,  # a checkout would come before what is installed
        ).stdout.strip()
        for seed in "12"
    }  # fmt: skip
    assert found == {identity(kernels.copied)}


def overloaded_somewhere(x):
    return x


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "unknown", [object(), overloaded_somewhere, kernels, Colour], ids=["object", "function", "module", "class"]
)
def test_what_depends_on_the_unknown_is_kept_nowhere(unknown):
    """An object, a function that an overload explains, a module's constants, a class: they may change unseen."""

    @cuda.jit
    def kernel(x):
        x[0] = unknown

    assert identity(kernel) is None
    before = kernel._cache
    keep_on_disk(kernel)
    assert kernel._cache is before


def test_a_kernel_on_disk_is_found_by_its_equal_alone(tmp_path, monkeypatch):
    from numba.cuda.core import config

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    codegen = SimpleNamespace(magic_tuple=lambda: ("sm_90",))
    kept, equal, other = made(), made(), made(steps=5)
    for kernel in (kept, equal, other):
        keep_on_disk(kernel)
        assert isinstance(kernel._cache, _KernelCache)

    def key(kernel, sig=(float32[:],)):
        return kernel._cache._index_key(sig, codegen)

    kept._cache._impl.locator.ensure_cache_path()
    kept._cache._cache_file.save(key(kept), {"compiled": "this"})
    assert equal._cache._cache_file.load(key(equal)) == {"compiled": "this"}
    assert other._cache._cache_file.load(key(other)) is None
    assert equal._cache._cache_file.load(key(equal, (float64[:],))) is None


def test_a_variable_that_no_branch_has_set_is_part_of_it():
    """The kernel captures it all the same, as an empty cell."""

    def with_branch(*, is_on):
        if is_on:

            @cuda.jit(device=True)
            def half(value):
                return value / 2

        @cuda.jit
        def kernel(x):
            if is_on:
                x[0] = half(x[0])

        return kernel

    assert identity(with_branch(is_on=False)) == identity(with_branch(is_on=False)) is not None
    assert identity(with_branch(is_on=False)) != identity(with_branch(is_on=True))
