"""Write the page of several sources side by side as Markdown: sentences, tables of ratios, a picture for each kind.

The HTML page takes its sentences, tables and figures from here too.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from convbench.report.inert import inert, markdown_table
from convbench.report.side_by_side.pairing import Sides
from convbench.report.tables import MOST_ROWS
from convbench.report.units import counted, duration, listed

if TYPE_CHECKING:
    from convbench.report.figures import Figure

Table = tuple[list[str], list[list[str]]]


def sentences(sides: Sides) -> list[str]:
    """Sentences in plain text: what is compared, and how each side compares with the first."""
    first, *others = sides.names
    told = [
        f"{counted(len(sides.pairs), 'pair')} of results, {listed(others)} against {first}: the {sides.what} differs."
    ]
    told.append(
        f"Ratios are of medians, NEW / OLD: each source's time over that of {first}, which is OLD. Below 1, the source "
        "is faster; above 1, it is slower."
    )
    if sides.label:
        told.append(f"There are times that are no GPU's{sides.label}: a ratio of them says nothing about a GPU.")
    for side in others:
        pairs = sides.pairs[sides.pairs.side == side]
        if pairs.empty:
            told.append(f"{side} has no result in common with {first}.")
            continue
        faster, slower = int((pairs.ratio_high < 1).sum()), int((pairs.ratio_low > 1).sum())
        told.append(
            f"{side} is faster than {first} in {faster:,} of {counted(len(pairs), 'pair')} and slower in {slower:,}, "
            "by their 95 % intervals, each for itself; the others are too close, or have too few samples."
        )
    left = [f"{count:,} of {name}" for name, count in sides.alone.items() if count]
    if left:
        told.append(f"Results without a counterpart are left out: {listed(left)}.")
    return told


def mean_table(sides: Sides) -> Table:
    """The table of geometric means."""
    means = sides.means()
    rows = [
        [
            row["side"],
            row["kind"],
            row["algorithm"],
            f"{row['results']:,}",
            f"{row['ratio']:.3f}",
            _range(row["ratio_low"], row["ratio_high"]),
        ]
        for row in _records(means)
    ]
    heads = ["side", "kind", "algorithm", "layers", f"NEW / OLD{sides.label}", "95 % interval"]
    return heads, rows


def pair_table(sides: Sides, *, code: bool) -> Table:
    """The table of all pairs, each with its two times and their ratio. With `code`, problems are code in Markdown."""
    mark = "`" if code else ""
    first = sides.names[0]
    heads = ["side", "kind", "layer", "problem", "algorithm", f"OLD: {first}{sides.label}", f"NEW{sides.label}"]
    heads += [f"NEW / OLD{sides.label}", "95 % interval"]
    rows = [
        [*(row[name] for name in ("side", "kind", "layer")), f"{mark}{row['problem']}{mark}", row["algorithm"],
         duration(row["first_us"]), duration(row["median_us"]), f"{row['ratio']:.3f}",
         _range(row["ratio_low"], row["ratio_high"])]
        for row in _records(sides.pairs)
    ]  # fmt: skip
    return heads, rows


def figures(sides: Sides) -> "list[Figure]":
    """One picture for each direction and precision. This needs the extra `report`."""
    # these import Altair, an optional package, which the tables of this module do not need
    from convbench.report.figures import Figure, slug_of
    from convbench.report.side_by_side.chart import draw_sides

    taken: set[str] = set()
    found = []
    for kind in dict.fromkeys(sides.pairs.kind):
        means = sides.means()
        top = means[means.kind == kind].sort_values("ratio").iloc[0]
        reading = (
            f"{top.side} stands best in {top.algorithm}: its time is {top.ratio:.2f} times that of {sides.names[0]}"
        )
        reading += "" if np.isnan(top.ratio_low) else f" ({_range(top.ratio_low, top.ratio_high)})"
        chart = draw_sides(sides, kind).properties(background="transparent", description=reading)
        found.append(
            Figure(
                f"sides-{slug_of(kind, taken)}", f"Time over that of {sides.names[0]}, {kind}", f"{reading}.", chart, ""
            )
        )
    return found


def to_markdown(sides: Sides, *, title: str, pictures: "Mapping[str, tuple[Figure, str]] | None" = None) -> str:
    """The page; `pictures` are as `convbench.report.markdown.to_markdown` takes them."""
    parts = [f"# {inert(title)}", *map(inert, sentences(sides))]
    for figure, file in (pictures or {}).values():
        parts += [f"## {inert(figure.title)}", inert(figure.reading), f"![{inert(figure.title)}]({quote(file)})"]
    for heading, (heads, rows) in (
        ("Geometric means", mean_table(sides)),
        ("Every pair", pair_table(sides, code=True)),
    ):
        parts += [f"## {heading}", markdown_table(heads, rows[:MOST_ROWS])]
        if len(rows) > MOST_ROWS:
            parts.append(f"{len(rows) - MOST_ROWS:,} more rows are left out; `--json` has the results.")
    return "\n\n".join(parts) + "\n"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _range(low: float, high: float) -> str:
    return "–" if pd.isna(low) else f"{low:.3f} to {high:.3f}"
