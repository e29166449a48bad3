"""Defines the timing of one result: all samples, how they were made, and the GPU's clocks while they were taken."""

from dataclasses import dataclass
from functools import cached_property
from statistics import median, quantiles
from typing import Any, Final, Literal, get_args

Cache = Literal["warm", "cold"]
CACHES: tuple[Cache, ...] = get_args(Cache)
Stop = Literal["precise", "samples", "seconds"]  # why sampling ended: small error, enough samples, no time left

# How records are checked when they are read: no additional fields, exact types, no NaN.
STRICT: Final[Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The state of a GPU at one moment, from its driver."""

    sm_mhz: int
    memory_mhz: int
    temperature_c: int
    power_w: float
    throttle: tuple[str, ...] = ()  # the reasons why it is slowed down; empty if it is not

    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """Readings before, during and after one series.

    `during` combines those taken while sampling: lowest clocks, highest temperature and power, and all reasons.
    """

    before: Reading
    during: Reading
    after: Reading

    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class Series:
    """The samples of a result with the cache in one state, in microseconds and in the order they were taken."""

    cache: Cache
    method: str  # how the samples were made, in words
    samples_us: tuple[float, ...]  # all samples
    host_us: tuple[float, ...]  # the host's time for each sample, by `Timing.host_clock`
    throttled: tuple[int, ...] = ()  # indices of samples taken while the GPU was slowed down; they are not counted
    stop: Stop
    clocks: Clocks | None = None  # None if they cannot be read

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if not self.samples_us or min(self.samples_us) <= 0:
            raise ValueError(f"a series needs positive samples, not {self.samples_us}")
        if len(self.host_us) != len(self.samples_us) or min(self.host_us) < 0:
            raise ValueError(f"a series of {len(self.samples_us)} samples has as many host times, not {self.host_us}")
        if not set(self.throttled) <= set(range(len(self.samples_us))):
            raise ValueError(f"throttled samples {self.throttled} are not all among {len(self.samples_us)}")

    @cached_property
    def counted_us(self) -> tuple[float, ...]:
        """The samples that statistics use: those that are not throttled, or all if there are no such samples."""
        slowed = set(self.throttled)
        return tuple(us for place, us in enumerate(self.samples_us) if place not in slowed) or self.samples_us

    @cached_property
    def median_us(self) -> float:
        return median(self.counted_us)

    @cached_property
    def interval_us(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the median (`convbench.records.intervals`); None if too few samples."""
        from convbench.records.intervals import median_interval  # imports numpy, which takes long

        return median_interval(self.counted_us)

    @property
    def spread(self) -> float:
        """Interquartile range over median; 0 for a single sample."""
        if len(self.counted_us) < 2:
            return 0.0
        low, _, high = quantiles(self.counted_us, n=4, method="inclusive")
        return (high - low) / self.median_us


@dataclass(frozen=True, kw_only=True)
class Timing:
    """All times of one result, in microseconds unless the name says otherwise."""

    clock: str  # the device's clock, by which the samples and phases are timed
    host_clock: str  # what kind of time `Series.host_us` is
    series: tuple[Series, ...]  # one for each state of the cache; reports show the first one
    floor_us: float | None = None  # the least time that this hardware allows; None if its ceilings are unknown
    prepare_us: float  # of the work that is done once for each set of weights, not part of a sample
    queue_us: float | None = None  # the host's time to queue the launches of one run on a GPU
    phases_us: dict[str, float]  # of one run, by phase, each launch timed alone
    compile_s: float  # spent compiling kernels for this result

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        caches = [series.cache for series in self.series]
        if not caches or len(set(caches)) != len(caches):
            raise ValueError(f"a timing has one series for each state of the cache, not {caches}")

    @property
    def first(self) -> Series:
        """The first series, which reports show first."""
        return self.series[0]

    def of(self, cache: Cache) -> Series | None:
        """The series of one state of the cache, or None."""
        return next((series for series in self.series if series.cache == cache), None)

    @property
    def median_us(self) -> float:
        return self.first.median_us

    @property
    def spread(self) -> float:
        return self.first.spread
