"""Compare the results of a chapter with its baseline, layer by layer."""

import numpy as np
import pandas as pd

from convbench.report.chapters import LAYER, Chapter
from convbench.report.ratios import geometric_mean, with_ratio


def chosen_baseline(chapter: Chapter) -> str | None:
    """The baseline with results on the most layers; the fastest of them if several have as many. None without one."""
    known = chapter.passed[chapter.passed.family == "baseline"]
    if known.empty:
        return None
    groups = known.groupby("algorithm")
    ranked = pd.DataFrame({"layers": groups.size(), "speed": groups.speed.agg(lambda s: float(np.log(s).mean()))})
    return str(ranked.sort_values(["layers", "speed"], ascending=False).index[0])


def against(chapter: Chapter, baseline: str) -> pd.DataFrame:
    """All other results on the baseline's layers, with `ratio` (the baseline's time over theirs) and its interval."""
    passed = chapter.passed
    best = passed[passed.algorithm == baseline].sort_values("median_us").drop_duplicates(LAYER)
    others = passed[passed.algorithm != baseline]
    pairs = others.merge(best[[*LAYER, "median_us", "low_us", "high_us"]], on=LAYER, suffixes=("", "_baseline"))
    return with_ratio(pairs, "_baseline")


def means_against(pairs: pd.DataFrame) -> pd.DataFrame:
    """The geometric mean of each algorithm's ratios, with its interval and the number of results."""
    rows = []
    for name, group in pairs.groupby("algorithm"):
        mean = geometric_mean(group)
        rows.append(
            {
                "algorithm": name,
                "ratio": mean.value,
                "ratio_low": mean.low,
                "ratio_high": mean.high,
                "results": len(group),
            }
        )
    return pd.DataFrame(rows).sort_values("ratio", ascending=False, ignore_index=True)
