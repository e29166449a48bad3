"""What the charts share: looks of algorithms, tooltips, selections, scales, and summaries of too many marks."""

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

NEUTRAL = "#8a8f98"  # of what is no algorithm: readable on white and on a dark page
WIDTH = 560
# a geometric mean, on the marks that it is of
MIDDLE: dict[str, Any] = {
    "shape": "diamond", "filled": True, "size": 110, "stroke": "white", "strokeWidth": 1, "color": "#4d5360",
    "opacity": 1,
}  # fmt: skip
QUARTILES = "bar from quartile to quartile, line from 5 % to 95 %"
QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}


@dataclass(frozen=True)
class Drawn:
    """A chart, and what is to be seen on it."""

    chart: Any
    reading: str


@dataclass(frozen=True)
class Canvas:
    """A chapter and how its charts are drawn.

    Parameters
    ----------
    chapter : what is drawn
    looks : of every algorithm on the page
    limit : the most marks that a chart may have before they are summarised
    """

    chapter: Chapter
    looks: dict[str, Look]
    limit: int
    pick: Any = field(default_factory=lambda: alt.selection_point(name="pick", fields=["row"]))

    @property
    def label(self) -> str:
        return self.chapter.label

    def order(self, frame: pd.DataFrame) -> list[str]:
        """The algorithms of a frame, the fastest on the whole first: the same order in every chart."""
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
        """The algorithms as rows of a chart, named there."""
        return alt.Y("algorithm:N", sort=self.order(frame), title=None, axis=alt.Axis(labelLimit=160))

    def marks(self, frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        """What a chart of single records needs of a frame: the record's number, its tooltip and these columns."""
        _, scale = self.time_unit
        shown = pd.DataFrame(
            {
                "row": frame.row, "algorithm": frame.algorithm, "layer": frame.layer, "problem": frame.problem,
                "time": _digits(frame.median_us * scale), "low": _digits(frame.low_us * scale),
                "high": _digits(frame.high_us * scale), "cold": _digits(frame.cold_us * scale),
                "rate": _digits(frame.tflops * self.rate_unit[1]), "speed": _digits(frame.speed),
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
        """Everything that a mark knows, named."""
        unit, rate = self.time_unit[0], self.rate_unit[0]
        names = {
            "algorithm": "algorithm", "layer": "layer", "problem": "problem", "time": f"median, {unit}{self.label}",
            "low": "95 % interval from", "high": "95 % interval to", "cold": f"cold cache, {unit}{self.label}",
            "rate": f"{rate}{self.label}", "speed": "speed, of the fastest", "bound": "fraction of its error bound",
            "iqr": "spread (IQR / median)", "workspace": "workspace, bytes", "host": f"host, µs{self.label}",
            "compile": f"compile, s{self.label}",
        }  # fmt: skip
        kinds = {name: "Q" if pd.api.types.is_numeric_dtype(shown[name]) else "N" for name in names if name in shown}
        known = [alt.Tooltip(f"{name}:{kinds[name]}", title=names[name]) for name in kinds]
        return [*known, alt.Tooltip("command:N", title="again by")]

    def chart(self, shown: pd.DataFrame) -> alt.Chart:
        """A chart of single records, whose commands are put together where they are shown."""
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
        """The chart with its marks selectable: what is not selected fades."""
        opacity = alt.OpacityValue(full / 4, condition={"param": self.pick.name, "value": full})
        return chart.encode(opacity=opacity).add_params(self.pick)

    @property
    def time_unit(self) -> tuple[str, float]:
        return time_unit(float(self.chapter.passed.median_us.max()))

    @property
    def rate_unit(self) -> tuple[str, float]:
        return rate_unit(self.chapter.passed.tflops)

    def _rest(self, first: Any) -> str:
        """What stands behind the algorithm in the commands of a chapter."""
        return str(first.command).removeprefix(
            f"convbench bench '{first.problem}' --algorithm {shlex.quote(str(first.algorithm))}"
        )

    def _predictable(self, frame: pd.DataFrame) -> bool:
        """Whether problem and algorithm tell a row's command; not where seeds differ."""
        rest = self._rest(self.chapter.frame.iloc[0])
        told = "convbench bench '" + frame.problem + "' --algorithm " + frame.algorithm.map(shlex.quote) + rest
        return bool((told == frame.command).all())


def _legend(names: Sequence[str]) -> alt.Legend:
    return alt.Legend(orient="top", columns=min(len(names), 4), labelLimit=150, symbolOpacity=1)


def _digits(values: "pd.Series[float]") -> "pd.Series[float]":
    """Four significant digits: as many as are shown, and a page is smaller by the others."""
    return pd.Series([float(f"{value:.4g}") for value in values.astype(float)], index=values.index, dtype=float)


def scale_of(values: "pd.Series[float]", **changes: Any) -> alt.Scale:
    """Logarithmic where values span more than a decade, with room for zeros if there are any; else from zero."""
    positive = values[values > 0]
    if positive.empty or positive.max() < 10 * positive.min():
        return alt.Scale(zero=True, **changes)
    if len(positive) < values.notna().sum():
        return alt.Scale(type="symlog", constant=float(positive.min()), nice=False, padding=10, **changes)
    return alt.Scale(type="log", nice=False, padding=10, **changes)


def places(frame: pd.DataFrame) -> "pd.Series[str]":
    """The name of each row's layer: with its problem, or its workload too, where the name alone is not unique."""
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
    """The quantiles of a column in each group, and how many rows each summarises."""
    groups = frame.groupby(by, sort=False)[value]
    found = pd.DataFrame({name: groups.quantile(share) for name, share in QUANTILES.items()})
    return found.assign(results=groups.size()).reset_index()


def summarised(count: int, what: str = "results", how: str = "") -> alt.Title:
    """The line above a chart that does not show every row, and how to read its marks."""
    return note(f"{count:,} {what}, summarised{': ' if how else ''}{how}")


def note(text: str) -> alt.Title:
    """A small line above a chart: how to read its marks."""
    return alt.Title(text, anchor="start", fontSize=11, fontWeight="normal", color=NEUTRAL)
