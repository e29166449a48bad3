"""Several sources on one page: named by their differences, paired correctly, and never mixed across kinds of times."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cases import synthetic
from cases.handmade import failed, timed
from cases.synthetic import EMULATOR
from convbench.errors import ConvbenchError
from convbench.records.comparison import compare
from convbench.report.pictures import to_png
from convbench.report.side_by_side.html import to_html
from convbench.report.side_by_side.markdown import figures, sentences, to_markdown
from convbench.report.side_by_side.pairing import side_by_side

ALIKE = "0123456789ab" + "f" * 28  # begins as the other commit
H100 = synthetic.GPU | {"name": "NVIDIA H100"}
A, B = Path("runs/monday/a.jsonl"), Path("runs/tuesday/a.jsonl")


def network(scale=1.0, seed=0, commit=None, **fields):
    records = synthetic.network(np.random.default_rng(seed), layers=4, scale=scale, **fields)
    if commit is None:
        return list(records)
    return [replace(record, environment=record.environment | {"commit": commit}) for record in records]


@pytest.mark.parametrize(
    ("first", "second", "what", "names"),
    [
        (network(), network(device=H100), "device", ("NVIDIA H200", "NVIDIA H100")),
        (network(), network(commit="f" * 40), "commit", ("0123456789ab", "f" * 12)),
        (network(), network(commit=ALIKE), "commit", (synthetic.ENVIRONMENT["commit"], ALIKE)),
        (network(algorithms=("direct",)), network(algorithms=("cudnn",)), "algorithm", ("direct", "cudnn")),
        (network(), network(1.1), "file", ("monday/a", "tuesday/a")),
        (network(), [*network(), *network(commit="f" * 40, workload="another")], "file", ("monday/a", "tuesday/a")),
    ],
)  # fmt: skip
def test_sides_are_named_by_what_differs(first, second, what, names):
    sides = side_by_side([(A, first), (B, second)])
    assert (sides.what, sides.names) == (what, names)
    assert f"the {what} differs" in sentences(sides)[0]


def test_pairs_are_of_the_same_layer_and_their_ratio_is_that_of_their_times():
    first, second = network(), network(1.25, seed=1)
    sides = side_by_side([(A, first), (B, second)])
    passed = {(r.layer, r.algorithm): r.timing for r in first if r.timing}
    others = {(r.layer, r.algorithm): r.timing for r in second if r.timing}
    assert len(sides.pairs) == len(passed)
    for pair in sides.pairs.itertuples():
        key = pair.layer, pair.algorithm
        assert (pair.first_us, pair.median_us) == (passed[key].median_us, others[key].median_us)
        assert pair.ratio == pytest.approx(pair.median_us / pair.first_us)
    covered = (sides.pairs.ratio_low <= 1.25) & (sides.pairs.ratio_high >= 1.25)
    assert covered.mean() > 0.9  # each interval has it 95 times in 100, or more often
    for mean in sides.means().itertuples():
        assert mean.ratio == pytest.approx(1.25, rel=0.02)
    assert "slower in 30" in sentences(sides)[2]
    assert "NEW / OLD: each source's time over that of monday/a, which is OLD. Below 1" in sentences(sides)[1]


def test_a_report_and_a_comparison_divide_the_same_way():
    first, second = network(), network(1.25, seed=1)
    report = side_by_side([(A, first), (B, second)]).pairs.set_index(["layer", "algorithm"]).ratio
    compared = [one for one in compare(first, second).comparisons if one.cache == "warm"]
    assert len(compared) == len(report)
    for one in compared:
        assert one.ratio == pytest.approx(report[one.pair.new.layer, one.pair.new.algorithm])


def test_what_has_no_counterpart_is_counted():
    first, second = network(), [r for r in network() if r.layer != "conv0" and r.algorithm != "direct"]
    sides = side_by_side([(A, first), (B, second)])
    passed = [r for r in first if r.timing]
    paired = [r for r in second if r.timing]
    assert len(sides.pairs) == len(paired)
    assert sides.alone == {"monday/a": len(passed) - len(paired), "tuesday/a": 0}
    assert f"left out: {len(passed) - len(paired)} of monday/a" in sentences(sides)[-1]


def test_other_directions_and_precisions_are_no_pairs():
    first = [*network(), *network(direction="backward_data"), *network(algorithms=("mine",))]
    second = [*network(2.0), *network(3.0, precision="tf32", algorithms=("mine",))]
    sides = side_by_side([(A, first), (B, second)])
    assert set(sides.pairs.kind) == {"forward, float32"}
    assert sides.pairs.ratio.between(1.6, 2.5).all()


def test_a_gpus_times_are_held_against_others_only_when_told_to():
    emulated = network(1000, device=EMULATOR)
    with pytest.raises(ConvbenchError, match="--mixed"):
        side_by_side([(A, network()), (B, emulated)])
    sides = side_by_side([(A, network()), (B, emulated)], mixed=True)
    assert sides.what == "device"
    assert "says nothing about a GPU" in " ".join(sentences(sides))
    page = to_markdown(sides, title="t")
    assert "NEW / OLD (emulated on CPU; baselines native)" in page
    both = [*network(), *emulated]  # each with its own kind only
    ratios = side_by_side([(A, both), (B, both)]).pairs.ratio
    assert ratios.between(0.999, 1.001).all()


def test_nothing_in_common_is_an_error():
    with pytest.raises(ConvbenchError, match="no result in common"):
        side_by_side([(A, [timed(1.0)]), (B, [timed(1.0, problem="n1c1h9w9-k2r3s3")])])
    with pytest.raises(ConvbenchError, match=r"tuesday.*no result passed"):
        side_by_side([(A, [timed(1.0)]), (B, [failed()])])


def test_three_sources_are_held_against_the_first_and_drawn():
    sides = side_by_side([(A, network()), (B, network(2.0)), (Path("c.jsonl"), network(0.5))])
    assert set(sides.pairs.side) == set(sides.names[1:])
    (figure,) = figures(sides)
    assert to_png(figure).startswith(b"\x89PNG")
    assert figure.reading.startswith("c/c stands best" if "c/c" in sides.names else f"{sides.names[2]} stands best")
    rows = [row for rows in figure.chart.to_dict()["datasets"].values() for row in rows]
    assert sum(row["what"] == "pair" for row in rows) == len(sides.pairs)


def test_many_pairs_are_summarised():
    first = [replace(r, layer=f"{r.layer}.{i}") for i in range(30) for r in network()]
    (figure,) = figures(side_by_side([(A, first), (B, first)]))
    spec = figure.chart.to_dict()
    assert max(map(len, spec["datasets"].values())) < 50
    assert "pairs, summarised" in str(spec)


class Tags(HTMLParser):
    """The tags of a page, and their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_html_page_fetches_and_runs_nothing():
    hostile = "<script>alert(1)</script>"
    first = [replace(r, algorithm=hostile) if r.algorithm == "direct" else r for r in network()]
    page = to_html(side_by_side([(A, first), (B, first)]), title=hostile)
    tags = Tags(page).found
    assert not [tag for tag, _ in tags if tag in ("script", "iframe", "object", "a", "svg")]
    assert hostile not in page
    assert "&lt;script&gt;" in page
    assert all(attrs["src"].startswith("data:image/svg+xml;base64,") for tag, attrs in tags if tag == "img")
    assert not any(name.startswith("on") for _, attrs in tags for name in attrs)
    assert "default-src 'none'" in next(attrs["content"] for tag, attrs in tags if "http-equiv" in attrs)
    assert not re.search(r"https?://", page)


def test_the_html_and_the_markdown_page_have_the_same_rows():
    sides = side_by_side([(A, network()), (B, network(1.1))])
    page = to_markdown(sides, title="t")
    html = to_html(sides, title="t")
    assert html.count("<tr>") == sum(line.startswith("| tuesday/a") for line in page.splitlines()) + 2
