"""CSV and Parquet: every value reads back, and no text is a spreadsheet formula."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import synthetic
from convbench.report import to_csv, to_frame, to_parquet
from convbench.report.frame import COLUMNS
from records.test_record import failed
from report.test_report import timed

RECORDS = list(synthetic.network(np.random.default_rng(0), layers=4))
# what a record read from a file can hold: any text but halves of surrogate pairs
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")
FORMULAS = st.builds("".join, st.tuples(st.sampled_from(BEGINNINGS), TEXTS))


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_every_column_and_every_number():
    frame = to_frame(RECORDS)
    rows = cells(to_csv(frame))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == len(frame)
    for row, whole in zip(rows, frame.to_dict("records"), strict=True):
        for name in ("median_us", "low_us", "cold_us", "tflops", "fraction", "intensity", "compile_s"):
            assert float(row[name] or "nan") == pytest.approx(whole[name], rel=1e-15, nan_ok=True)
        for name in ("row", "n", "c", "flops", "min_bytes", "count"):
            assert int(row[name]) == whole[name]
        assert row["workspace_bytes"] == ("1048576" if whole["outcome"] == "passed" else "")
        assert row["exact"] == str(whole["exact"])
        assert (json.loads(row["phases_us"]) if row["phases_us"] else None) == (
            whole["phases_us"] if whole["outcome"] == "passed" else None
        )


@settings(max_examples=60)
@given(st.lists(st.one_of(TEXTS, FORMULAS), min_size=3, max_size=3))
def test_no_text_is_a_formula_and_each_comes_back(texts):
    layer, algorithm, reason = texts
    frame = to_frame([replace(failed(), layer=layer, algorithm=algorithm, reason=reason)])
    (row,) = cells(to_csv(frame))
    for name, text in (("layer", layer), ("algorithm", algorithm), ("reason", reason)):
        assert not row[name].startswith(BEGINNINGS[:7])
        assert row[name].removeprefix("'") == text if row[name].startswith("'") else row[name] == text
        assert row[name] in (text, f"'{text}")


def test_a_negative_number_stays_a_number():
    frame = to_frame([timed(1.0)]).assign(median_us=-1.5, fraction=-np.inf)
    (row,) = cells(to_csv(frame))
    assert (row["median_us"], row["fraction"]) == ("-1.5", "-inf")


def test_parquet_comes_back_with_its_types():
    frame = to_frame(RECORDS)
    back = pd.read_parquet(io.BytesIO(to_parquet(frame)))
    assert tuple(back.columns) == COLUMNS
    for name in COLUMNS:
        if name == "phases_us":
            assert [json.loads(text) if isinstance(text, str) else None for text in back[name]] == [
                phases if isinstance(phases, dict) else None for phases in frame[name]
            ]
        else:
            pd.testing.assert_series_equal(back[name], frame[name], check_dtype=False)
    assert str(back.flops.dtype).lower() == "int64"
    assert str(back.samples.dtype) == "Int64"
    assert back.exact.dtype == bool
    assert back.median_us.dtype == np.float64


def test_parquet_of_nothing_and_of_problems_without_measure():
    assert list(pd.read_parquet(io.BytesIO(to_parquet(to_frame([])))).columns) == list(COLUMNS)
    huge = to_frame([failed(problem=f"n{10**30}c1h1w1-k1r1s1"), failed(problem=f"n{'9' * 400}c1h1w1-k1r1s1")])
    back = pd.read_parquet(io.BytesIO(to_parquet(huge)))
    assert list(back.n) == [1e30, np.inf]
    assert re.match(r"1e\+30", cells(to_csv(huge))[0]["n"])
