"""When to take which sample, and when there are enough.

Whatever is measured together takes turns: in each round everything unfinished takes one sample, in an order drawn anew
from a seed, so that drift and neighbours on the machine touch all alike. Sampling of one thing ends when the standard
error of its median is small enough, at a number of samples, or after a time; a minimum is always taken. A sample that
was taken while the GPU was slowed down is kept and marked, does not count, and is repeated after a rest.

Source: nvbench (NVIDIA 2021) stops at a relative noise too, and discards what was throttled; Kalibera & Jones 2013,
"Rigorous benchmarking in reasonable time", §5, on the order of runs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convbench.devices import Device, Stopwatch
from convbench.records import CACHES, Cache, Clocks, Reading, Series, Stop, intervals

REST_S = 0.05  # after a sample of a GPU that was slowed down
MOST_THROTTLED = 2  # times as many samples as count may be taken in all
GROWTH = 1.1  # the error is looked at again when there are so many times more samples: fewer lucky moments to stop at


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How often to run.

    Parameters
    ----------
    warmup : runs that are not counted
    minimum : samples that are always taken
    maximum : samples that are enough
    max_seconds : of samples, after which no more than the minimum is taken
    relative_error : of the median, which is small enough
    caches : the states of the cache to measure; reports lead with the first
    """

    warmup: int = 3
    minimum: int = 20
    maximum: int = 300
    max_seconds: float = 1.0
    relative_error: float = 0.005
    caches: tuple[Cache, ...] = CACHES

    @classmethod
    def for_device(cls, device: Device) -> "Effort":
        """A GPU's kernels take microseconds, an emulated one's up to seconds."""
        return (
            cls()
            if device.is_gpu
            else cls(warmup=1, minimum=intervals.FEWEST, maximum=20, max_seconds=0.3, caches=("warm",))
        )


class Sampling:
    """The samples of one thing in one state of the cache, so far.

    Parameters
    ----------
    read : reads the clocks, before the first sample and after the last
    rest : waits so many seconds after a throttled sample
    """

    def __init__(
        self,
        stopwatch: Stopwatch,
        effort: Effort,
        read: Callable[[], Reading | None],
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self.stopwatch, self.effort, self._read, self._rest = stopwatch, effort, read, rest
        self.stop: Stop | None = None
        self._before: Reading | None = None
        self._after: Reading | None = None
        self._us: list[float] = []
        self._host_us: list[float] = []
        self._throttled: list[int] = []
        self._slowest: Reading | None = None
        self._look_at = effort.minimum

    def take(self) -> None:
        """One sample more; sets `stop` when it was the last."""
        if not self._us:
            self._before = self._read()
        sample = self.stopwatch.take()
        if sample.reading is not None:
            self._slowest = _slower(self._slowest, sample.reading)
            if sample.reading.throttle:
                self._throttled.append(len(self._us))
                self._rest(REST_S)
        self._us.append(sample.us)
        self._host_us.append(sample.host_us)
        self.stop = self._reason_to_stop()
        if self.stop is not None:
            self._after = self._read()

    def _reason_to_stop(self) -> Stop | None:
        counted = len(self._us) - len(self._throttled)
        if counted >= self.effort.maximum or len(self._us) >= MOST_THROTTLED * self.effort.maximum:
            return "samples"
        if len(self._us) >= self.effort.minimum and sum(self._us) >= self.effort.max_seconds * 1e6:
            return "seconds"
        if counted >= self._look_at:
            self._look_at = int(np.ceil(counted * GROWTH))
            slowed = set(self._throttled)
            error = intervals.relative_error([us for place, us in enumerate(self._us) if place not in slowed])
            if error is not None and error <= self.effort.relative_error:
                return "precise"
        return None

    def series(self) -> Series:
        """What the record keeps, once `stop` is set."""
        assert self.stop is not None
        clocks = None
        if self._before is not None and self._slowest is not None and self._after is not None:
            clocks = Clocks(before=self._before, during=self._slowest, after=self._after)
        return Series(
            cache=self.stopwatch.cache,
            method=self.stopwatch.method,
            samples_us=tuple(round(us, 3) for us in self._us),
            host_us=tuple(round(us, 3) for us in self._host_us),
            throttled=tuple(self._throttled),
            stop=self.stop,
            clocks=clocks,
        )


def take_turns(
    samplings: Sequence[Sampling],
    owners: Sequence[object],
    random: np.random.Generator,
    lost: Callable[[int, BaseException], bool],
) -> None:
    """Rounds in random order until each has its samples.

    Parameters
    ----------
    owners : whose each sampling is; when one fails, nothing more of its owner is sampled
    lost : told the place and the error of one that fails; whether to go on with the others
    """
    unfinished = list(range(len(samplings)))
    while unfinished:
        for place in random.permutation(unfinished).tolist():
            if place not in unfinished:
                continue  # its owner has failed in this round
            try:
                samplings[place].take()
            except (Exception, SystemExit) as error:  # noqa: BLE001  (an algorithm is anyone's code)
                if not lost(place, error):
                    return
                unfinished = [other for other in unfinished if owners[other] is not owners[place]]
            else:
                if samplings[place].stop is not None:
                    unfinished.remove(place)


def _slower(known: Reading | None, new: Reading) -> Reading:
    """Of two readings the one with the lower clock, and the reasons of both."""
    if known is None:
        return new
    slow = min(known, new, key=lambda reading: reading.sm_mhz)
    reasons = tuple(dict.fromkeys(known.throttle + new.throttle))
    return Reading(
        sm_mhz=slow.sm_mhz, memory_mhz=min(known.memory_mhz, new.memory_mhz),
        temperature_c=max(known.temperature_c, new.temperature_c), power_w=max(known.power_w, new.power_w),
        throttle=reasons,
    )  # fmt: skip
