"""Linked kernels on disk: what took the front end and LLVM most of a compilation's time, for the next process.

A file holds one `Linked` (text and tables, nothing of a process), under the `identity` of its kernel, the types of its
arguments and whatever else went into it; the folder stands for the emulator's own sources, the packages that compile
and the processor. A file is written whole or not at all; one that cannot be read is made again. What has no identity,
and all where the folder cannot be written, is compiled in every process.
"""

import hashlib
import os
import pickle
import platform
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convbench.emulator.build import Linked, Machine, bind
from convbench.emulator.identity import identity

DAYS_KEPT = 30  # a folder that nobody wrote to for so long is another version's
MOST_FILES = 20_000  # in one folder: 20 to 200 KiB each
_PACKAGES = ("numba-cuda", "numba", "llvmlite", "numpy")
_switched_off: list[bool] = []


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Compile whatever is asked for, and leave no trace on disk: for kernels that nobody will ask for again."""
    _switched_off.append(True)
    try:
        yield
    finally:
        _switched_off.pop()


def linked(kernel: Any, key: tuple[Any, ...], machine: Machine, make: Callable[[], Linked]) -> Linked:
    """What `make` gives, or gave in an earlier process for the same kernel, and `key`, whose text says everything."""
    digest = None if _switched_off or " at 0x" in repr(key) else identity(kernel)
    folder = None if digest is None else _folder(machine.cpu + machine.features)
    if folder is None:
        return make()
    file = folder / hashlib.sha256(f"{digest} {key!r}".encode()).hexdigest()
    found = _read(file)
    if found is None:
        found = make()
        _write(file, found)
    else:
        bind(found.symbols)
    return found


def _read(file: Path) -> Linked | None:
    try:
        found = pickle.loads(zlib.decompress(file.read_bytes()))
    except (OSError, zlib.error, pickle.UnpicklingError, EOFError, ValueError, LookupError):
        return None  # not there, or torn
    return found if isinstance(found, Linked) else None


def _write(file: Path, made: Linked) -> None:
    new = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # a full disk costs time, and nothing else
        if sum(1 for _ in file.parent.iterdir()) < MOST_FILES:
            new.write_bytes(zlib.compress(pickle.dumps(made), 1))
            new.replace(file)


@cache
def _folder(processor: str) -> Path | None:
    """Where this version keeps its files on this processor; None where there is no place."""
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    words = [processor, platform.python_version(), *(f"{name} {version(name)}" for name in _PACKAGES)]
    digest = hashlib.sha256("\n".join(words).encode() + b"".join(source.read_bytes() for source in sources))
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convbench" / "emulator"
        folder = root / digest.hexdigest()[:16]
        if not folder.is_dir():
            _tidy(root)
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except (OSError, RuntimeError):  # RuntimeError: nobody's home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _tidy(root: Path) -> None:
    """Drop the folders of other versions that nobody uses any more."""
    for other in root.iterdir() if root.is_dir() else ():
        if time.time() - other.stat().st_mtime > DAYS_KEPT * 86_400:
            shutil.rmtree(other, ignore_errors=True)
