"""Turns: one worker of a crew at a time works alone, in the order in which they ask."""

import time
from contextlib import suppress
from math import inf
from multiprocessing.connection import Connection


class Turns:
    """Whose turn it is.

    Attributes
    ----------
    until : the time, by `time.time`, at which all is to be done
    """

    def __init__(self) -> None:
        self.until = inf
        self._waiting: list[Connection] = []  # in the order in which they asked
        self._holder: Connection | None = None
        self._since, self._longest = 0.0, 0.0

    def ask(self, connection: Connection) -> None:
        """Answer a worker when it is its turn, or when there is no time left."""
        self._waiting.append(connection)
        self._grant()

    def release(self, connection: Connection) -> None:
        """End the turn of a worker, or its wait for one."""
        self._waiting = [other for other in self._waiting if other is not connection]
        if self._holder is connection:
            self._holder = None
            self._longest = max(self._longest, time.time() - self._since)
        self._grant()

    def there_is_time(self) -> bool:
        """Whether the time that is left is enough for a turn as long as the longest so far."""
        return time.time() + self._longest < self.until

    def _grant(self) -> None:
        """Let the worker that has waited longest have its turn; or tell all that wait that there is no time left."""
        while self._holder is None and self._waiting:
            first = self._waiting.pop(0)
            if granted := self.there_is_time():
                self._holder, self._since = first, time.time()
            with suppress(OSError):  # it has ended, which the crew will notice
                first.send(granted)
