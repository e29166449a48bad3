"""The page is one file. Text from records never runs as code in it, and every time names its clock."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.hostile import HOSTILE
from cases.synthetic import EMULATOR, network, record, timed
from convbench.records import read_records
from convbench.report import to_html
from convbench.report.page import to_json
from convbench.report.payload import STEPS, rounded, samples

RANDOM = np.random.default_rng(5)
RECORDS = [*network(RANDOM, layers=4), record(outcome="wrong", reason="3 elements differ", algorithm="bad")]


class Parsed(HTMLParser):
    """The elements of a page, and the text of its scripts by their id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str | None, str] = {}
        self.policy, self._inside = "", None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        self._inside = (attributes.get("id"),) if tag == "script" else None

    def handle_data(self, text):
        if self._inside:
            self.scripts[self._inside[0]] = self.scripts.get(self._inside[0], "") + text

    def handle_endtag(self, tag):
        self._inside = None

    def data(self) -> dict:
        return json.loads(self.scripts["records"])


@pytest.fixture(scope="module")
def page() -> str:
    return to_html(RECORDS, title="four layers")


def test_the_page_is_a_pure_function_of_the_records(page):
    assert to_html(list(RECORDS), title="four layers") == page


def test_nothing_in_the_page_names_another_place_to_load_from(page):
    parsed = Parsed(page)
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            link = attributes.get(name)
            assert link is None or link.startswith(("#", "data:")), (tag, link)
    assert "default-src 'none'" in parsed.policy
    assert "unsafe" not in parsed.policy
    assert "http" not in parsed.policy


def test_all_that_was_said_of_a_result_is_in_the_page(page):
    data = Parsed(page).data()
    assert data["rows"] == len(RECORDS)
    for name in ("algorithm", "layer", "problem", "outcome"):
        words = data["texts"][name]["words"]
        assert [words[code] for code in data["texts"][name]["codes"]] == [getattr(r, name) for r in RECORDS]
    for row, one in enumerate(RECORDS):
        expected = one.timing.median_us if one.timing else None
        assert data["numbers"]["median_us"][row] == (None if expected is None else pytest.approx(expected, rel=5e-5))


def test_every_element_of_a_hostile_page_is_an_element_of_a_harmless_one():
    def rendered(names):
        fields = [
            {"layer": name, "workload": name, "algorithm": f"mine {name}", "family": name, "config": {name: name},
             "device": {"name": name, "clock": name, "is_gpu": False, name: name}, "environment": {name: name}}
            for name in names
        ]  # fmt: skip
        records = [timed(np.random.default_rng(1), 10.0, **each) for each in fields]
        records += [record(outcome="crashed", reason=name, **each) for name, each in zip(names, fields, strict=True)]
        return Parsed(to_html(records, title=names[0]))

    hostile, harmless = rendered(HOSTILE), rendered([f"name {i}" for i in range(len(HOSTILE))])
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in harmless.elements]
    assert not [name for _, attributes in hostile.elements for name in attributes if name.startswith("on")]
    assert set(hostile.data()["texts"]["layer"]["words"]) == set(HOSTILE)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_the_page_means_the_same_and_ends_nothing(value):
    text = str(to_json(value))
    assert json.loads(text) == value
    assert not re.search("[<>&\u2028\u2029]", text)


@pytest.mark.parametrize("title", ["half a pair \ud800", "\udcff.jsonl"])
def test_a_title_that_no_file_can_hold_is_mended(title):
    assert to_html(RECORDS[:2], title=title).encode()


def test_times_of_no_gpu_say_so_at_the_top_and_never_share_a_clock():
    page = to_html([*RECORDS, *network(RANDOM, layers=1, device=EMULATOR)], title="both")
    top = page[: page.index('class="tallies"')]
    assert "Times are CPU wall clock, emulated on CPU" in top
    data = Parsed(page).data()
    assert [clock["label"] for clock in data["clocks"]] == ["", " (emulated on CPU; baselines native)"]
    assert [data["clocks"][code]["is_gpu"] for code in data["clock"]] == [True] * len(RECORDS) + [False] * 8
    only_gpu = to_html(RECORDS, title="one")
    assert "emulated" not in only_gpu[: only_gpu.index('class="tallies"')]


def test_a_page_without_records_says_so():
    assert "There are no records." in to_html([], title="nothing")


def test_a_page_where_nothing_passed_has_the_reasons():
    data = Parsed(to_html([record(outcome="refused", reason="it has strides")], title="nothing")).data()
    assert data["texts"]["reason"]["words"] == ["it has strides"]


@given(st.floats(min_value=1e-300, max_value=1e300) | st.floats(min_value=0.01, max_value=1e7), st.integers(3, 6))
def test_rounding_keeps_the_digits_that_were_asked_for(value, digits):
    [short] = rounded(pd.Series([value]), digits)
    assert short == float(f"{value:.{digits - 1}e}") or abs(short / value - 1) <= 0.5000001 * 10.0 ** (1 - digits)
    if 0.01 <= value < 1e7:
        assert len(f"{short}".replace(".", "").lstrip("0").rstrip("0")) <= digits


def test_what_is_missing_stays_missing_when_rounded():
    assert rounded(pd.Series([None, np.nan, np.inf, 0.0, 2.0]), 4) == [None, None, None, 0, 2]


@pytest.mark.parametrize(("room", "shown"), [(10**6, 30), (2 * 24 + 2 * 10, 10), (0, 2)])
def test_samples_keep_their_order_and_a_step_of_their_range(room, shown):
    one = timed(np.random.default_rng(3), 50.0)
    rows = samples([one], room)["rows"]
    for series, (_, low, high, packed, *more) in zip(one.timing.series, rows[0], strict=True):
        assert len(packed) == shown
        assert (more == []) == (shown == 30)
        drawn = [low + (high - low) * STEPS.index(character) / (len(STEPS) - 1) for character in packed]
        places = range(30) if shown == 30 else [round(i * 29 / (shown - 1)) for i in range(shown)]
        taken = [series.samples_us[place] for place in places]
        assert np.abs(np.subtract(drawn, taken)).max() <= (high - low) / (len(STEPS) - 1)


def test_throttled_samples_are_marked():
    one = timed(np.random.default_rng(3), 50.0, cold=None)
    first = replace(one.timing.series[0], throttled=(4, 7))
    slowed = replace(one, timing=replace(one.timing, series=(first,)))
    assert samples([slowed], 10**6)["rows"][0][0][4:] == [[4, 7]]


def test_a_record_that_was_written_and_read_makes_the_same_page(tmp_path, page):
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(one.to_json() for one in RECORDS) + "\n", encoding="utf-8")
    assert to_html(read_records(path)[0], title="four layers") == page
