"""The predicted times of a chapter for one GPU, in a frame without measured times."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from convbench.records import Predicted, caption
from convbench.report.chapters import LAYER, Chapter


@dataclass(frozen=True)
class Outlook:
    """The predictions of a chapter for one GPU.

    Parameters
    ----------
    gpu : its name
    is_device : whether it is the device that the chapter was measured on
    error : median error of the model on published times
    frame : the chapter's results that have a prediction, with `us`, `low_us`, `high_us`, `bound`, `bottleneck`,
        `kernel` and `lacks` (why there is no time); those with a time have `best_us` (the least of the layer) and
        `speed` (best_us / us). Columns of measured times are absent.
    """

    gpu: str
    is_device: bool
    error: float
    frame: pd.DataFrame

    @property
    def caption(self) -> str:
        return caption(self.gpu)

    @property
    def label(self) -> str:
        """The words that follow the name of each figure made of predicted times."""
        return f" ({self.caption})"

    @property
    def timed(self) -> pd.DataFrame:
        """The results that have a predicted time."""
        return self.frame[self.frame.us.notna()]

    @cached_property
    def winners(self) -> pd.DataFrame:
        """The fastest result of each layer, with `second` and `lead`: the second's time over its own, NaN if alone."""
        ranked = self.timed.sort_values("us", kind="stable").drop_duplicates([*LAYER, "algorithm"])
        place = ranked.groupby(LAYER, sort=False).cumcount()
        second = ranked[place == 1][[*LAYER, "algorithm", "us"]]
        second = second.rename(columns={"algorithm": "second", "us": "second_us"})
        found = ranked[place == 0].merge(second, on=LAYER, how="left")
        return found.assign(lead=found.second_us / found.us).sort_values("row", kind="stable", ignore_index=True)

    @cached_property
    def ranking(self) -> list[str]:
        """The algorithms with times; the greatest geometric mean of speeds comes first."""
        logs = self.timed.assign(log=np.log(self.timed.speed.astype(float)))
        means = logs.groupby("algorithm").log.mean()
        return [str(name) for name, _ in sorted(means.items(), key=lambda item: (-item[1], str(item[0])))]


def outlooks(chapter: Chapter) -> list[Outlook]:
    """The predictions of a chapter by GPU, in the order of the records; none if no record has one."""
    kept = ["row", *LAYER, "count", "algorithm", "fraction", "rms_error_ulp", "worst_error_ulp", "exact"]
    told = [(place, one.predicted) for place, one in enumerate(chapter.records) if one.predicted is not None]
    if not told:
        return []
    rows = chapter.frame[kept].iloc[[place for place, _ in told]].to_dict("records")
    fields = [{**row, **_fields(one)} for row, (_, one) in zip(rows, told, strict=True)]
    frame = pd.DataFrame(fields).astype({"us": float, "low_us": float, "high_us": float})
    found = []
    for (gpu, is_device), group in frame.groupby(["gpu", "is_device"], sort=False):
        best = group.groupby(LAYER).us.transform("min")
        group = group.assign(best_us=best, speed=best / group.us)
        found.append(Outlook(str(gpu), bool(is_device), float(group.error.iloc[0]), group))
    return found


def leading(chapter: Chapter) -> list[Outlook]:
    """The predictions that a chapter without a GPU leads with; of a chapter that was measured on a GPU, none."""
    return [] if chapter.is_gpu else outlooks(chapter)


def _fields(told: Predicted) -> dict[str, object]:
    return {
        "gpu": told.gpu, "is_device": told.is_device, "error": told.error, "us": told.us, "low_us": told.low_us,
        "high_us": told.high_us, "bound": told.bound, "bottleneck": told.bottleneck, "kernel": told.kernel,
        "lacks": told.reason,
    }  # fmt: skip
