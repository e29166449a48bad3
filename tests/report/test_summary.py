"""The summary of a page agrees with counting, and with the true times of synthetic records."""

import re
from dataclasses import replace
from statistics import geometric_mean as mean_of

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import synthetic
from cases.handmade import failed, timed
from cases.synthetic import EMULATOR
from convbench.report import to_markdown, with_ratio
from convbench.report.chapters import chapters
from convbench.report.ratios import geometric_mean
from convbench.report.summary import summary
from support.running import squeezed

TIMES = st.lists(
    st.lists(st.one_of(st.none(), st.floats(1, 1e6)), min_size=4, max_size=4).filter(any), min_size=1, max_size=5
)


def told(records, kind: str) -> str:
    return next((s.text for s in summary(chapters(records)) if s.kind == kind), "")


def records_of(times):
    """A record for each layer and each algorithm that has a time; None: it refuses."""
    for layer, row in enumerate(times):
        for place, us in enumerate(row):
            names = {"layer": f"conv{layer}", "algorithm": f"algorithm{place}"}
            yield failed("refused", **names) if us is None else timed(us, **names)


@settings(max_examples=25)
@given(TIMES)
def test_the_fastest_are_counted_right(times):
    text = told(records_of(times), "winner")
    counts = {f"algorithm{place}": 0 for place in range(4)}
    for row in times:
        counts[f"algorithm{min((us, place) for place, us in enumerate(row) if us is not None)[1]}"] += 1
    said = dict(re.findall(r"(algorithm\d)(?: is the fastest| is the only algorithm with times,)? in (\d+)", text))
    assert {name: int(count) for name, count in said.items()} == {name: n for name, n in counts.items() if n}
    assert f"of {len(times)} layer" in text
    first = text.split()[0]
    assert counts[first] == max(counts.values())


@settings(max_examples=25)
@given(TIMES)
def test_the_lead_is_the_geometric_mean_over_the_layers_that_are_won(times):
    records = list(records_of(times))
    name = told(records, "winner").split()[0]
    leads = []
    for row in times:
        ranked = sorted((us, place) for place, us in enumerate(row) if us is not None)
        if f"algorithm{ranked[0][1]}" == name and len(ranked) > 1:
            leads.append(ranked[1][0] / ranked[0][0])
    text = told(records, "lead")
    assert bool(text) == bool(leads)
    if leads:
        assert f"{name} is {mean_of(leads):.2f} times as fast" in text


def test_intervals_of_ratios_and_of_their_means_have_the_true_ones_95_times_in_100():
    """300 networks of five layers each, whose true ratio is 1.25 in every layer."""
    single, means = [], []
    for seed in range(300):
        random = np.random.default_rng(seed)
        rows = [
            (synthetic.series(random, 50.0, noise=0.05), synthetic.series(random, 40.0, noise=0.05)) for _ in range(5)
        ]
        frame = pd.DataFrame(
            [
                dict(
                    zip(
                        ("median_us_other", "low_us_other", "high_us_other", "median_us", "low_us", "high_us"),
                        (a.median_us, *a.interval_us, b.median_us, *b.interval_us),
                        strict=True,
                    )
                )
                for a, b in rows
            ]
        )
        ratios = with_ratio(frame, "_other")
        single += list((ratios.ratio_low <= 1.25) & (ratios.ratio_high >= 1.25))
        mean = geometric_mean(ratios)
        assert mean.low < mean.value < mean.high
        means.append(mean.low <= 1.25 <= mean.high)
    assert np.mean(single) >= 0.95
    assert np.mean(means) >= 0.95
    assert (mean.high - mean.low) < (ratios.ratio_high - ratios.ratio_low).mean()  # five layers tell more than one


def test_a_ratio_of_times_without_intervals_has_none():
    text = told([timed(10.0), timed(20.0, algorithm="other")], "lead")
    assert text == "On conv1, direct is 2.00 times as fast as the best of the others."
    assert "too few samples" in told([timed(10.0), timed(20.0, algorithm="other")], "winner")


def test_a_lead_that_noise_may_have_made_is_called_so():
    random = np.random.default_rng(0)
    close = [synthetic.timed(random, us, algorithm=f"a{us}", noise=0.05) for us in (100.0, 100.5)]
    assert "In 1 the second is too close" in told(close, "winner")
    clear = [synthetic.timed(random, us, algorithm=f"a{us}", noise=0.05) for us in (100.0, 150.0)]
    assert "too close" not in told(clear, "winner")


def test_the_baseline_is_compared_with_its_interval():
    random = np.random.default_rng(0)
    records = [
        synthetic.timed(random, us * layer, algorithm=name, layer=f"conv{layer}")
        for layer in (1, 2, 3) for name, us in (("cudnn", 50.0), ("direct", 100.0), ("fft_tiled", 40.0))
    ]  # fmt: skip
    text = told(records, "baseline")
    ratio, low, high = map(
        float, re.search(r"fft_tiled is ([\d.]+) times .* interval ([\d.]+) to ([\d.]+)\)", text).groups()
    )
    assert low <= 1.25 <= high
    assert low <= ratio <= high
    assert "beats it in 3 of 3 layers" in text
    assert told([r for r in records if r.family != "baseline"], "baseline") == ""


def test_what_is_wrong_or_emulated_is_said_before_who_wins():
    records = [timed(1.0, device=EMULATOR), failed("crashed", algorithm="bad", device=EMULATOR)]
    kinds = [statement.kind for statement in summary(chapters(records))]
    assert kinds.index("failed") < kinds.index("winner")
    assert kinds.index("clock") < kinds.index("winner")
    assert "verified" not in kinds
    assert told([timed(1.0)], "verified").startswith("Every time below is of a verified result")
    assert told([failed("refused")], "verified") == "Nothing passed, and nothing was timed."


def test_several_chapters_are_announced_as_not_comparable():
    assert summary(chapters([timed(1.0)]))[0].chapter == "NVIDIA H200"
    first = summary(chapters([timed(1.0), timed(1.0, device=EMULATOR)]))[0]
    assert (first.kind, first.chapter) == ("whole", None)
    assert "2 results on NVIDIA H200 and emulator: 2 passed" in first.text


@pytest.mark.parametrize("others", [0, 4, 7])
def test_winners_beyond_the_fifth_are_counted_together(others):
    records = [timed(1.0, layer=f"c{i}", algorithm=f"a{i}") for i in range(others + 1)]
    text = told([replace(r, layer=f"c{i}") for i, r in enumerate(records)], "winner")
    assert sum(map(int, re.findall(r" in (\d+)", text.split(". In")[0]))) == others + 1


def test_an_algorithm_alone_does_not_win():
    text = told([timed(1.0), timed(1.0, layer="conv2")], "winner")
    assert text == "direct is the only algorithm with times, in 2 of 2 layers."
    page = to_markdown([timed(1.0)], title="t")
    assert "fastest" not in page
    assert "### Best of each layer" not in page
    records = [timed(1.0), timed(2.0, algorithm="other"), timed(1.0, layer="conv2")]
    assert "In 1 no other algorithm has times" in told(records, "winner")


def test_equal_medians_are_said():
    assert "In 1 others have the same median" in told([timed(1.0), timed(1.0, algorithm="other")], "winner")
    page = to_markdown([timed(1.0), timed(1.0, algorithm="other")], title="t")
    assert "| direct and other |" in squeezed(page)
