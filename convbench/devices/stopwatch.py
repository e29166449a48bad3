"""Takes timing samples of one piece of work, with a warm or a cold cache.

Algorithms take turns, so the cache is full of another algorithm's data when a sample begins. For a warm cache, the
timed run follows right after an untimed run of the same work. For a cold cache, twice as many bytes as the last-level
cache holds are written before each run, so that none of the operands is left there, whichever replacement policy the
cache has.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from convbench.errors import DeviceError
from convbench.records import Cache, Reading


class Timed(Protocol):
    """The parts of a device that a stopwatch uses."""

    @property
    def name(self) -> str:
        """The name of the device, for messages."""

    @property
    def flush_bytes(self) -> int | None:
        """Bytes that must be written to evict everything else from the cache; None if its size is unknown."""

    def flush(self) -> None:
        """Queue writes of `flush_bytes` bytes."""

    def elapsed_us(self, work: Callable[[], None]) -> float:
        """Microseconds that the launches in `work` took, by the device's clock."""


@dataclass(frozen=True)
class Sample:
    """The time of one run in microseconds, by the device's clock and on the host, and the GPU's clocks meanwhile."""

    us: float
    host_us: float
    reading: Reading | None = None


class Stopwatch:
    """Times each run alone with `Device.elapsed_us`; the host's time is the CPU time of all threads.

    Raises DeviceError for a cold cache if the device does not know the size of its cache.
    """

    host_clock = "process time of all threads"

    def __init__(self, device: Timed, work: Callable[[], None], cache: Cache) -> None:
        self.device, self.work, self.cache = device, work, cache
        if cache == "cold" and device.flush_bytes is None:
            raise DeviceError(f"device {device.name} does not know the size of its cache, which cold runs need")

    @property
    def method(self) -> str:
        """A description of how a sample is made, for records."""
        return f"each run timed alone, {self.state}"

    @property
    def state(self) -> str:
        """A description of the state of the cache when a run begins, for records."""
        if self.cache == "cold":
            return f"{self.device.flush_bytes:,} bytes written before it (cold cache)"
        return "right after another one on the same buffers (warm cache)"

    def set_cache(self) -> None:
        """Queue the work that puts the cache into its state: an untimed run, or writes of other data."""
        if self.cache == "cold":
            self.device.flush()
        else:
            self.work()

    def take(self) -> Sample:
        """Take one sample."""
        self.set_cache()
        start = time.process_time()
        us = self.device.elapsed_us(self.work)
        return Sample(us, (time.process_time() - start) * 1e6)
