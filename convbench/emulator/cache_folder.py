"""The folder of compiled kernels in the user's cache: where it is, who may write it, and how large it becomes.

Each version of the emulator has a folder of its own in it. When all of them together are larger than the limit, the
files that were not used for the longest time go first. The limit is `CONVBENCH_CACHE_SIZE`, or 2 GiB.
"""

import os
import re
import shutil
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from convbench.emulator.errors import EmulatorError

DEFAULT_BYTES = 2 * 2**30
VARIABLE = "CONVBENCH_CACHE_SIZE"
DAYS_KEPT = 30  # a folder that no process used for so long belongs to another version, and is removed
LEFT = 0.9  # of the limit, once the folder was larger
STEP = 1 / 32  # of the limit: after so many new bytes of this process, the files of all processes are counted again
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class CacheSizeError(EmulatorError):
    """The limit of the folder is no number of bytes."""


@dataclass(frozen=True)
class Usage:
    """What is in the folder: its kernels, and their bytes."""

    folder: Path
    kernels: int
    bytes: int


def bytes_of(text: str) -> int | None:
    """The bytes of a text such as 8GiB or 512 MB; None if it has another form."""
    found = re.fullmatch(r"(\d{1,18})\s*([A-Za-z]*)", text, re.ASCII)
    unit = _UNITS.get(found[2].upper()) if found else None
    return None if found is None or unit is None else int(found[1]) * unit


def limit() -> int:
    """The most bytes of all kernels. Raises CacheSizeError."""
    text = os.environ.get(VARIABLE)
    if not text:
        return DEFAULT_BYTES
    size = bytes_of(text)
    if size is None:
        raise CacheSizeError(f"--cache-size ({VARIABLE}) is a number of bytes such as 2GiB or 500MB, not {text!r}")
    return size


def root() -> Path:
    """The folder. Raises RuntimeError if the user has no home folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convbench" / "emulator"


def made(name: str) -> Path | None:
    """The folder of a version, which is made if it is not there. None if others own or may write it, with a warning.

    Raises OSError, and RuntimeError if the user has no home folder.
    """
    whole = root()
    folder = whole / name
    if not folder.is_dir():
        _remove_unused(whole)
    whole.parent.parent.mkdir(parents=True, exist_ok=True)
    for own in (whole.parent, whole, folder):
        own.mkdir(mode=0o700, exist_ok=True)
    os.utime(folder)
    if foreign := [path for path in (whole.parent, whole, folder) if not is_own(path)]:
        warnings.warn(
            f"compiled kernels are not kept, because others own or may write {foreign[0]}: remove it, or set "
            "XDG_CACHE_HOME to a folder of your own",
            stacklevel=2,
        )
        return None
    return folder


def is_own(path: Path, others_may: int = stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH) -> bool:
    """Whether a file or folder is the user's, no link, and gives others no other rights."""
    found = path.lstat()
    rights = stat.S_IMODE(found.st_mode) & 0o077
    return found.st_uid == os.getuid() and not stat.S_ISLNK(found.st_mode) and not rights & ~others_may


def usage() -> Usage:
    """What is in the folder now. Raises RuntimeError if the user has no home folder."""
    files = list(_files(root()))
    return Usage(root(), len(files), sum(found.st_size for _, found in files))


def clear() -> Usage:
    """Remove all kernels, of all versions. Returns what was removed.

    Raises OSError if a file cannot be removed, and RuntimeError if the user has no home folder.
    """
    whole, removed = root(), []
    for file, found in list(_files(whole)):
        with suppress(FileNotFoundError):  # another process was faster
            file.unlink()
            removed.append(found.st_size)
    for folder in _versions(whole):
        with suppress(OSError):  # another process has just written a file
            folder.rmdir()
    return Usage(whole, len(removed), sum(removed))


class Bound:
    """Keeps the folder within the limit, while a process writes files."""

    def __init__(self) -> None:
        self._total = self._new = -1  # bytes of all files when they were counted, and of those written since

    def wrote(self, size: int) -> None:
        """Count a file that was written; remove the files that were not used for the longest time, if need be."""
        most = limit()
        self._new += size
        if self._total < 0 or self._new > STEP * most or self._total + self._new > most:
            self._total, self._new = _shrunk(root(), most), 0


def _shrunk(whole: Path, most: int) -> int:
    """Remove files until the folder is well within the limit, if it was beyond it. Returns its bytes."""
    files = sorted(_files(whole), key=lambda one: one[1].st_mtime)
    total = sum(found.st_size for _, found in files)
    if total <= most:
        return total
    for file, found in files:
        if total <= LEFT * most:
            break
        with suppress(OSError):  # another process was faster
            file.unlink()
        total -= found.st_size
    return total


def _files(whole: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for folder in _versions(whole):
        for file in folder.iterdir():
            with suppress(FileNotFoundError):  # another process was faster
                found = file.lstat()
                if stat.S_ISREG(found.st_mode):
                    yield file, found


def _versions(whole: Path) -> list[Path]:
    return [path for path in whole.iterdir() if path.is_dir() and not path.is_symlink()] if whole.is_dir() else []


def _remove_unused(whole: Path) -> None:
    """Remove the folders of other versions that are no longer used."""
    for other in _versions(whole):
        if time.time() - other.stat().st_mtime > DAYS_KEPT * 86_400:
            shutil.rmtree(other, ignore_errors=True)
