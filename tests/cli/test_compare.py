"""`convbench compare`: its output, and its exit status."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cases import synthetic
from convbench.records.comparison import compare
from convbench.report.comparison_page import to_markdown
from support.command_line import assert_refused
from support.running import squeezed

EMULATED = {"device": synthetic.EMULATOR}


@pytest.fixture
def write(here):
    """Write records to a file of that name; returns its path."""

    def to(name, records, *, behind=""):
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(record.to_json() + "\n" for record in records) + behind)
        return path

    return to


def measured(seed=0, **fields):
    return list(
        synthetic.network(np.random.default_rng(seed), layers=3, algorithms=["direct", "im2col_gemm"], **fields)
    )


def with_slower(records, factor, seed=9):
    """The first record's measurement again, slower by this factor."""
    first, random = records[0], np.random.default_rng(seed)
    slow = synthetic.timed(random, first.timing.median_us * factor, problem=first.problem, layer=first.layer)
    return [slow, *records[1:]]


def ended(record, outcome):
    return replace(record, outcome=outcome, timing=None, reason="for the test")


def test_what_got_slower_comes_first_and_gives_status_1(convbench, write):
    old, new = write("old.jsonl", measured()), write("new.jsonl", with_slower(measured(1), 1.3))
    status, out, err = convbench("compare", old, new)
    assert (status, err) == (1, "")
    assert "**12 comparisons: 2 slower, 0 faster, 0 undecided, 10 same.**" in out
    table = squeezed(out).split("### Every comparison\n")[1].strip().splitlines()
    assert table[2].startswith("| slower | `n1c64h56w56-k64r3s3-pad1` | direct |")
    assert " 1.3" in table[2]
    assert [row.split("|")[1].strip() for row in table[2:14]] == ["slower"] * 2 + ["same"] * 10
    assert "### Geometric means" in out


def test_what_stayed_gives_status_0(convbench, write):
    old, new = write("old.jsonl", measured()), write("new.jsonl", measured(1))
    assert convbench("compare", old, new)[0] == 0
    assert convbench("compare", old, new, "--strict")[0] == 0


def test_what_got_faster_is_no_regression(convbench, write):
    old, new = write("old.jsonl", with_slower(measured(1), 1.3)), write("new.jsonl", measured())
    status, out, _ = convbench("compare", old, new)
    assert status == 0
    assert "0 slower, 2 faster" in out


def test_undecided_gives_status_3_only_if_strict_and_nothing_is_worse(convbench, write):
    few = [synthetic.sampled([20.0, 21.0, 22.0])]
    old, new = write("old.jsonl", few), write("new.jsonl", few)
    assert convbench("compare", old, new)[0] == 0
    status, out, _ = convbench("compare", old, new, "--strict")
    assert status == 3
    assert "OLD has 3 samples, and it takes 6" in out
    write("old.jsonl", [*few, *measured()])
    write("new.jsonl", [*few, *with_slower(measured(1), 1.3)])
    assert convbench("compare", old, new, "--strict")[0] == 1


@pytest.mark.parametrize(
    ("before", "after", "status", "word"),
    [("passed", "wrong", 1, "broken"), ("passed", "refused", 0, "changed"), ("wrong", "passed", 0, "mended")],
)
def test_an_outcome_that_changed_is_named(convbench, write, before, after, status, word):
    records = measured()
    sides = [[ended(records[0], end) if end != "passed" else records[0], *records[1:]] for end in (before, after)]
    found, out, _ = convbench("compare", write("old.jsonl", sides[0]), write("new.jsonl", sides[1]))
    assert found == status
    assert f"**1 outcome changed: 1 {word}.**" in out
    assert f"| {word} | `{records[0].problem}` | direct |" in squeezed(out)
    assert ": for the test" in out


def test_what_has_no_partner_is_named_on_both_sides(convbench, write):
    extra = synthetic.timed(np.random.default_rng(0), 9, algorithm="fft_tiled", direction="backward_data")
    old = write("old.jsonl", [*measured(), extra])
    new = write("new.jsonl", measured(1)[1:])
    status, out, _ = convbench("compare", old, new)
    assert status == 0
    assert "## Only in OLD: 2" in out
    assert "| fft_tiled (backward_data) | passed |" in squeezed(out)
    assert "## Only in NEW: 2" in convbench("compare", new, old)[1]
    many = [synthetic.record(algorithm=f"a{n}", outcome="refused", reason="no") for n in range(30)]
    out = convbench("compare", write("old.jsonl", [*measured(), *many]), new)[1]
    assert "And 11 more" in out
    assert len(json.loads(convbench("compare", old, new, "--json")[1])["only_old"]) == 31


def test_what_else_differs_is_listed(convbench, write):
    other = synthetic.ENVIRONMENT | {"commit": "ff"}
    out = convbench("compare", write("old.jsonl", measured()), write("new.jsonl", measured(1, environment=other)))[1]
    assert f"| commit | {synthetic.ENVIRONMENT['commit']} | ff |" in squeezed(out).split("## What else differs")[1]


def test_json_has_all_that_the_page_says(convbench, write):
    old, new = write("old.jsonl", measured()), write("new.jsonl", with_slower(measured(1), 1.3)[:-1])
    status, out, _ = convbench("compare", old, new, "--json", "--threshold", "0.05")
    told = json.loads(out)
    assert status == 1
    assert told["threshold"] == 0.05
    assert told["counts"]["slower"] == 2
    assert len(told["comparisons"]) == 10
    first = told["comparisons"][0]
    assert first["verdict"] == "slower"
    assert first["ratio"] == first["new_us"] / first["old_us"]
    assert first["interval"][0] < first["ratio"] < first["interval"][1]
    assert 0 < first["p"] <= first["p_of_all"] < 0.05
    assert [(one["name"], one["count"]) for one in told["means"]][:2] == [("all", 5), ("all", 5)]
    assert [one["algorithm"] for one in told["only_old"]] == ["im2col_gemm"]


def test_options_choose_what_is_compared(convbench, write):
    records = [*measured(), *measured(direction="backward_data")]
    old, new = write("old.jsonl", records), write("new.jsonl", records)

    def compared(*words):
        return json.loads(convbench("compare", old, new, "--json", *words)[1])["comparisons"]

    assert len(compared()) == 24
    assert {one["algorithm"] for one in compared("--algorithm", "direct")} == {"direct"}
    assert len(compared("--algorithm", "direct,im2col_gemm")) == 24
    assert {one["direction"] for one in compared("--direction", "backward_data")} == {"backward_data"}
    assert {one["cache"] for one in compared("--cache", "cold")} == {"cold"}


def test_folders_are_read_with_what_is_below_them(convbench, write):
    write("old/h200/a.jsonl", measured()[:2])
    write("old/b.jsonl", measured()[2:])
    new = write("new.jsonl", measured(1))
    out = convbench("compare", "old", new)[1]
    assert "12 comparisons" in out
    assert "Only in" not in out


def test_bad_lines_are_named_and_the_rest_is_compared(convbench, write):
    old = write("old.jsonl", measured(), behind='{"problem":"n1')
    new = write("new.jsonl", with_slower(measured(1), 1.3), behind="shopping\n")
    status, out, err = convbench("compare", old, new)
    assert status == 2
    assert "old.jsonl, line 7: a torn last line" in err
    assert "new.jsonl, line 7: no record" in err
    assert err.count("\n") == 2
    assert "2 slower" in out


def test_different_devices_are_refused_and_when_asked_for_it_is_said_first(convbench, write):
    old, new = write("old.jsonl", measured()), write("new.jsonl", measured(1, **EMULATED))
    status, out, err = convbench("compare", old, new)
    assert (status, out) == (2, "")
    assert "NVIDIA H200" in err
    assert "--across-devices" in err
    status, out, _ = convbench("compare", old, new, "--across-devices")
    assert status == 0
    top = out.split("\n\n")[1]
    assert top.startswith("**Different devices: OLD was measured on NVIDIA H200 (CUDA events")
    assert "emulated on CPU" in top
    header = next(line for line in squeezed(out).splitlines() if "| OLD |" in line)
    assert "| NEW (emulated on CPU) |" in header


def test_times_of_two_devices_share_no_table_and_no_mean():
    old, new = ([*measured(seed), *measured(seed + 2, **EMULATED)] for seed in (0, 1))
    page = to_markdown(compare(old, new), old="a", new="b")
    chapters = page.split("\n## ")[1:]
    assert [chapter.split(" (")[0] for chapter in chapters] == ["NVIDIA H200", "emulator"]
    assert "emulated" not in chapters[0]
    assert squeezed(chapters[1]).count("(emulated on CPU)") == 3
    for chapter in chapters:
        assert "| all | warm | 6 |" in squeezed(chapter)


def test_text_of_records_cannot_break_a_table():
    hostile = "a|b\n| x |"
    page = to_markdown(compare(_named(hostile), _named(hostile, seed=1)), old="a", new="b")
    assert "a\\|b \\| x \\|" in page


def _named(name, seed=0):
    return [synthetic.timed(np.random.default_rng(seed), 20, algorithm=name, family="direct")]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("old.jsonl", "none.jsonl"), ("none.jsonl", "No such file")),
        (("empty", "old.jsonl"), ("empty", "no records file")),
        (("nothing.jsonl", "old.jsonl"), ("OLD has no records",)),
        (("old.jsonl", "refused.jsonl", "--algorithm", "magic"), ("magic", "direct, im2col_gemm")),
        (("old.jsonl", "old.jsonl", "--direction", "sideways"), ("sideways", "backward_data")),
        (("old.jsonl", "old.jsonl", "--direction", "backward_data"), ("OLD has no records",)),
        (("old.jsonl", "old.jsonl", "--cache", "hot"), ("'hot'", "warm, cold")),
        (("old.jsonl", "old.jsonl", "--threshold", "3"), ("'3'", "3%")),
        (("old.jsonl", "old.jsonl", "--threshold", "0%"), ("'0%'", "above 0")),
        (("old.jsonl", "old.jsonl", "--threshold", "-1%"), ("'-1%'", "above 0")),
        (("old.jsonl", "old.jsonl", "--threshold", "nan"), ("'nan'", "0.03")),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_message_and_status_2(convbench, here, write, words, parts):
    (here / "empty").mkdir()
    write("old.jsonl", measured())
    write("nothing.jsonl", [])
    write("refused.jsonl", [synthetic.record(outcome="refused", reason="no")])
    assert_refused(convbench("compare", *words), *parts)


def test_comparing_nothing_is_no_success(convbench, write):
    refused = write("refused.jsonl", [synthetic.record(outcome="refused", reason="no")])
    old = write("old.jsonl", _named("fft_tiled"))
    for words in ((refused, refused), (old, write("new.jsonl", _named("direct")))):
        status, _, err = convbench("compare", *words)
        assert status == 2
        assert "nothing was compared" in err


def test_the_words_of_the_help_work(convbench, write):
    assert "convbench compare before after" in " ".join(convbench("compare", "--help")[1].split())
    write("before/h200/resnet50.jsonl", measured())
    write("after/h200/resnet50.jsonl", measured(1))
    assert convbench("compare", "before", "after")[0] == 0
