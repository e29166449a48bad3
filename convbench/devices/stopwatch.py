"""What takes samples of one piece of work, with the cache warm or cold.

Algorithms take turns, so that each finds the cache full of another's data: a warm run is timed right after an untimed
one of the same work. For cold, twice as many bytes as the last-level cache holds are written
before each run, so that whatever replacement rule it has, nothing of the operands is left there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from convbench.errors import DeviceError
from convbench.records import Cache, Reading


class Timed(Protocol):
    """What a stopwatch needs of the device that it times."""

    @property
    def name(self) -> str:
        """Of the device, for messages."""

    @property
    def flush_bytes(self) -> int | None:
        """Bytes whose writing leaves nothing else in the cache; None where nothing tells."""

    def flush(self) -> None:
        """Queue writes of `flush_bytes` bytes."""

    def elapsed_us(self, work: Callable[[], None]) -> float:
        """Microseconds that the launches in `work` took, by the device's clock."""


@dataclass(frozen=True)
class Sample:
    """Microseconds of one run, by the device's clock and by the host's, and the GPU's clocks at that moment."""

    us: float
    host_us: float
    reading: Reading | None = None


class Stopwatch:
    """Times each run alone, by `Device.elapsed_us`; the host's time is what its processors worked.

    Raises DeviceError for a cold cache on a device that does not tell how large its cache is.
    """

    host_clock = "process time of all threads"

    def __init__(self, device: Timed, work: Callable[[], None], cache: Cache) -> None:
        self.device, self.work, self.cache = device, work, cache
        if cache == "cold" and device.flush_bytes is None:
            raise DeviceError(f"device {device.name} does not tell the size of its cache, which cold runs need")

    @property
    def method(self) -> str:
        """How a sample is made, in words."""
        return f"each run timed alone, {self.state}"

    @property
    def state(self) -> str:
        """What the cache holds when a run begins, in words."""
        if self.cache == "cold":
            return f"{self.device.flush_bytes:,} bytes written before it (cold cache)"
        return "right after another one on the same buffers (warm cache)"

    def set_cache(self) -> None:
        """Queue what brings the cache into its state: a run, or writes of other data."""
        if self.cache == "cold":
            self.device.flush()
        else:
            self.work()

    def take(self) -> Sample:
        """One sample."""
        self.set_cache()
        start = time.process_time()
        us = self.device.elapsed_us(self.work)
        return Sample(us, (time.process_time() - start) * 1e6)
