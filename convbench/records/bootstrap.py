"""How far the ratio of two medians can be trusted: the Bayesian bootstrap, in closed form, without drawing anything.

Rubin 1981, "The Bayesian bootstrap", weighs m samples by a draw from Dirichlet(1, …, 1) instead of by how often each
was drawn. The median of the weighted samples is at most the k-th smallest if the first k weights make at least a half;
their sum is Beta(k, m − k), so that

    P(median ≤ x₍ₖ₎) = P(Beta(k, m − k) ≥ ½) = P(Binomial(m − 1, ½) ≤ k − 1)

and the rank of the median, counted from 0, is Binomial(m − 1, ½). These are the tails of the sign test but for half a
rank, which those of Efron's bootstrap are not: theirs are too thin where many comparisons need them. With no draws
there is no seed, and a chance of one in a million is as exact as any other.

The ratio of two medians is then one of m_old · m_new values with known weights. Its interval has (1 − LEVEL) / 2 of
them outside on either side (the percentile interval: Efron & Tibshirani 1993, "An introduction to the bootstrap",
§13.3); its p is twice the weight at or beyond a ratio of 1, so that the interval of level 1 − p just reaches 1. It is
no less than 2 / C(m_old + m_new, m_old), the chance that all samples of one side are below all of the other.

Samples that drift or hang together are worth fewer independent ones (`convbench.records.intervals.effective_count`).
They are replaced by so many of their quantiles, as if these had been the samples. From 30 samples a strong dependence
cannot always be told: where neighbours correlate by 0.8, most pairs are turned away, and up to 3 % are taken for a
change.

Many comparisons: Holm 1979, "A simple sequentially rejective multiple test procedure", whatever depends on what.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import lgamma, log, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from convbench.records.intervals import FEWEST, effective_count

Float64 = npt.NDArray[np.float64]

LEVEL: Final = 0.95  # of every interval
NORMAL: Final = 1.959964  # how many standard deviations that is to either side, of a normal distribution
NEGLIGIBLE: Final = 1e-10  # weights that no decision depends on
CHANCE: Final = 1.645  # standard errors that an autocorrelation of independent samples exceeds once in 20


@dataclass(frozen=True)
class MedianDistribution:
    """What the logarithm of a median may be: values in ascending order, and the weight of each."""

    values: Float64
    weights: Float64
    count: int  # the independent samples behind it

    @property
    def variance(self) -> float:
        mean = self.weights @ self.values
        return float(self.weights @ (self.values - mean) ** 2)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of the logarithm of a ratio of medians, NEW over OLD."""

    low: float
    high: float
    p: float  # of a ratio of 1
    variance: float


def distribution(samples: Sequence[float]) -> MedianDistribution | str:
    """Of positive samples in the order they were taken; or, in words, why there are too few."""
    n = len(samples)
    if n < FEWEST:
        return f"{n} sample{'' if n == 1 else 's'}, and it takes {FEWEST}"
    worth = effective_count(samples)
    # (n − worth) / (n + worth) is their autocorrelation; one that chance explains is no ground to turn away a few
    # samples, of which it is known too badly
    if worth < FEWEST and (n - worth) / (n + worth) <= CHANCE / sqrt(n):
        worth = FEWEST
    if worth < FEWEST:
        return f"{n} samples that drift, worth {worth:.1f} independent ones, and it takes {FEWEST}"
    values, count = np.sort(np.log(np.asarray(samples, np.float64))), int(worth)
    if count < n:
        values = np.interp((np.arange(count) + 0.5) / count, (np.arange(n) + 0.5) / n, values)
    first, weights = _weights(count)
    return MedianDistribution(values[first : first + len(weights)], weights, count)


@cache
def _weights(count: int) -> tuple[int, Float64]:
    """Binomial(count − 1, ½): the first rank that matters, and the weights from there on."""
    logs = np.array([lgamma(i + 1) for i in range(count)])
    weights = np.exp(logs[-1] - logs - logs[::-1] - (count - 1) * log(2))
    (kept,) = np.nonzero(weights > NEGLIGIBLE)
    return int(kept[0]), weights[kept] / weights[kept].sum()


def evidence(old: MedianDistribution, new: MedianDistribution) -> Evidence:
    """Of the ratio of the two medians; with the two exchanged, that of its inverse."""
    ratios = np.subtract.outer(new.values, old.values).ravel()
    weights = np.multiply.outer(new.weights, old.weights).ravel()
    order = np.argsort(ratios)
    ratios, below = ratios[order], np.cumsum(weights[order])
    outside = (1 - LEVEL) / 2
    low, high = np.searchsorted(below, outside), np.searchsorted(below, 1 - outside, side="right")
    until = np.concatenate([[0.0], np.cumsum(old.weights)])
    at_most_1 = new.weights @ (1 - until[np.searchsorted(old.values, new.values)])
    at_least_1 = new.weights @ until[np.searchsorted(old.values, new.values, side="right")]
    orders = lgamma(old.count + new.count + 1) - lgamma(old.count + 1) - lgamma(new.count + 1)
    rarest = 2 * float(np.exp(-orders))
    return Evidence(
        low=float(ratios[low]),
        high=float(ratios[min(int(high), len(ratios) - 1)]),
        p=min(1.0, max(2 * float(min(at_most_1, at_least_1)), rarest)),
        variance=old.variance + new.variance,
    )


def holm(chances: Sequence[float]) -> list[float]:
    """Each p as it counts among all of them; rejecting those of at most α, any is wrong with a chance of at most α."""
    values = np.asarray(chances, np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return [float(p) for p in adjusted]
