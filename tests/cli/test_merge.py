"""`merge` makes one file of several: nothing is lost or there twice, and the order of the files does not matter."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases.handmade import failed, record
from convbench.records import Record, latest, merge_records, one_writer, read_records
from convbench.tuning import add
from convbench.tuning.database import read_entries
from convbench.tuning.entry import Entry
from support.disk import files_up_to

NOON = "2026-01-02T12:00:00+00:00"
ENTRY = Entry(
    device="simulator", compute_capability=None, algorithm="direct", direction="forward", problem="n1c1h4w4-k2r3s3",
    config={"tile": 16}, median_us=10.0, interval_us=(9.0, 11.0), default_us=20.0, clock="CPU wall clock", timed=2,
    seed=0, version="0.1.0", commit="abc", when=NOON,
)  # fmt: skip
CASE = "direct forward n1c1h3w3-k1r2s2-stride2 integers seed=7"
LARGER = "direct forward n1c1h9w9-k1r2s2-stride2-bias integers seed=7"


def at(hour: int, **changes: object) -> Record:
    return record(when=f"2026-01-02T{hour:02}:00:00+00:00", **changes)


def write(path: Path, *lines: object) -> Path:
    texts = [one if isinstance(one, str) else one.to_json() for one in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


# ---- records


def test_records_of_several_files_are_there_once_and_in_the_order_of_their_measurement(convbench, here):
    first, second, third = at(3), at(1, algorithm="fft_tiled"), failed("crashed", when=NOON, algorithm="tiled")
    write(here / "a.jsonl", first, second, first)
    write(here / "b.jsonl", third, first)
    status, out, err = convbench("merge", "all.jsonl", "a.jsonl", "b.jsonl")
    assert (status, err) == (0, "")
    assert out == (
        "Merged:   records of 2 files into all.jsonl\nKept:     3\nLeft out: 2 that say the same as another\n"
    )
    assert read_records(here / "all.jsonl") == ([second, first, third], [])
    assert sorted(file.name for file in here.iterdir()) == ["a.jsonl", "all.jsonl", "b.jsonl"]


def test_of_results_that_differ_all_stay_and_the_last_measured_counts_and_this_is_told(convbench, here):
    old, new = at(1, seed=1), at(2, seed=2)
    write(here / "a.jsonl", new)
    write(here / "b.jsonl", old)
    status, _, err = convbench("merge", "all.jsonl", "a.jsonl", "b.jsonl")
    assert status == 0
    assert err.endswith("2 results, of which that of 2026-01-02T02:00:00+00:00 counts\n")
    assert latest(read_records(here / "all.jsonl")[0]) == [new]


@settings(max_examples=30, deadline=None)  # each waits until a file is on disk
@given(st.data())
def test_the_order_of_the_files_does_not_matter_and_merging_again_changes_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("merged")
    few = st.builds(at, st.integers(1, 2), seed=st.integers(1, 3), algorithm=st.sampled_from(["direct", "fft_tiled"]))
    files = [write(folder / f"{number}.jsonl", *data.draw(st.lists(few, max_size=4)), at(1)) for number in range(3)]
    merge_records(files, folder / "a")
    merge_records(data.draw(st.permutations(files)), folder / "b")
    whole = (folder / "a").read_text()
    assert (folder / "b").read_text() == whole
    merge_records([folder / "a", *files], folder / "a")
    assert (folder / "a").read_text() == whole
    every = [one for file in files for one in read_records(file)[0]]
    assert {one.to_json() for one in every} == set(whole.splitlines())
    assert len(set(whole.splitlines())) == whole.count("\n")
    for file in files:  # what counts of one file alone counts as it did
        alone = read_records(file)[0]
        merge_records([file], folder / "c")
        hours = {one.when for one in alone}
        if len(hours) == 1:
            assert {one.to_json() for one in latest(read_records(folder / "c")[0])} == {
                one.to_json() for one in latest(alone)
            }


def test_a_result_that_is_there_is_merged_too_and_a_second_call_changes_nothing(convbench, here):
    write(here / "all.jsonl", at(1, seed=1))
    write(here / "b.jsonl", at(2, seed=2))
    (here / "all.jsonl").chmod(0o640)
    texts = []
    for _ in range(2):
        assert convbench("merge", "all.jsonl", "b.jsonl")[0] == 0
        texts.append((here / "all.jsonl").read_text())
    assert texts[0] == texts[1]
    assert [one.seed for one in read_records(here / "all.jsonl")[0]] == [1, 2]
    assert (here / "all.jsonl").stat().st_mode & 0o777 == 0o640


def test_folders_stand_for_their_files_and_json_tells_all(convbench, here):
    (here / "shards" / "deep").mkdir(parents=True)
    write(here / "shards" / "a.jsonl", at(1))
    write(here / "shards" / "deep" / "b.jsonl", at(2), "milk")
    status, out, err = convbench("merge", "new/all.jsonl", "shards", "--json")
    assert status == 2, "a line is no record"
    assert "b.jsonl, line 2: no record" in err
    told = json.loads(out)
    assert {key: told[key] for key in ("out", "kind", "files", "kept", "doubled", "explained")} == {
        "out": "new/all.jsonl", "kind": "records", "files": 2, "kept": 2, "doubled": 0, "explained": 0,
    }  # fmt: skip
    assert len(told["conflicts"]) == len(told["bad_lines"]) == 1


def test_a_line_of_the_result_that_is_no_record_is_not_lost(convbench, here):
    before = write(here / "all.jsonl", at(1), "milk").read_text()
    write(here / "b.jsonl", at(2))
    status, out, err = convbench("merge", "all.jsonl", "b.jsonl")
    assert (status, out) == (2, "")
    assert "all.jsonl, line 2: no record" in err
    assert "is not replaced" in err
    assert (here / "all.jsonl").read_text() == before


def test_a_torn_line_is_named_and_left_out(convbench, here):
    (here / "a.jsonl").write_text(at(1).to_json() + "\n" + at(2).to_json()[:-9])
    status, _, err = convbench("merge", "all.jsonl", "a.jsonl")
    assert status == 2
    assert "a.jsonl, line 2: a torn last line" in err
    assert read_records(here / "all.jsonl") == ([at(1)], [])


# ---- tuned configs


def test_of_tuned_configs_the_last_measured_stay_with_lines_that_are_none(convbench, here):
    newer, other = replace(ENTRY, when="2026-01-03T12:00:00+00:00"), replace(ENTRY, algorithm="fft_tiled")
    for place, entries in (("a.jsonl", [newer, other]), ("b.jsonl", [ENTRY, other])):
        for entry in entries:
            add(here / place, entry)
    with (here / "b.jsonl").open("a") as file:
        file.write("milk\n")
    texts = set()
    for order in (("a.jsonl", "b.jsonl"), ("b.jsonl", "a.jsonl")):
        (here / "all").unlink(missing_ok=True)
        status, out, err = convbench("merge", "all", *order)
        assert status == 2
        assert "b.jsonl, line 3: no tuned config" in err
        assert "2 entries, of which that of 2026-01-03T12:00:00+00:00 is kept" in err
        assert "Kept:     2\nLeft out: 1 that say the same" in out
        texts.add((here / "all").read_text())
    assert texts == {f"{newer.to_json()}\n{other.to_json()}\nmilk\n"}
    assert read_entries(here / "all")[0] == [newer, other]


# ---- failing cases


def test_of_failing_cases_the_smallest_of_each_bug_stays(convbench, here):
    write(here / "a.txt", f"{LARGER}  # direct, forward: crash (Oops)", f"{CASE}  # direct, forward: crash (Help)")
    write(here / "b.txt", "# before it: x", f"{CASE}  # direct, forward: crash (Oops)", "milk")
    status, out, err = convbench("merge", "all.txt", "a.txt", "b.txt")
    assert status == 2
    assert "b.txt, line 3: 1 words" in err
    assert "Kept:     2\nLeft out: 1 of a bug with a smaller case\n" in out
    assert (here / "all.txt").read_text() == (
        f"{CASE}  # direct, forward: crash (Help)\n# before it: x\n{CASE}  # direct, forward: crash (Oops)\n"
    )


def test_failing_cases_are_added_to_a_folder_and_to_a_file_that_stays_as_it_was(convbench, here):
    (here / "shared").mkdir()
    write(here / "a.txt", f"{LARGER}  # direct, forward: crash (Oops)", f"{CASE}  # mine")
    assert convbench("merge", "shared", "a.txt")[0] == 0
    assert len(list((here / "shared").iterdir())) == 2
    before = write(here / "mine.txt", "# of mine", "", f"{CASE}  # mine").read_text()
    assert convbench("merge", "mine.txt", "shared")[0] == 0
    assert (here / "mine.txt").read_text() == f"{before}{LARGER}  # direct, forward: crash (Oops)\n"


# ---- what is refused, and faults


def test_the_content_tells_the_kind_and_several_kinds_are_refused(convbench, here):
    write(here / "records", at(1))
    write(here / "entries", ENTRY)
    write(here / "cases", "# mine", CASE)
    write(here / "empty", "")
    for kind, place in (("records", "records"), ("tuned configs", "entries"), ("failing cases", "cases")):
        told = json.loads(convbench("merge", f"all-{place}", place, "empty", "--json")[1])
        assert (told["kind"], told["kept"]) == (kind, 1)
    status, _, err = convbench("merge", "all", "records", "entries", "cases")
    assert status == 2
    assert "records has records, entries has tuned configs, cases has failing cases" in err
    assert not (here / "all").exists()
    assert convbench("merge", "cases", "records")[0] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("all", "none.jsonl"), "there is no file none.jsonl"),
        (("all", "milk"), "milk, line 1: it is none of records, tuned configs, failing cases"),
        (("all", "empty"), "there is nothing to merge"),
        (("all", "folder"), "folder folder has neither records"),
        (("folder", "records"), "folder is a folder; records are merged into a file"),
        (("milk/all", "records"), "milk/all cannot be written"),
        (("all",), "Missing argument"),
    ],
)
def test_a_call_that_makes_no_sense_is_one_message(convbench, here, words, told):
    write(here / "milk", "milk", "and more")
    write(here / "empty", "", "# nothing")
    write(here / "records", at(1))
    (here / "folder").mkdir()
    status, out, err = convbench("merge", *words)
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize("lines", [(at(1), at(2, seed=2)), (ENTRY,), (CASE,)])
def test_a_full_disk_leaves_the_result_as_it_was(convbench, here, lines):
    write(here / "all", lines[0])
    write(here / "b", *lines, *(one.replace("seed=7", "seed=8") if isinstance(one, str) else one for one in lines))
    before = (here / "all").read_text()
    if lines == (ENTRY,):
        write(here / "b", replace(ENTRY, algorithm="other"))
    with files_up_to(len(before)):
        status, _, err = convbench("merge", "all", "b")
    assert status == 2
    assert "cannot be written" in err
    assert (here / "all").read_text() == before
    assert sorted(file.name for file in here.iterdir()) == ["all", "b"]


def test_a_file_that_a_run_is_writing_is_not_replaced(convbench, here):
    write(here / "all.jsonl", at(1))
    write(here / "b.jsonl", at(2))
    with one_writer(here / "all.jsonl"):
        status, _, err = convbench("merge", "all.jsonl", "b.jsonl")
    assert status == 2
    assert f"all.jsonl is being written by process {os.getpid()}" in err
    assert read_records(here / "all.jsonl")[0] == [at(1)]
