"""Records: contradictory ones are refused, a file keeps every field, and lines that are no records are reported."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.handmade import PROBLEM, TIMING, failed, predicted, record, series, timing_of, unpredicted
from convbench.errors import RecordsError
from convbench.records import Record, RecordsFile, latest, read_records
from convbench.records.record import OUTCOMES
from support.strategies import any_problems


@pytest.mark.parametrize("outcome", [outcome for outcome in OUTCOMES if outcome != "passed"])
def test_only_what_passed_has_a_timing_and_only_the_rest_a_reason(outcome):
    assert failed(outcome).timing is None
    with pytest.raises(ValueError, match="timing only if it passed"):
        record(outcome=outcome, reason="why")
    with pytest.raises(ValueError, match="reason if and only if"):
        record(outcome=outcome, timing=None)
    assert record(timing=None).outcome == "passed", "verified, and not timed"
    with pytest.raises(ValueError, match="reason if and only if"):
        record(reason="why")


def test_an_outcome_is_one_of_six():
    with pytest.raises(ValueError, match="'fine' is none of passed"):
        record(outcome="fine")


@pytest.mark.parametrize("samples", [(), (1.0, 0.0), (1.0, -1.0)])
def test_samples_are_positive(samples):
    with pytest.raises(ValueError, match="positive samples"):
        series(samples)


def test_a_series_is_whole():
    with pytest.raises(ValueError, match="as many host times"):
        series((1.0, 2.0), host_us=(1.0,))
    with pytest.raises(ValueError, match="not all among 2"):
        series((1.0, 2.0), throttled=(2,))


@pytest.mark.parametrize("caches", [(), ("warm", "warm")])
def test_a_timing_has_one_series_for_each_state_of_the_cache(caches):
    with pytest.raises(ValueError, match="one series for each"):
        timing_of((1.0,), series=tuple(series((1.0,), cache) for cache in caches))


def test_statistics_of_samples():
    assert TIMING.median_us == 2.0
    assert TIMING.spread == 0.5  # quartiles 1.5 and 2.5
    single = timing_of((4.0,))
    assert (single.median_us, single.spread, single.first.interval_us) == (4.0, 0.0, None)
    marked = series((3.0, 50.0, 1.0, 2.0), throttled=(1,))
    assert (marked.counted_us, marked.median_us) == ((3.0, 1.0, 2.0), 2.0)
    both = timing_of((1.0,), series=(series((3.0,)), series((5.0,), "cold")))
    assert (both.of("warm"), both.of("cold")) == both.series
    assert both.median_us == 3.0
    assert timing_of((1.0,)).of("cold") is None


def test_a_record_of_an_earlier_version_has_no_error():
    old = json.loads(record().to_json())
    del old["rms_error_ulp"], old["worst_error_ulp"]
    read = Record.from_json(json.dumps(old))
    assert (read.rms_error_ulp, read.worst_error_ulp) == (None, None)
    assert read.fraction == record().fraction


def test_a_record_of_an_earlier_version_has_no_prediction():
    old = json.loads(record().to_json())
    del old["predicted"]
    assert Record.from_json(json.dumps(old)) == record()


def test_a_prediction_reads_back_and_belongs_to_a_result_that_passed():
    for told in (predicted(12.5), predicted(3, is_device=True), unpredicted("wmma is not counted")):
        one = record(predicted=told)
        assert Record.from_json(one.to_json()) == one
        with pytest.raises(ValueError, match="a prediction only if it passed"):
            failed(predicted=told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reason": "why"}, "a time or the reason"),
        ({"us": None}, "a time or the reason"),
        ({"bound": None}, "bounds, a bottleneck and its kernel"),
        ({"low_us": 11.0}, "between its bounds"),
        ({"us": -1.0, "low_us": -2.0, "high_us": 0.0}, "positive"),
    ],
)
def test_a_prediction_is_whole(changes, told):
    with pytest.raises(ValueError, match=told):
        replace(predicted(10.0), **changes)


def test_speed_counts_the_flops_of_the_direct_method():
    assert record().tflops == PROBLEM.flops / 2.0e-6 / 1e12
    assert failed().tflops is None


@given(any_problems(), st.lists(st.floats(1e-3, 1e9), min_size=1), st.text())
def test_a_record_reads_back_from_its_line(problem, samples, text):
    timing = timing_of(samples, clock=text, series=(series(samples), series(samples, "cold", method=text)))
    for one in (record(problem=str(problem), timing=timing), failed(problem=str(problem), layer=text)):
        line = one.to_json()
        assert "\n" not in line
        assert Record.from_json(line) == one
        assert one.parsed_problem == problem


def write(path: Path, *records: Record) -> None:
    with RecordsFile(path) as file:
        for one in records:
            file.append(one)


def test_records_are_on_disk_as_soon_as_they_are_appended(tmp_path):
    with RecordsFile(tmp_path / "new" / "folder" / "mine.jsonl") as file:
        for count in range(1, 4):
            file.append(record(seed=count))
            assert [r.seed for r in read_records(file.path)[0]] == list(range(1, count + 1))


@pytest.mark.parametrize("torn", ["{", '{"problem":"n1c', record().to_json()[:-1]])
def test_a_torn_last_line_is_reported_and_nothing_else_is_lost(tmp_path, torn):
    path = tmp_path / "mine.jsonl"
    write(path, record(seed=1), record(seed=2))
    with path.open("a") as file:
        file.write(torn)
    records, bad = read_records(path)
    assert [r.seed for r in records] == [1, 2]
    assert [(line.number, line.torn) for line in bad] == [(3, True)]
    assert "line 3: a torn last line" in str(bad[0])
    write(path, record(seed=3))  # writing goes on behind it
    records, bad = read_records(path)
    assert [r.seed for r in records] == [1, 2, 3]
    assert [(line.number, line.torn) for line in bad] == [(3, True)]
    assert "line 3: a torn line" in str(bad[0])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("hello", "no record"),
        ("[1, 2]", "no record of convbench"),
        ('{"a": 1}', "no record of convbench"),
        ('{"schema": 99}', "its schema is 99"),
        ('{"schema": 2}', "problem"),
        ('{"schema": 2, "problem": NaN}', "no record"),
        *(
            (json.dumps(json.loads(record().to_json()) | change), name)
            for name, change in (
                ("device", {"device": {}}),
                ("device", {"device": 3}),
                ("that are texts", {"device": {"name": [], "clock": "c", "is_gpu": True}}),
                ("count", {"count": "x"}),
                ("count", {"count": 1.5}),
                ("environment", {"environment": 3}),
                ("fraction", {"fraction": "x"}),
                ("rms_error_ulp", {"rms_error_ulp": "x"}),
                ("both errors or none", {"worst_error_ulp": None}),
                ("both errors or none", {"rms_error_ulp": -1.0}),
                ("layer", {"layer": None}),
                ("phases_us", {"timing": json.loads(record().to_json())["timing"] | {"phases_us": [1]}}),
                ("prepare_us", {"timing": json.loads(record().to_json())["timing"] | {"prepare_us": None}}),
                ("prepare_us", {"timing": json.loads(record().to_json())["timing"] | {"prepare_us": "x"}}),
            )
        ),
        (json.dumps(json.loads(record().to_json()) | {"extra": 1}), "extra"),
        (json.dumps(json.loads(record().to_json()) | {"outcome": "wrong"}), "timing only if"),
        (json.dumps(json.loads(record().to_json()) | {"problem": "n1c1h1w1-k1r9s9"}), "spans 9"),
        (json.dumps(json.loads(record().to_json()) | {"timing": 3}), "no record"),
        ("\x00\x00", "no record"),
    ],
)
def test_a_foreign_line_is_reported_with_its_number(tmp_path, line, reason):
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{record(seed=1).to_json()}\n{line}\n{record(seed=2).to_json()}\n")
    records, (bad,) = read_records(path)
    assert [r.seed for r in records] == [1, 2]
    assert (bad.number, bad.torn) == (2, False)
    assert reason in str(bad)


def test_a_file_that_is_not_there_or_cannot_be_written_is_a_clear_error(tmp_path):
    with pytest.raises(RecordsError, match="cannot be read from"):
        read_records(tmp_path / "none.jsonl")
    (tmp_path / "file").touch()
    with pytest.raises(RecordsError, match="cannot be written to"):
        RecordsFile(tmp_path / "file" / "mine.jsonl")


def test_a_record_that_was_only_verified_does_not_hide_a_timed_one():
    timed = record()
    verified, wrong = replace(timed, timing=None), replace(timed, timing=None, outcome="wrong", reason="y[0] is 1")
    assert latest([timed, verified]) == [timed]
    assert latest([verified, timed]) == [timed]
    assert latest([timed, wrong, verified]) == [verified]


def test_the_latest_record_of_a_measurement_counts():
    first, other, second = record(seed=1), record(algorithm="fft_tiled"), record(seed=2)
    assert latest([first, other, second]) == [second, other]
    assert (
        len(
            latest(
                [first, record(config={"threads": 64}), record(device={"name": "other", "clock": "c", "is_gpu": True})]
            )
        )
        == 3
    )
