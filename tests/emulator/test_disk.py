"""Compiled kernels on disk: another process finds the same kernel, never a different one, and can do without."""

import math
import os
import secrets
import shutil
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba import cuda, float32

from convbench.emulator import Emulator, FaultKind, KernelFault, cache_folder, codec, disk, launch, profile, sources
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
    return [file for file in folder.rglob("*") if file.is_file() and file.name != "key"]


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


def test_a_file_that_another_user_wrote_is_made_again(folder, forget):
    """They can copy what the process wrote for another kernel, and they have a key of their own."""
    expected = run(made())
    (file,) = files(folder)
    content = file.read_bytes()
    run(made(3))
    (other,) = set(files(folder)) - {file}
    whole = other.read_bytes()
    key = secrets.token_bytes(32)
    for planted in (whole, disk._seal(key, file.name, content[32:]) + content[32:], content[:32] + whole[32:]):
        file.write_bytes(planted)
        linked = forget()
        np.testing.assert_array_equal(run(made()), expected)
        assert linked == ["kernel"]


def test_only_the_user_can_read_what_is_kept(folder, forget):
    run(made())
    for path in [*files(folder), folder / "convbench" / "emulator" / "key"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (folder / "convbench", folder / "convbench" / "emulator"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("which", ["convbench", "convbench/emulator"])
def test_a_folder_that_others_may_write_is_not_used(folder, forget, which):
    (folder / "convbench" / "emulator").mkdir(parents=True)
    (folder / which).chmod(0o777)
    with pytest.warns(UserWarning, match=f"others own or may write {folder / which}: remove it"):
        run(made())
    assert files(folder) == []


def test_a_key_that_others_may_read_is_replaced(folder, forget):
    run(made())
    key = folder / "convbench" / "emulator" / "key"
    before = key.read_bytes()
    key.chmod(0o644)
    linked = forget()
    run(made())
    assert linked == ["kernel"]
    assert key.read_bytes() != before
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.parametrize("options", [{"code": "llvm"}, {"code": "ptx"}, {"code": "llvm", "checked": True}], ids=str)
def test_a_kernel_is_the_same_after_it_was_text(options, monkeypatch):
    kept = []
    monkeypatch.setattr(disk, "linked", lambda _kernel, _key, _machine, make: kept.append(make()) or kept[-1])
    monkeypatch.setattr(LAUNCH, "_LINKED", Cache())
    monkeypatch.setattr(LAUNCH, "_CACHE", Cache())
    kernel, x = made(), np.linspace(0, 1, SIZE, dtype=np.float32)
    Emulator(workers=1, **options).launch(kernel, 1, SIZE, x, x.copy())
    if options == {"code": "ptx"}:
        profile(kernel, 1, SIZE, x, x.copy())
    for linked in kept:
        text = codec.encoded(linked)
        assert codec.encoded(codec.decoded(text)) == text
    assert any(linked.tables for linked in kept) == (options == {"code": "ptx"})


@pytest.mark.parametrize(
    "text", ["{}", "[1]", '{"Path": {}}', '{"Linked": {}}', '{"Linked": {"name": {"system": ["x"]}}}']
)
def test_text_of_something_else_is_no_kernel(text):
    with pytest.raises((ValueError, TypeError, LookupError)):
        codec.decoded(text.encode())


def test_where_nothing_can_be_kept_everything_is_compiled(folder, forget, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    disk._folder.cache_clear()
    expected = run(made())
    linked = forget()
    np.testing.assert_array_equal(run(made()), expected)
    assert linked == ["kernel"]


def test_a_folder_that_goes_away_is_done_without(folder, forget):
    expected = run(made())
    shutil.rmtree(folder)
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


def test_beyond_the_limit_the_kernels_not_used_for_the_longest_time_go(folder, forget, monkeypatch):
    for factor in (2, 3, 5):
        run(made(factor))
    old = files(folder)
    then = time.time() - 1000
    for age, file in enumerate(old):
        os.utime(file, (then + age, then + age))
    forget()
    run(made(2))  # it is used, and so no longer the oldest
    (used,) = [file for file in old if file.stat().st_mtime > then + 100]
    monkeypatch.setenv(cache_folder.VARIABLE, str(sum(file.stat().st_size for file in old) + 100))
    monkeypatch.setattr(disk, "_bound", cache_folder.Bound())
    run(made(4))
    left = files(folder)
    assert len(left) == 2
    assert used in left
    assert set(left) & set(old) == {used}


@pytest.mark.parametrize("step", [0.001, 1000.0], ids=["counted", "estimated"])
def test_the_folder_stays_within_its_limit(folder, forget, monkeypatch, step):
    monkeypatch.setattr(cache_folder, "STEP", step)
    monkeypatch.setattr(disk, "_bound", cache_folder.Bound())
    run(made())
    size = cache_folder.usage().bytes
    monkeypatch.setenv(cache_folder.VARIABLE, str(int(2.5 * size)))
    for factor in range(3, 9):
        run(made(factor))
        assert 0 < cache_folder.usage().bytes <= 2.5 * size


def test_nothing_is_kept_within_no_bytes(folder, forget, monkeypatch):
    monkeypatch.setenv(cache_folder.VARIABLE, "0")
    monkeypatch.setattr(disk, "_bound", cache_folder.Bound())
    run(made())
    assert files(folder) == []


@pytest.mark.parametrize("text", ["much", "-1", "2 apples", "1e9"])
def test_a_limit_that_is_no_number_of_bytes_is_refused(folder, forget, monkeypatch, text):
    monkeypatch.setenv(cache_folder.VARIABLE, text)
    with pytest.raises(cache_folder.CacheSizeError, match=f"is a number of bytes such as 2GiB or 500MB, not '{text}'"):
        cache_folder.limit()


def test_the_kernels_of_all_versions_are_counted_and_removed(folder, forget):
    expected = run(made())
    other = folder / "convbench" / "emulator" / "0123456789abcdef"
    other.mkdir(mode=0o700)
    (other / "kernel").write_bytes(bytes(1000))
    before = cache_folder.usage()
    assert (before.kernels, before.folder) == (2, folder / "convbench" / "emulator")
    assert cache_folder.clear() == before
    assert cache_folder.usage().bytes == 0
    assert not other.exists()
    linked = forget()
    disk._folder.cache_clear()
    np.testing.assert_array_equal(run(made()), expected)
    assert linked == ["kernel"]


def test_folders_of_other_versions_go_after_a_month(folder, forget):
    root = folder / "convbench" / "emulator"
    for name, days in (("old", cache_folder.DAYS_KEPT + 1), ("new", cache_folder.DAYS_KEPT - 1)):
        (root / name).mkdir(parents=True)
        then = root.stat().st_mtime - days * 86_400
        os.utime(root / name, (then, then))
    run(made())
    assert {path.name for path in root.iterdir()} >= {"new"}
    assert not (root / "old").exists()
