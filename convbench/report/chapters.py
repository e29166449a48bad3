"""Chapters: groups of results that may share a table or a picture.

All results of a chapter have the same device, clock, direction, dtype and precision.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from convbench.records import Record, latest
from convbench.report.frame import to_frame

KEY = ["device", "clock", "is_gpu", "direction", "dtype", "precision"]
NATIVE = "native"  # the word for times of a baseline that ran on the processor itself, not emulated
LAYER = ["workload", "layer", "problem"]  # two results that agree in these computed the same layer


@dataclass(frozen=True)
class Chapter:
    """Results that can be compared with each other.

    Parameters
    ----------
    heading : the device, and the direction and the precision if they are not the usual ones; unique on a page
    records : the latest record of each measurement
    frame : the rows of these records in `to_frame`; the column `row` counts all records of the page
    """

    heading: str
    records: tuple[Record, ...]
    frame: pd.DataFrame

    @property
    def device(self) -> dict[str, Any]:
        return self.records[0].device

    @property
    def is_gpu(self) -> bool:
        return bool(self.device["is_gpu"])

    @cached_property
    def label(self) -> str:
        """The words that follow the name of each figure made of times; empty for a GPU."""
        return label_of(str(self.device["clock"]), self.is_gpu, self.timed.is_native)

    @property
    def families(self) -> list[tuple[str, str]]:
        """The chapter's algorithms, each with its family."""
        pairs = self.frame[["algorithm", "family"]].drop_duplicates()
        return [(str(algorithm), str(family)) for algorithm, family in pairs.itertuples(index=False)]

    @property
    def timed(self) -> pd.DataFrame:
        """The results with times, also those that do not count."""
        return self.frame[self.frame.outcome == "passed"]

    @property
    def slowed(self) -> pd.DataFrame:
        """The results without a rank: all of their samples were taken while the GPU was slowed down."""
        timed = self.timed
        return timed[timed.slowed]

    @cached_property
    def passed(self) -> pd.DataFrame:
        """The results with times that count; all that ranks or compares results is made from them.

        `best_us` is the shortest time of the layer, and `speed` is best_us / median_us.
        """
        timed = self.timed
        passed = timed[~timed.slowed].copy()
        passed["best_us"] = passed.groupby(LAYER).median_us.transform("min")
        passed["speed"] = passed.best_us / passed.median_us
        return passed

    @cached_property
    def ranking(self) -> list[str]:
        """The algorithms that passed; the greatest geometric mean of speeds comes first."""
        passed = self.passed
        means = np.log(passed.speed).groupby(passed.algorithm).mean()
        ranked: list[tuple[str, float]] = sorted(means.items(), key=lambda item: (-item[1], str(item[0])))
        return [str(name) for name, _ in ranked]


def label_of(clock: str, is_gpu: bool, native: Iterable[bool]) -> str:
    """The words that follow the name of a column of times; empty for a GPU.

    They are the end of the clock's name. Native baselines run on the processor itself. The words say so if there are
    some among the results, whose `is_native` are given.
    """
    if is_gpu:
        return ""
    found = set(map(bool, native))
    if found == {True}:
        return f" ({NATIVE} on CPU)"
    return f" ({clock.rpartition(', ')[2]}{f'; baselines {NATIVE}' if True in found else ''})"


def named(algorithm: str, is_native: bool) -> str:
    """The name of an algorithm as tables have it: a native baseline says that it is one."""
    return f"{algorithm} ({NATIVE})" if is_native else algorithm


def chapters(records: Iterable[Record]) -> list[Chapter]:
    """The chapters of a page, in the order of their first records."""
    current = latest(records)
    frame = to_frame(current)
    found = []
    for _, rows in frame.groupby(KEY, sort=False):
        first = rows.iloc[0]
        found.append(Chapter(_heading(first), tuple(current[row] for row in rows.row), rows))
    return _distinct(found)


def _heading(first: "pd.Series[Any]") -> str:
    words = [str(first.device)]
    if first.direction != "forward":
        words.append(str(first.direction))
    dtype, precision = str(first["dtype"]), str(first["precision"])  # a Series has a dtype of its own
    if precision != dtype:
        words.append(f"{dtype} by {precision}")
    elif dtype != "float32":
        words.append(dtype)
    return ", ".join(words)


def _distinct(found: list[Chapter]) -> list[Chapter]:
    """The chapters with distinct headings: the clock is appended to a heading that occurs more than once."""
    names = [chapter.heading for chapter in found]
    return [
        Chapter(f"{c.heading}, {c.device['clock']}", c.records, c.frame) if names.count(c.heading) > 1 else c
        for c in found
    ]
