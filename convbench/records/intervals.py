"""Computes an interval for the median of timing samples, without assumptions about their distribution.

The interval runs from one order statistic to another. Their ranks come from the binomial distribution of the number of
samples below the median (David & Nagaraja 2003, "Order statistics", §7.1), in its normal approximation. Samples that
depend on each other count as fewer independent ones: with a lag-1 autocorrelation ρ of their ranks, n samples count as
n·(1 − ρ)/(1 + ρ) (von Storch & Zwiers 1999, "Statistical analysis in climate research", §6.6.8), so that slow drift
widens the interval.

Sampling stops when the interval is small enough, which may be at a moment when it is too narrow by luck. The ranks are
therefore those of a 98 % interval, which is reported as 95 %. `tests/measurement/test_sampling.py` measures how often
the interval contains the true time, on clocks for which that is known.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

FEWEST = 6  # for fewer independent samples, not even their range is a 95 % interval: 1 − 2·0.5⁵ is 94 %
LEVEL: Final = 0.95  # of every interval, as it is reported
RANKS_LEVEL: Final = 0.98  # of the ranks of a median's interval
QUANTILE = NormalDist().inv_cdf((1 + RANKS_LEVEL) / 2)


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the true median, (low, high); None if there are too few samples."""
    n = len(samples)
    if n < FEWEST:
        return None
    ordered = np.sort(np.asarray(samples, np.float64))
    half = QUANTILE / 2 * n / np.sqrt(effective_count(samples))  # in ranks: the standard deviation is √n / 2
    low, high = int(np.floor(n / 2 - half)), int(np.ceil(n / 2 + half))
    return float(ordered[max(low, 1) - 1]), float(ordered[min(high + 1, n) - 1])


def relative_error(samples: Sequence[float]) -> float | None:
    """The standard error of the median over the median, from the interval; None if there are too few samples."""
    interval = median_interval(samples)
    if interval is None:
        return None
    return (interval[1] - interval[0]) / (2 * QUANTILE) / float(np.median(samples))


def effective_count(samples: Sequence[float]) -> float:
    """The number of independent samples that give as much information as these, at least 1."""
    n = len(samples)
    values = np.asarray(samples)
    order = np.argsort(values)
    ordered = values[order]
    if ordered[0] == ordered[-1]:
        return float(n)
    if (ordered[1:] > ordered[:-1]).all():
        ranks = np.empty(n)
        ranks[order] = np.arange(n) + 0.5
    else:  # equal samples share a rank, as ranks in their order would look like drift
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - counts / 2)[places]
    ranks -= n / 2
    correlation = float(ranks[1:] @ ranks[:-1] / (ranks @ ranks)) + 1 / n  # an estimate from n samples is 1/n too low
    correlation = min(max(correlation, 0.0), 1.0)
    return max(n * (1 - correlation) / (1 + correlation), 1.0)
