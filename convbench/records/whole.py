"""Writes a file or a line completely, or leaves what was there: readers never see a part of either."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from stat import S_IMODE
from typing import BinaryIO


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the context ends, and is on disk then.

    If the context ends with an error, or the disk is full, `path` is as it was. The folder is made if it is not there.
    A link stays a link, and its target is replaced; others may read and write the new file as the old one. Raises
    OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    goal = path.resolve()
    draft = goal.with_name(f".{goal.name}.{secrets.token_hex(4)}.part")  # numbers of processes differ on one host only
    try:
        with draft.open("wb") as file:
            if goal.exists():
                draft.chmod(S_IMODE(goal.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())  # some file systems report a full disk only here
        draft.replace(goal)
        sync_folder(goal.parent)
    finally:
        with suppress(OSError):  # after a success the draft is gone; after a failure its error is the one to report
            draft.unlink(missing_ok=True)


def append_line(file: FileIO, line: bytes) -> None:
    """Append a line to a file that is open for appending and reading, without a buffer; it is on disk then.

    A line that a crash has cut off is ended first. If the disk is full, the file is as it was. Raises OSError.
    """
    size = os.fstat(file.fileno()).st_size
    if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
        line = b"\n" + line
    try:
        if file.write(line + b"\n") != len(line) + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):  # if not even this works, the reader finds a torn line
            file.truncate(size)
        raise


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk, which some file systems do not need and refuse."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def unwritable(path: Path) -> str | None:
    """The reason why a file cannot be written or made, as far as can be told beforehand; None if there is none."""
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    if path.is_dir():
        return None if os.access(path, os.W_OK | os.X_OK) else f"{path} may not be written"
    folder = path.resolve().parent if existing == path else existing
    if not folder.is_dir():
        return f"{folder} is no folder"
    for place in {existing, folder}:
        if not os.access(place, os.W_OK):
            return f"{place} may not be written"
    return None
