"""What a worker prints: a file takes it, whoever prints it, so that it reaches no terminal and no JSON.

The file is opened for appending by the worker and by all that it starts. The parent, and the worker between two tasks,
read its end and empty it. A worker that prints without end is cut back while it works.
"""

import os
from pathlib import Path

KEPT_BYTES = 4096  # of the end of what was printed
MOST_BYTES = 2**20  # beyond this the file is emptied while the worker works


class Output:
    """The file of one worker."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cut = b""  # the end of what was emptied since the last `take`

    def open(self) -> int:
        """A file descriptor that appends to the file."""
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def take(self) -> str:
        """The end of what was printed since the last call, at most `KEPT_BYTES`; the file is empty after it."""
        kept, self._cut = (self._cut + self._end())[-KEPT_BYTES:], b""
        return kept.decode(errors="replace")

    def with_cut(self, taken: str) -> str:
        """What the worker took, with the end of what was emptied on this side before; that is gone after it."""
        kept, self._cut = (self._cut + taken.encode())[-KEPT_BYTES:], b""
        return kept.decode(errors="replace")

    def cut_back(self) -> None:
        """Empty the file if it has become large; its end is kept for `take`."""
        if self.path.exists() and self.path.stat().st_size > MOST_BYTES:
            self._cut = self._end()

    def _end(self) -> bytes:
        if not self.path.exists() or not (size := self.path.stat().st_size):
            return b""
        with self.path.open("r+b") as file:
            file.seek(max(0, size - KEPT_BYTES))
            end = file.read()
            file.truncate(0)
        return end
