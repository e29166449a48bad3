"""Compiled kernels on disk: another process finds the same kernel, never a different one, and can do without."""

import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import Emulator, FaultKind, KernelFault, disk, launch, sources
from convbench.emulator.building import Cache
from convbench.emulator.ready import Launches

LAUNCH = sys.modules["convbench.emulator.launch"]  # the package has a function of that name
SIZE = 32
ORIGINALS = {"link": sources.link, "ptx_of": sources.ptx_of}  # one for each code


def made(factor=2):
    @cuda.jit
    def kernel(x, y):
        tile = cuda.shared.array(SIZE, float32)
        t = cuda.threadIdx.x
        tile[t] = math.cosh(x[t])  # of the C library
        cuda.syncthreads()
        y[t] = tile[SIZE - 1 - t] * factor

    return kernel


def run(kernel, *, checked=False, size=SIZE):
    x, y = np.linspace(0, 1, SIZE, dtype=np.float32), np.full(size, np.nan, np.float32)
    Emulator(checked=checked, workers=1).launch(kernel, 1, SIZE, x, y)
    return y


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty place on disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    disk._folder.cache_clear()
    yield tmp_path
    disk._folder.cache_clear()


@pytest.fixture
def forget(monkeypatch):
    """Forget all kernels, as in a new process; returns the list of kernels that are linked from then on."""

    def anew():
        linked = []
        monkeypatch.setattr(LAUNCH, "_CACHE", Cache())
        monkeypatch.setattr(LAUNCH, "_LINKED", Cache())
        monkeypatch.setattr(LAUNCH, "LAUNCHES", Launches())
        for name, original in ORIGINALS.items():

            def counted(kernel, *rest, original=original, **options):
                linked.append(kernel.py_func.__name__)
                return original(kernel, *rest, **options)

            monkeypatch.setattr(sources, name, counted)
        return linked

    return anew


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


@pytest.mark.parametrize("checked", [False, True])
def test_another_process_finds_what_was_compiled(folder, forget, checked):
    first = forget()
    expected = run(made(), checked=checked)
    assert first == ["kernel"]
    second = forget()
    np.testing.assert_array_equal(run(made(), checked=checked), expected)
    assert second == []


def test_another_constant_and_another_mode_are_others(folder, forget):
    run(made())
    linked = forget()
    assert run(made(3))[0] == pytest.approx(1.5 * run(made())[0])
    run(made(), checked=True)
    assert linked == ["kernel"] * 2


def test_faults_of_what_was_found_name_the_line(folder, forget):
    for _ in range(2):
        linked = forget()
        with pytest.raises(KernelFault, match=r"test_disk\.py:\d+.*y\[t\] = tile") as caught:
            run(made(), checked=True, size=SIZE - 1)
        assert caught.value.kind is FaultKind.INDEX
    assert linked == []


@pytest.mark.parametrize("torn", [b"", b"\x78\x01nonsense", None], ids=["empty", "garbage", "cut"])
def test_a_torn_file_is_made_again(folder, forget, torn):
    expected = run(made())
    (file,) = files(folder)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if torn is None else torn)
    linked = forget()
    np.testing.assert_array_equal(run(made()), expected)
    assert linked == ["kernel"]
    again = forget()
    run(made())
    assert again == []


def test_where_nothing_can_be_kept_everything_is_compiled(folder, forget, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    disk._folder.cache_clear()
    expected = run(made())
    linked = forget()
    np.testing.assert_array_equal(run(made()), expected)
    assert linked == ["kernel"]


def test_nothing_is_kept_where_nobody_will_ask_again(folder, forget):
    with disk.nothing_kept():
        run(made())
    assert files(folder) == []


def test_a_kernel_without_identity_is_compiled(folder, forget):
    scope = {"cuda": cuda, "other": pytest}
    exec("def kernel(y):\n    y[0] = len(other.__name__) if False else 1", scope)
    y = np.zeros(1, np.float32)
    launch(cuda.jit(scope["kernel"]), 1, 1, y)
    assert y[0] == 1
    assert files(folder) == []


def test_folders_of_other_versions_go_after_a_month(folder, forget):
    root = folder / "convbench" / "emulator"
    for name, days in (("old", disk.DAYS_KEPT + 1), ("new", disk.DAYS_KEPT - 1)):
        (root / name).mkdir(parents=True)
        then = root.stat().st_mtime - days * 86_400
        os.utime(root / name, (then, then))
    run(made())
    assert {path.name for path in root.iterdir()} >= {"new"}
    assert not (root / "old").exists()
