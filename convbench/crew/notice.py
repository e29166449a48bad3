"""A worker's notice: what it is doing, since when, and how long that may take.

It is a file in memory that both processes map. So the parent knows what a worker was doing, whatever ended it, and
writing it costs less than a microsecond: it may be written before every sample of a measurement.
"""

import mmap
import struct
import time
from pathlib import Path
from typing import NamedTuple

HEAD = struct.Struct("<ddI")  # since when, by the monotonic clock of the machine; limit in seconds; bytes of text
SIZE = 16384


class Doing(NamedTuple):
    """What a worker is doing. A limit of 0 is none."""

    what: str
    since: float
    limit_s: float

    @property
    def is_over(self) -> bool:
        """Whether it has taken longer than it may."""
        return 0 < self.limit_s < time.monotonic() - self.since


class Notice:
    """The notice of one worker, for the worker and for its parent."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(SIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SIZE)

    def write(self, what: str, limit_s: float) -> None:
        """Say what begins now. A text that is too long is cut."""
        text = what.encode(errors="replace")[: SIZE - HEAD.size]
        self._memory[: HEAD.size] = HEAD.pack(0.0, 0.0, 0)  # nobody reads the old text with the new time
        self._memory[HEAD.size : HEAD.size + len(text)] = text
        self._memory[: HEAD.size] = HEAD.pack(time.monotonic(), limit_s, len(text))

    def clear(self) -> None:
        """Say that nothing is under way."""
        self._memory[: HEAD.size] = HEAD.pack(0.0, 0.0, 0)

    def read(self) -> Doing | None:
        """What is under way; None if nothing is."""
        since, limit_s, length = HEAD.unpack(self._memory[: HEAD.size])
        if since == 0.0:
            return None
        text = self._memory[HEAD.size : HEAD.size + length].decode(errors="replace")
        return Doing(text, since, limit_s)

    def close(self) -> None:
        """Unmap the file."""
        self._memory.close()
