"""Appends records to a file of JSON Lines, each in one piece and flushed to disk; the file is never rewritten."""

import errno
import os
from pathlib import Path
from typing import Self

from convbench.errors import RecordsError
from convbench.records.record import Record


class RecordsFile:
    """A file to which records are appended; each is on disk as soon as it is appended."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending; raises RecordsError if the folder or the file cannot be written."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+", buffering=0)  # with a buffer, close() would write again after a failure
            if self._file.tell():
                self._file.seek(-1, os.SEEK_END)
                if self._file.read(1) != b"\n":
                    self._write(b"\n")  # ends a torn line, so that the next record gets a line of its own
        except OSError as error:
            raise RecordsError(f"records cannot be written to {path}: {error.strerror}") from error

    def append(self, record: Record) -> None:
        """Write one line and wait until it is on disk."""
        try:
            self._write(record.to_json().encode() + b"\n")
        except OSError as error:
            raise RecordsError(f"a record cannot be written to {self.path}: {error.strerror}") from error

    def _write(self, line: bytes) -> None:
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
