"""The report is a pure function of the records, and names the kind of times that it shows."""

import re
import subprocess
import sys
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from cases import synthetic
from cases.handmade import failed, record, series, timed, timing_of
from cases.synthetic import EMULATOR
from convbench.records import read_records
from convbench.report import duration, to_frame, to_markdown
from convbench.report.figures import figures
from convbench.report.frame import COLUMNS
from convbench.report.pictures import beside
from support.running import squeezed

SIMULATOR = {"name": "simulator", "clock": "CPU wall clock, simulated", "is_gpu": False}


def table(page: str, heading: str) -> list[dict[str, str]]:
    """The rows under a heading, by the names of their columns; a space and a bracket end a name."""
    rows = []
    for line in page.split(f"### {heading}\n")[1].strip().splitlines():
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))])
    heads = [head.split(" (emulated")[0] for head in rows[0]]
    return [dict(zip(heads, row, strict=True)) for row in rows[2:]]


RECORDS = [
    timed(10.0, algorithm="direct", layer="conv1", count=2),
    timed(20.0, algorithm="fft_tiled", layer="conv1", count=2),
    timed(30.0, algorithm="direct", layer="conv2", problem="n1c1h6w6-k2r3s3"),
    failed("refused", algorithm="fft_tiled", layer="conv2", problem="n1c1h6w6-k2r3s3"),
    failed("wrong", algorithm="bad", layer="conv1", count=2),
]


def test_the_page_is_a_pure_function_of_the_records():
    assert to_markdown(RECORDS, title="t") == to_markdown(list(RECORDS), title="t")


def test_layers_are_ranked_by_time():
    rows = table(to_markdown(RECORDS, title="t"), "Every layer and algorithm")
    assert [(row["layer"], row["algorithm"], row["warm cache"], row["of best"]) for row in rows] == [
        ("conv1", "direct", "10.0 µs", "1.00"),
        ("conv1", "fft_tiled", "20.0 µs", "0.50"),
        ("conv2", "direct", "30.0 µs", "1.00"),
    ]
    assert {row["of bound"] for row in rows} == {"0.25"}
    assert {(row["rms error, ulp"], row["worst error, ulp"]) for row in rows} == {("2.5", "12.5")}


def test_records_without_an_error_have_a_dash_and_the_page_says_so():
    """Records of earlier versions, which lack the fields."""
    old = [replace(one, rms_error_ulp=None, worst_error_ulp=None) for one in RECORDS]
    page = to_markdown(old, title="t")
    rows = table(page, "Every layer and algorithm")
    assert {(row["rms error, ulp"], row["worst error, ulp"]) for row in rows} == {("–", "–")}
    said = "These records hold no error in units of the last place, like all records of earlier versions."
    assert said in page
    assert said not in to_markdown(RECORDS, title="t")
    assert said not in to_markdown([old[0], RECORDS[1]], title="t")


def test_the_smallest_and_the_largest_error_are_named():
    """By the geometric means of the errors on random numbers."""
    records = [
        timed(10.0, rms_error_ulp=rms, algorithm=name, layer=layer)
        for name, layer, rms in (
            ("direct", "conv1", 2.0), ("direct", "conv2", 8.0), ("fft_tiled", "conv1", 3.0), ("fft_tiled", "conv2", 3.0)
        )
    ]  # fmt: skip
    page = to_markdown(records, title="t")
    assert (
        "On random numbers, fft_tiled has a root-mean-square error of 3 ulp, the smallest, and direct one of 4 ulp, "
        "the largest, in the geometric mean of all 2 layers; 1 ulp is the last place" in squeezed(page)
    )
    longer = to_markdown([*records, timed(1.0, rms_error_ulp=99.0, layer="conv3", algorithm="direct")], title="t")
    assert "direct one of 4 ulp, the largest, in the geometric mean of the 2 layers that all algorithms" in longer
    assert "fft_tiled" not in to_markdown(records[:2], title="t").partition("; 1 ulp")[0]
    assert "reference" not in page
    wide = to_markdown([timed(1.0, problem="n1c1h5w5-k2r3s3-float64", precision="float64")], title="t")
    assert "The float64 reference has an error of this size itself" in wide
    exact = to_markdown([timed(1.0, rms_error_ulp=0.0, worst_error_ulp=0.0)], title="t")
    assert "No result has any error on random numbers." in exact


def test_warm_and_cold_times_stand_apart_with_their_intervals():
    two = synthetic.timed(np.random.default_rng(1), 20.0, cold=2.0, layer="conv1")
    (row,) = table(to_markdown([two], title="t"), "Every layer and algorithm")
    warm, cold = two.timing.of("warm"), two.timing.of("cold")
    assert row["warm cache"] == duration(warm.median_us)
    assert row["cold cache"] == duration(cold.median_us)
    low, high = cold.interval_us
    assert row["cold, 95 % interval"] == f"{low:.1f} to {high:.1f} µs"
    only_cold = record(timing=timing_of((5.0, 5.0, 5.0), series=(series((5.0,) * 3, cache="cold"),)))
    (row,) = table(to_markdown([only_cold], title="t"), "Every layer and algorithm")
    assert row["cold cache"] == "5.00 µs"
    assert not [name for name in row if "warm" in name or "interval" in name]  # three samples have no interval


def test_phases_and_other_costs_are_listed():
    rows = table(to_markdown([*RECORDS, record(algorithm="compiled")], title="t"), "Where the time goes")
    assert list(rows[0].values()) == ["conv1", "direct", "pack 25%, multiply 75%", "1.00 µs", "–", "1.00 µs", "–"]
    assert (rows[-1]["prepare"], rows[-1]["compile"]) == ("5.00 µs", "500 ms")


def test_the_best_of_each_layer_is_named():
    rows = table(to_markdown(RECORDS, title="t"), "Best of each layer")
    found = [(row["layer"], row["count"], row["best"]) for row in rows]
    assert found == [("conv1", "2", "direct"), ("conv2", "1", "direct")]


def test_totals_weigh_each_layer_by_how_often_it_occurs():
    rows = table(to_markdown(RECORDS, title="t"), "Totals, each layer as often as it occurs")
    assert [tuple(row.values()) for row in rows] == [
        ("the best of each layer", "2 of 2", "50.0 µs"),
        ("direct", "2 of 2", "50.0 µs"),
        ("fft_tiled", "1 of 2", "40.0 µs"),
    ]


def test_another_config_of_an_algorithm_is_not_added_to_its_total():
    page = to_markdown([timed(10.0), timed(15.0, config={"threads": 64})], title="t")
    rows = table(page, "Totals, each layer as often as it occurs")
    assert [row["total of the medians"] for row in rows] == ["10.0 µs", "10.0 µs"]


def test_refusals_and_failures_are_listed_with_their_reasons():
    page = to_markdown(RECORDS, title="t")
    assert [list(row.values()) for row in table(page, "Refused, and why")] == [["conv2", "fft_tiled", "for the test"]]
    assert [list(row.values()) for row in table(page, "Wrong")] == [["conv1", "bad", "for the test"]]
    assert "**1 result is wrong or failed.**" in page
    assert "3 passed, 1 refused, 1 wrong" in page


def headings_of_times(chapter: str) -> list[str]:
    """The cells above the columns of times and rates: those whose own cells have a unit of time, or say a rate."""
    found = []
    lines = chapter.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\|:?-", line):
            rows = takewhile(lambda line: line.startswith("|"), lines[number + 1 :])
            columns = zip(*(row.strip("|").split("|") for row in rows), strict=True)
            for heading, column in zip(lines[number - 1].strip("|").split("|"), columns, strict=True):
                times = re.compile(r" *[\d.]+ (to [\d.]+ )?(s|ms|µs) *")
                if "LOP/s" in heading or any(times.fullmatch(cell) for cell in column):
                    found.append(heading.strip())
    return found


@pytest.mark.parametrize(("device", "label"), [(SIMULATOR, "simulated"), (EMULATOR, "emulated on CPU")])
def test_times_of_no_gpu_say_so_in_every_table_and_share_none_with_a_gpu(device, label):
    compiled = record(timing=replace(timed(5.0).timing, compile_s=2.0), algorithm="other", device=device)
    sure = synthetic.timed(np.random.default_rng(1), 20.0, layer="conv3", device=device)
    page = to_markdown([*RECORDS, timed(5.0, device=device), compiled, sure], title="t")
    gpu, other = page.split(f"## {device['name']}\n")
    assert "simulated" not in gpu
    assert "emulated" not in gpu
    assert headings_of_times(gpu)
    assert f"**Times are CPU wall clock, {label}" in other
    headings = headings_of_times(other)
    assert len(headings) >= 9
    assert all(heading.endswith(f" ({label})") for heading in headings), headings
    assert any(heading.startswith("compile") for heading in headings)
    assert "conv2" not in other


def test_no_two_clocks_share_a_table():
    checked = EMULATOR | {"name": "emulator-checked"}
    renamed = EMULATOR | {"name": "simulator"}  # one name, two clocks
    devices = [record().device, SIMULATOR, EMULATOR, checked, renamed]
    records = [timed(10.0 + i, device=device, layer=f"conv{i}") for i, device in enumerate(devices)]
    page = to_markdown(records, title="t")
    for chapter in page.split("\n## ")[1:]:
        assert [row["of best"] for row in table(chapter, "Every layer and algorithm")] == ["1.00"]
    assert page.count("\n## ") == len(devices)


def test_no_two_directions_and_no_two_precisions_share_a_table():
    directions = ("forward", "backward_data", "backward_weights")
    records = [timed(10.0 + i, direction=d) for i, d in enumerate(directions)]
    records.append(timed(5.0, precision="tf32", algorithm="cudnn_tf32"))
    records.append(timed(5.0, precision="float16", problem="n1c1h5w5-k2r3s3-float16"))
    page = to_markdown(records, title="t")
    headings = re.findall(r"^## (.*)$", page, re.MULTILINE)
    name = record().device["name"]
    endings = ("", ", backward_data", ", backward_weights", ", float32 by tf32", ", float16")
    assert headings == [name + ending for ending in endings]
    assert page.count("### Every layer and algorithm") == len(endings)


def test_the_frame_has_a_row_for_each_latest_record_and_says_whose_times_they_are():
    frame = to_frame([timed(5.0, when="2025-01-01T00:00:00+00:00"), *RECORDS, timed(5.0, device=EMULATOR)])
    assert tuple(frame.columns) == COLUMNS
    assert list(frame.row) == list(range(6))  # the first was measured again
    assert list(frame.outcome) == ["passed", "passed", "passed", "refused", "wrong", "passed"]
    assert frame.median_us.notna().sum() == 4
    assert frame.tflops.iloc[0] == record().parsed_problem.flops / 10 / 1e6
    assert list(frame.device.iloc[[0, 5]]) == [record().device["name"], "emulator"]
    assert frame.clock.iloc[5] == "CPU wall clock, emulated on CPU"


def test_the_frame_has_what_was_measured():
    one = synthetic.timed(np.random.default_rng(3), 20.0, seed=7)
    (row,) = to_frame([one]).to_dict("records")
    warm, cold = one.timing.of("warm"), one.timing.of("cold")
    assert (row["median_us"], row["low_us"], row["high_us"]) == (warm.median_us, *warm.interval_us)
    assert (row["cold_us"], row["cold_low_us"], row["cold_high_us"]) == (cold.median_us, *cold.interval_us)
    assert (row["cache"], row["samples"], row["throttled"]) == ("warm", 30, 0)
    assert row["host_us"] == np.median(warm.host_us)
    assert row["queue_us"] == one.timing.queue_us
    problem = one.parsed_problem
    assert (row["p"], row["flops"], row["intensity"]) == (problem.p, problem.flops, problem.arithmetic_intensity)
    assert row["command"] == (
        "convbench bench 'n1c64h56w56-k64r3s3-pad1' --algorithm direct --direction forward --device cuda --seed 7"
    )


def test_a_problem_of_any_size_has_its_row():
    huge = failed("refused", problem=f"n{'9' * 400}c1h1w1-k1r1s1")
    (row,) = to_frame([huge]).to_dict("records")
    assert (row["n"], row["c"]) == (float("inf"), 1)
    assert "for the test" in to_markdown([huge], title="t")


def test_a_measurement_that_was_repeated_counts_once():
    page = to_markdown([timed(10.0), timed(40.0)], title="t")
    assert [row["warm cache"] for row in table(page, "Every layer and algorithm")] == ["40.0 µs"]


def test_a_page_without_records_or_without_times():
    assert "There are no records." in to_markdown([], title="t")
    page = to_markdown([failed("refused")], title="t")
    assert "1 result: 1 refused" in page
    assert "nothing was timed" in page
    assert "Best of each layer" not in page


def test_throttled_samples_are_named():
    slowed = series((5.0, 9.0, 5.0), throttled=(1,))
    page = to_markdown([record(timing=timing_of((1.0,), series=(slowed,))), timed(1.0, algorithm="other")], title="t")
    rows = table(page, "Taken while the GPU was slowed down")
    assert [list(row.values()) for row in rows] == [["conv1", "direct", "1", "–"]]
    assert "1 result has samples that were taken while the GPU was slowed down" in page
    assert "slowed down" not in to_markdown([timed(1.0)], title="t")


HOSTILE = (
    "<script>alert(1)</script>", "a|b", "[x](javascript:alert(1))", "![x](http://tracker.example/i.png)",
    "a\n# heading", "`a", "\x1b[31mred", "<img src=x onerror=alert(1)>", "<http://example.com>",
    "\u202edesrever", "a\\|b", "]([](",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_records_say_is_inert_in_markdown(text):
    """No HTML, no link, no picture, no row or heading more, and nothing that moves a terminal's cursor."""
    names = {"layer": text, "algorithm": text, "workload": text, "device": EMULATOR | {"name": text, "extra": text}}
    hostile = [timed(1.0, **names), timed(2.0, **(names | {"algorithm": f"{text}2"})), failed("crashed", **names)]
    hostile[2] = replace(hostile[2], layer="other", reason=text)
    plain = [
        replace(r, layer="l", workload="w", algorithm=f"a{i}", device=EMULATOR | {"extra": ""})
        for i, r in enumerate(hostile)
    ]
    page = to_markdown(hostile, title=text)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(page)
    assert not re.search(r"<(script|img|a)\b", html), html

    def shape(page):
        return re.findall(r"<(h\d|tr|td|th|ul|li|p)\b", MarkdownIt("commonmark").enable("table").render(page))

    assert shape(page) == shape(to_markdown(plain, title="t"))


def test_different_environments_are_admitted():
    page = to_markdown([timed(1.0), timed(1.0, algorithm="other", environment={"python": "3.12"})], title="t")
    assert "2 different environments" in page


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0.1234, "0.123 µs"), (1, "1.00 µs"), (999.4, "999 µs"), (1000, "1.00 ms"), (123456, "123 ms"),
        (2.5e6, "2.50 s"), (999e6, "999 s"), (1.5e9, "25.0 min"), (7.2e9, "2.00 h"),
    ],
)  # fmt: skip
def test_durations_have_three_digits_and_a_unit(us, text):
    assert duration(us) == text


def test_a_long_table_says_what_it_leaves_out():
    page = to_markdown([timed(1.0 + i, layer=f"conv{i}") for i in range(1003)], title="t")
    assert len(table(page, "Every layer and algorithm")) == 1000
    assert "3 more rows are left out" in page


def test_pictures_stand_on_the_page_with_their_readings():
    records = list(synthetic.network(np.random.default_rng(0), layers=2))
    shown = beside("my page", figures(records))
    page = to_markdown(records, title="t", pictures=shown)
    assert [file for _, file in shown.values()][:2] == ["my page.png", "my page-nvidia-h200-winners.png"]
    for figure, file in shown.values():
        assert f"![{figure.title}]({file.replace(' ', '%20')})" in page
        assert figure.reading.replace("<", "\\<") in page


def test_markdown_and_the_frame_need_no_altair():
    code = "import sys, convbench.report as r; r.to_markdown([], title='t'); "
    code += "assert not {'altair', 'jinja2'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "reports").glob("*/*.jsonl")), ids=lambda p: p.stem
)
def test_the_committed_pages_are_what_their_records_render_to(path):
    records, bad = read_records(path)
    assert bad == []
    shown = beside(path.stem, figures(records)) if path.with_suffix(".png").exists() else None
    assert all((path.parent / file).exists() for _, file in (shown or {}).values())
    page = to_markdown(records, title=f"convbench: {path.stem}", pictures=shown)
    assert path.with_suffix(".md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "reports").glob("*/*.html")), ids=lambda p: p.stem)
def test_the_committed_interactive_pages_hold_what_their_records_say(path):
    """Their data; the scripts and charts around it are of whatever version of Vega there is."""
    from convbench.report import to_html

    def data(page: str) -> str:
        return page.partition('id="records">')[2].partition("</script>")[0]

    records, _ = read_records(path.with_suffix(".jsonl"))
    expected = data(to_html(records, title=f"convbench: {path.stem}"))
    assert len(expected) > 1000
    assert data(path.read_text(encoding="utf-8")) == expected


def test_the_overhead_of_a_launch_is_shown_where_there_is_one():
    words = "host, to queue one run"
    random = np.random.default_rng(0)
    on_gpu = synthetic.timed(random, 20.0)
    assert words in to_markdown([on_gpu], title="t")
    assert words not in to_markdown([replace(on_gpu, timing=replace(on_gpu.timing, queue_us=None))], title="t")


def test_the_gallery_names_all_that_was_measured():
    folder = Path(__file__).parents[2] / "reports"
    gallery = (folder / "README.md").read_text()
    named = set(re.findall(r"\]\(([^)]+)\)", gallery))
    found = {path.relative_to(folder) for path in folder.glob("*/*") if path.suffix != ".png"}
    assert named == {str(path) for path in found if path.parts[0] != "local"}  # what a user measured here


def test_a_series_of_nothing_but_slowed_samples_has_no_rank():
    slowed = timing_of((1.0,), series=(series((1.0, 1.0, 1.0), throttled=(0, 1, 2)),))
    records = [record(timing=slowed), timed(9.0, algorithm="other"), timed(18.0, algorithm="third")]
    page = to_markdown(records, title="t")
    assert "other is the fastest in 1 of 1 layer" in page
    assert "1 result has no rank, because all of its samples were taken while slowed down: direct on conv1." in page
    assert "kept and not counted" not in page
    rows = table(page, "Every layer and algorithm")
    assert [(row["algorithm"], row["of best"]) for row in rows] == [
        ("other", "1.00"),
        ("third", "0.50"),
        ("direct", "–"),
    ]
    assert rows[2]["warm cache"] == "1.00 µs (all slowed down)"
    assert rows[2]["spread (IQR)"] == "–"
    assert [row["best"] for row in table(page, "Best of each layer")] == ["other"]
    assert table(page, "Taken while the GPU was slowed down")[0]["warm cache"] == "all of its samples"
    alone = to_markdown(records[:1], title="t")
    assert "is the fastest" not in alone
    assert "Best of each layer" not in alone
    assert table(alone, "Every layer and algorithm")[0]["of best"] == "–"


def test_one_sample_has_no_spread():
    one = record(timing=timing_of((5.0,)))
    one_left = record(timing=timing_of((1.0,), series=(series((5.0, 9.0), throttled=(1,)),)), algorithm="other")
    rows = table(to_markdown([one, one_left, timed(5.0, algorithm="third")], title="t"), "Every layer and algorithm")
    assert [row["spread (IQR)"] for row in rows] == ["–", "–", "0.0 %"]


@pytest.mark.parametrize(("device", "kind"), [(SIMULATOR, "simulated"), (EMULATOR, "emulated on CPU")])
def test_native_baselines_are_not_called_emulated(device, kind):
    native = timed(5.0, algorithm="torch_cpu", family="baseline", device=device)
    both = to_markdown([native, timed(9.0, device=device)], title="t")
    assert f"Those of torch_cpu are CPU wall clock of the processor itself, not {kind}." in both
    (row, other) = table(both.replace(f" ({kind};", " (emulated;"), "Every layer and algorithm")
    assert (row["algorithm"], other["algorithm"]) == ("torch_cpu (native)", "direct")
    assert f"| warm cache ({kind}; baselines native)" in both
    alone = to_markdown([native], title="t")
    assert f"Times of torch_cpu are CPU wall clock of the processor itself, not {kind}" in alone
    assert "warm cache (native on CPU)" in alone
    assert f"({kind})" not in alone
    on_gpu = to_markdown([timed(5.0, algorithm="cudnn", family="baseline")], title="t")
    assert "native" not in on_gpu


def test_a_large_spread_is_a_warning_before_everything_else():
    wide = record(timing=timing_of((10.0, 20.0, 30.0, 90.0, 100.0)), algorithm="noisy")
    page = to_markdown([wide, timed(5.0), timed(5.0, device=EMULATOR)], title="t")
    assert page.index("**The samples of 1 of 3 results have a large spread") < page.index("\n## ")
    assert "the most is 233%, noisy on conv1" in page
    calm = record(timing=timing_of((9.0, 10.0, 11.0)), algorithm="calm")
    assert "large spread" not in to_markdown([calm, timed(5.0)], title="t")


def test_refusals_about_the_dtype_alone_are_one_sentence():
    records = [timed(1.0), failed("refused", algorithm="other")]
    for name, dtype in (("implicit_gemm_f16", "float16"), ("implicit_gemm_bf16", "bfloat16")):
        reason = f"dtype float32: {name} has {dtype}"
        records += [replace(failed("refused", algorithm=name, layer=f"conv{i}"), reason=reason) for i in range(3)]
    page = to_markdown(records, title="t")
    words = "2 algorithms are for other dtypes: implicit_gemm_bf16 (bfloat16), implicit_gemm_f16 (float16)."
    assert words in page.replace("\\", "")
    assert "| conv1 | other | for the test |" in squeezed(page)
    assert "dtype float32" not in page
    alone = to_markdown(records[2:5], title="t")
    assert "1 algorithm is for other dtypes: implicit" in alone
