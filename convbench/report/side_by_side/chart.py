"""Draw the ratios of several sources to the first: a panel for each other source, with a row for each algorithm."""

from typing import Any

import altair as alt
import pandas as pd

from convbench.report.charts.pieces import MIDDLE, NEUTRAL, QUARTILES, WIDTH, quantiles, summarised
from convbench.report.palette import looks
from convbench.report.side_by_side.pairing import Sides

MARKS = 600  # most pairs that are drawn one by one; of more pairs, only quartiles are drawn


def draw_sides(sides: Sides, kind: str) -> alt.FacetChart:
    """Draw every pair of a kind (direction and precision) with its interval, and the geometric means."""
    pairs, means = sides.pairs[sides.pairs.kind == kind], sides.means()
    means = means[means.kind == kind].drop(columns="kind")
    known = looks(sides.pairs[["algorithm", "family"]].itertuples(index=False, name=None))
    names = sorted(set(pairs.algorithm), key=lambda name: float(means[means.algorithm == name].ratio.mean()))
    colour = alt.Color(
        "algorithm:N", legend=None, scale=alt.Scale(domain=names, range=[known[name].colour for name in names])
    )
    shape = alt.Shape(
        "algorithm:N", legend=None, scale=alt.Scale(domain=names, range=[known[name].shape for name in names])
    )
    rows = alt.Y("algorithm:N", sort=names, title=None, axis=alt.Axis(labelLimit=160))
    x: dict[str, Any] = {
        "title": f"NEW / OLD: time over that of {sides.names[0]}{sides.label}",
        "scale": alt.Scale(type="log", nice=False, padding=12),
    }
    one = alt.Chart().mark_rule(color=NEUTRAL, strokeDash=[4, 3]).encode(x=alt.datum(1))
    crowded = len(pairs) > MARKS
    # all layers of the chart share one table, because Vega-Lite can only facet a layered chart over one
    every = pairs[["side", "layer", "problem", "algorithm", "ratio", "ratio_low", "ratio_high", "command"]].assign(
        what="pair"
    )
    if crowded:
        every = quantiles(pairs, ["side", "algorithm"], "ratio").assign(what="summary")
    shown = pd.concat([every, means.assign(what="mean")], ignore_index=True)
    base = alt.Chart().encode(rows)
    single, mean = base.transform_filter("datum.what == 'pair'"), base.transform_filter("datum.what == 'mean'")
    summary = base.transform_filter("datum.what == 'summary'")
    tooltip = [
        alt.Tooltip("algorithm:N"), alt.Tooltip("ratio:Q", title="NEW / OLD", format=".3f"),
        alt.Tooltip("ratio_low:Q", title="95 % interval from", format=".3f"),
        alt.Tooltip("ratio_high:Q", title="95 % interval to", format=".3f"),
    ]  # fmt: skip
    named = [alt.Tooltip("layer:N"), alt.Tooltip("problem:N"), *tooltip, alt.Tooltip("command:N", title="again by")]
    offset = alt.YOffset("layer:N", sort=list(dict.fromkeys(pairs.layer)), scale=alt.Scale(paddingOuter=0.4))
    layers: list[alt.Chart] = [one]
    if crowded:
        layers += [
            summary.mark_rule().encode(alt.X("q05:Q", **x), alt.X2("q95:Q"), colour),
            summary.mark_bar(height=12, opacity=0.5).encode(alt.X("q25:Q", **x), alt.X2("q75:Q"), colour),
        ]
    else:
        layers += [
            single.mark_rule(opacity=0.6).encode(alt.X("ratio_low:Q", **x), alt.X2("ratio_high:Q"), colour, offset),
            single.mark_point(filled=True, size=26).encode(alt.X("ratio:Q", **x), colour, shape, offset, tooltip=named),
        ]
    layers += [
        mean.mark_rule(strokeWidth=3, color=NEUTRAL).encode(alt.X("ratio_low:Q", **x), alt.X2("ratio_high:Q")),
        mean.mark_point(**MIDDLE)
        .encode(alt.X("ratio:Q", **x), tooltip=[*tooltip, alt.Tooltip("results:Q", title="layers")]),
    ]  # fmt: skip
    step = 26 if crowded else min(max(26, 4 * pairs.layer.nunique()), 110)
    columns = min(len(sides.names) - 1, 2)
    chart: alt.FacetChart = (
        alt.layer(*layers, data=shown)
        .properties(width=WIDTH / columns - 40, height=alt.Step(step, **{"for": "position"}))
        .facet(alt.Facet("side:N", sort=list(sides.names[1:]), title=None), columns=columns)
    )
    return chart.properties(title=summarised(len(pairs), "pairs", QUARTILES)) if crowded else chart
