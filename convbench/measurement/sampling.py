"""Sampling: the order in which samples are taken, and the rule that decides when there are enough.

Algorithms that are measured together take turns. In each round, every unfinished one takes one sample. The order within
a round is drawn anew from a seed, so that drift and other load on the machine affect all alike.

Sampling of one algorithm ends when the standard error of its median is small enough, at a number of samples, or after a
time; a minimum number is always taken. A sample that was taken while the GPU was slowed down (throttled) is kept and
marked, but it does not count. Sampling then rests for a moment and takes another sample in its place.

Source: nvbench (NVIDIA 2021) also stops at a relative noise, and discards throttled samples; Kalibera & Jones 2013,
"Rigorous benchmarking in reasonable time", §5, on the order of runs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from convbench.devices import Device, Stopwatch
from convbench.interrupts import is_interruption
from convbench.records import CACHES, Cache, Clocks, Reading, Series, Stop, intervals

REST_S = 0.05  # pause after a throttled sample
MOST_THROTTLED = 2  # at most this many times `Effort.maximum` samples are taken, throttled ones included
# The error is computed again only when there are this many times more samples: each look is another chance that the
# error is small by luck, and that sampling stops too early.
GROWTH = 1.1


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How often to run an algorithm.

    Parameters
    ----------
    warmup : number of runs before the first sample
    minimum : number of samples that are always taken
    maximum : number of samples at which sampling ends
    max_seconds : sum of the sampled times at which sampling ends, once the minimum is taken
    relative_error : standard error of the median, relative to the median, at which sampling ends
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
        """The default effort on a device.

        Off the GPU it is smaller: a kernel takes microseconds on a GPU, and up to seconds when it is emulated.
        """
        return (
            cls()
            if device.is_gpu
            else cls(warmup=1, minimum=intervals.FEWEST, maximum=20, max_seconds=0.3, caches=("warm",))
        )


class Sampling:
    """The samples taken so far of one algorithm in one state of the cache.

    Parameters
    ----------
    read : reads the GPU's clocks; called before the first sample and after the last
    rest : waits for the given number of seconds; called after a throttled sample
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
        """Take one more sample, and set `stop` if it was the last."""
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
        """The samples as a record keeps them; call this once `stop` is set."""
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
    turn: Callable[[int], None] = lambda _place: None,
) -> None:
    """Take samples in rounds, each in random order, until every sampling has its samples.

    Parameters
    ----------
    owners : the owner of each sampling; when a sampling fails, no further sample of its owner is taken
    lost : called with the index and the error of a sampling that failed; returns whether to go on with the others
    turn : called with the index of a sampling before each of its samples
    """
    unfinished = list(range(len(samplings)))
    while unfinished:
        for place in random.permutation(unfinished).tolist():
            if place not in unfinished:
                continue  # its owner has failed in this round
            turn(place)
            try:
                samplings[place].take()
            except BaseException as error:
                if is_interruption(error):
                    raise
                if not lost(place, error):
                    return
                unfinished = [other for other in unfinished if owners[other] is not owners[place]]
            else:
                if samplings[place].stop is not None:
                    unfinished.remove(place)


def _slower(known: Reading | None, new: Reading) -> Reading:
    """Combine two readings: the lower clocks, the higher temperature and power, and the throttle reasons of both."""
    if known is None:
        return new
    slow = min(known, new, key=lambda reading: reading.sm_mhz)
    reasons = tuple(dict.fromkeys(known.throttle + new.throttle))
    return Reading(
        sm_mhz=slow.sm_mhz, memory_mhz=min(known.memory_mhz, new.memory_mhz),
        temperature_c=max(known.temperature_c, new.temperature_c), power_w=max(known.power_w, new.power_w),
        throttle=reasons,
    )  # fmt: skip
