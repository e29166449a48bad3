"""JUnit XML follows the rules of the Ant schema, and can hold any text."""

import re
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import synthetic
from convbench.records import FAILURES
from convbench.records.record import OUTCOMES
from convbench.report import to_junit
from records.test_record import failed
from report.test_report import EMULATOR, timed

RECORDS = [
    *synthetic.network(np.random.default_rng(0), layers=4),
    *(failed(outcome, algorithm=outcome) for outcome in OUTCOMES if outcome != "passed"),
    timed(5.0, device=EMULATOR),
]  # fmt: skip
DECIMAL = re.compile(r"\d+\.\d+")


def check(document: str) -> ET.Element:
    """What windyroad/JUnit-Schema, JUnit.xsd, asks of a document, all of it."""
    root = ET.fromstring(document.encode())
    assert root.tag == "testsuites"
    assert root.attrib == {}
    for place, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert {*suite.attrib} == {
            "name", "package", "id", "hostname", "timestamp", "tests", "failures", "errors", "skipped", "time",
        }  # fmt: skip
        assert suite.attrib["id"] == str(place)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        assert DECIMAL.fullmatch(suite.attrib["time"])
        tags = [child.tag for child in suite]
        cases = [child for child in suite if child.tag == "testcase"]
        assert tags == ["properties", *["testcase"] * len(cases), "system-out", "system-err"]
        assert all({*item.attrib} == {"name", "value"} and item.attrib["name"] for item in suite[0])
        inside = Counter(child.tag for case in cases for child in case)
        assert {*inside} <= {"skipped", "failure"}
        assert int(suite.attrib["tests"]) == len(cases)
        for tag, count in (("failure", "failures"), ("skipped", "skipped"), ("error", "errors")):
            assert int(suite.attrib[count]) == inside[tag]
        for case in cases:
            assert {*case.attrib} == {"name", "classname", "time"}
            assert DECIMAL.fullmatch(case.attrib["time"])
            assert len(case) <= 1
            for token in (case.attrib["name"], case.attrib["classname"], suite.attrib["name"]):
                assert token
                assert token == " ".join(token.split())
            assert all("message" in child.attrib for child in case)
            assert all(child.attrib["type"] in FAILURES for child in case if child.tag == "failure")
    return root


def test_a_case_for_each_record_and_a_suite_for_each_chapter():
    root = check(to_junit(RECORDS))
    assert len(root) == 2
    cases = list(root.iter("testcase"))
    assert len(cases) == len(RECORDS)
    assert (
        len({(case.attrib["classname"], case.attrib["name"]) for case in root[0].iter("testcase")}) == len(RECORDS) - 1
    )
    assert len(list(root.iter("failure"))) == len(FAILURES) == 4
    assert len(list(root.iter("skipped"))) == sum(record.outcome == "refused" for record in RECORDS)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_is_a_success_a_skip_or_a_failure_with_its_reason(outcome):
    record = timed(5.0) if outcome == "passed" else failed(outcome)
    (case,) = check(to_junit([record])).iter("testcase")
    kinds = {"passed": [], "refused": [("skipped", "for the test")]}
    assert [(child.tag, child.attrib["message"]) for child in case] == kinds.get(outcome, [("failure", "for the test")])
    if outcome in FAILURES:
        assert case[0].attrib["type"] == outcome
        assert "convbench bench 'n1c1h5w5-k2r3s3'" in case[0].text


def test_the_directions_of_a_problem_are_cases_of_different_names():
    records = [timed(1.0), timed(1.0, direction="backward_data")]
    names = [case.attrib["name"] for case in check(to_junit(records)).iter("testcase")]
    assert names[1] == names[0].replace("r3s3", "r3s3 backward_data")


def test_the_time_of_a_case_is_that_of_its_samples():
    one = synthetic.timed(np.random.default_rng(0), 2000.0)
    (case,) = check(to_junit([one])).iter("testcase")
    spent = sum(sum(series.samples_us) for series in one.timing.series) / 1e6
    assert float(case.attrib["time"]) == pytest.approx(spent, abs=1e-6)


@settings(max_examples=100)
@given(st.lists(st.text(max_size=12), min_size=4, max_size=4))
def test_any_text_makes_valid_xml(texts):
    layer, algorithm, reason, name = texts
    device = EMULATOR | {"name": name, layer: reason}
    names = {"layer": layer, "algorithm": algorithm, "device": device, "config": {name: reason}}
    document = to_junit(
        [replace(failed(), reason=reason, when=name, **names), timed(1.0, **names | {"layer": f"{layer}!"})]
    )
    check(document.encode("utf-8", "replace").decode())


def test_several_sources_have_suites_of_their_own():
    root = check(to_junit([timed(1.0)], [timed(2.0)], names=["a.jsonl", "b.jsonl"]))
    assert [suite.attrib["name"] for suite in root] == ["a.jsonl: NVIDIA H200", "b.jsonl: NVIDIA H200"]


def test_nothing_makes_an_empty_document():
    assert list(check(to_junit([]))) == []
