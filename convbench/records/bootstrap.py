"""Computes how certain the ratio of two medians is, with the Bayesian bootstrap in closed form (no random draws).

Rubin 1981, "The Bayesian bootstrap", gives m samples random weights from Dirichlet(1, …, 1), where the usual bootstrap
counts how often each was drawn. The median of the weighted samples is at most the k-th smallest if the first k weights
add up to at least a half. Their sum is Beta(k, m − k), so that

    P(median ≤ x₍ₖ₎) = P(Beta(k, m − k) ≥ ½) = P(Binomial(m − 1, ½) ≤ k − 1)

and the rank of the median, counted from 0, is Binomial(m − 1, ½). Up to half a rank, its tails are those of the sign
test. The tails of Efron's bootstrap are too thin, which matters where many comparisons are made. Without random draws
there is no seed, and a probability of one in a million is as exact as any other.

The ratio of two medians then has m_old · m_new possible values with known weights. Its interval leaves (1 − LEVEL) / 2
of the weight outside on either side (the percentile interval: Efron & Tibshirani 1993, "An introduction to the
bootstrap", §13.3). Its p is twice the weight at or beyond a ratio of 1, so that the interval of level 1 − p just
reaches 1. But p is at least 2 / C(m_old + m_new, m_old), the probability that all samples of one side are below all of
the other by chance.

Samples that drift or depend on each other are worth fewer independent ones
(`convbench.records.intervals.effective_count`). They are replaced by that many of their quantiles. With 30 samples a
strong dependence is not always noticed: where neighbours have a correlation of 0.8, most comparisons are refused, and
up to 3 % are falsely taken for a change.

Many comparisons are corrected as in Holm 1979, "A simple sequentially rejective multiple test procedure", which is
valid whether or not they depend on each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import lgamma, log, sqrt
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from convbench.records.intervals import FEWEST, LEVEL, effective_count

Float64 = npt.NDArray[np.float64]

NORMAL: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)  # the interval of a normal distribution, in standard deviations
NEGLIGIBLE: Final = 1e-10  # weights up to this are left out; no decision depends on them
CHANCE: Final = 1.645  # the autocorrelation of independent samples exceeds this many standard errors once in 20


@dataclass(frozen=True)
class MedianDistribution:
    """The distribution of the logarithm of a median: values in ascending order, and the weight of each."""

    values: Float64
    weights: Float64
    count: int  # the independent samples behind it

    @property
    def variance(self) -> float:
        mean = self.weights @ self.values
        return float(self.weights @ (self.values - mean) ** 2)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The interval, p and variance of the logarithm of a ratio of medians, NEW over OLD."""

    low: float
    high: float
    p: float  # of the hypothesis that the ratio is 1
    variance: float


def distribution(samples: Sequence[float]) -> MedianDistribution | str:
    """The distribution of the median of positive samples, in the order they were taken; a text if there are too few."""
    n = len(samples)
    if n < FEWEST:
        return f"{n} sample{'' if n == 1 else 's'}, and it takes {FEWEST}"
    worth = effective_count(samples)
    # (n − worth) / (n + worth) is their autocorrelation. It is imprecise for few samples, which are therefore not
    # refused if chance explains it.
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
    """Binomial(count − 1, ½): the first rank whose weight is not negligible, and the weights from there on."""
    logs = np.array([lgamma(i + 1) for i in range(count)])
    weights = np.exp(logs[-1] - logs - logs[::-1] - (count - 1) * log(2))
    (kept,) = np.nonzero(weights > NEGLIGIBLE)
    return int(kept[0]), weights[kept] / weights[kept].sum()


def evidence(old: MedianDistribution, new: MedianDistribution) -> Evidence:
    """The evidence on the ratio of two medians; exchanging the two gives the evidence on the inverse ratio."""
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
    """Each p, corrected for the number of comparisons.

    If those of at most α are rejected, the probability that any of these rejections is wrong is at most α.
    """
    values = np.asarray(chances, np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return [float(p) for p in adjusted]
