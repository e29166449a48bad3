"""Compare the project's best time of each layer with the library's, and the median ratio of each group with its target.

Only the forward pass has targets. Gradients are in groups of their own.

A layer's time is the best over its memory layouts, on both sides. A ratio is the library's time over the project's, and
its interval is made from those of the two medians (`convbench.report.ratios`). Precisions are never mixed: strict
float32 is compared with strict float32, TF32 with TF32, and each 16-bit dtype with itself. 3xTF32, in which a product
of float32 is made of three in TF32, is compared with strict float32 in rows of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from convbench.problem import ConvProblem
from convbench.records import CACHES, Cache, Record
from convbench.report import duration, markdown_table, with_ratio
from convbench.survey.layers import GROUPS, TARGETS, Measured

# by precision: the baseline to compare with, the dtype of the problems, and the precisions of the project's algorithms
SIDES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "float32": ("cudnn", "float32", ("float32",)),
    "float32 or 3xTF32": ("cudnn", "float32", ("float32", "3xtf32")),
    "TF32": ("cudnn_tf32", "float32", ("tf32",)),
    "float16": ("cudnn", "float16", ("float16",)),
    "bfloat16": ("cudnn", "bfloat16", ("bfloat16",)),
}
LAYER = ["layer", "direction", "cache"]  # the columns of a result that both sides share

LEGEND = (
    "Our best over the library's best: above 1 ours is faster. Each figure is a median over the layers of a group, "
    "*from* and *to* are the least and the greatest of them, with a warm cache unless it says cold."
)


@dataclass(frozen=True)
class Row:
    """One group in one precision: its median ratio, the number of layers, and the verdict on its target."""

    group: str
    precision: str
    layers: int
    planned: int
    warm: float | None
    cold: float | None
    least: float | None  # with the cache in the first state that was measured; `most` alike
    most: float | None
    verdict: str


def by_layer(records: Iterable[Record]) -> pd.DataFrame:
    """A row for each layer, direction, precision and cache state that both sides have.

    `ratio` is the library's time over the project's; its interval is there too.
    """
    rows = [row for record in records if record.timing is not None for row in _rows(record)]
    frame = pd.DataFrame(rows)
    found = []
    for precision, (baseline, dtype, ours) in SIDES.items():
        if frame.empty:
            break
        same = frame[frame.dtype_ == dtype]
        theirs = _best(same[same.algorithm == baseline])
        best = _best(same[(same.family != "baseline") & same.precision.isin(ours)])
        if precision == "float32 or 3xTF32" and not (same.precision == "3xtf32").any():
            continue  # it would repeat the rows of float32
        pairs = best.merge(theirs, on=LAYER, suffixes=("", "_library"))
        if not pairs.empty:
            found.append(with_ratio(pairs, "_library").assign(precision=precision))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _rows(record: Record) -> Iterable[dict[str, Any]]:
    problem = record.parsed_problem
    assert record.timing is not None
    for series in record.timing.series:
        low, high = series.interval_us or (np.nan, np.nan)
        yield {
            "layer": record.layer, "direction": record.direction, "problem": str(_plain(problem)),
            "dtype_": problem.dtype, "cache": series.cache,
            "algorithm": record.algorithm, "family": record.family, "precision": record.precision,
            "config": ", ".join(f"{name}={value}" for name, value in record.config.items()),
            "layout": problem.layout, "median_us": series.median_us, "low_us": low, "high_us": high,
        }  # fmt: skip


def _plain(problem: ConvProblem) -> ConvProblem:
    return replace(problem.packed(), dtype="float32")


def _best(frame: pd.DataFrame) -> pd.DataFrame:
    """The fastest result of each layer, direction and cache state."""
    return frame.sort_values("median_us").drop_duplicates(LAYER)


def groups(table: pd.DataFrame, planned: Sequence[Measured]) -> list[Row]:
    """A row for each group and precision that has a target or was measured."""
    group_of = {(measured.layer.name, measured.layer.direction): measured.group for measured in planned}
    if not table.empty:
        keys = zip(table.layer, table.direction, strict=True)
        table = table.assign(group=[group_of.get(key, "") for key in keys])
    gradients = sorted({measured.group for measured in planned if measured.layer.direction != "forward"})
    found = []
    for precision in SIDES:
        for group in ("all",) if precision in ("TF32", "float16", "bfloat16") else GROUPS:
            part = table if table.empty else table[table.precision == precision]
            if not part.empty:
                part = part[part.direction == "forward"] if group == "all" else part[part.group == group]
            if (group, precision) not in TARGETS and part.empty:
                continue
            found.append(_row(group, precision, part, _planned(planned, group, precision)))
        for group in gradients:
            part = table if table.empty else table[(table.precision == precision) & (table.group == group)]
            if part.empty:
                continue
            found.append(_row(group, precision, part, _planned(planned, group, precision)))
    return found


def _planned(planned: Sequence[Measured], group: str, precision: str) -> int:
    dtype = SIDES[precision][1]
    return sum(
        one.layer.problem.dtype == dtype
        and (one.group == group or (group == "all" and one.layer.direction == "forward"))
        for one in planned
    )


def _row(group: str, precision: str, part: pd.DataFrame, planned: int) -> Row:
    medians: dict[Cache, float | None] = {}
    for cache in CACHES:
        ratios = [] if part.empty else part[part.cache == cache].ratio.tolist()
        medians[cache] = float(np.median(ratios)) if ratios else None
    first = next((cache for cache in CACHES if medians[cache] is not None), None)
    own = part[part.cache == first].ratio if first is not None else None
    return Row(
        group=group, precision=precision, layers=0 if own is None else len(own), planned=planned,
        warm=medians["warm"], cold=medians["cold"], least=None if own is None else float(own.min()),
        most=None if own is None else float(own.max()),
        verdict=_verdict(group, precision, None if first is None else medians[first]),
    )  # fmt: skip


def _verdict(group: str, precision: str, ratio: float | None) -> str:
    target = TARGETS.get((group, precision))
    if ratio is None:
        return "not measured"
    if target is None:
        return "no target"
    if ratio >= target.stretch:
        return "beyond the target"
    return "reached" if ratio >= target.ratio else "not reached"


def to_markdown(rows: Sequence[Row], table: pd.DataFrame, title: str, notes: Sequence[str]) -> str:
    """The page: groups first, then every layer."""
    header = ["group", "precision", "layers", "warm", "from", "to", "cold", "target", "stretch", "verdict"]
    cells = [
        (
            row.group, row.precision, f"{row.layers} of {row.planned}",
            *map(_figure, (row.warm, row.least, row.most, row.cold)), *_targets(row), row.verdict,
        )
        for row in rows
    ]  # fmt: skip
    told = "\n".join(f"- {note}" for note in notes)
    parts = [f"# {title}", LEGEND, markdown_table(header, cells), told, "## Layer by layer"]
    header = [
        "layer",
        "direction",
        "precision",
        "cache",
        "ours",
        "in",
        "time",
        "library in",
        "its time",
        "ratio",
        "95 %",
    ]
    cells = [] if table.empty else [_layer_cells(row) for row in table.to_dict("records")]
    return "\n\n".join([*parts, markdown_table(header, cells) if cells else "Nothing was measured on both sides.", ""])


def _layer_cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    return (
        *(str(row[name]) for name in ("layer", "direction", "precision", "cache", "algorithm", "layout")),
        duration(row["median_us"]), str(row["layout_library"]), duration(row["median_us_library"]),
        f"{row['ratio']:.2f}", f"{row['ratio_low']:.2f} – {row['ratio_high']:.2f}",
    )  # fmt: skip


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _targets(row: Row) -> tuple[str, str]:
    target = TARGETS.get((row.group, row.precision))
    return ("–", "–") if target is None else (f"{target.ratio:g}", f"{target.stretch:g}")
