"""Keep linked kernels on disk, so that the next process need not spend most of a compilation's time again.

A file holds one `Linked`: text and tables, nothing that belongs to a process. Its name is a digest of the `identity` of
the kernel, the types of its arguments and everything else that went into it. The folder's name is a digest of the
emulator's own sources, the packages that compile, and the processor. A file is written completely or not at all. A
file that cannot be read is made again. A kernel without an identity is compiled in every process, and so is every
kernel if the folder cannot be written.
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

from convbench.emulator.building import Linked, bind
from convbench.emulator.identity import identity
from convbench.emulator.machine import Machine

DAYS_KEPT = 30  # a folder that no process used for so long belongs to another version, and is removed
MOST_FILES = 20_000  # in one folder; a file has 20 to 200 KiB
_PACKAGES = ("numba-cuda", "numba", "llvmlite", "numpy")
_switched_off: list[bool] = []


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Compile without reading or writing files: for kernels that nobody will ask for again."""
    _switched_off.append(True)
    try:
        yield
    finally:
        _switched_off.pop()


def linked(kernel: Any, key: tuple[Any, ...], machine: Machine, make: Callable[[], Linked]) -> Linked:
    """The result of `make`, now or in an earlier process, for the same kernel and a `key` with the same text."""
    # an address in the text of the key means nothing to another process
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
        return None  # the file is not there, or incomplete
    return found if isinstance(found, Linked) else None


def _write(file: Path, made: Linked) -> None:
    new = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # on a full disk, the next process only compiles again
        if sum(1 for _ in file.parent.iterdir()) < MOST_FILES:
            new.write_bytes(zlib.compress(pickle.dumps(made), 1))
            new.replace(file)


@cache
def _folder(processor: str) -> Path | None:
    """The folder for this version and processor; None if it cannot be written."""
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
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return None
    return folder if os.access(folder, os.W_OK) else None


def _tidy(root: Path) -> None:
    """Remove the folders of other versions that are no longer used."""
    for other in root.iterdir() if root.is_dir() else ():
        if time.time() - other.stat().st_mtime > DAYS_KEPT * 86_400:
            shutil.rmtree(other, ignore_errors=True)
