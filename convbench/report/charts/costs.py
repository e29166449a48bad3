"""The charts of costs: how a run's time divides into phases, the time for compiling, and workspace memory."""

import math

import altair as alt
import pandas as pd

from convbench.report.charts.pieces import NEUTRAL, WIDTH, Canvas, Drawn, scale_of, summarised
from convbench.report.palette import PHASES
from convbench.report.units import duration, listed, size

WIDE = 0.16  # share from which a bar has room for its name
TICKS = 7  # on the axis of the workspace, at most: more labels would overlap
NAMED = 4  # how many algorithms a reading names
KNOWN_PHASES = "pack", "transform", "multiply", "unpack"


def time_by_phase(canvas: Canvas) -> Drawn | str:
    """Draw, for each algorithm, the mean share of each phase in a run; every layer has the same weight."""
    passed = canvas.chapter.passed
    shares = pd.DataFrame(
        [
            {"algorithm": algorithm, "layer": place, "phase": phase, "share": us / total}
            for place, (algorithm, phases) in enumerate(zip(passed.algorithm, passed.phases_us, strict=True))
            if phases and (total := sum(phases.values())) > 0
            for phase, us in phases.items()
        ]
    )
    if shares.empty or shares.groupby("algorithm").phase.nunique().max() == 1:
        return "every algorithm runs in a single phase"
    layers = shares.groupby("algorithm").layer.nunique()
    shown = shares.groupby(["algorithm", "phase"], sort=False).share.sum().reset_index()
    shown["share"] /= shown.algorithm.map(layers)
    shown["results"] = shown.algorithm.map(layers)
    phases = [name for name in KNOWN_PHASES if name in set(shown.phase)]
    phases += sorted(set(shown.phase) - set(phases))
    shown["order"] = shown.phase.map(phases.index)
    shown["end"] = shown.sort_values("order").groupby("algorithm").share.cumsum()
    shown["middle"] = shown.end - shown.share / 2
    named = zip(shown.phase, shown.share, strict=True)
    shown["text"] = [f"{phase} {share:.0%}" if share > WIDE else "" for phase, share in named]
    colours = alt.Scale(domain=phases, range=[PHASES[place % len(PHASES)] for place in range(len(phases))])
    share = alt.X(
        "share:Q", stack="zero", title=f"share of a run's time{canvas.label}", axis=alt.Axis(format="%"),
        scale=alt.Scale(domain=[0, 1]),
    )  # fmt: skip
    base = alt.Chart(shown).encode(canvas.rows(shown))
    bars = base.mark_bar(stroke="white", strokeWidth=0.5).encode(
        share, alt.Color("phase:N", scale=colours, title=None, legend=alt.Legend(orient="top")), order="order:Q",
        tooltip=["algorithm:N", "phase:N", alt.Tooltip("share:Q", format=".1%"), "results:Q"],
    )  # fmt: skip
    text = base.mark_text(color="#15181c", fontSize=10).encode(x="middle:Q", text="text:N")
    chart = alt.layer(bars, text).properties(width=WIDTH, height=alt.Step(22), title=summarised(len(passed)))
    top = shown.sort_values("share", ascending=False).drop_duplicates("algorithm").set_index("algorithm")
    several = shown.groupby("algorithm").phase.nunique()
    names = [name for name in canvas.order(shown) if several[name] > 1]
    parts = [f"{name} spends {top.share[name]:.0%} in {top.phase[name]}" for name in names[:NAMED]]
    return Drawn(chart, f"In the mean of its layers {'; '.join(parts)}.")


def compile_time(canvas: Canvas) -> Drawn | str:
    """Draw the time for compiling, summed for each algorithm."""
    passed = canvas.chapter.passed
    groups = passed.groupby("algorithm").compile_s
    sums = groups.agg(total="sum", longest="max", results="size").reset_index()
    sums = sums[sums.total > 0]
    if sums.empty:
        return "nothing was compiled for these results"
    sums["text"] = (sums.total * 1e6).map(duration)
    base = alt.Chart(sums).encode(
        canvas.rows(sums), alt.X("total:Q", title=f"compile time, s{canvas.label}"),
        tooltip=[
            "algorithm:N", alt.Tooltip("total:Q", title="in all, s", format=".3g"),
            alt.Tooltip("longest:Q", title="longest for one result, s", format=".3g"), "results:Q",
        ],
    )  # fmt: skip
    bars = base.mark_bar(height={"band": 0.7}).encode(canvas.colour(sums))
    text = base.mark_text(align="left", dx=4, color=NEUTRAL).encode(text="text:N")
    chart = alt.layer(bars, text).properties(width=WIDTH, height=alt.Step(20), title=summarised(len(passed)))
    slowest = sums.nlargest(1, "total").iloc[0]
    total = duration(float(sums.total.sum()) * 1e6)
    return Drawn(chart, f"Compiling took {total} in all; most of it, {slowest.text}, for {slowest.algorithm}.")


def workspace(canvas: Canvas) -> Drawn | str:
    """Draw the memory that each algorithm allocates besides the tensors."""
    passed = canvas.chapter.passed
    some = passed[passed.workspace_bytes > 0]
    none = [name for name in canvas.order(passed) if name not in set(some.algorithm)]
    if some.empty:
        return "no algorithm needs any workspace"
    crowded = len(some) > canvas.limit
    medians = some.groupby("algorithm").workspace_bytes.agg(["median", "min", "max", "size"]).reset_index()
    scale = scale_of(some.workspace_bytes)
    axis = alt.Axis(labelExpr=_LABELS, values=_powers(some.workspace_bytes))
    title = "workspace, bytes"
    ticks = alt.Chart(medians).mark_tick(thickness=3, height=16, color=NEUTRAL).encode(
        alt.X("median:Q", title=title, scale=scale, axis=axis), canvas.rows(some)
    )  # fmt: skip
    tooltip = [
        "algorithm:N", *(alt.Tooltip(f"{name}:Q", format=".4s") for name in ("median", "min", "max")),
        alt.Tooltip("size:Q", title="results"),
    ]  # fmt: skip
    if crowded:
        marks = alt.Chart(medians).mark_bar(height={"band": 0.5}).encode(
            alt.X("min:Q", title=title, scale=scale, axis=axis), alt.X2("max:Q"), canvas.rows(some),
            canvas.colour(some), tooltip=tooltip,
        )  # fmt: skip
    else:
        shown = canvas.marks(some)
        marks = canvas.picked(
            canvas.chart(shown).mark_point(filled=True, size=45).encode(
                alt.X("workspace:Q", title=title, scale=scale, axis=axis), canvas.rows(some), canvas.colour(some),
                canvas.shape(some), tooltip=canvas.tooltip(shown),
            ),
            full=0.7,
        )  # fmt: skip
    chart = alt.layer(marks, ticks).properties(width=WIDTH, height=alt.Step(22))
    if crowded:
        chart = chart.properties(title=summarised(len(some)))
    most = some.nlargest(1, "workspace_bytes").iloc[0]
    text = f"{most.algorithm} needs the most, {size(most.workspace_bytes)} on {most.layer}"
    return Drawn(chart, text + (f"; {listed(none)} {'needs' if len(none) == 1 else 'need'} none." if none else "."))


def _powers(sizes: "pd.Series[float]") -> list[float]:
    """At most `TICKS` powers of two around some sizes; a wide range skips some. Decimal ones have odd labels in KiB."""
    low, high = math.floor(math.log2(sizes.min())), math.ceil(math.log2(sizes.max()))
    return [2.0**power for power in range(low, high + 1, max(1, math.ceil((high - low) / (TICKS - 1))))]


_LABELS = (
    "datum.value >= 1073741824 ? format(datum.value / 1073741824, '.3~r') + ' GiB' : "
    "datum.value >= 1048576 ? format(datum.value / 1048576, '.3~r') + ' MiB' : "
    "datum.value >= 1024 ? format(datum.value / 1024, '.3~r') + ' KiB' : format(datum.value, '.3~r') + ' B'"
)
