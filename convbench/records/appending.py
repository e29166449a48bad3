"""Appends records to a file of JSON Lines, each in one piece and flushed to disk; the file is never rewritten."""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from convbench.errors import FileInUseError, RecordsError
from convbench.records.locks import one_writer
from convbench.records.record import Record
from convbench.records.whole import append_line, sync_folder


class RecordsFile:
    """A file to which records are appended; each is on disk as soon as it is appended.

    The file has one writer at a time, from the moment that it is opened. After an error, the file holds the records
    that were appended before it, and nothing of the one that could not be.
    """

    def __init__(self, path: Path) -> None:
        """Open the file for appending.

        Raises
        ------
        FileInUseError
            another process, or another `RecordsFile`, appends to it.
        RecordsError
            the folder or the file cannot be written.
        """
        self.path, self.appended = path, 0
        with ExitStack() as opened:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                opened.enter_context(one_writer(path))
                # with a buffer, close() would write again after a failure
                self._file = opened.enter_context(path.open("ab+", buffering=0))
                sync_folder(path.parent)
            except FileInUseError as error:
                raise FileInUseError(f"{error}: wait for its end, or name another place with --out") from None
            except OSError as error:
                raise RecordsError(f"records cannot be written to {path}: {error.strerror}") from error
            self._opened = opened.pop_all()

    def append(self, record: Record) -> None:
        """Write one line and wait until it is on disk.

        Raises RecordsError, which says what was kept and where, if the line cannot be written, or if the file is no
        longer at its place.
        """
        line = record.to_json().encode("utf-8", "replace")  # half of a surrogate pair does not end a run
        try:
            append_line(self._file, line)
        except OSError as error:
            kept = f"before it, {self.appended} of this run were"
            raise RecordsError(f"a record cannot be written to {self.path}: {error.strerror}; {kept}") from error
        self.appended += 1
        if not self._is_at_its_place():
            raise RecordsError(f"{self.path} was removed or replaced while records were appended; {self._rescued()}")

    def _is_at_its_place(self) -> bool:
        """Whether the path still leads to the file that is open."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def _rescued(self) -> str:
        """Copy what the open file holds to a new folder, and say where it is."""
        try:
            folder = Path(tempfile.mkdtemp(prefix="convbench-rescued-"))
            copy = folder / self.path.name
            self._file.seek(0)
            with copy.open("wb") as file:
                shutil.copyfileobj(self._file, file)
                os.fsync(file.fileno())
        except OSError as error:
            return f"what it held is lost ({error.strerror})"
        return f"what it held, with the {self.appended} of this run, is in {copy}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
