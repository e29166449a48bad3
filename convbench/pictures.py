"""Pictures of records, by Altair: how long each algorithm took, and how much of its error bound it used."""

from collections.abc import Sequence
from pathlib import Path

from convbench.errors import ConvbenchError
from convbench.record import Record, latest

try:
    import altair as alt
    import vl_convert  # noqa: F401  (Altair renders PNG with it)
except ImportError as error:
    raise ConvbenchError(f'pictures need the extra `report`: pip install "convbench[report]" ({error})') from error

from convbench.report import to_frame

PIXELS_PER_INCH = 144


def save_picture(records: Sequence[Record], path: Path) -> None:
    """Write the chart as PNG; raises ConvbenchError when there is nothing to show, or the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        chart(records).save(path, ppi=PIXELS_PER_INCH)
    except OSError as error:
        raise ConvbenchError(f"the picture cannot be written to {path}: {error.strerror}") from error


def chart(records: Sequence[Record]) -> alt.VConcatChart:
    """One row for each device and direction, over what passed; raises ConvbenchError when nothing did."""
    passed = [record for record in latest(records) if record.outcome == "passed"]
    if not passed:
        raise ConvbenchError("there is nothing to draw, for nothing passed")
    kinds = dict.fromkeys((record.device["name"], record.direction) for record in passed)
    rows = [_row([record for record in passed if (record.device["name"], record.direction) == kind]) for kind in kinds]
    stacked: alt.VConcatChart = alt.vconcat(*rows).resolve_scale(color="independent")
    return stacked


def _row(records: Sequence[Record]) -> alt.HConcatChart:
    """Times and fractions of the bound, a line for each algorithm, a box for each layer."""
    frame = to_frame(records)[["layer", "algorithm", "median_us", "fraction"]]
    frame["median_ms"] = frame.median_us / 1000
    families = {record.algorithm: record.family for record in records}
    frame["family"] = frame.algorithm.map(families)
    device = records[0].device
    label = "ms" if device["is_gpu"] else f"ms of {device['clock']}"
    algorithm = alt.Y("algorithm:N", sort=alt.EncodingSortField("median_ms", op="mean"), title=None)
    layers = list(dict.fromkeys(frame.layer))
    times = (
        alt.Chart(frame)
        .mark_bar()
        .encode(alt.X("median_ms:Q", title=label), algorithm, alt.Color("family:N"))
        .properties(width=260, height=alt.Step(18))
        .facet(row=alt.Row("layer:N", sort=layers, title=None))
    )
    limit = alt.Chart().mark_rule(strokeDash=[4, 3]).encode(x=alt.datum(1))
    points = (
        alt.Chart()
        .mark_point(filled=True, size=60)
        .encode(
            alt.X(
                "fraction:Q", title="fraction of the error bound (1 is the limit)", scale=alt.Scale(domain=[0, 1.05])
            ),
            algorithm,
            alt.Color("family:N"),
        )
    )
    bounds = (
        alt.layer(limit, points, data=frame)
        .properties(width=260, height=alt.Step(18))
        .facet(row=alt.Row("layer:N", sort=layers, title=None))
    )
    named = [", ".join(dict.fromkeys(names)) for names in (
        (record.workload for record in records),
        (record.direction for record in records),
        (record.parsed_problem.dtype for record in records),
    )]  # fmt: skip
    return alt.hconcat(times, bounds, title=f"{named[0]} on {device['name']}, {named[1]}, {named[2]}")
