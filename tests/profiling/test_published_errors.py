"""The errors that the model tells beside its times are those of the committed table."""

import re
from pathlib import Path

import pytest

from convbench.profiling import model

TABLE = (Path(__file__).parents[2] / "reports" / "predicted" / "published_times.md").read_text(encoding="utf-8")
OF_WORDS = {words: name for name, words in model.WORDS.items()}


def test_the_median_error_is_that_of_the_table():
    (found,) = re.findall(r"of sizes that fill one: median error ([\d.]+)%", TABLE)
    assert pytest.approx(float(found) / 100, abs=0.005) == model.MEDIAN_ERROR


def test_nine_of_ten_times_are_in_the_interval_of_their_limit():
    rows = TABLE.partition("| bound by, without reductions and scans |")[2].partition("\n\n")[0]
    found = re.findall(r"^\| (.+?) \| (\d+) \| [\d.]+% \| ([\d.]+)% \|", rows, re.MULTILINE)
    assert {OF_WORDS[words] for words, count, _ in found if int(count) >= 10} == set(model.ERRORS)
    for words, count, error in found:
        told = model.ERRORS.get(OF_WORDS[words], model.WORST_ERROR)
        if int(count) >= 10:
            assert told == pytest.approx(float(error) / 100, abs=0.0101)
        assert told >= float(error) / 100 - 0.005


def test_the_series_is_ranked_as_it_was_published():
    ranked = re.findall(r"^\| NVIDIA [^|]*\| 7 \| ([\d.]+)% \|[^|]*\|[^|]*\| ([\d.]+) \|", TABLE, re.MULTILINE)
    assert len(ranked) == 3
    for error, correlation in ranked:
        assert float(error) <= 20
        assert float(correlation) == 1
