"""Samples of a GPU by CUDA events: launches are queued behind a gate first, and timed when the gate opens.

While one thread of the GPU waits at the gate, the host queues the start event, the run and the stop event; so nothing
that is timed waits for Python. Runs that are too short for the resolution of events are repeated within one sample, as
a CUDA graph where the run consists of launches alone.

Source: nvbench (NVIDIA 2021), `blocking_kernel.cu`, has such a gate; CUDA C++ Programming Guide, "CUDA graphs".
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numba import cuda

from convbench.devices.stopwatch import Sample, Stopwatch, Timed
from convbench.errors import DeviceError
from convbench.records import Cache, Reading

SHORT_US = 50.0  # a run that takes less is repeated
REPEATED = 20
TRIALS = 3
POLLS = 4_000_000  # of the gate, a quarter of a microsecond each at least: seconds, after which something waits for it
POLL_NS = 250
FLUSH_THREADS = 256
OPEN, CLOSED, TIRED = 1, 0, 2


@cuda.jit
def wait_at_gate(gate: Any, polls: int) -> None:
    """One thread that waits until the host has opened the gate, or has not for so many polls."""
    for _ in range(polls):
        if cuda.ldcv(gate, 0) != 0:  # .cv: the host changes it
            return
        cuda.nanosleep(POLL_NS)
    gate[1] = TIRED


@cuda.jit
def write_all(array: Any) -> None:
    """A zero in every element; a thread each."""
    place = cuda.grid(1)
    if place < array.size:
        array[place] = 0


class Gate:
    """A number in the host's memory that the GPU sees."""

    def __init__(self) -> None:
        self._numbers = cuda.mapped_array(2, dtype=np.int32)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Hold back what is queued on the GPU in this context."""
        self._numbers[:] = CLOSED
        wait_at_gate[1, 1](self._numbers, POLLS)
        try:
            yield
        finally:
            self._numbers[0] = OPEN

    def check(self) -> None:
        """Raise DeviceError if the last wait, now over, ended before the gate was open."""
        if self._numbers[1] == TIRED:
            raise DeviceError("what is timed waits for the GPU, so that its launches cannot be queued before they run")


class TimedGpu(Timed, Protocol):
    """What the stopwatch of a GPU needs of it beside that."""

    gate: Gate
    host_calls: int  # that libraries of the host were called

    def reading(self) -> Reading | None:
        """The clocks at this moment; None where nothing tells."""

    def captured(self, work: Callable[[], None], runs: int) -> Callable[[], None]:
        """What queues so many runs of launches as one CUDA graph."""


class CudaStopwatch(Stopwatch):
    """Events around one run, or around `REPEATED` of a short one."""

    host_clock = "time to queue the work of a sample, over its runs"

    def __init__(self, device: TimedGpu, work: Callable[[], None], cache: Cache) -> None:
        super().__init__(device, work, cache)
        self._cuda = device
        self._runs, self._queue, self._how = 1, work, "each run timed alone by CUDA events behind a gate"
        if cache == "cold":
            device.flush()  # compiles and allocates now, for neither is possible while the gate is closed
        if cache == "warm" and min(self.take().us for _ in range(TRIALS)) < SHORT_US:
            self._repeat()

    @property
    def method(self) -> str:
        return f"{self._how}, {self.state}"

    def take(self) -> Sample:
        device = self._cuda
        start, stop = cuda.event(), cuda.event()
        with device.gate.closed():
            self.set_cache()
            start.record()
            began = time.perf_counter()
            self._queue()
            host_us = (time.perf_counter() - began) * 1e6
            stop.record()
        reading = device.reading()  # while it runs
        stop.synchronize()
        device.gate.check()
        us = float(start.elapsed_time(stop)) * 1000  # CUDA gives milliseconds
        return Sample(us / self._runs, host_us / self._runs, reading)

    def _repeat(self) -> None:
        """Make a sample of many runs."""
        self._runs = REPEATED
        calls = self._cuda.host_calls
        self.work()
        if self._cuda.host_calls == calls:
            self._queue = self._cuda.captured(self.work, REPEATED)
            self._how = f"a CUDA graph of {REPEATED} runs timed by CUDA events behind a gate"
        else:
            self._queue = self._back_to_back  # a library's own work is not captured
            self._how = f"{REPEATED} runs in a row timed by CUDA events behind a gate"

    def _back_to_back(self) -> None:
        for _ in range(REPEATED):
            self.work()
