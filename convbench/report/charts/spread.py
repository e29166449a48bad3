"""The charts of distributions over an algorithm's results: fractions of the error bound, and spread of the samples."""

from typing import Any

import altair as alt
import pandas as pd

from convbench.report.charts.pieces import NEUTRAL, QUARTILES, WIDTH, Canvas, Drawn, quantiles, scale_of, summarised
from convbench.report.units import counted


def fraction_of_bound(canvas: Canvas) -> Drawn | str:
    """Draw, for each algorithm, the fraction of the error bound that each result used; 1 is the limit."""
    known = canvas.chapter.passed.dropna(subset=["fraction"])
    if known.empty:
        return "no result was compared with an error bound"
    scale = scale_of(known.fraction, domainMax=1.0)
    limit = alt.Chart(pd.DataFrame({"limit": [1.0]})).mark_rule(color=NEUTRAL, strokeDash=[4, 3]).encode(x="limit:Q")
    drawn = _distribution(canvas, known, "fraction", "fraction of the error bound (1 is the limit)", scale)
    worst = known.nlargest(1, "fraction").iloc[0]
    exact = int(known.exact.sum())
    text = f"The largest is {worst.fraction:.3g} of its bound, by {worst.algorithm} on {worst.layer}"
    text += f"; half of all {len(known):,} use less than {known.fraction.median():.2g}"
    text += f". {counted(exact, 'result')} also matched bit for bit on integers." if exact else "."
    return Drawn(alt.layer(limit, *drawn).properties(**_size(), **_title(canvas, known)), text)


def spread_of_samples(canvas: Canvas) -> Drawn | str:
    """Draw the spread of each result's samples, interquartile range over median: how reliable a single sample is."""
    known = canvas.chapter.passed
    known = known[known.spread.notna()]
    if known.empty:
        return "no result has more than one sample"
    title = f"spread of the samples, IQR / median{canvas.label}"
    drawn = _distribution(
        canvas, known, "spread", title, scale_of(known.spread), axis=alt.Axis(format="~%", tickCount=6)
    )
    worst = known.nlargest(1, "spread").iloc[0]
    text = f"Half of the results spread by less than {known.spread.median():.1%} of their median; "
    text += f"{worst.algorithm} on {worst.layer} by {worst.spread:.1%}, the most."
    slowed = int((known.throttled > 0).sum())
    if slowed:
        text += (
            f" {counted(slowed, 'result')} {'has' if slowed == 1 else 'have'} samples of a GPU that was slowed down."
        )
    return Drawn(alt.layer(*drawn).properties(**_size(), **_title(canvas, known)), text)


def _distribution(
    canvas: Canvas, known: pd.DataFrame, value: str, title: str, scale: alt.Scale, **axis: alt.Axis
) -> list[alt.Chart]:
    """Layers that show each result as a tick over its algorithm's quartiles; with too many results, only quartiles."""
    x: dict[str, Any] = {"title": title, "scale": scale, **axis}
    summary = quantiles(known, ["algorithm"], value)
    tooltip = [
        "algorithm:N",
        *(alt.Tooltip(f"{q}:Q", format=".3g") for q in ("q05", "q25", "q50", "q75", "q95")),
        "results:Q",
    ]
    base = alt.Chart(summary).encode(canvas.rows(known))
    layers: list[alt.Chart] = [
        base.mark_rule(color=NEUTRAL).encode(alt.X("q05:Q", **x), alt.X2("q95:Q")),
        base.mark_bar(height={"band": 0.55}, opacity=0.35).encode(
            alt.X("q25:Q", **x), alt.X2("q75:Q"), canvas.colour(known), tooltip=tooltip
        ),
    ]
    if len(known) <= canvas.limit:
        shown = canvas.marks(known, value)
        layers.append(
            canvas.picked(
                canvas.chart(shown).mark_tick(thickness=1.5, height=16).encode(
                    alt.X(f"{value}:Q", **x), canvas.rows(known), canvas.colour(known), tooltip=canvas.tooltip(shown)
                )
            )
        )  # fmt: skip
    layers.append(base.mark_point(filled=True, size=50, opacity=1, stroke="white", strokeWidth=1).encode(
        alt.X("q50:Q", **x), canvas.colour(known), canvas.shape(known), tooltip=tooltip
    ))  # fmt: skip
    return layers


def _size() -> dict[str, object]:
    return {"width": WIDTH, "height": alt.Step(24)}


def _title(canvas: Canvas, known: pd.DataFrame) -> dict[str, alt.Title]:
    return {"title": summarised(len(known), how=QUARTILES)} if len(known) > canvas.limit else {}
