"""Who was the fastest in each layer, by how much, and whether the intervals bear it out."""

import pandas as pd

from convbench.report.chapters import LAYER, Chapter
from convbench.report.ratios import with_ratio


def winners(chapter: Chapter) -> pd.DataFrame:
    """One row for each layer in which anything passed: the row of its fastest result, and what it is ahead of.

    Adds `rivals` (how many other algorithms passed there), `second` (the fastest of these), `ratio`, `ratio_low` and
    `ratio_high` (its time over the winner's; NaN without a rival). Configs of one algorithm are no rivals.
    """
    ranked = chapter.passed.sort_values("median_us", kind="stable").drop_duplicates([*LAYER, "algorithm"])
    groups = ranked.groupby(LAYER, sort=False)
    place = groups.cumcount()
    best = ranked[place == 0].assign(rivals=groups.algorithm.transform("size")[place == 0] - 1)
    second = ranked[place == 1]
    ahead = best.merge(
        second[[*LAYER, "algorithm", "median_us", "low_us", "high_us"]].rename(columns={"algorithm": "second"}),
        on=LAYER, how="left", suffixes=("", "_second"),
    )  # fmt: skip
    return with_ratio(ahead, "_second").sort_values("row", kind="stable", ignore_index=True)


def wins(won: pd.DataFrame) -> "pd.Series[int]":
    """How many layers each algorithm won, most first, and by name where they are as many."""
    counts = won.groupby("algorithm").size().rename("layers").reset_index()
    ordered: pd.DataFrame = counts.sort_values(["layers", "algorithm"], ascending=[False, True])
    layers: pd.Series[int] = ordered.set_index("algorithm").layers
    return layers
