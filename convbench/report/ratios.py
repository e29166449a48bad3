"""Ratios of measured times, and their geometric means, with intervals made from those of the times.

In logarithms a ratio is a difference and a geometric mean a mean, and an interval of a sum follows from those of its
terms, which need not be symmetric: the lower distance is the root of the sum of the squared distances that pull it
down, the upper one alike (Zou & Donner 2008, "Construction of confidence limits about effect measures: a general
approach", Statistics in Medicine 27, 1693–1702). The layers are taken as given: another network is another question.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval; NaN where a time that it is made of has none."""

    value: float
    low: float
    high: float


def with_ratio(frame: pd.DataFrame, other: str) -> pd.DataFrame:
    """The frame with `ratio`, `ratio_low` and `ratio_high`: the times whose names end with `other` over its own.

    The times are the columns `median_us`, `low_us` and `high_us`, and these with `other` behind them.
    """
    (a, a_low, a_high), (b, b_low, b_high) = _logs(frame, other), _logs(frame, "")
    down, up = np.hypot(a - a_low, b_high - b), np.hypot(a_high - a, b - b_low)
    middle = a - b
    return frame.assign(ratio=np.exp(middle), ratio_low=np.exp(middle - down), ratio_high=np.exp(middle + up))


def _logs(frame: pd.DataFrame, ending: str) -> list[Floats]:
    return [np.log(frame[f"{name}{ending}"].to_numpy(np.float64)) for name in ("median_us", "low_us", "high_us")]


def geometric_mean(ratios: pd.DataFrame) -> Interval:
    """Of the rows of `with_ratio`, each of one layer."""
    middle, low, high = (np.log(ratios[name].to_numpy(np.float64)) for name in ("ratio", "ratio_low", "ratio_high"))
    count, mean = len(middle), middle.mean()
    down, up = np.sqrt(((middle - low) ** 2).sum()) / count, np.sqrt(((high - middle) ** 2).sum()) / count
    return Interval(float(np.exp(mean)), float(np.exp(mean - down)), float(np.exp(mean + up)))
