"""Sampling on clocks with a known true time: when it stops, its order, and how often its interval holds that time."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convbench.devices import Stopwatch
from convbench.devices.stopwatch import Sample
from convbench.measurement import Effort
from convbench.measurement.sampling import REST_S, Sampling, take_turns
from convbench.records import Reading
from convbench.records.intervals import FEWEST, effective_count, median_interval, relative_error

TRUE_US = 100.0
EFFORT = Effort(minimum=10, maximum=300, max_seconds=60.0, relative_error=0.005, caches=("warm",))
FAST = Reading(sm_mhz=1980, memory_mhz=3201, temperature_c=40, power_w=300.0)
SLOW = Reading(sm_mhz=900, memory_mhz=3201, temperature_c=88, power_w=700.0, throttle=("power cap",))


class Clock(Stopwatch):
    """A stand-in for a device, with a known true time; `sample` gives the time of the n-th run."""

    def __init__(self, sample, cache="warm"):
        self.cache, self._sample, self.taken = cache, sample, 0

    @property
    def method(self):
        return "synthetic"

    def take(self):
        sample = self._sample(self.taken)
        self.taken += 1
        return sample


def clock(kind: str, seed: int) -> Clock:
    """One with 2 % noise, and more of a kind; the median of its truth is TRUE_US."""
    random = np.random.default_rng([seed, len(kind)])
    phase, state = random.uniform(0, 2 * np.pi), [0.0]

    def sample(number: int) -> Sample:
        us, reading = TRUE_US * (1 + 0.02 * random.standard_normal()), FAST
        if kind == "outliers" and random.random() < 0.03:
            us *= random.uniform(1.2, 5)
        if kind == "skewed":
            us = TRUE_US * np.exp(0.03 * random.standard_normal())
        if kind == "coarse":
            us = round(2 * us) / 2  # a clock of half a microsecond
        if kind == "drift":
            us *= 1 + 0.005 * np.sin(phase + number / 20)
        if kind == "memory":  # correlated noise
            state[0] = 0.5 * state[0] + 0.01 * random.standard_normal()
            us *= 1 + state[0]
        if kind == "throttling" and (number // 5) % 4 == 3:
            us, reading = us * 2.2, SLOW
        return Sample(us, 1.0, reading)

    return Clock(sample)


def sampled(watch: Clock, effort: Effort = EFFORT, rests: list[float] | None = None):
    sampling = Sampling(watch, effort, lambda: FAST, (rests if rests is not None else []).append)
    while sampling.stop is None:
        sampling.take()
    return sampling.series()


@pytest.mark.parametrize("kind", ["noise", "outliers", "skewed", "coarse", "drift", "memory", "throttling"])
def test_the_interval_contains_the_true_time_95_times_in_100(kind):
    """Of 1,000 runs of the whole rule, with its stop at a moment that the samples choose."""
    intervals = [sampled(clock(kind, seed)).interval_us for seed in range(1000)]
    hits = sum(low <= TRUE_US <= high for low, high in intervals)
    assert hits >= 950, f"{hits} of 1,000"


@pytest.mark.parametrize("kind", ["noise", "throttling"])
def test_sampling_ends_once_it_is_precise(kind):
    counts, errors = [], []
    for seed in range(50):
        series = sampled(clock(kind, seed))
        assert series.stop == "precise"
        counts.append(len(series.counted_us))
        errors.append(abs(series.median_us / TRUE_US - 1))
    assert EFFORT.minimum < np.median(counts) < 150
    assert np.median(errors) < EFFORT.relative_error


def test_what_was_slowed_down_is_kept_marked_not_counted_and_repeated():
    rests: list[float] = []
    series = sampled(clock("throttling", 0), rests=rests)
    assert series.throttled == tuple(place for place in range(len(series.samples_us)) if (place // 5) % 4 == 3)
    assert len(series.throttled) >= 5
    assert rests == [REST_S] * len(series.throttled)
    assert max(series.counted_us) < 1.2 * TRUE_US < min(series.samples_us[place] for place in series.throttled)
    assert series.clocks.during == Reading(
        sm_mhz=900, memory_mhz=3201, temperature_c=88, power_w=700.0, throttle=("power cap",)
    )
    assert (series.clocks.before, series.clocks.after) == (FAST, FAST)


def test_a_gpu_that_is_always_slow_has_no_end_of_its_own():
    """Twice the maximum is taken, and what there is counts, marked."""
    series = sampled(Clock(lambda _: Sample(5.0, 1.0, SLOW)), Effort(minimum=3, maximum=8, caches=("warm",)))
    assert len(series.samples_us) == 16 == len(series.throttled)
    assert series.stop == "samples"
    assert series.counted_us == series.samples_us


def test_the_stops_of_a_noisy_a_slow_and_a_still_clock():
    random = np.random.default_rng(0)
    noisy = sampled(Clock(lambda _: Sample(random.uniform(1, 100), 1.0)))
    assert (noisy.stop, len(noisy.samples_us)) == ("samples", EFFORT.maximum)
    slow = sampled(Clock(lambda _: Sample(50e6 + random.uniform(0, 9e6), 1.0)))
    assert (slow.stop, len(slow.samples_us)) == ("seconds", EFFORT.minimum)
    still = sampled(Clock(lambda _: Sample(7.0, 1.0)))
    assert (still.stop, len(still.samples_us)) == ("precise", EFFORT.minimum)
    assert still.clocks is None, "there were none to read"


def test_rounds_visit_everything_once_in_an_order_that_a_seed_decides():
    def order(seed: int) -> list[int]:
        visits: list[int] = []

        def watch(place):
            return Clock(lambda number: (visits.append(place), Sample(1.0 + (number % 2), 1.0))[1])

        samplings = [
            Sampling(watch(place), Effort(minimum=5 + place, maximum=5 + place), lambda: None) for place in range(4)
        ]
        take_turns(samplings, samplings, np.random.default_rng(seed), lambda *_: pytest.fail("none fails"))
        return visits

    visits = order(3)
    assert Counter(visits) == {0: 5, 1: 6, 2: 7, 3: 8}
    assert all(sorted(visits[first : first + 4]) == [0, 1, 2, 3] for first in range(0, 20, 4))
    assert order(3) == visits != order(4)
    firsts = Counter(order(seed)[0] for seed in range(200))
    assert min(firsts.values()) > 25, "each is first about as often"
    assert len(firsts) == 4


def test_what_fails_is_sampled_no_more_and_the_others_go_on():
    def failing(number):
        if number == 2:
            raise RuntimeError("broken")
        return Sample(1.0, 1.0)

    effort = Effort(minimum=6, maximum=6)
    watches = [Clock(failing, "warm"), Clock(lambda _: Sample(1.0, 1.0), "cold"), Clock(lambda _: Sample(1.0, 1.0))]
    samplings = [Sampling(watch, effort, lambda: None) for watch in watches]
    failed: list[tuple[int, str]] = []
    take_turns(
        samplings, ["a", "a", "b"], np.random.default_rng(0),
        lambda place, error: failed.append((place, str(error))) or True,
    )  # fmt: skip
    assert failed == [(0, "broken")]
    assert samplings[2].stop is not None
    assert samplings[0].stop is samplings[1].stop is None
    assert watches[1].taken <= 3


def test_a_lost_device_ends_all():
    def broken(_):
        raise RuntimeError("unspecified launch failure")

    samplings = [Sampling(Clock(broken), EFFORT, lambda: None) for _ in range(3)]
    seen: list[int] = []
    take_turns(samplings, samplings, np.random.default_rng(0), lambda place, _: bool(seen.append(place)))
    assert len(seen) == 1


@given(st.lists(st.floats(1.0, 1e6), min_size=FEWEST, max_size=60))
def test_the_interval_holds_the_median_and_grows_with_the_scale(samples):
    low, high = median_interval(samples)
    assert low <= np.median(samples) <= high
    doubled = median_interval([2 * us for us in samples])
    assert doubled == (2 * low, 2 * high)


def test_too_few_samples_have_no_interval():
    assert median_interval([1.0] * (FEWEST - 1)) is None
    assert relative_error([1.0] * (FEWEST - 1)) is None
    assert median_interval([1.0] * FEWEST) == (1.0, 1.0)


def test_samples_that_resemble_their_neighbours_are_worth_less():
    random = np.random.default_rng(0)
    steps = random.standard_normal(400)
    independent, wandering = effective_count(steps), effective_count(np.cumsum(steps))
    assert 250 < independent <= 400
    assert 1 <= wandering < 40
    intervals = [median_interval(values) for values in (steps, np.sort(steps))]
    (low, high), (low_sorted, high_sorted) = intervals
    assert high_sorted - low_sorted > high - low
    assert all(a <= b for a, b in pairwise((low_sorted, low, high, high_sorted)))
