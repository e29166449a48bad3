"""What was measured of one result: every sample, how it was made, and what the machine's clocks did meanwhile."""

from dataclasses import dataclass
from functools import cached_property
from statistics import median, quantiles
from typing import Any, Final, Literal, get_args

Cache = Literal["warm", "cold"]
CACHES: tuple[Cache, ...] = get_args(Cache)
Stop = Literal["precise", "samples", "seconds"]  # why sampling ended: small error, enough of them, no time left

# for what checks records that are read: no field more, none of another type, no NaN
STRICT: Final[Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the driver says of a GPU at one moment."""

    sm_mhz: int
    memory_mhz: int
    temperature_c: int
    power_w: float
    throttle: tuple[str, ...] = ()  # the reasons that slow it down below its clock for load

    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """Readings around one series; `during` has the lowest clock of all that were taken while samples were."""

    before: Reading
    during: Reading
    after: Reading

    __pydantic_config__ = STRICT


@dataclass(frozen=True, kw_only=True)
class Series:
    """The samples of a result with the cache in one state, in microseconds and in the order they were taken."""

    cache: Cache
    method: str  # how they were made, in words
    samples_us: tuple[float, ...]  # every one
    host_us: tuple[float, ...]  # what the host spent on each: see `Timing.host_clock`
    throttled: tuple[int, ...] = ()  # which of them were taken while the GPU was slowed down: kept, but not counted
    stop: Stop
    clocks: Clocks | None = None  # None where nothing tells

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
        """The samples that statistics are made of: the throttled ones only where there are no others."""
        slowed = set(self.throttled)
        return tuple(us for place, us in enumerate(self.samples_us) if place not in slowed) or self.samples_us

    @cached_property
    def median_us(self) -> float:
        return median(self.counted_us)

    @cached_property
    def interval_us(self) -> tuple[float, float] | None:
        """Where the true median lies with 95 % confidence (`convbench.records.intervals`); None of too few samples."""
        from convbench.records.intervals import median_interval

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
    """All that was measured of one result, in microseconds unless named otherwise."""

    clock: str  # whose microseconds these are
    host_clock: str  # what `Series.host_us` is
    series: tuple[Series, ...]  # one for each state of the cache, the one that reports lead with first
    floor_us: float | None = None  # no time can be under it on this hardware; None where its ceilings are unknown
    prepare_us: float  # once per weights, not part of a sample
    queue_us: float | None = None  # of the host, to queue the launches of one run on a GPU
    phases_us: dict[str, float]  # of one run, each launch timed alone
    compile_s: float  # spent compiling kernels for this result

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        caches = [series.cache for series in self.series]
        if not caches or len(set(caches)) != len(caches):
            raise ValueError(f"a timing has one series for each state of the cache, not {caches}")

    @property
    def first(self) -> Series:
        """The series that reports lead with."""
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
