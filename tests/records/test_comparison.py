"""Comparisons: the statistics agree with their definitions, and the verdicts and means with their rules."""

from itertools import permutations
from math import comb, exp, isclose, log, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from cases import synthetic
from convbench.records.bootstrap import distribution, evidence, holm
from convbench.records.comparison import TURNS, VERDICTS, compare
from convbench.records.geometric_means import means
from convbench.records.intervals import FEWEST
from support.comparing import normal, side, verdicts

TIMES = st.lists(st.floats(1, 1000), min_size=FEWEST, max_size=40)


@pytest.mark.parametrize("count", [1, 2, 7, 30, 101])
def test_the_weights_are_those_of_a_dirichlet_draw(count):
    samples = [1 + (place // 2 if place % 2 else count - 1 - place // 2) for place in range(count)]  # no drift
    if count >= FEWEST:
        known = distribution(samples)
        assert known.count == count
        ranks = np.rint(np.exp(known.values)).astype(int)
        expected = beta.sf(0.5, ranks[:-1], count - ranks[:-1])
        assert np.allclose(np.cumsum(known.weights)[:-1], expected, rtol=0, atol=1e-8)  # what is cut off
    else:
        assert f"{count} sample" in distribution(samples)


def test_medians_that_are_drawn_fall_as_often_as_the_weights_say():
    random, samples, draws = np.random.default_rng(1), [5.0, 3.0, 9.0, 1.0, 7.0, 2.0, 8.0], 40_000
    heaps = np.cumsum(random.dirichlet(np.ones(7), draws), axis=1)
    drawn = np.bincount((heaps < 0.5).sum(axis=1), minlength=7)
    known = distribution(samples)
    assert np.allclose(np.exp(known.values), sorted(samples))
    error = np.sqrt(known.weights * (1 - known.weights) * draws)
    assert (np.abs(drawn - known.weights * draws) < 4 * error).all()


@given(old=TIMES, new=TIMES)
def test_the_interval_and_the_chance_are_those_of_all_pairs(old, new):
    one, two = distribution(old), distribution(new)
    if isinstance(one, str) or isinstance(two, str):
        return
    found = evidence(one, two)
    pairs = sorted(
        (float(b - a), float(v * w))
        for a, v in zip(one.values, one.weights, strict=True)
        for b, w in zip(two.values, two.weights, strict=True)
    )
    close = 1e-9  # weights are summed in another order
    for end, outside in ((found.low, lambda r: r < found.low), (found.high, lambda r: r > found.high)):
        assert sum(w for r, w in pairs if outside(r)) <= 0.025 + close
        assert sum(w for r, w in pairs if outside(r) or r == end) >= 0.025 - close
    tail = min(sum(w for r, w in pairs if r <= 0), sum(w for r, w in pairs if r >= 0))
    assert isclose(found.p, min(1, max(2 * tail, 2 / comb(one.count + two.count, one.count))), abs_tol=close)


@given(old=TIMES, new=TIMES)
def test_exchanging_the_sides_inverts_everything(old, new):
    there = compare([synthetic.sampled(old)], [synthetic.sampled(new)]).comparisons[0]
    back = compare([synthetic.sampled(new)], [synthetic.sampled(old)]).comparisons[0]
    opposite = {"slower": "faster", "faster": "slower"}
    assert back.verdict == opposite.get(there.verdict, there.verdict)
    if there.evidence is not None and back.evidence is not None:
        assert (back.evidence.low, back.evidence.high) == (-there.evidence.high, -there.evidence.low)
        assert isclose(back.evidence.p, there.evidence.p, abs_tol=1e-9)


@given(old=TIMES, new=TIMES, power=st.integers(-8, 8))
def test_the_unit_of_time_does_not_matter(old, new, power):
    def decided(scale):
        both = ([synthetic.sampled([us * scale for us in samples])] for samples in (old, new))
        return compare(*both).comparisons[0]

    one, other = decided(1), decided(2.0**power)
    assert (one.verdict, one.ratio) == (other.verdict, other.ratio)
    assert (one.evidence is None) == (other.evidence is None)
    if one.interval and other.interval:
        assert np.allclose(one.interval, other.interval, rtol=1e-12)


@given(samples=TIMES)
def test_what_is_compared_with_itself_never_changed(samples):
    (one,) = compare([synthetic.sampled(samples)], [synthetic.sampled(samples)]).comparisons
    assert one.verdict in ("same", "undecided")
    assert one.ratio == 1
    if one.interval:
        assert one.interval[0] <= 1 <= one.interval[1]


def test_holm_rejects_what_its_steps_reject():
    """Step i of the definition compares the i-th smallest p with α / (m − i), until one is larger."""
    for chances in permutations((0.001, 0.012, 0.02, 0.04, 0.3)):
        adjusted = holm(chances)
        for alpha in (0.004, 0.05, 0.0601, 0.09, 0.5):
            rejected = set()
            for place, chance in enumerate(sorted(chances)):
                if chance > alpha / (len(chances) - place):
                    break
                rejected.add(chance)
            assert {chance for chance, p in zip(chances, adjusted, strict=True) if p <= alpha} == rejected
    assert holm([]) == []


@pytest.mark.parametrize(
    ("ratio", "noise", "verdict"),
    [
        (1.2, 0.01, "slower"),
        (1 / 1.2, 0.01, "faster"),
        (1.0, 0.01, "same"),
        (1.015, 0.002, "same"),
        (1.0, 0.3, "undecided"),
    ],
)
def test_each_verdict_has_its_place(ratio, noise, verdict):
    compared = compare(side(noise=noise), side(20 * ratio, seed=1, noise=noise))
    assert verdicts(compared) == [verdict]
    assert compared.counts == dict.fromkeys((*VERDICTS, *TURNS), 0) | {verdict: 1}
    assert compared.has_regression == (verdict == "slower")


def test_the_threshold_is_what_matters():
    old, new = side(noise=0.002), side(21.0, seed=1, noise=0.002)
    assert verdicts(compare(old, new, threshold=0.03)) == ["slower"]
    assert verdicts(compare(old, new, threshold=0.10)) == ["same"]
    for threshold in (0, -0.1, 1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            compare(old, new, threshold=threshold)


@pytest.mark.parametrize("samples", [1, FEWEST - 1])
def test_too_few_samples_are_undecided_however_far_apart(samples):
    (one,) = compare(side(samples=samples), side(90.0, samples=30)).comparisons
    assert (one.verdict, one.interval, one.p) == ("undecided", None, None)
    assert one.reason == f"OLD has {samples} sample{'s' * (samples > 1)}, and it takes {FEWEST}"


def test_six_samples_are_enough_for_one_comparison_but_not_for_many():
    random = np.random.default_rng(3)

    def six(true_us, count):
        return [synthetic.sampled(random.permutation(true_us + np.arange(6) / 100), layer=str(i)) for i in range(count)]

    assert verdicts(compare(six(20, 1), six(40, 1))) == ["slower"]
    many = compare(six(20, 100), six(40, 100)).comparisons
    undecided = [one for one in many if one.verdict == "undecided" and one.evidence is not None]
    assert len(undecided) > 90
    assert "in one of " in undecided[0].reason


def test_drift_is_turned_away_but_ties_are_no_drift():
    ramp = synthetic.sampled(np.linspace(20, 30, 30))
    (one,) = compare([ramp], side()).comparisons
    assert "OLD has 30 samples that drift, worth 1.0 independent ones" in one.reason
    (one,) = compare([synthetic.sampled([20.0] * 30)], [synthetic.sampled([21.0] * 30)]).comparisons
    assert one.verdict == "slower"


def test_throttled_samples_do_not_count():
    slow = np.concatenate([normal(seed=1), np.full(20, 60.0)])
    (one,) = compare(side(), [synthetic.sampled(slow, throttled=range(30, 50))]).comparisons
    assert one.verdict == "same"
    assert one.new_us < 21
    (one,) = compare(side(), [synthetic.sampled(slow, throttled=range(50))]).comparisons
    assert (one.verdict, one.reason) == ("undecided", "all samples of NEW were taken while slowed down")


def test_verdicts_are_in_the_order_of_their_importance():
    random = np.random.default_rng(5)
    ratios = {"a": 1.1, "b": 1.4, "c": 1.0, "d": 0.8, "e": 0.6, "f": 1.0}
    old = [synthetic.timed(random, 20, layer=name, cold=None) for name in ratios]
    new = [synthetic.timed(random, 20 * r, layer=name, cold=None) for name, r in ratios.items()]
    new[-1] = side(layer="f", noise=0.15, seed=2)[0]
    compared = compare(old, new)
    assert [(one.verdict, one.pair.new.layer) for one in compared.comparisons] == [
        ("slower", "b"), ("slower", "a"), ("faster", "e"), ("faster", "d"), ("undecided", "f"), ("same", "c"),
    ]  # fmt: skip


def test_geometric_means_are_those_of_their_groups():
    random = np.random.default_rng(6)
    old, new = list(synthetic.network(random)), list(synthetic.network(random, scale=1.1))
    compared = compare(old, new)
    found = means(compared.comparisons)
    assert {mean.by for mean in found} == {"", "algorithm"}
    for mean in found:
        group = [
            one.ratio
            for one in compared.comparisons
            if one.cache == mean.cache and mean.name in ("all", one.pair.new.algorithm)
        ]
        assert mean.count == len(group)
        assert isclose(mean.ratio, prod(group) ** (1 / len(group)))
        assert mean.low < mean.ratio < mean.high
        assert abs(log(mean.ratio / 1.1)) < 3 * log(mean.high / mean.ratio)
    whole = [mean for mean in found if mean.name == "all"]
    assert [mean.cache for mean in whole] == ["warm", "cold"]
    assert means(compare(side(samples=3), side()).comparisons) == []


def test_the_mean_of_one_comparison_has_about_its_own_interval():
    compared = compare(side(), side(seed=1))
    (mean,), (one,) = means(compared.comparisons), compared.comparisons
    assert mean.ratio == pytest.approx(one.ratio)
    low, high = one.interval
    assert 0.7 < log(mean.high / mean.low) / log(high / low) < 1.3
    assert exp(one.evidence.low) == low
