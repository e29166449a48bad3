"""Initial values follow the distribution of their scheme, within bounds from probability theory."""

from math import log, sqrt

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from convbench import Conv2d, ConvbenchError
from convbench.layer.initializers import FANS, SCHEMES, draw, fan_of

UNLIKELY = 1e-9  # that a right generator fails one of the tests below, for one seed
SHAPE, GROUPS = (180, 10, 4, 6), 6  # 43,200 weights of six groups, of 10 channels and 30 filters each
FAN = {"in": 10 * 24, "out": 30 * 24, "average": 20 * 24}
VARIANCE = {
    "torch": lambda fan: 1 / (3 * fan), "xavier_uniform": lambda fan: 1 / fan, "xavier_normal": lambda fan: 1 / fan,
    "he_normal": lambda fan: 2 / fan,
}  # fmt: skip


def check_distribution(values: np.ndarray, cumulative) -> None:
    """Nowhere is the empirical distribution further from the true one than chance allows.

    P(sup |F_n − F| > ε) ≤ 2·exp(−2nε²): Massart 1990, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz
    inequality".
    """
    count = values.size
    allowed = sqrt(log(2 / UNLIKELY) / (2 * count))
    expected = cumulative(np.sort(values, axis=None).astype(np.float64))
    steps = np.arange(count + 1) / count
    assert max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max()) <= allowed


def check_variance(values: np.ndarray, variance: float, kurtosis: float) -> None:
    """The mean square of n numbers has the standard deviation σ²·√((kurtosis − 1)/n); of so many, nearly normal."""
    deviations = sqrt(2 * log(2 / UNLIKELY))  # P(|Z| > t) ≤ 2·exp(−t²/2)
    found = (values.astype(np.float64) ** 2).mean()
    assert abs(found / variance - 1) <= deviations * sqrt((kurtosis - 1) / values.size)


@pytest.mark.parametrize("fan", FANS)
@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "gaussian"])
def test_initial_values_have_the_distribution_of_their_scheme(scheme, fan):
    weight, bias = draw(np.random.default_rng(1), (scheme, fan), SHAPE, groups=GROUPS)
    variance = VARIANCE[scheme](FAN[fan])
    if "normal" in scheme:
        check_distribution(weight, lambda values: ndtr(values / sqrt(variance)))
        check_variance(weight, variance, kurtosis=3)
    else:
        limit = sqrt(3 * variance)
        check_distribution(weight, lambda values: np.clip((values + limit) / (2 * limit), 0, 1))
        check_variance(weight, variance, kurtosis=9 / 5)
        assert np.abs(weight).max() <= np.float32(limit)
        assert np.abs(weight).max() > limit * (1 - log(1 / UNLIKELY) / weight.size)  # P ≤ (1 − t)ⁿ ≤ exp(−tn)
    assert bias.shape == SHAPE[:1]
    if scheme == "torch":
        assert 0 < np.abs(bias).max() <= np.float32(limit)
    else:
        assert not bias.any()


@pytest.mark.parametrize(("initializer", "variance"), [("gaussian", 0.25), (("gaussian", "in"), 0.25 / 240),
                                                       (("gaussian", "out"), 0.25 / 720)])  # fmt: skip
def test_wscale_is_the_variance_of_gaussian_over_the_fan_that_is_named(initializer, variance):
    weight, bias = draw(np.random.default_rng(2), initializer, SHAPE, groups=GROUPS, wscale=0.25)
    check_distribution(weight, lambda values: ndtr(values / sqrt(variance)))
    check_variance(weight, variance, kurtosis=3)
    assert not bias.any()


def test_a_scheme_alone_goes_by_the_fan_in():
    for scheme in SCHEMES:
        if scheme != "gaussian":
            alone, paired = (draw(np.random.default_rng(0), given, SHAPE)[0] for given in (scheme, (scheme, "in")))
            assert np.array_equal(alone, paired)


def test_the_distributions_of_the_tests_tell_schemes_apart():
    """They could fail: the same checks reject another scheme, another fan, and a shifted sample."""
    rng = np.random.default_rng(3)
    normal, _ = draw(rng, "xavier_normal", SHAPE, groups=GROUPS)
    uniform, _ = draw(rng, "xavier_uniform", SHAPE, groups=GROUPS)
    sigma = sqrt(1 / FAN["in"])
    for values in (uniform, normal + 0.05 * sigma, np.float32(1.1) * normal):
        with pytest.raises(AssertionError):
            check_distribution(values, lambda values: ndtr(values / sigma))
    with pytest.raises(AssertionError):
        check_variance(np.float32(1.05) * normal, sigma**2, kurtosis=3)


def test_the_default_is_torchs():
    """Uniform in ±√(groups / (C·R·S)), as torch.nn.Conv2d documents it."""
    assert fan_of((8, 6 // 2, 5, 3), 2, "in") == 6 * 5 * 3 / 2
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.nn.Conv2d(6, 800, (5, 3), groups=2)
    ours = Conv2d(6, 800, (5, 3), groups=2, seed=0)
    limit = sqrt(2 / (6 * 5 * 3))
    for values in (ours.weight, ours.bias, theirs.weight.detach().numpy(), theirs.bias.detach().numpy()):
        check_distribution(values, lambda values: np.clip((values + limit) / (2 * limit), 0, 1))


def test_fans_are_torchs_and_count_connections():
    """Of a dense weight they are what torch.nn.init reads off its shape."""
    fan_in, fan_out = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(12, 5, 3, 2))
    assert (fan_of((12, 5, 3, 2), 1, "in"), fan_of((12, 5, 3, 2), 1, "out")) == (fan_in, fan_out)
    assert fan_of((12, 5, 3, 2), 1, "average") == (fan_in + fan_out) / 2
    assert fan_of((12, 5, 3), 4, "out") == 12 // 4 * 3  # a channel meets the filters of its group


@pytest.mark.parametrize("initializer", ["he", ("he_normal", "mean"), ("he_normal", "in", "out"), None, ("he_normal",)])
def test_an_unknown_initializer_is_told_the_known_ones(initializer):
    with pytest.raises(ConvbenchError, match=r"it is one of torch, xavier_uniform, .* a fan, one of in, out, average"):
        Conv2d(1, 1, 3, initializer=initializer)


def test_wscale_is_not_taken_where_it_does_nothing():
    with pytest.raises(ConvbenchError, match=r"wscale is 0.5; it is the variance of gaussian, and he_normal has none"):
        Conv2d(1, 1, 3, initializer="he_normal", wscale=0.5)
    for wscale in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConvbenchError, match="a variance is a number above 0"):
            Conv2d(1, 1, 3, initializer="gaussian", wscale=wscale)


def test_the_same_seed_gives_the_same_layer_and_none_another():
    first, again, other, none, none_again = (Conv2d(3, 4, 3, seed=seed).weight for seed in (1, 1, 2, None, None))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(none, none_again)
    rng = np.random.default_rng(1)
    assert np.array_equal(Conv2d(3, 4, 3, seed=rng).weight, first)
    assert not np.array_equal(Conv2d(3, 4, 3, seed=rng).weight, first)  # the stream goes on
