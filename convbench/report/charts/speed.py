"""The charts of speed: speed by layer, and the map of the fastest algorithms by channels, image size and filter."""

import math
from typing import Any

import altair as alt
import pandas as pd

from convbench.problem.notation import own
from convbench.report.chapters import LAYER
from convbench.report.charts.pieces import (
    NEUTRAL,
    QUARTILES,
    WIDTH,
    Canvas,
    Drawn,
    note,
    places,
    quantiles,
    scale_of,
    summarised,
)
from convbench.report.summary import who_wins
from convbench.report.units import counted, listed
from convbench.report.winners import winners

PANELS = 12  # most layers that have a panel each; more layers have a row each
ROWS = 60  # most layers that have a row each; more layers are summarised by filter
FILTERS = 4  # most panels of the winner map, and of summaries by filter
NAMED = 3  # how many ties a reading names
BINS = 12  # most columns or rows of the winner map; with more sizes, those between two powers of two share one


def speed_by_layer(canvas: Canvas) -> Drawn | str:
    """Draw the times of each layer: in a panel for each, in a row for each, or summarised in a panel for each filter.

    Which of the three depends on the number of layers.
    """
    passed = canvas.chapter.passed
    layers = passed.groupby(LAYER).ngroups
    if layers <= PANELS:
        chart = _panels(canvas, passed)
    elif layers <= ROWS and len(passed) <= canvas.limit:
        chart = _strips(canvas, passed)
    else:
        chart = _filters(canvas, passed)
    return Drawn(chart, who_wins(winners(canvas.chapter)))


def _panels(canvas: Canvas, passed: pd.DataFrame) -> Any:
    shown = canvas.marks(passed.assign(place=places(passed)), "place")
    unit = canvas.time_unit[0]
    base = canvas.chart(shown).encode(canvas.rows(passed))
    bars = canvas.picked(
        base.mark_bar(height={"band": 0.7}).encode(
            alt.X("time:Q", title=f"median, {unit}{canvas.label}"), canvas.colour(passed),
            tooltip=canvas.tooltip(shown),
        )
    )  # fmt: skip
    layers = [bars]
    if "low" in shown:
        layers.append(base.mark_rule(color=NEUTRAL, strokeWidth=2).encode(x="low:Q", x2="high:Q"))
    if "cold" in shown:
        layers.append(base.mark_tick(color=NEUTRAL, thickness=2, height=9).encode(x="cold:Q"))
    signs = [
        "bar: median",
        "line: its 95 % interval" if "low" in shown else "",
        "tick: cold cache" if "cold" in shown else "",
    ]
    columns = min(shown.place.nunique(), 3)
    facet = alt.Facet("place:N", sort=list(dict.fromkeys(shown.place)), title=None, header=alt.Header(labelLimit=210))
    return (
        alt.layer(*layers)
        .properties(width=WIDTH / columns - 20, height=alt.Step(15))
        .facet(facet, columns=columns, spacing=16, title=note(", ".join(filter(None, signs))))
        .resolve_scale(x="independent")
    )


def _strips(canvas: Canvas, passed: pd.DataFrame) -> Any:
    shown = canvas.marks(passed.assign(place=places(passed)), "place")
    unit = canvas.time_unit[0]
    order = list(dict.fromkeys(shown.place))
    rows = alt.Y("place:N", sort=order, title=None, axis=alt.Axis(grid=True, labelLimit=220))
    time = alt.X("time:Q", title=f"median, {unit}{canvas.label}", scale=scale_of(shown.time))
    points = canvas.picked(
        canvas.chart(shown).mark_point(filled=True, size=45).encode(
            time, rows, canvas.colour(passed, legend=True), canvas.shape(passed, legend=True),
            tooltip=canvas.tooltip(shown),
        )
    )  # fmt: skip
    return alt.layer(points).properties(width=WIDTH, height=alt.Step(14))


def _filters(canvas: Canvas, passed: pd.DataFrame) -> Any:
    named = passed.assign(filter=_filter_names(passed))
    shown = quantiles(named, ["filter", "algorithm"], "speed")
    base = alt.Chart(shown).encode(canvas.rows(passed))
    tooltip = [
        "algorithm:N", "filter:N", alt.Tooltip("results:Q", title="layers"), alt.Tooltip("q50:Q", format=".3f"),
        alt.Tooltip("q25:Q", format=".3f"), alt.Tooltip("q75:Q", format=".3f"),
    ]  # fmt: skip
    title = f"speed, of the fastest in each layer{canvas.label}"
    parts = alt.layer(
        base.mark_rule(color=NEUTRAL).encode(
            alt.X("q05:Q", title=title, scale=alt.Scale(domain=[0, 1])), alt.X2("q95:Q")
        ),
        base.mark_bar(height={"band": 0.6}, opacity=0.5).encode(
            alt.X("q25:Q"), alt.X2("q75:Q"), canvas.colour(passed), tooltip=tooltip
        ),
        base.mark_point(filled=True, size=50, opacity=1, stroke="white", strokeWidth=1).encode(
            alt.X("q50:Q"), canvas.colour(passed), canvas.shape(passed), tooltip=tooltip
        ),
    )
    facet = alt.Facet("filter:N", sort=list(dict.fromkeys(named["filter"])), title=None)
    return (
        parts.properties(width=WIDTH / 2 - 60, height=alt.Step(16))
        .facet(facet, columns=2, title=summarised(len(passed), how=QUARTILES))
    )  # fmt: skip


def _filter_names(frame: pd.DataFrame) -> "pd.Series[str]":
    """The filter R × S of each row; all but the most frequent share one name."""
    names = frame.r.astype(str) + " × " + frame.s.astype(str)
    common = names.value_counts().index[: FILTERS if names.nunique() <= FILTERS else FILTERS - 1]
    return names.where(names.isin(common), "other filters")


def winner_map(canvas: Canvas) -> Drawn | str:
    """Draw the fastest algorithm by input channels, image size and filter: in each cell, the one with most wins.

    A cell has layers of one class: where strides, dilations or groups differ, they are part of the name of the row. If
    several algorithms share the first place in a cell, it is neutral and says "tie".
    """
    won = winners(canvas.chapter)
    if won.algorithm.nunique() == 1 and won.rivals.max() == 0:
        return "only one algorithm has times"
    size = (won.h * won.w) ** 0.5
    cells = won.assign(channels=_binned(won.c), image=_binned(size) + _classes(won), filter=_filter_names(won))
    keys = ["filter", "image", "channels"]
    # an equal median is a win for each algorithm that has it
    counted_wins = (
        cells.assign(algorithm=cells.tied)
        .explode("algorithm")
        .groupby([*keys, "algorithm"], sort=False)
        .agg(won=("row", "size"), row=("row", "min"), lead=("ratio", "median"))
    )
    best = counted_wins.reset_index().sort_values(["won", "algorithm"], ascending=[False, True])
    most = best[best.won == best.groupby(keys).won.transform("max")].groupby(keys).algorithm
    best = best.drop_duplicates(keys).merge(cells.groupby(keys).size().rename("layers").reset_index(), on=keys)
    best = best.merge(most.agg(fastest=listed, tie=lambda names: len(names) > 1).reset_index(), on=keys)
    single = bool((best.layers == 1).all())
    shown = best if single else best.drop(columns="row")
    tooltip: list[Any] = [
        "fastest:N", "channels:N", alt.Tooltip("image:N", title="image, √(H·W)"), "filter:N",
        alt.Tooltip("won:Q", title="layers won"), alt.Tooltip("layers:Q", title="of layers"),
        alt.Tooltip("lead:Q", title="median lead on the second", format=".2f"),
    ]  # fmt: skip
    base = alt.Chart(shown).encode(
        alt.X("channels:O", sort=_ordered(cells.channels, cells.c), title="input channels C"),
        alt.Y(
            "image:O", sort=_ordered(cells.image, size)[::-1], title="image size √(H·W)", axis=alt.Axis(labelLimit=240)
        ),
        tooltip=tooltip,
    )
    looks = cells.assign(algorithm=cells.tied).explode("algorithm")
    cell = base.mark_rect(cornerRadius=3, stroke=NEUTRAL, strokeWidth=0.5).encode(canvas.colour(looks, legend=True))
    signs = base.transform_filter("!datum.tie").mark_point(
        filled=True, color="white", size=50, stroke="#222222", strokeWidth=0.6
    ).encode(canvas.shape(looks, legend=True))  # fmt: skip
    ties = base.transform_filter("datum.tie")
    tied = [
        ties.mark_rect(cornerRadius=3, stroke=NEUTRAL, strokeWidth=0.5, color="#d5d8dd"),
        ties.mark_text(color="#15181c", fontSize=11).encode(text=alt.TextValue("tie")),
    ]
    facet = alt.Facet("filter:N", sort=list(dict.fromkeys(cells["filter"])), title=None)
    parts = alt.layer(canvas.picked(cell) if single else cell, signs, *tied).properties(
        width=alt.Step(40), height=alt.Step(30)
    )
    chart: Any = parts.facet(facet, columns=2)
    if not single:
        chart = chart.properties(title=summarised(len(won), "layers"))
    return Drawn(chart, _where(cells) + _tied(best))


def _tied(best: pd.DataFrame) -> str:
    """A sentence on the cells in which several algorithms share the first place; empty if there are none."""
    cells = best[best.tie]
    if cells.empty:
        return ""
    named = [
        f"{row.fastest} with {row.filter}, C = {row.channels}, image {row.image}" for row in cells[:NAMED].itertuples()
    ]
    more = f", and {len(cells) - NAMED:,} more" if len(cells) > NAMED else ""
    return f" {counted(len(cells), 'cell')} {'is a tie' if len(cells) == 1 else 'are ties'}: {'; '.join(named)}{more}."


def _classes(won: pd.DataFrame) -> "pd.Series[str]":
    """The stride, dilation and groups of each row's problem, as the end of a name; only those that differ."""
    problems = {text: own.parse(text) for text in won.problem.unique()}
    names = pd.Series("", index=won.index)
    for what in ("stride", "dilation", "groups"):
        values = won.problem.map(lambda text, what=what: _extent(getattr(problems[text], what)))
        if values.nunique() > 1:
            names += f", {what} " + values
    return names


def _extent(value: int | tuple[int, int]) -> str:
    """A number, or two numbers; one if they are equal."""
    return str(value) if isinstance(value, int) else " × ".join(map(str, dict.fromkeys(value)))


def _where(cells: pd.DataFrame) -> str:
    """A sentence on the algorithms that win most of each filter's layers."""
    parts = []
    for name, rows in cells.groupby("filter", sort=False):
        counts = rows.tied.explode().value_counts()
        top = sorted(str(algorithm) for algorithm in counts.index[counts == counts.max()])
        parts.append(f"{listed(top)} in {int(counts.max())} of {len(rows)} with {name}")
    return f"Most layers are won by {'; '.join(parts)}."


def _binned(sizes: "pd.Series[float]") -> "pd.Series[str]":
    """The bin of each size, as text: the size itself, or with more than `BINS` sizes the power of two below it."""
    if sizes.nunique() <= BINS:
        return sizes.map(lambda size: f"{size:.4g}")
    return sizes.map(lambda size: f"{2 ** math.floor(math.log2(size))}+" if math.isfinite(size) else "∞")


def _ordered(names: "pd.Series[str]", sizes: "pd.Series[float]") -> list[str]:
    """The names by size; those of one size by name, so that classes come in the same order for each size."""
    order = pd.DataFrame({"name": names, "size": sizes}).sort_values(["size", "name"], ascending=[True, False])
    return list(dict.fromkeys(order.name))
