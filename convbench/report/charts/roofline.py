"""The roofline: every result against the two ceilings of its device (Williams, Waterman & Patterson 2009)."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from convbench.problem import roofline as limits
from convbench.report.charts.pieces import NEUTRAL, WIDTH, Canvas, Drawn, summarised
from convbench.report.units import counted

SCALE = alt.Scale(type="log", nice=False, padding=8)


def roofline(canvas: Canvas) -> Drawn | str:
    """Draw TFLOP/s over FLOPs per byte, with a point for each result, under the ceilings."""
    chapter = canvas.chapter
    precision = str(chapter.frame.precision.iloc[0])
    if not chapter.is_gpu:
        return f"times that are {chapter.device['clock']} have no ceiling of a GPU over them"
    ceilings = limits.of_device(chapter.device, precision)
    if ceilings is None:
        return f"the ceilings of {chapter.device['name']} for {precision} are not known"
    passed = chapter.passed
    roof = ceilings.tbytes * passed.intensity
    passed = passed.assign(of_roof=passed.tflops / roof.clip(upper=ceilings.tflops))
    crowded = len(passed) > canvas.limit
    points = _summary(canvas, passed) if crowded else _points(canvas, passed)
    knee = ceilings.tflops / ceilings.tbytes
    low, high = min(passed.intensity.min() / 2, knee / 4), max(passed.intensity.max() * 2, knee * 4)
    lines = pd.DataFrame({"x": [low, knee, high], "y": [low * ceilings.tbytes, ceilings.tflops, ceilings.tflops]})
    roofs = alt.Chart(lines).mark_line(color=NEUTRAL, strokeWidth=2).encode(x="x:Q", y="y:Q")
    bandwidth = alt.Chart(lines[:1]).mark_text(align="left", dx=18, dy=4, color=NEUTRAL)
    peak = alt.Chart(lines[2:]).mark_text(align="right", dy=12, color=NEUTRAL)
    named = [
        mark.encode(x="x:Q", y="y:Q", text=alt.TextValue(text))
        for mark, text in ((bandwidth, f"{ceilings.tbytes:.3g} TB/s"), (peak, f"{ceilings.tflops:.3g} TFLOP/s"))
    ]
    title = {"title": summarised(len(passed))} if crowded else {}
    chart = alt.layer(roofs, *named, points).properties(width=WIDTH, height=340, **title)
    return Drawn(chart, _reading(passed, ceilings))


def _points(canvas: Canvas, passed: pd.DataFrame) -> Any:
    shown = canvas.marks(passed.assign(rate_t=passed.tflops), "intensity", "rate_t", "of_roof")
    return canvas.picked(
        canvas.chart(shown).mark_point(filled=True, size=45).encode(
            _intensity(), _rate(), canvas.colour(passed, legend=True), canvas.shape(passed, legend=True),
            tooltip=[
                *canvas.tooltip(shown), alt.Tooltip("intensity:Q", title="FLOP/byte"),
                alt.Tooltip("of_roof:Q", title="of the ceiling", format=".1%"),
            ],
        ),
        full=0.8,
    )  # fmt: skip


def _summary(canvas: Canvas, passed: pd.DataFrame) -> Any:
    """A chart with one point for each algorithm and each half octave of intensity: the median rate there."""
    bins = 2 ** ((np.log2(passed.intensity) * 2).round() / 2)
    groups = passed.assign(intensity=bins).groupby(["algorithm", "intensity"])
    shown = groups.agg(rate_t=("tflops", "median"), results=("row", "size")).reset_index()
    tooltip = [
        "algorithm:N", alt.Tooltip("rate_t:Q", title="median TFLOP/s", format=".3g"),
        alt.Tooltip("intensity:Q", title="FLOP/byte, about", format=".3g"), alt.Tooltip("results:Q"),
    ]  # fmt: skip
    return (
        alt.Chart(shown).mark_point(filled=True, opacity=0.8)
        .encode(
            _intensity(), _rate(), canvas.colour(passed, legend=True), canvas.shape(passed, legend=True),
            alt.Size("results:Q", legend=None, scale=alt.Scale(range=[25, 160])), tooltip=tooltip,
        )
    )  # fmt: skip


def _intensity() -> alt.X:
    axis = alt.Axis(gridOpacity=0.4, tickCount=8)
    return alt.X("intensity:Q", title="arithmetic intensity, FLOP/byte", scale=SCALE, axis=axis)


def _rate() -> alt.Y:
    axis = alt.Axis(gridOpacity=0.4, tickCount=8)
    return alt.Y("rate_t:Q", title="TFLOP/s, of the direct method's FLOPs", scale=SCALE, axis=axis)


def _reading(passed: pd.DataFrame, ceilings: limits.Ceilings) -> str:
    top = passed.nlargest(1, "of_roof").iloc[0]
    text = f"{top.algorithm} on {top.layer} has the most of its ceiling, {top.of_roof:.0%}"
    over = int((passed.of_roof > 1).sum())
    memory = int((passed.intensity < ceilings.tflops / ceilings.tbytes).sum())
    text += (
        f". {counted(memory, 'result')} of {len(passed):,} are bound by memory, {len(passed) - memory:,} by arithmetic"
    )
    if over:
        text += f"; {over:,} lie above, as a warm cache or an algorithm that saves multiplications allows"
    return text + "."
