"""Pair the results of several sources with those of the first: devices, commits, algorithms or files.

The pairs show how the sources compare. Whether a difference is more than noise is decided by `convbench compare`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from convbench.errors import ConvbenchError
from convbench.records import Record
from convbench.report.chapters import LAYER, chapters
from convbench.report.frame import to_frame
from convbench.report.ratios import geometric_mean, with_ratio

COMMIT = 12  # how many letters of a commit are its name on a page
PAIR = (  # columns of `Sides.pairs`
    "side", "kind", "layer", "problem", "algorithm", "family", "first_us", "median_us", "ratio", "ratio_low",
    "ratio_high", "command",
)  # fmt: skip
What = Literal["algorithm", "device", "commit", "file"]


@dataclass(frozen=True)
class Sides:
    """The results of several sources, in pairs.

    Parameters
    ----------
    names : the names of the sources; the others are compared with the first
    what : the property in which the sources differ, and whose values are their names
    label : words that follow times and ratios which are not from a GPU
    pairs : one row for each result of another side that the first side has too: `side`, `layer`, `problem`,
        `algorithm`, `family`, `kind` (direction and precision), `first_us`, `median_us`, `ratio` (its own
        time over the first's: NEW / OLD, as `convbench compare` has it; below 1 it is faster) and its interval
    alone : for each side, the number of results with times that are in no pair
    """

    names: tuple[str, ...]
    what: What
    label: str
    pairs: pd.DataFrame
    alone: dict[str, int]

    def means(self) -> pd.DataFrame:
        """The geometric mean of the ratios of each side, kind and algorithm, with its interval."""
        rows = []
        for (side, kind, algorithm), group in self.pairs.groupby(["side", "kind", "algorithm"], sort=False):
            mean = geometric_mean(group)
            rows.append(
                {"side": side, "kind": kind, "algorithm": algorithm, "ratio": mean.value, "ratio_low": mean.low,
                 "ratio_high": mean.high, "results": len(group)}
            )  # fmt: skip
        return pd.DataFrame(rows)


def side_by_side(sources: Sequence[tuple[Path, Sequence[Record]]], *, mixed: bool = False) -> Sides:
    """Pair the results of two or more files that have the same layer, problem, direction, dtype and precision.

    Paired results also have the same algorithm, device and clock, except those in which the sources differ.

    Raises ConvbenchError if nothing can be paired. Unless `mixed`, it also does so if times of a GPU would be compared
    with others.
    """
    frames = [to_frame(records) for _, records in sources]
    # results whose samples were all taken while the GPU was slowed down have no ratio
    passed = [frame[(frame.outcome == "passed") & ~frame.slowed.astype(bool)] for frame in frames]
    if empty := [str(path) for (path, _), frame in zip(sources, passed, strict=True) if frame.empty]:
        raise ConvbenchError(f"{', '.join(empty)}: no result passed, so there is nothing to compare")
    kinds = {bool(is_gpu) for frame in passed for is_gpu in frame.is_gpu}
    alike = all(set(frame.device) == set(passed[0].device) for frame in passed)
    if len(kinds) > 1 and not alike and not mixed:
        clocks = sorted({clock for frame in passed for clock in frame.clock})
        raise ConvbenchError(
            f"some records have times of a GPU and some do not ({'; '.join(clocks)}); a ratio of the two says nothing "
            "about either. --mixed compares them anyway"
        )
    what, names = _named([path for path, _ in sources], passed)
    keys = [*LAYER, "direction", "dtype", "precision"]
    keys += [] if what == "algorithm" else ["algorithm"]
    keys += [] if what == "device" or (mixed and not alike) else ["device", "clock"]
    best = [frame.sort_values("median_us", kind="stable").drop_duplicates(keys) for frame in passed]
    # Workloads may be named after files, and then differ between sources. Their names are only needed to tell layers
    # apart if a source has several workloads.
    if all(frame.workload.nunique() == 1 for frame in best):
        keys.remove("workload")
    merged = [
        frame.merge(best[0], on=keys, suffixes=("", "_first")).sort_values("row_first", ignore_index=True)
        for frame in best[1:]
    ]
    together = pd.concat(list(map(_pair, merged, names[1:])), ignore_index=True)
    if together.empty:
        raise ConvbenchError(
            f"{' and '.join(names)} have no result in common: their layers, problems or algorithms differ"
        )
    paired = [len({row for found in merged for row in found.row_first}), *map(len, merged)]
    alone = {name: len(frame) - count for name, frame, count in zip(names, best, paired, strict=True)}
    return Sides(tuple(names), what, _label(sources), together, alone)


def _pair(merged: pd.DataFrame, side: str) -> pd.DataFrame:
    dtype, precision = merged["dtype"], merged["precision"]
    kind = merged.direction + ", " + dtype.where(dtype == precision, dtype + " by " + precision)
    speed = with_ratio(merged, "_first")  # the first's time over its own; the page has the inverse, as `compare` has
    ratios = speed.assign(ratio=1 / speed.ratio, ratio_low=1 / speed.ratio_high, ratio_high=1 / speed.ratio_low)
    named = ratios.assign(side=side, kind=kind).rename(columns={"median_us_first": "first_us"})
    return named[list(PAIR)]


def _label(sources: Sequence[tuple[Path, Sequence[Record]]]) -> str:
    labels = dict.fromkeys(chapter.label for _, records in sources for chapter in chapters(records))
    return next((label for label in labels if label), "")


def _named(paths: Sequence[Path], frames: Sequence[pd.DataFrame]) -> tuple[What, list[str]]:
    """The property in which the sources differ, and their names.

    It is the first of device, commit and algorithm in which each source has a single value of its own; else the file.
    """
    kinds: tuple[What, ...] = ("device", "commit", "algorithm")
    for what in kinds:
        values = [list(frame[what].dropna().unique()) for frame in frames]
        if all(len(value) == 1 for value in values) and len({value[0] for value in values}) == len(values):
            names = [str(value[0]) for value in values]
            short = [name[:COMMIT] for name in names]
            return what, short if what == "commit" and len(set(short)) == len(short) else names
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join((path.with_suffix("") if path.suffix == ".jsonl" else path).parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return "file", names
    return "file", [f"{number}: {path}" for number, path in enumerate(paths, start=1)]  # a file was given twice
