"""The chart of the true error against speed, with the front of algorithms.

The error is the root mean square on random numbers, in units of the last place (ulp) of the output's magnitude, the
same unit for all algorithms (`convbench.measurement.true_error`). An algorithm is on the front if no other beats it in
both error and speed.
"""

import altair as alt
import numpy as np
import pandas as pd

from convbench.report.charts.pieces import NEUTRAL, WIDTH, Canvas, Drawn, scale_of, summarised
from convbench.report.summary import NO_ERRORS, compared, mean_errors
from convbench.report.units import counted, listed

ERROR = "rms_error_ulp"


def error_against_speed(canvas: Canvas) -> Drawn | str:
    """Draw each result faintly, each algorithm's geometric mean clearly, and the front as a line.

    The means are over the layers that all algorithms computed, if there are any.
    """
    passed = canvas.chapter.passed
    if passed[ERROR].isna().all():
        return NO_ERRORS
    known = passed[passed[ERROR] > 0]
    if known.algorithm.nunique() < 2:
        return "fewer than two algorithms have an error that could be compared"
    rows, over = compared(known)
    middles = middle_of(rows)
    front = front_of(middles)
    crowded = len(known) > canvas.limit
    x = alt.X(f"{ERROR}:Q", title="rms error, ulp of the output's magnitude", scale=scale_of(known[ERROR]))
    y = alt.Y("speed:Q", title=f"speed, of the fastest in each layer{canvas.label}", scale=scale_of(known.speed))
    line = alt.Chart(front).mark_line(color=NEUTRAL, strokeDash=[5, 3], interpolate="step-after").encode(x, y)
    tooltip = [
        "algorithm:N", alt.Tooltip(f"{ERROR}:Q", title="geometric mean of the rms error, ulp", format=".3g"),
        alt.Tooltip("speed:Q", title="geometric mean of the speed", format=".3g"), "results:Q",
    ]  # fmt: skip
    large = alt.Chart(middles).mark_point(filled=True, size=170, opacity=1, stroke="white", strokeWidth=1).encode(
        x, y, canvas.colour(known, legend=True), canvas.shape(known, legend=True), tooltip=tooltip
    )  # fmt: skip
    layers: list[alt.Chart] = [line, large]
    if not crowded:
        shown = canvas.marks(known, ERROR)
        small = canvas.chart(shown).mark_point(filled=True, size=22).encode(
            x, y, canvas.colour(known, legend=True), canvas.shape(known, legend=True), tooltip=canvas.tooltip(shown)
        )  # fmt: skip
        layers.insert(0, canvas.picked(small, full=0.4))
    title = {"title": summarised(len(known))} if crowded else {}
    chart = alt.layer(*layers).properties(width=WIDTH, height=320, **title)
    return Drawn(chart, _reading(passed, mean_errors(rows), over, front))


def _reading(passed: pd.DataFrame, means: "pd.Series[float]", over: str, front: pd.DataFrame) -> str:
    names = [str(name) for name in front.sort_values("speed", ascending=False).algorithm]
    who = "it is" if len(names) == 1 else "each of them is"
    text = (
        f"On the front: {listed(names)}. No other is both faster and more exact than {who}, in the geometric mean of "
        f"{over}. There, {means.index[0]} has the smallest rms error, {means.iloc[0]:.3g} ulp; {means.index[-1]} has "
        f"the largest, {means.iloc[-1]:.3g} ulp."
    )
    if without := int((passed[ERROR] == 0).sum()):
        text += f" {counted(without, 'result')} without any error {'is' if without == 1 else 'are'} left out."
    if unknown := int(passed[ERROR].isna().sum()):
        text += f" {counted(unknown, 'result')} {'has' if unknown == 1 else 'have'} no recorded error."
    return text


def middle_of(known: pd.DataFrame) -> pd.DataFrame:
    """The geometric means of error and speed of each algorithm over the given results."""
    logs = known.assign(**{ERROR: np.log(known[ERROR].astype(float)), "speed": np.log(known.speed)})
    means = logs.groupby("algorithm")[[ERROR, "speed"]].mean().apply(np.exp)
    return means.assign(results=known.groupby("algorithm").size()).reset_index()


def front_of(middles: pd.DataFrame) -> pd.DataFrame:
    """The algorithms on the front: no other is at least as good in both speed and error."""
    ordered = middles.sort_values([ERROR, "speed"], ascending=[True, False])
    above = ordered.speed > ordered.speed.cummax().shift(fill_value=0.0)
    front: pd.DataFrame = ordered.loc[above]
    return front
