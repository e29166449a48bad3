"""The report is a pure function of the records, and says what kind of times it shows."""

import re
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
from test_record import failed, record

from convbench.record import Timing, read_records
from convbench.report import duration, to_frame, to_markdown

SIMULATOR = {"name": "simulator", "clock": "CPU wall clock, simulated", "is_gpu": False}
EMULATOR = {"name": "emulator", "clock": "CPU wall clock, emulated on CPU", "is_gpu": False}


def timed(us: float, **changes):
    timing = Timing(
        clock="c", method="m", samples_us=(us, us, us), prepare_us=1, phases_us={"pack": 1.0, "multiply": 3.0},
        compile_s=0,
    )  # fmt: skip
    return record(timing=timing, **changes)


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    lines = page.split(f"### {heading}\n")[1].strip().splitlines()
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table[2:]


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
    table = rows(to_markdown(RECORDS, title="t"), "Every layer and algorithm")
    assert [(row[0], row[1], row[2], row[5]) for row in table] == [
        ("conv1", "direct", "10.0 µs", "1.00"),
        ("conv1", "fft_tiled", "20.0 µs", "0.50"),
        ("conv2", "direct", "30.0 µs", "1.00"),
    ]
    assert {row[6] for row in table} == {"0.25"}


def test_phases_and_other_costs_are_listed():
    table = rows(to_markdown([*RECORDS, record(algorithm="compiled")], title="t"), "Where the time goes")
    assert table[0] == ["conv1", "direct", "pack 25%, multiply 75%", "1.00 µs", "–", "–"]
    assert table[-1][3:5] == ["5.00 µs", "500 ms"]


def test_the_best_of_each_layer_is_named():
    table = rows(to_markdown(RECORDS, title="t"), "Best of each layer")
    assert [(row[0], row[1], row[3]) for row in table] == [("conv1", "2", "direct"), ("conv2", "1", "direct")]


def test_totals_weigh_each_layer_by_how_often_it_occurs():
    table = rows(to_markdown(RECORDS, title="t"), "Totals, each layer as often as it occurs")
    assert table == [
        ["the best of each layer", "2 of 2", "50.0 µs"],
        ["direct", "2 of 2", "50.0 µs"],
        ["fft_tiled", "1 of 2", "40.0 µs"],
    ]


def test_refusals_and_failures_are_listed_with_their_reasons():
    page = to_markdown(RECORDS, title="t")
    assert rows(page, "Refused, and why") == [["conv2", "fft_tiled", "for the test"]]
    assert rows(page, "Wrong") == [["conv1", "bad", "for the test"]]
    assert "**1 results are wrong or failed**" in page
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
                if "LOP/s" in heading or any(re.fullmatch(r" *[\d.]+ (s|ms|µs) *", cell) for cell in column):
                    found.append(heading.strip())
    return found


@pytest.mark.parametrize(("device", "label"), [(SIMULATOR, "simulated"), (EMULATOR, "emulated on CPU")])
def test_times_of_no_gpu_say_so_in_every_table_and_share_none_with_a_gpu(device, label):
    compiled = record(timing=replace(timed(5.0).timing, compile_s=2.0), algorithm="other", device=device)
    page = to_markdown([*RECORDS, timed(5.0, device=device), compiled], title="t")
    gpu, other = page.split(f"## {device['name']}\n")
    assert "simulated" not in gpu
    assert "emulated" not in gpu
    assert headings_of_times(gpu)
    assert f"**Times are CPU wall clock, {label}**" in other
    headings = headings_of_times(other)
    assert len(headings) >= 7
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
        table = rows(chapter, "Every layer and algorithm")
        assert [row[5] for row in table] == ["1.00"]
    assert page.count("\n## ") == len(devices)


def test_no_two_directions_share_a_table():
    directions = ("forward", "backward_data", "backward_weights")
    page = to_markdown([timed(10.0 + i, direction=d) for i, d in enumerate(directions)], title="t")
    headings = re.findall(r"^## (.*)$", page, re.MULTILINE)
    name = record().device["name"]
    assert headings == [name, f"{name}, backward_data", f"{name}, backward_weights"]
    assert page.count("### Best of each layer") == 3


def test_the_frame_says_whose_times_they_are():
    frame = to_frame([timed(5.0), timed(5.0, device=EMULATOR)])
    assert list(frame.device) == [record().device["name"], "emulator"]
    assert frame.clock.iloc[1] == "CPU wall clock, emulated on CPU"


def test_a_measurement_that_was_repeated_counts_once():
    page = to_markdown([timed(10.0), timed(40.0)], title="t")
    assert [row[2] for row in rows(page, "Every layer and algorithm")] == ["40.0 µs"]


def test_a_page_without_records_or_without_times():
    assert "There are no records." in to_markdown([], title="t")
    page = to_markdown([failed("refused")], title="t")
    assert "1 results: 1 refused" in page
    assert "nothing was timed" in page
    assert "Best of each layer" not in page


def test_text_of_records_cannot_break_a_table():
    page = to_markdown([failed("crashed", layer="a|b", algorithm="mine"), timed(1.0, algorithm="direct")], title="t")
    assert rows(page.replace("\\|", "!"), "Crashed") == [["a!b", "mine", "for the test"]]


def test_different_environments_are_admitted():
    page = to_markdown([timed(1.0), timed(1.0, algorithm="other", environment={"python": "3.12"})], title="t")
    assert "2 different environments" in page


@pytest.mark.parametrize(
    ("us", "text"),
    [(0.1234, "0.123 µs"), (1, "1.00 µs"), (999.4, "999 µs"), (1000, "1.00 ms"), (123456, "123 ms"), (2.5e6, "2.50 s")],
)
def test_durations_have_three_digits_and_a_unit(us, text):
    assert duration(us) == text


def test_the_frame_has_a_row_for_each_record():
    frame = to_frame(RECORDS)
    assert list(frame.outcome) == ["passed", "passed", "passed", "refused", "wrong"]
    assert frame.median_us.notna().sum() == 3
    assert frame.tflops.iloc[0] == record().parsed_problem.flops / 10 / 1e6


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "reports").glob("*/*.jsonl")), ids=lambda p: p.stem
)
def test_the_committed_pages_are_what_their_records_render_to(path):
    records, bad = read_records(path)
    assert bad == []
    picture = path.with_suffix(".png")
    page = to_markdown(records, title=f"convbench: {path.stem}", picture=picture.name if picture.exists() else None)
    assert path.with_suffix(".md").read_text(encoding="utf-8") == page
