"""Ratios of measured times, and their geometric means, with intervals that are made from those of the times.

In logarithms, a ratio is a difference, and a geometric mean is a mean. The interval of a sum follows from the intervals
of its terms, which need not be symmetric. Its lower distance is the root of the sum of the squared distances that lower
the sum; its upper distance is the same with those that raise it (Zou & Donner 2008, "Construction of confidence limits
about effect measures: a general approach", Statistics in Medicine 27, 1693–1702).

The layers are taken as fixed: an interval of a mean does not say what the mean would be on another network.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval, which is NaN if one of the times behind it has no interval."""

    value: float
    low: float
    high: float


def with_ratio(frame: pd.DataFrame, other: str) -> pd.DataFrame:
    """The frame with the columns `ratio`, `ratio_low` and `ratio_high`: the other time over its own.

    Its own time is in the columns `median_us`, `low_us` and `high_us`. The other time is in the columns of these names
    followed by `other`.
    """
    (a, a_low, a_high), (b, b_low, b_high) = _logs(frame, other), _logs(frame, "")
    down, up = np.hypot(a - a_low, b_high - b), np.hypot(a_high - a, b - b_low)
    middle = a - b
    ratio = frame[f"median_us{other}"].to_numpy(np.float64) / frame["median_us"].to_numpy(np.float64)
    return frame.assign(ratio=ratio, ratio_low=np.exp(middle - down), ratio_high=np.exp(middle + up))


def _logs(frame: pd.DataFrame, ending: str) -> list[Floats]:
    return [np.log(frame[f"{name}{ending}"].to_numpy(np.float64)) for name in ("median_us", "low_us", "high_us")]


def geometric_mean(ratios: pd.DataFrame) -> Interval:
    """The geometric mean of the ratios in rows of `with_ratio`; each row is of another layer."""
    middle, low, high = (np.log(ratios[name].to_numpy(np.float64)) for name in ("ratio", "ratio_low", "ratio_high"))
    count, mean = len(middle), middle.mean()
    down, up = np.sqrt(((middle - low) ** 2).sum()) / count, np.sqrt(((high - middle) ** 2).sum()) / count
    # of one ratio, the mean is that ratio to the last digit
    value = float(ratios["ratio"].iloc[0]) if count == 1 else float(np.exp(mean))
    return Interval(value, float(np.exp(mean - down)), float(np.exp(mean + up)))
