"""Find the fastest result of each layer, how far it is ahead, and the interval of that lead."""

import pandas as pd

from convbench.report.chapters import LAYER, Chapter
from convbench.report.ratios import with_ratio


def winners(chapter: Chapter) -> pd.DataFrame:
    """The row of the fastest result of each layer with a result that passed, compared with the second.

    These columns are added: `tied` (all algorithms with the winner's median, in the order of their records), `rivals`
    (how many other algorithms passed on the layer), `second` (the fastest of them), and `ratio`, `ratio_low` and
    `ratio_high` (the second's time over the winner's; NaN without a rival). Other configs of the same algorithm are no
    rivals.
    """
    ranked = chapter.passed.sort_values("median_us", kind="stable").drop_duplicates([*LAYER, "algorithm"])
    groups = ranked.groupby(LAYER, sort=False)
    place = groups.cumcount()
    best = ranked[place == 0].assign(rivals=groups.algorithm.transform("size")[place == 0] - 1)
    equal = ranked[ranked.median_us == ranked.best_us].groupby(LAYER).algorithm.agg(tuple)
    best["tied"] = [equal[key] for key in best[LAYER].itertuples(index=False, name=None)]
    second = ranked[place == 1]
    ahead = best.merge(
        second[[*LAYER, "algorithm", "median_us", "low_us", "high_us"]].rename(columns={"algorithm": "second"}),
        on=LAYER, how="left", suffixes=("", "_second"),
    )  # fmt: skip
    return with_ratio(ahead, "_second").sort_values("row", kind="stable", ignore_index=True)


def wins(won: pd.DataFrame) -> "pd.Series[int]":
    """The number of layers that each algorithm won. The most wins come first, and equal numbers are sorted by name."""
    counts = won.groupby("algorithm").size().rename("layers").reset_index()
    ordered: pd.DataFrame = counts.sort_values(["layers", "algorithm"], ascending=[False, True])
    layers: pd.Series[int] = ordered.set_index("algorithm").layers
    return layers
