"""How often the verdicts of `compare` are right, measured on samples with a known true ratio.

Every figure is one that holds for certain: that the measured count would be this extreme if the rate were just at the
limit has a chance of less than 1 %. The seeds are fixed.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from cases import synthetic
from convbench.records.comparison import EACH, THRESHOLD, Compared, compare
from convbench.records.geometric_means import means
from convbench.records.intervals import LEVEL

SAMPLES = 30
RUNS = 2000
Noise = Callable[[np.random.Generator, int], np.ndarray]


def independent(random, n):
    return random.standard_normal(n)


def with_outliers(random, n):
    """Gaussian, and one sample in 20 is up to 50 standard deviations late."""
    return random.standard_normal(n) + (random.random(n) < 0.05) * random.uniform(5, 50, n)


def heavy_tailed(random, n):
    return random.standard_t(2, n)


def of_two_speeds(random, n):
    return random.choice([-1, 1], n) + 0.1 * random.standard_normal(n)


def drifting(random, n):
    """A slow wave with a random phase, larger than the noise on it."""
    phase = np.arange(n) / n * random.uniform(0.5, 2) + random.random()
    return random.standard_normal(n) + 1.5 * np.sin(2 * np.pi * phase)


def correlated(random, n, rho=0.5):
    noise = random.standard_normal(n)
    for place in range(1, n):
        noise[place] = rho * noise[place - 1] + np.sqrt(1 - rho**2) * noise[place]
    return noise


def coarse(random, n):
    """Rounded to half a standard deviation, as by a coarse clock."""
    return np.round(2 * random.standard_normal(n)) / 2


def measured(noise: Noise, size: float, *, ratio=1.0, runs=RUNS, samples=SAMPLES, seed=0) -> Compared:
    """This many comparisons of two series whose true times have this ratio."""
    random = np.random.default_rng(seed)

    def side(true_us):
        for number in range(runs):
            yield synthetic.sampled(true_us * np.exp(size * noise(random, samples)), layer=f"conv{number}")

    return compare(list(side(20.0)), list(side(20.0 * ratio)))


def found(compared: Compared, verdict: str, *, among: int | None = None) -> int:
    """How many have a verdict; or would have, were each the only change among so many comparisons."""
    if among is None:
        return compared.counts[verdict]
    beyond = (
        (lambda ratio: ratio >= 1 + THRESHOLD) if verdict == "slower" else (lambda ratio: ratio <= 1 / (1 + THRESHOLD))
    )
    limit = min(EACH, 0.05 / among)
    return sum(
        one.evidence is not None and one.evidence.p <= limit and beyond(one.ratio) for one in compared.comparisons
    )


def surely_below(rate: float, count: int, runs: int) -> bool:
    return bool(binom.cdf(count, runs, rate) < 0.01)


def surely_above(rate: float, count: int, runs: int) -> bool:
    return bool(binom.sf(count - 1, runs, rate) < 0.01)


@pytest.mark.parametrize(
    ("noise", "size"),
    [
        (independent, 0.02), (independent, 0.1), (with_outliers, 0.1), (heavy_tailed, 0.1), (of_two_speeds, 0.02),
        (drifting, 0.02), (drifting, 0.1), (coarse, 0.1),
    ],
)  # fmt: skip
def test_where_nothing_changed_fewer_than_1_in_100_are_called_changed(noise, size):
    compared = measured(noise, size)
    assert surely_below(0.01, found(compared, "slower") + found(compared, "faster"), RUNS)
    alone = found(compared, "slower", among=1) + found(compared, "faster", among=1)
    assert surely_below(0.01, alone, RUNS), alone


def test_nor_where_neighbouring_samples_hang_together():
    compared = measured(correlated, 0.02)
    assert surely_below(0.01, found(compared, "slower", among=1) + found(compared, "faster", among=1), RUNS)


@pytest.mark.parametrize(("rho", "turned_away"), [(0.8, 0.7), (0.95, 0.9)])
def test_most_of_what_hangs_together_strongly_is_turned_away_and_of_the_rest_little_is_called_changed(rho, turned_away):
    """From 30 samples such an autocorrelation cannot always be told: the one case in which it is more than 1 in 100."""
    compared = measured(lambda random, n: correlated(random, n, rho), 0.1)
    few = [one for one in compared.comparisons if one.evidence is None]
    assert surely_above(turned_away, len(few), RUNS)
    assert all("that drift" in str(one.reason) for one in few)
    assert surely_below(0.03, found(compared, "slower", among=1) + found(compared, "faster", among=1), RUNS)


def test_a_whole_run_in_which_nothing_changed_rarely_raises_any_alarm():
    """20 comparisons a run, with so much noise that the threshold is no help."""
    runs = [measured(independent, 0.2, runs=20, seed=seed) for seed in range(300)]
    alarms = sum(found(run, "slower") + found(run, "faster") > 0 for run in runs)
    assert surely_below(0.05, alarms, len(runs)), alarms


def test_nor_does_a_single_comparison_in_more_than_1_of_100():
    alarms = 0
    for seed in range(RUNS):
        one = measured(independent, 0.2, runs=1, seed=seed)
        alarms += found(one, "slower") + found(one, "faster")
    assert surely_below(0.01, alarms, RUNS), alarms


@pytest.mark.parametrize(("ratio", "verdict"), [(1.05, "slower"), (1 / 1.05, "faster")])
def test_a_change_of_5_percent_at_2_percent_noise_is_found_19_times_in_20(ratio, verdict):
    compared = measured(independent, 0.02, ratio=ratio, seed=1)
    assert surely_above(0.95, found(compared, verdict), RUNS)
    assert surely_above(0.95, found(compared, verdict, among=500), RUNS)  # the only one that changed of 500
    assert surely_above(0.99, found(compared, verdict, among=1), RUNS)


@pytest.mark.parametrize("noise", [with_outliers, heavy_tailed, coarse])
def test_nor_do_outliers_hide_it(noise):
    assert surely_above(0.95, found(measured(noise, 0.02, ratio=1.05, seed=2), "slower", among=1), RUNS)


def test_what_did_not_change_is_called_the_same():
    assert surely_above(0.95, found(measured(independent, 0.02, seed=3), "same"), RUNS)


def test_a_change_of_the_threshold_is_rarely_called_the_same():
    for noise in (independent, heavy_tailed):
        compared = measured(noise, 0.02, ratio=1 + THRESHOLD, seed=4)
        assert surely_below(0.025, found(compared, "same"), RUNS)


@pytest.mark.parametrize("samples", [8, 30, 100])
@pytest.mark.parametrize("noise", [independent, with_outliers, heavy_tailed])
def test_intervals_have_the_true_ratio_at_least_as_often_as_they_say(noise, samples):
    compared = measured(noise, 0.02, ratio=1.2, samples=samples, seed=5, runs=1000)
    intervals = [one.interval for one in compared.comparisons if one.interval]
    held = sum(low <= 1.2 <= high for low, high in intervals)
    assert not surely_below(LEVEL, held, len(intervals)), held / len(intervals)
    assert surely_above(0.93, held, len(intervals))


@pytest.mark.parametrize("noise", [independent, heavy_tailed])
def test_geometric_means_have_the_true_one_as_often_as_they_say(noise):
    held, runs = 0, 400
    for seed in range(runs):
        (mean,) = means(measured(noise, 0.05, ratio=1.1, runs=5, seed=seed).comparisons)
        held += mean.low <= 1.1 <= mean.high
    assert not surely_below(LEVEL, held, runs), held
    assert surely_above(0.91, held, runs), held
