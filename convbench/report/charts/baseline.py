"""The chart of speeds against the baseline, with the intervals of the ratios."""

from typing import Any

import altair as alt
import pandas as pd

from convbench.report.against import against, chosen_baseline, means_against
from convbench.report.chapters import LAYER
from convbench.report.charts.pieces import (
    MIDDLE,
    NEUTRAL,
    QUARTILES,
    WIDTH,
    Canvas,
    Drawn,
    places,
    quantiles,
    summarised,
)
from convbench.report.units import counted

INTERVALS = 400  # most marks that are drawn with intervals: those of more marks would hide each other


def ratio_to_baseline(canvas: Canvas) -> Drawn | str:
    """Draw the speed of each result against the baseline's, and each algorithm's geometric mean, with intervals."""
    baseline = chosen_baseline(canvas.chapter)
    if baseline is None:
        return "there is no baseline among the results that passed"
    pairs = against(canvas.chapter, baseline)
    if pairs.empty:
        return f"no other algorithm has a layer of the baseline {baseline}"
    means = means_against(pairs)
    shown = canvas.marks(pairs, "ratio", "ratio_low", "ratio_high") if len(pairs) <= canvas.limit else None
    title = f"speed against {baseline} = 1{canvas.label}"
    chart = ratio_chart(canvas, pairs, means, shown, title)
    best = means.iloc[0]
    text = f"{best.algorithm} is {best.ratio:.2f} times as fast as {baseline}{_range(best)}"
    text += f", in the geometric mean of {counted(int(best.results), 'layer')}"
    faster = pairs.sort_values("ratio").drop_duplicates(LAYER, keep="last")
    text += f"; {baseline} is beaten in {int((faster.ratio > 1).sum())} of {len(faster)}."
    return Drawn(chart, text)


def _range(row: "pd.Series[float]") -> str:
    return "" if pd.isna(row.ratio_low) else f" (95 % interval {row.ratio_low:.2f} to {row.ratio_high:.2f})"


def ratio_chart(
    canvas: Canvas, pairs: pd.DataFrame, means: pd.DataFrame, shown: pd.DataFrame | None, title: str
) -> Any:
    """A chart with a row for each algorithm: its ratios in the order of the layers, and their geometric mean."""
    # on a logarithmic scale, twice and half are equally far from 1
    x: dict[str, Any] = {"title": title, "scale": alt.Scale(type="log", nice=False, padding=12)}
    rows = canvas.rows(pairs)
    one = alt.Chart(pd.DataFrame({"one": [1.0]})).mark_rule(color=NEUTRAL, strokeDash=[4, 3]).encode(x="one:Q")
    layers: list[alt.Chart] = [one]
    if shown is not None:
        order = list(dict.fromkeys(places(pairs)))
        shown = shown.assign(place=places(pairs).map(order.index))
        offset = alt.YOffset("place:O", scale=alt.Scale(paddingOuter=0.4))
        base = canvas.chart(shown).encode(rows, offset, canvas.colour(pairs))
        if "ratio_low" in shown and len(shown) <= INTERVALS:
            layers.append(base.mark_rule(opacity=0.6).encode(alt.X("ratio_low:Q", **x), alt.X2("ratio_high:Q")))
        points = base.mark_point(filled=True, size=24).encode(
            alt.X("ratio:Q", **x), canvas.shape(pairs),
            tooltip=[alt.Tooltip("ratio:Q", title="times as fast"), *canvas.tooltip(shown)],
        )  # fmt: skip
        layers.append(canvas.picked(points, full=0.8))
        step = min(max(26, 4 * len(order)), 110)
    else:
        summary = alt.Chart(quantiles(pairs, ["algorithm"], "ratio")).encode(rows, canvas.colour(pairs))
        layers.append(summary.mark_rule().encode(alt.X("q05:Q", **x), alt.X2("q95:Q")))
        layers.append(summary.mark_bar(height=12, opacity=0.5).encode(alt.X("q25:Q", **x), alt.X2("q75:Q")))
        step = 26
    tooltip = [
        "algorithm:N", alt.Tooltip("ratio:Q", title="geometric mean, times as fast", format=".3f"),
        alt.Tooltip("ratio_low:Q", title="95 % interval from", format=".3f"),
        alt.Tooltip("ratio_high:Q", title="95 % interval to", format=".3f"), alt.Tooltip("results:Q", title="layers"),
    ]  # fmt: skip
    middle = alt.Chart(means).encode(rows)
    layers.append(
        middle.mark_rule(strokeWidth=3, color=NEUTRAL).encode(alt.X("ratio_low:Q", **x), alt.X2("ratio_high:Q"))
    )
    layers.append(
        middle.mark_point(**MIDDLE)
        .encode(alt.X("ratio:Q", **x), tooltip=tooltip)
    )  # fmt: skip
    note: dict[str, Any] = {} if shown is not None else {"title": summarised(len(pairs), how=QUARTILES)}
    return alt.layer(*layers).properties(width=WIDTH, height=alt.Step(step, **{"for": "position"}), **note)
