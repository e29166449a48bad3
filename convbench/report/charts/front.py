"""The chart of the used fraction of the error bound against speed, with the front of algorithms.

An algorithm is on the front if no other beats it in both. The bounds of two algorithms differ, so that the fractions do
not say which of them has the smaller error.
"""

import altair as alt
import numpy as np
import pandas as pd

from convbench.report.charts.pieces import NEUTRAL, WIDTH, Canvas, Drawn, scale_of, summarised
from convbench.report.units import listed


def error_against_speed(canvas: Canvas) -> Drawn | str:
    """Draw each result faintly, each algorithm's geometric mean clearly, and the front as a line."""
    known = canvas.chapter.passed
    known = known[known.fraction > 0]
    if known.algorithm.nunique() < 2:
        return "fewer than two algorithms have a fraction of a bound that could be compared"
    middles = middle_of(known)
    front = front_of(middles)
    crowded = len(known) > canvas.limit
    x = alt.X("fraction:Q", title="fraction of the algorithm's own error bound", scale=scale_of(known.fraction))
    y = alt.Y("speed:Q", title=f"speed, of the fastest in each layer{canvas.label}", scale=scale_of(known.speed))
    line = alt.Chart(front).mark_line(color=NEUTRAL, strokeDash=[5, 3], interpolate="step-after").encode(x, y)
    tooltip = [
        "algorithm:N", alt.Tooltip("fraction:Q", title="geometric mean of the fraction", format=".3g"),
        alt.Tooltip("speed:Q", title="geometric mean of the speed", format=".3g"), "results:Q",
    ]  # fmt: skip
    large = alt.Chart(middles).mark_point(filled=True, size=170, opacity=1, stroke="white", strokeWidth=1).encode(
        x, y, canvas.colour(known, legend=True), canvas.shape(known, legend=True), tooltip=tooltip
    )  # fmt: skip
    layers: list[alt.Chart] = [line, large]
    if not crowded:
        shown = canvas.marks(known, "fraction")
        small = canvas.chart(shown).mark_point(filled=True, size=22).encode(
            x, y, canvas.colour(known, legend=True), canvas.shape(known, legend=True), tooltip=canvas.tooltip(shown)
        )  # fmt: skip
        layers.insert(0, canvas.picked(small, full=0.4))
    title = {"title": summarised(len(known))} if crowded else {}
    chart = alt.layer(*layers).properties(width=WIDTH, height=320, **title)
    names = [str(name) for name in front.sort_values("speed", ascending=False).algorithm]
    who = "it is" if len(names) == 1 else "each of them is"
    return Drawn(
        chart,
        f"On the front: {listed(names)}. No other is both faster and uses a smaller fraction of its own bound than "
        f"{who}, on average. Bounds differ, so that fractions do not say which error is the smallest.",
    )


def middle_of(known: pd.DataFrame) -> pd.DataFrame:
    """The geometric means of fraction and speed of each algorithm over its results."""
    logs = known.assign(fraction=np.log(known.fraction), speed=np.log(known.speed))
    means = logs.groupby("algorithm")[["fraction", "speed"]].mean().apply(np.exp)
    return means.assign(results=known.groupby("algorithm").size()).reset_index()


def front_of(middles: pd.DataFrame) -> pd.DataFrame:
    """The algorithms on the front: no other is at least as good in both speed and fraction."""
    ordered = middles.sort_values(["fraction", "speed"], ascending=[True, False])
    above = ordered.speed > ordered.speed.cummax().shift(fill_value=0.0)
    front: pd.DataFrame = ordered.loc[above]
    return front
