"""The chart of predicted times: a bar for each algorithm, in a panel for each layer."""

import altair as alt
import pandas as pd

from convbench.report.charts.pieces import NEUTRAL, WIDTH, Canvas, Drawn, note, places, scale_of
from convbench.report.charts.speed import PANELS
from convbench.report.outlook import Outlook, outlooks, sentence
from convbench.report.units import time_unit

MOST = 60  # layers that have a row each, where there are too many for panels


def predicted_times(canvas: Canvas) -> Drawn | str:
    """Draw the predicted times of the chapter's first GPU. No measured time is in the picture."""
    found = [one for one in outlooks(canvas.chapter) if not one.timed.empty]
    if not found:
        return "no time was predicted"
    outlook = found[0]
    unit, scale = time_unit(float(outlook.timed.us.max()))
    timed = outlook.timed
    shown = pd.DataFrame(
        {
            "algorithm": timed.algorithm, "layer": timed.layer, "place": places(timed),
            "time": [float(f"{us * scale:.4g}") for us in timed.us],
            "low": [float(f"{us * scale:.4g}") for us in timed.low_us],
            "high": [float(f"{us * scale:.4g}") for us in timed.high_us], "bound": timed.bound,
        }
    )  # fmt: skip
    count = shown.place.nunique()
    if count > MOST:
        return f"{count} layers are too many for it"
    title = f"{unit}, {outlook.caption}"
    chart = _panels(canvas, outlook, shown, title) if count <= PANELS else _rows(canvas, outlook, shown, title)
    return Drawn(chart, sentence(outlook))


def _colour(canvas: Canvas, outlook: Outlook, *, legend: bool) -> alt.Color:
    names = outlook.ranking
    scale = alt.Scale(domain=names, range=[canvas.looks[name].colour for name in names])
    shown = alt.Legend(orient="top", columns=min(len(names), 4), labelLimit=150) if legend else None
    return alt.Color("algorithm:N", scale=scale, title=None, legend=shown)


def _tooltip(title: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("algorithm:N"), alt.Tooltip("layer:N"), alt.Tooltip("time:Q", title=title),
        alt.Tooltip("low:Q", title="bounds of the model, from"), alt.Tooltip("high:Q", title="to"),
        alt.Tooltip("bound:N", title="bound by"),
    ]  # fmt: skip


def _panels(canvas: Canvas, outlook: Outlook, shown: pd.DataFrame, title: str) -> alt.Chart:
    columns = min(shown.place.nunique(), 3)
    rows = alt.Y("algorithm:N", sort=outlook.ranking, title=None, axis=alt.Axis(labelLimit=160))
    base = alt.Chart(shown).encode(rows)
    bars = base.mark_bar(height={"band": 0.7}).encode(
        alt.X("time:Q", title="µs, predicted" if title.startswith("µs") else f"{title.split(',')[0]}, predicted"),
        _colour(canvas, outlook, legend=False), tooltip=_tooltip(title),
    )  # fmt: skip
    bounds = base.mark_rule(color=NEUTRAL, strokeWidth=2).encode(x="low:Q", x2="high:Q")
    order = list(dict.fromkeys(shown.place))
    facet = alt.Facet("place:N", sort=order, title=None, header=alt.Header(labelLimit=210))
    chart: alt.Chart = (
        alt.layer(bars, bounds)
        .properties(width=WIDTH / columns - 20, height=alt.Step(15))
        .facet(facet, columns=columns, spacing=16, title=note(_note(outlook)))
        .resolve_scale(x="independent")
    )
    return chart


def _rows(canvas: Canvas, outlook: Outlook, shown: pd.DataFrame, title: str) -> alt.Chart:
    order = list(dict.fromkeys(shown.place))
    rows = alt.Y("place:N", sort=order, title=None, axis=alt.Axis(grid=True, labelLimit=220))
    points = alt.Chart(shown).mark_point(filled=True, size=45).encode(
        alt.X("time:Q", title=title, scale=scale_of(shown.time)), rows, _colour(canvas, outlook, legend=True),
        tooltip=_tooltip(title),
    )  # fmt: skip
    chart: alt.Chart = points.properties(width=WIDTH, height=alt.Step(14), title=note(outlook.caption))
    return chart


def _note(outlook: Outlook) -> str:
    return f"bar: {outlook.caption}, verified on the emulator; line: bounds of the model"
