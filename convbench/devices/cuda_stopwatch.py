"""Takes timing samples of a GPU with CUDA events; Python's speed does not affect the times.

A gate holds back the GPU first: a kernel of one thread that waits until the host opens it. Meanwhile the host queues
the start event, the run and the stop event. All launches are thus queued before the timed part begins. Runs that are
too short for the resolution of events are repeated within one sample: as a CUDA graph if the run only launches kernels,
else one after the other.

Sources: nvbench (NVIDIA 2021), `blocking_kernel.cu`, which has such a gate; CUDA C++ Programming Guide, "CUDA graphs".
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

SHORT_US = 50.0  # a run that takes less time than this is repeated
REPEATED = 20
TRIALS = 3
POLLS = 4_000_000  # at least 250 ns each, so the gate waits seconds; then the host itself must be waiting for the GPU
POLL_NS = 250
FLUSH_THREADS = 256
OPEN, CLOSED, TIRED = 1, 0, 2


@cuda.jit
def wait_at_gate(gate: Any, polls: int) -> None:
    """Wait, in one thread, until the host has opened the gate; give up after so many polls."""
    for _ in range(polls):
        if cuda.ldcv(gate, 0) != 0:  # loads with .cv, past the caches, because the host changes the number
            return
        cuda.nanosleep(POLL_NS)
    gate[1] = TIRED


@cuda.jit
def write_all(array: Any) -> None:
    """Write a zero to every element, one thread per element."""
    place = cuda.grid(1)
    if place < array.size:
        array[place] = 0


class Gate:
    """Holds back the work that is queued on the GPU until the host opens the gate.

    It consists of two numbers in host memory that the GPU can read and write: the state, and whether it gave up.
    """

    def __init__(self) -> None:
        self._numbers = cuda.mapped_array(2, dtype=np.int32)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Hold back the work that is queued on the GPU inside this context."""
        self._numbers[:] = CLOSED
        wait_at_gate[1, 1](self._numbers, POLLS)
        try:
            yield
        finally:
            self._numbers[0] = OPEN

    def check(self) -> None:
        """Raise DeviceError if the last wait, which must be over, gave up before the gate was opened."""
        if self._numbers[1] == TIRED:
            raise DeviceError("the timed work waits for the GPU, so that its launches cannot be queued before they run")


class TimedGpu(Timed, Protocol):
    """The further parts of a device that the stopwatch of a GPU uses."""

    gate: Gate
    host_calls: int  # number of calls of libraries on the host

    def reading(self) -> Reading | None:
        """The clocks at this moment; None if they cannot be read."""

    def captured(self, work: Callable[[], None], runs: int) -> Callable[[], None]:
        """A function that queues so many runs of launches as one CUDA graph."""


class CudaStopwatch(Stopwatch):
    """Takes samples with CUDA events around one run, or around `REPEATED` runs if they are short."""

    host_clock = "time to queue the work of a sample, over its runs"

    def __init__(self, device: TimedGpu, work: Callable[[], None], cache: Cache) -> None:
        super().__init__(device, work, cache)
        self._cuda = device
        self._runs, self._queue, self._how = 1, work, "each run timed alone by CUDA events behind a gate"
        if cache == "cold":
            device.flush()  # compiles and allocates now, because neither is possible while the gate is closed
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
        reading = device.reading()  # while the work runs
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
            self._queue = self._back_to_back  # the work of a library cannot be captured in a graph
            self._how = f"{REPEATED} runs in a row timed by CUDA events behind a gate"

    def _back_to_back(self) -> None:
        for _ in range(REPEATED):
            self.work()
