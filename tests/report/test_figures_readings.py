"""The sentence below a figure's title, and the values in the figure, agree with the times of its records."""

import re
from dataclasses import replace

import numpy as np
import pytest

from cases.drawn import FIGURES, PASSED, named, network, rows_of
from cases.handmade import timed
from convbench.problem.notation import own
from convbench.report.chapters import LAYER, chapters
from convbench.report.figures import omitted
from convbench.report.pictures import to_png


@pytest.mark.parametrize("seed", range(2))
def test_readings_are_true(seed):
    records = list(network(seed))
    found, passed = {key: f.reading for key, f in named(records).items()}, chapters(records)[0].passed
    worst = passed.sort_values("fraction").iloc[-1]
    assert f"{worst.fraction:.3g} of its bound, by {worst.algorithm} on {worst.layer}" in found["bound"]
    widest = passed.sort_values("spread").iloc[-1]
    assert f"{widest.algorithm} on {widest.layer} by {widest.spread:.1%}" in found["spread"]
    total = passed.groupby("algorithm").compile_s.sum()
    assert found["compile"].endswith(f"for {total.idxmax()}.")
    most = passed.sort_values("workspace_bytes").iloc[-1]
    assert found["workspace"].startswith(f"{most.algorithm} needs the most")
    assert (
        "direct and direct_tiled need none" in found["workspace"]
        or "direct_tiled and direct need none" in found["workspace"]
    )
    for name, share, phase in re.findall(r"(\w+) spends (\d+)% in (\w+)", found["phases"]):
        mine = passed[passed.algorithm == name]
        mean = np.mean([phases[phase] / sum(phases.values()) for phases in mine.phases_us])
        assert round(mean * 100) == int(share)
        assert all(np.mean([p[q] / sum(p.values()) for p in mine.phases_us]) <= mean for q in mine.phases_us.iloc[0])


@pytest.mark.parametrize("seed", range(2))
def test_nothing_beats_what_is_on_the_front(seed):
    records = list(network(seed))
    passed = chapters(records)[0].passed
    everywhere = passed[passed.groupby(LAYER).algorithm.transform("nunique") == passed.algorithm.nunique()]
    means = np.exp(np.log(everywhere[["rms_error_ulp", "speed"]]).groupby(everywhere.algorithm).mean())
    on_it = {
        name for name, mine in means.iterrows()
        if not ((means.rms_error_ulp < mine.rms_error_ulp) & (means.speed >= mine.speed)).any()
        and not ((means.rms_error_ulp <= mine.rms_error_ulp) & (means.speed > mine.speed)).any()
    }  # fmt: skip
    reading = named(records)["front"].reading
    assert set(re.split(", | and ", reading.split(": ")[1].split(". No")[0])) == on_it
    least, most = means.rms_error_ulp.idxmin(), means.rms_error_ulp.idxmax()
    assert f"{least} has the smallest rms error, {means.rms_error_ulp[least]:.3g} ulp" in reading
    assert f"{most} has the largest, {means.rms_error_ulp[most]:.3g} ulp" in reading
    assert "in the geometric mean of the 6 layers that all algorithms computed" in reading  # Winograd refuses two


def test_error_against_speed_has_the_true_errors_on_its_axis():
    """Not the used fractions of bounds, which differ between algorithms."""
    figure = FIGURES["front"]
    assert figure.title == "Error against speed"
    assert "ulp" in next(layer["encoding"]["x"]["title"] for layer in figure.chart.to_dict()["layer"])
    marks = {row["row"]: row for row in rows_of(figure.chart.to_dict()) if "row" in row}
    assert set(marks) == set(PASSED.row)
    for number, row in marks.items():
        assert row["rms_error_ulp"] == pytest.approx(PASSED.rms_error_ulp[number], rel=1e-3)


def test_error_against_speed_counts_what_it_leaves_out():
    """Records without an error, and results that have none, which a logarithm cannot show."""
    old = {"rms_error_ulp": None, "worst_error_ulp": None}
    none = {"rms_error_ulp": 0.0, "worst_error_ulp": 0.0}
    one, two = timed(1.0, rms_error_ulp=4.0), timed(2.0, algorithm="fft_tiled", rms_error_ulp=1.0)
    records = [one, two, timed(3.0, algorithm="cudnn", **old), timed(3.0, algorithm="im2col_gemm", **none)]
    reading = named(records)["front"].reading
    assert reading.startswith("On the front: direct and fft_tiled. ")
    assert reading.endswith(" 1 result without any error is left out. 1 result has no recorded error.")
    assert "in the geometric mean of the one layer. There, fft_tiled has the smallest rms error, 1 ulp;" in reading
    apart = [one, replace(two, layer="conv2", problem="n1c1h9w9-k2r3s3")]
    assert "in the geometric mean of the layers that each computed" in named(apart)["front"].reading
    left = {gone.title: gone.reason for gone in omitted([replace(one, **old), replace(two, **old)])}
    assert "hold no error" in left["Error against speed"]
    alone = {gone.title: gone.reason for gone in omitted([one, replace(two, **old)])}
    assert "fewer than two algorithms" in alone["Error against speed"]


@pytest.mark.parametrize("seed", range(2))
def test_the_winner_map_shows_who_wins_most_of_a_cell(seed):
    records = list(network(seed, layers=24))
    passed = chapters(records)[0].passed
    best = passed.loc[passed.groupby(LAYER).median_us.idxmin()]
    cells = [row for row in rows_of(named(records)["winners"].chart.to_dict()) if "won" in row]
    assert sum(row["layers"] for row in cells) == len(best) == 24
    for row in cells:
        mine = best[
            (best.c.map(str) == row["channels"]) & (best.h.map(str) == row["image"])
            & (best.r.map(lambda r: f"{r} × {r}") == row["filter"])
        ]  # fmt: skip
        counts = mine.algorithm.value_counts()
        assert (row["layers"], row["won"]) == (len(mine), counts.max())
        assert counts[row["algorithm"]] == counts.max()


def test_the_roofline_holds_points_against_the_right_ceilings():
    """4.92 TB/s and 66.9 TFLOP/s follow from what the synthetic device says."""
    spec = FIGURES["roofline"].chart.to_dict()
    peak, bandwidth = 2 * 128 * 132 * 1980e6, 2 * 3201e6 * 6144 / 8
    roof = [row for row in rows_of(spec) if "x" in row]
    assert max(row["y"] for row in roof) == pytest.approx(peak / 1e12)
    assert min(row["y"] / row["x"] for row in roof[:2]) == pytest.approx(bandwidth / 1e12)
    for row in rows_of(spec):
        if "of_roof" in row:
            whole = PASSED.loc[row["row"]]
            ceiling = min(peak, bandwidth * whole.flops / whole.min_bytes)
            assert row["of_roof"] == pytest.approx(whole.flops / (whole.median_us * 1e-6) / ceiling, rel=1e-3)
    top = (PASSED.tflops / np.minimum(peak, bandwidth * PASSED.intensity)).idxmax()
    assert FIGURES["roofline"].reading.startswith(f"{PASSED.algorithm[top]} on {PASSED.layer[top]} has the most")


def test_ratios_to_the_baseline_are_those_of_the_times():
    rows = [row for row in rows_of(FIGURES["baseline"].chart.to_dict()) if "row" in row]
    cudnn = PASSED[PASSED.algorithm == "cudnn"].set_index("layer")
    for row in rows:
        mine = PASSED.loc[row["row"]]
        other = cudnn.loc[mine.layer]
        assert row["ratio"] == pytest.approx(other.median_us / mine.median_us, rel=1e-3)
        low, high = other.low_us / mine.high_us, other.high_us / mine.low_us
        assert low * 0.999 <= row["ratio_low"] < row["ratio"] < row["ratio_high"] <= high * 1.001
    assert len(rows) == len(PASSED) - len(cudnn)


def cells_of(records):
    return [row for row in rows_of(named(records)["winners"].chart.to_dict()) if "won" in row]


@pytest.mark.parametrize(("ending", "classes"), [
    ("-stride2", {"56, stride 1", "56, stride 2"}),
    ("-dil2", {"56, dilation 1", "56, dilation 2"}),
    ("-g64", {"56, groups 1", "56, groups 64"}),
])  # fmt: skip
def test_a_cell_of_the_winner_map_has_one_class(ending, classes):
    """Two layers of one size, won by different algorithms, hide each other if they share a cell."""
    other = str(own.parse(f"n1c64h56w56-k64r3s3-pad1{ending}"))
    records = [
        timed(us, algorithm=algorithm, layer=problem, problem=problem)
        for problem, times in (("n1c64h56w56-k64r3s3-pad1", (1.0, 2.0)), (other, (2.0, 1.0)))
        for algorithm, us in zip(("direct", "fft_tiled"), times, strict=True)
    ]
    cells = cells_of(records)
    assert {row["image"] for row in cells} == classes
    assert sorted(row["algorithm"] for row in cells) == ["direct", "fft_tiled"]
    assert not any(row["tie"] for row in cells)
    assert " tie" not in named(records)["winners"].reading


def test_a_tie_in_the_winner_map_is_shown_as_one():
    names = ("direct", "fft_tiled", "im2col_gemm")
    equal = [timed(us, algorithm=algorithm) for algorithm, us in zip(names, (1.0, 1.0, 2.0), strict=True)]
    [cell] = cells_of(equal)
    assert (cell["tie"], cell["fastest"]) == (True, "direct and fft_tiled")
    assert "1 cell is a tie: direct and fft_tiled" in named(equal)["winners"].reading
    assert to_png(named(equal)["winners"]).startswith(b"\x89PNG")
