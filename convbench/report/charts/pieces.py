"""Shared pieces of the charts: looks of algorithms, tooltips, selections, scales, and summaries of too many marks."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from convbench.report.chapters import LAYER, Chapter
from convbench.report.palette import Look
from convbench.report.units import rate_unit, time_unit

NEUTRAL = "#8a8f98"  # colour of marks that stand for no algorithm: readable on white and on a dark page
WIDTH = 560
# the mark of a geometric mean, which is drawn over the marks of its values
MIDDLE: dict[str, Any] = {
    "shape": "diamond", "filled": True, "size": 110, "stroke": "white", "strokeWidth": 1, "color": "#4d5360",
    "opacity": 1,
}  # fmt: skip
QUARTILES = "bar from quartile to quartile, line from 5 % to 95 %"
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True)
class Drawn:
    """A chart, and one line on the result that it shows."""

    chart: Any
    reading: str


@dataclass(frozen=True)
class Canvas:
    """A chapter, with the looks and limits by which its charts are drawn.

    Parameters
    ----------
    chapter : the chapter to draw
    looks : the look of every algorithm on the page
    limit : the most marks of a chart; more results than that are summarised
    pick : the selection of marks, which charts of single records share
    """

    chapter: Chapter
    looks: dict[str, Look]
    limit: int
    pick: Any = field(default_factory=lambda: alt.selection_point(name="pick", fields=["row"]))

    @property
    def label(self) -> str:
        return self.chapter.label

    def order(self, frame: pd.DataFrame) -> list[str]:
        """The algorithms of a frame in the order of the chapter's ranking, which is the same in every chart."""
        present = set(frame.algorithm.unique())
        return [name for name in self.chapter.ranking if name in present]

    def colour(self, frame: pd.DataFrame, *, legend: bool = False) -> alt.Color:
        names = self.order(frame)
        scale = alt.Scale(domain=names, range=[self.looks[name].colour for name in names])
        return alt.Color("algorithm:N", scale=scale, title=None, legend=_legend(names) if legend else None)

    def shape(self, frame: pd.DataFrame, *, legend: bool = False) -> alt.Shape:
        names = self.order(frame)
        scale = alt.Scale(domain=names, range=[self.looks[name].shape for name in names])
        return alt.Shape("algorithm:N", scale=scale, title=None, legend=_legend(names) if legend else None)

    def rows(self, frame: pd.DataFrame) -> alt.Y:
        """The axis that has the algorithms as rows, with their names."""
        return alt.Y("algorithm:N", sort=self.order(frame), title=None, axis=alt.Axis(labelLimit=160))

    def marks(self, frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """The data of a chart of single records: each record's number, the fields of its tooltip, and `columns`."""
        _, scale = self.time_unit
        shown = pd.DataFrame(
            {
                "row": frame.row, "algorithm": frame.algorithm, "layer": frame.layer, "problem": frame.problem,
                "time": _digits(frame.median_us * scale), "low": _digits(frame.low_us * scale),
                "high": _digits(frame.high_us * scale), "cold": _digits(frame.cold_us * scale),
                "rate": _digits(frame.tflops * self.rate_unit[1]), "speed": _digits(frame.speed),
                "rms": _digits(frame.rms_error_ulp), "worst": _digits(frame.worst_error_ulp),
                "bound": _digits(frame.fraction), "iqr": _digits(frame.spread), "workspace": frame.workspace_bytes,
                "host": _digits(frame.host_us), "compile": _digits(frame.compile_s),
            }
        )  # fmt: skip
        if not self._predictable(frame):
            shown["command"] = frame.command
        for column in columns:
            shown[column] = _digits(frame[column]) if frame[column].dtype == np.float64 else frame[column]
        return shown.dropna(axis="columns", how="all")

    def tooltip(self, shown: pd.DataFrame) -> list[alt.Tooltip]:
        """The tooltip of a mark: all its fields, with their names."""
        unit, rate = self.time_unit[0], self.rate_unit[0]
        names = {
            "algorithm": "algorithm", "layer": "layer", "problem": "problem", "time": f"median, {unit}{self.label}",
            "low": "95 % interval from", "high": "95 % interval to", "cold": f"cold cache, {unit}{self.label}",
            "rate": f"{rate}{self.label}", "speed": "speed, of the fastest", "rms": "rms error, ulp",
            "worst": "worst error, ulp", "bound": "fraction of its error bound",
            "iqr": "spread (IQR / median)", "workspace": "workspace, bytes", "host": f"host, µs{self.label}",
            "compile": f"compile, s{self.label}",
        }  # fmt: skip
        kinds = {name: "Q" if pd.api.types.is_numeric_dtype(shown[name]) else "N" for name in names if name in shown}
        known = [alt.Tooltip(f"{name}:{kinds[name]}", title=names[name]) for name in kinds]
        return [*known, alt.Tooltip("command:N", title="again by")]

    def chart(self, shown: pd.DataFrame) -> alt.Chart:
        """A chart of single records.

        Commands are only in its data if they cannot be put together from problem and algorithm, to keep pages small.
        """
        base = alt.Chart(shown)
        if "command" in shown:
            return base
        rest = self._rest(self.chapter.frame.iloc[0])
        names = {name: f" --algorithm {shlex.quote(name)}" for name in set(shown.algorithm)}
        before = json.dumps("convbench bench '")
        return base.transform_calculate(
            command=f'{before} + datum.problem + "\'" + {json.dumps(names)}[datum.algorithm] + {json.dumps(rest)}'
        )

    def picked(self, chart: alt.Chart, *, full: float = 1.0) -> alt.Chart:
        """The chart with selectable marks. When some are selected, the others fade."""
        opacity = alt.OpacityValue(full / 4, condition={"param": self.pick.name, "value": full})
        return chart.encode(opacity=opacity).add_params(self.pick)

    @property
    def time_unit(self) -> tuple[str, float]:
        return time_unit(float(self.chapter.passed.median_us.max()))

    @property
    def rate_unit(self) -> tuple[str, float]:
        return rate_unit(self.chapter.passed.tflops)

    def _rest(self, first: Any) -> str:
        """The end of a chapter's commands, after the algorithm."""
        return str(first.command).removeprefix(
            f"convbench bench '{first.problem}' --algorithm {shlex.quote(str(first.algorithm))}"
        )

    def _predictable(self, frame: pd.DataFrame) -> bool:
        """Whether the command of every row follows from its problem and algorithm. It does not if seeds differ."""
        rest = self._rest(self.chapter.frame.iloc[0])
        told = "convbench bench '" + frame.problem + "' --algorithm " + frame.algorithm.map(shlex.quote) + rest
        return bool((told == frame.command).all())


def _legend(names: Sequence[str]) -> alt.Legend:
    return alt.Legend(orient="top", columns=min(len(names), 4), labelLimit=150, symbolOpacity=1)


def _digits(values: "pd.Series[float]") -> "pd.Series[float]":
    """Values rounded to four significant digits. Pages show no more, and are smaller without the others."""
    return pd.Series([float(f"{value:.4g}") for value in values.astype(float)], index=values.index, dtype=float)


def scale_of(values: "pd.Series[float]", **changes: Any) -> alt.Scale:
    """The scale of an axis: logarithmic if values span a decade or more, with room for zeros; else from zero."""
    positive = values[values > 0]
    if positive.empty or positive.max() < 10 * positive.min():
        return alt.Scale(zero=True, **changes)
    if len(positive) < values.notna().sum():
        return alt.Scale(type="symlog", constant=float(positive.min()), nice=False, padding=10, **changes)
    return alt.Scale(type="log", nice=False, padding=10, **changes)


def places(frame: pd.DataFrame) -> "pd.Series[str]":
    """The name of each row's layer. If it is not unique, its problem is added, and its workload if that is needed."""
    layers = frame[LAYER].drop_duplicates()
    named: dict[tuple[str, str, str], str] = {}
    for key in layers.itertuples(index=False):
        workload, layer, problem = map(str, key)
        same = layers[layers.layer == key.layer]
        extra = [problem] if same.problem.nunique() > 1 else []
        extra += [workload] if same.duplicated(["layer", "problem"], keep=False).any() else []
        named[workload, layer, problem] = f"{layer} ({', '.join(extra)})" if extra else layer
    keys = zip(frame.workload, frame.layer, frame.problem, strict=True)
    return pd.Series([named[key] for key in keys], index=frame.index)


def quantiles(frame: pd.DataFrame, by: list[str], value: str) -> pd.DataFrame:
    """The quantiles of a column in each group, and the number of rows in the group."""
    groups = frame.groupby(by, sort=False)[value]
    found = pd.DataFrame({name: groups.quantile(share) for name, share in QUANTILES.items()})
    return found.assign(results=groups.size()).reset_index()


def summarised(count: int, what: str = "results", how: str = "") -> alt.Title:
    """The line above a chart that does not show every row: the number of rows, and how to read the marks."""
    return note(f"{count:,} {what}, summarised{': ' if how else ''}{how}")


def note(text: str) -> alt.Title:
    """A small line above a chart, which says how to read its marks."""
    return alt.Title(text, anchor="start", fontSize=11, fontWeight="normal", color=NEUTRAL)
