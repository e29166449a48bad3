"""Figures: each one with data is drawn and valid, mixes no kinds of times, and its text is true."""

import gc
import json
import math
import re
import shlex
import struct
import sys
import time
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import synthetic
from cases.drawn import ALL, FIGURES, NETWORK, PASSED, named, network, rows_of
from cases.handmade import failed, record, series, timed, timing_of
from cases.synthetic import EMULATOR
from convbench.errors import ConvbenchError
from convbench.report import to_frame
from convbench.report.chapters import KEY, chapters
from convbench.report.charts import costs
from convbench.report.figures import Figure, draw, figures, omitted
from convbench.report.pictures import to_png


def specs(part):
    """Every mapping in a specification."""
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from specs(value)
    elif isinstance(part, list):
        for value in part:
            yield from specs(value)


def test_all_ten_are_drawn_where_there_is_data_for_them():
    assert list(FIGURES) == ALL
    assert len(ALL) == 10
    assert omitted(NETWORK) == []
    assert all(figure.title and figure.reading.endswith(".") for figure in FIGURES.values())


@pytest.mark.parametrize("key", ALL)
def test_every_figure_is_valid_and_becomes_a_picture(key):
    png = to_png(FIGURES[key])
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert 300 < width < 1600
    assert 150 < height < 2000


@pytest.mark.parametrize("layers", [1, 30, 70])
def test_figures_of_few_and_of_many_layers_are_legible(layers):
    """Neither a picture of one bar fails, nor does one of many grow beyond a screen or two, at 144 pixels an inch."""
    for key, figure in named(network(layers=layers)).items():
        if key in ("speed", "winners", "baseline"):
            width, height = struct.unpack(">II", to_png(figure)[16:24])
            assert width < 1700
            assert height < 2200, key


def test_nothing_is_drawn_without_data_and_the_reason_is_said():
    assert draw([]) == []
    assert draw(chapters([failed()])) == []
    found = {
        gone.title: gone.reason for gone in omitted([timed(5.0, device=EMULATOR, workspace_bytes=0, fraction=None)])
    }
    assert "no ceiling" in found["Roofline"]
    assert "no baseline" in found["Against the baseline"]
    assert "only one algorithm" in found["Who wins where"]
    assert "nothing was compiled" in found["Compile time"]
    assert "no algorithm needs any" in found["Workspace memory"]
    assert "bound" in found["Fraction of the error bound"]
    unknown = [replace(r, device=synthetic.GPU | {"compute_capability": "99.0"}) for r in NETWORK]
    assert [gone.reason for gone in omitted(unknown)] == ["the ceilings of NVIDIA H200 for float32 are not known"]


def test_every_axis_of_times_says_when_they_are_no_gpus():
    timeless = {
        "fraction of the error bound (1 is the limit)", "rms error, ulp of the output's magnitude",
        "workspace, bytes", "input channels C", "image size √(H·W)",
    }  # fmt: skip
    seen = set()
    for key, figure in named(network(device=EMULATOR)).items():
        axes = [part[axis] for part in specs(figure.chart.to_dict()) for axis in ("x", "y") if axis in part]
        titles = {axis.get("title") for axis in axes if isinstance(axis, dict)} - {None}
        ending = " (emulated on CPU; baselines native)"
        assert all(title in timeless or title.endswith(ending) for title in titles), (key, titles)
        seen |= {key for title in titles - timeless}
    assert seen == {"speed", "baseline", "phases", "front", "spread", "compile"}
    assert "emulated" not in json.dumps([figure.chart.to_dict() for figure in FIGURES.values()])


def test_what_is_not_comparable_shares_no_figure():
    mixed = [
        *NETWORK,
        *network(1, layers=2, device=EMULATOR),
        *network(2, layers=2, direction="backward_data"),
        *network(3, layers=2, precision="tf32"),
        *network(4, layers=2, device=synthetic.GPU | {"name": "NVIDIA H100"}),
    ]
    frame, drawn = to_frame(mixed), figures(mixed)
    assert len({figure.key for figure in drawn}) == len(drawn)
    assert len({figure.chapter for figure in drawn}) == 5
    for figure in drawn:
        rows = [row["row"] for row in rows_of(figure.chart.to_dict(validate=False)) if "row" in row]
        assert len(frame.loc[rows, KEY].drop_duplicates()) == (1 if rows else 0)


def test_an_algorithm_has_one_colour_and_one_shape_on_the_whole_page():
    mixed = figures([*NETWORK, *network(1, device=EMULATOR, algorithms=("cudnn", "mine", "direct"))])
    seen: dict[tuple[str, str], set[str]] = {}
    for figure in mixed:
        for part in specs(figure.chart.to_dict()):
            for channel in ("color", "shape"):
                if isinstance(part.get(channel), dict) and part[channel].get("field") == "algorithm":
                    scale = part[channel]["scale"]
                    for name, look in zip(scale["domain"], scale["range"], strict=True):
                        seen.setdefault((channel, name), set()).add(look)
    assert {name for _, name in seen} == {*synthetic.FAMILIES, "mine"}
    assert all(len(looks) == 1 for looks in seen.values())


def test_a_mark_of_one_record_can_be_picked_and_says_all_of_it():
    frame = to_frame(NETWORK)
    for key in ("speed", "roofline", "baseline", "front", "bound", "spread", "workspace"):
        spec = FIGURES[key].chart.to_dict()
        picks = [part for part in specs(spec) if part.get("name") == "pick"]
        assert [pick["select"]["fields"] for pick in picks] == [["row"]], key
        marks = [row for row in rows_of(spec) if "row" in row]
        assert {row["row"] for row in marks} <= set(frame.row)
        shown = {"workspace": PASSED.workspace_bytes > 0, "baseline": PASSED.family != "baseline"}
        assert len(marks) == shown.get(key, PASSED.row >= 0).sum()
        for row in marks:
            whole = frame.loc[row["row"]]
            assert (row["algorithm"], row["problem"]) == (whole.algorithm, whole.problem)
            assert row["time"] == pytest.approx(whole.median_us / 1000, rel=1e-3)
        tips = {tip["field"] for part in specs(spec) for tip in part.get("tooltip", []) if isinstance(tip, dict)}
        assert {"algorithm", "problem", "time", "low", "high", "rate", "rms", "worst", "bound", "command"} <= tips


def commands(figure) -> list[tuple[dict, str]]:
    """Each mark with its command, put together as the page does it."""
    spec = figure.chart.to_dict()
    (expression,) = {part["calculate"] for part in specs(spec) if part.get("as") == "command"}
    before, rest = expression.split(' + datum.problem + "\'" + ')
    names, _, end = rest.partition("[datum.algorithm] + ")
    for row in rows_of(spec):
        if "row" in row:
            told = json.loads(before) + row["problem"] + "'" + json.loads(names)[row["algorithm"]] + json.loads(end)
            yield row, told


def test_the_command_of_a_mark_repeats_it():
    odd = "an 'odd' \"name\"; rm -rf *"
    records = [replace(r, algorithm=odd) if r.algorithm == "direct" else r for r in NETWORK]
    frame = to_frame(records)
    found = list(commands(named(records)["speed"]))
    assert len(found) == len(PASSED)
    for row, command in found:
        assert command == frame.command[row["row"]]
        assert shlex.split(command)[4] == row["algorithm"]
    several = [replace(record, seed=place) for place, record in enumerate(NETWORK)]
    marks = [row for row in rows_of(named(several)["speed"].chart.to_dict()) if "row" in row]
    assert all(row["command"] == to_frame(several).command[row["row"]] for row in marks)


def test_many_records_are_summarised_and_the_figure_says_so():
    many = [
        replace(record, workload=f"network {number}")
        for number in range(40)
        for record in network(number % 3, layers=10)
    ]
    for key, figure in named(many).items():
        spec = figure.chart.to_dict()
        assert all(len(rows) <= 2000 for rows in spec["datasets"].values()), key
        if not any("row" in row for row in rows_of(spec)):
            titles = [part["text"] for part in specs(spec) if "summarised" in str(part.get("text"))]
            assert titles, key
            assert int(re.match(r"([\d,]+)", titles[0])[1].replace(",", "")) >= 400


def test_ten_thousand_records_are_drawn_in_seconds():
    """Of processor time; 50,000 may take 15 s. What other tests keep in memory is not looked through meanwhile."""
    layers = list(network(layers=25))
    many = [
        replace(
            record,
            workload=f"network {number}",
            timing=record.timing
            and replace(record.timing, series=tuple(replace(series) for series in record.timing.series)),
        )
        for number in range(50)
        for record in layers
    ]
    assert len(many) == 10_000
    gc.collect()
    gc.freeze()
    try:
        start = time.process_time()
        assert len(figures(many)) == 10
        assert time.process_time() - start < 5
    finally:
        gc.unfreeze()


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    for module in [
        name for name in sys.modules if name.startswith(("altair", "convbench.report.charts", "convbench.report.fig"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(ConvbenchError, match=r"convbench\[report\]"):
        import convbench.report.figures  # noqa: F401


PROBLEMS = [
    "n1c1h5w5-k2r3s3", "n1c1h1w1-k1r1s1", f"n{10**30}c1h1w1-k1r1s1", f"n1c{'9' * 400}h1w1-k1r1s1",
    *(f"n1c{c}h{h}w{h}-k8r{r}s{r}" for c in (1, 3, 17, 40, 99, 500) for h in (11, 31, 200) for r in (1, 3, 5, 7, 11)),
]  # fmt: skip
NUMBERS = st.sampled_from([1e-3, 1.0, 1.5, 3e5, 1e300])


@st.composite
def odd_records(draw):
    """Anything that a file can hold and that passed."""
    samples = draw(st.lists(NUMBERS, min_size=1, max_size=8))
    both = [series(samples), series(samples, cache="cold")]
    timing = timing_of(
        samples, series=tuple(both[: draw(st.integers(1, 2))]), compile_s=draw(st.sampled_from([0.0, 1.0])),
        phases_us=draw(st.sampled_from([{}, {"multiply": 0.0}, {"a": 1.0, "b": 0.0}, {"pack": 1.0, "multiply": 3.0}])),
    )  # fmt: skip
    algorithm = draw(st.sampled_from(["direct", "cudnn", "b|\"\\'x</script>", "__proto__", "z" * 200]))
    return record(
        timing=timing, algorithm=algorithm, family="baseline" if algorithm == "cudnn" else "x", layer="<b>",
        problem=draw(st.sampled_from(PROBLEMS)), workload=draw(st.sampled_from("vw")),
        fraction=draw(st.sampled_from([None, 0.0, 0.5, 1.0, 1e-12])), seed=draw(st.integers(0, 1)),
        **dict.fromkeys(
            ("rms_error_ulp", "worst_error_ulp"), draw(st.sampled_from([None, 0.0, 1e-12, 2.5, 1e300]))
        ),
        workspace_bytes=draw(st.sampled_from([None, 0, 5, 2**40])),
        device=draw(st.sampled_from([synthetic.GPU, EMULATOR])),
    )  # fmt: skip


@settings(max_examples=6)
@given(st.lists(odd_records(), min_size=1, max_size=40))
def test_whatever_passed_is_drawn_or_left_out_with_a_reason(records):
    for drawn in draw(chapters(records)):
        assert drawn.reading if isinstance(drawn, Figure) else drawn.reason
        if isinstance(drawn, Figure):
            json.dumps(drawn.chart.to_dict(validate=False), allow_nan=False)


@given(st.lists(st.integers(1, 2**45), min_size=1, max_size=3))
def test_the_axis_of_the_workspace_has_at_most_seven_ticks(sizes):
    """Powers of two at equal distances; the first is at or below all sizes, and the next one would be above all."""
    ticks = costs._powers(pd.Series(sizes))
    powers = [math.log2(tick) for tick in ticks]
    steps = {b - a for a, b in pairwise(powers)}
    assert 1 <= len(ticks) <= 7
    assert len(steps) <= 1
    assert all(power == int(power) for power in powers)
    assert ticks[0] <= min(sizes)
    assert powers[-1] + max(steps, default=1) > math.log2(max(sizes)) - 1e-9
