"""What a command has begun, in a file beside its records: what it left there, it did not live to end.

The file NAME.begun is JSON Lines. Each line names a job and says how often it was begun by a command that then ended
without a word: by SIGKILL, say, or by a crash of the command's own process. The last line is the job that is under way
now; it is written over in place when another begins, one call of the system for each, and no wait for the disk. The
file has one writer, who has the records file (`RecordsFile`), and is removed with its last job.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from convbench.records.locks import tell_user

Job = tuple[str, ...]  # what names a job; equal texts are one job


class BegunFile:
    """The file of what was begun, beside a records file. Use it as a context manager within that of the records.

    An end of the context, by whatever exception, is an orderly one: the job under way is not held to have ended the
    process. If the file cannot be written, this is told once, and nothing more is written.

    Parameters
    ----------
    records : the records file
    goes_on : whether what earlier commands left counts; it is forgotten otherwise
    tell : tells the user a sentence

    Attributes
    ----------
    times : how often each job was begun, and never ended, by earlier commands
    """

    def __init__(self, records: Path, *, goes_on: bool, tell: Callable[[str], None] = tell_user) -> None:
        self.path, self._tell = records.with_name(f"{records.name}.begun"), tell
        self.times = _read(self.path) if goes_on else {}
        self._current: Job | None = None
        self._file: int | None = None
        self._place = self._length = 0  # of the last line
        self._works = True

    def begin(self, job: Job) -> None:
        """Say that a job is under way now, in place of the one before."""
        if job != self._current:
            self._write(_line(job, self.times.get(job, 0) + 1))
            self._current = job

    def end(self, job: Job) -> None:
        """Say that a job has ended: its record is kept."""
        if self.times.pop(job, None) is not None:
            self._close()  # what is written next begins the file anew, without the job
        elif job != self._current:
            return
        self._current = None
        self._write(b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if not self._works:
            return
        try:
            if self.times:
                self._begin_file()
            else:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            self._fail(error)

    def _write(self, line: bytes) -> None:
        if not self._works:
            return
        try:
            if self._file is None:
                self._begin_file()
                self._length = 0
                self._file = os.open(self.path, os.O_WRONLY)
            self._length = max(self._length, len(line))
            os.pwrite(self._file, line.ljust(self._length) + b"\n", self._place)
        except OSError as error:
            self._fail(error)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _begin_file(self) -> None:
        """Write the file anew, with what earlier commands left."""
        draft = self.path.with_name(f".{self.path.name}.part")
        draft.write_bytes(b"".join(_line(job, times) + b"\n" for job, times in self.times.items()))
        self._place = draft.stat().st_size
        draft.replace(self.path)

    def _fail(self, error: OSError) -> None:
        self._works = False
        self._tell(f"what is begun cannot be kept in {self.path} ({error.strerror}): --resume will not know what ended")


def _line(job: Job, times: int) -> bytes:
    return json.dumps({"job": job, "times": times}, ensure_ascii=False).encode("utf-8", "replace")


def _read(path: Path) -> dict[Job, int]:
    """How often each job was begun and never ended. A line that is none of ours says nothing."""
    times: dict[Job, int] = {}
    with suppress(OSError):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError, RecursionError):
                match json.loads(line):
                    case {"job": [*words], "times": int(count)} if all(isinstance(word, str) for word in words):
                        times[tuple(words)] = count
    return times
