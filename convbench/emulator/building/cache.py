"""A cache in memory."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

KEPT = 128  # compiled kernels in memory; the least recently used one is freed first
_lock = threading.RLock()
Kept = TypeVar("Kept")


class Cache(Generic[Kept]):
    """A cache of compiled or linked kernels. When it is full, the least recently used one is freed."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._compiled: OrderedDict[Any, Kept] = OrderedDict()

    def get(self, key: Any, make: Callable[[], Kept]) -> Kept:
        with _lock:
            if key not in self._compiled:
                self._compiled[key] = make()
                while len(self._compiled) > self._kept:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(key)
            return self._compiled[key]
