"""Time the algorithms that compute one layer correctly, together, so that drift of the machine affects all alike.

Drift is a change of clock rates, temperature or load while the samples are taken.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from convbench.devices import Device
from convbench.measurement.execution import Execution
from convbench.measurement.sampling import Effort, Sampling, take_turns
from convbench.records import Cache, Timing


class Contender:
    """One algorithm that is timed: prepared, warmed up, and sampled in each state of the cache.

    `error` is the exception that its work raised while it was sampled; None if there was none.

    Raises whatever the algorithm raises while it is prepared and warmed up.
    """

    def __init__(self, execution: Execution, effort: Effort) -> None:
        self.execution, self.device = execution, execution.device
        self.error: BaseException | None = None
        self.prepare_us = self.device.waited_us(execution.load)
        for _ in range(effort.warmup):
            execution.run()
        self.queue_us = self._queue_us() if self.device.is_gpu else None
        stopwatches = [self.device.stopwatch(execution.run, cache) for cache in effort.caches]
        self.samplings = [Sampling(stopwatch, effort, self.device.reading) for stopwatch in stopwatches]

    @property
    def is_measured(self) -> bool:
        """Whether all samples have been taken without an error."""
        return self.error is None and all(sampling.stop is not None for sampling in self.samplings)

    def timing(self, floor_us: Callable[[Cache], float | None], compile_s: float) -> Timing:
        """The timing that its record keeps; call this once `is_measured` is true.

        Parameters
        ----------
        floor_us : gives the least possible time for a state of the cache
        compile_s : seconds that compiling its kernels took
        """
        return Timing(
            clock=self.device.clock,
            host_clock=self.samplings[0].stopwatch.host_clock,
            series=tuple(sampling.series() for sampling in self.samplings),
            floor_us=floor_us(self.samplings[0].stopwatch.cache),
            prepare_us=self.prepare_us,
            queue_us=self.queue_us,
            phases_us={str(phase): us for phase, us in self.device.phases_us(self.execution.run).items()},
            compile_s=compile_s,
        )

    def _queue_us(self) -> float:
        """Microseconds that the host needs to queue one run, when nothing else is in the queue."""
        self.device.synchronize()
        start = time.perf_counter()
        self.execution.run()
        us = (time.perf_counter() - start) * 1e6
        self.device.synchronize()
        return us


def hold(
    contenders: Sequence[Contender], random: np.random.Generator, turn: Callable[[int], None] = lambda _place: None
) -> None:
    """Sample all contenders in turns, until each is measured or has failed.

    This ends early when a failure takes the device down. The remaining contenders are then neither measured nor failed.

    Parameters
    ----------
    turn : called with the place of a contender before each of its samples
    """
    places = [place for place, contender in enumerate(contenders) for _ in contender.samplings]
    owners = [contender for contender in contenders for _ in contender.samplings]
    samplings = [sampling for contender in contenders for sampling in contender.samplings]

    def lost(place: int, error: BaseException) -> bool:
        owners[place].error = error
        return is_alive(owners[place].device)

    take_turns(samplings, owners, random, lost, lambda place: turn(places[place]))


def is_alive(device: Device) -> bool:
    """Whether a device still works."""
    try:
        device.synchronize()
    except Exception:  # noqa: BLE001  (any error means that the device is lost; the caller has the first error)
        return False
    return True
