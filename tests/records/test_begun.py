"""The file of what was begun: what a command that ends without a word leaves there, and nothing else."""

import json
from contextlib import suppress

import pytest

from convbench.records import BegunFile, read_records

ONE, TWO, THREE = ("n1c2", "direct", "1"), ("n1c2", "a much longer name of an algorithm", "1"), ("n1c3", "×", "1")


def left(path, *deeds, goes_on=True):
    """What a command leaves that does this and then ends without a word; "one" begins it and "-one" ends it."""
    jobs = {"one": ONE, "two": TWO, "three": THREE}
    file = BegunFile(path, goes_on=goes_on, tell=pytest.fail)
    for deed in deeds:
        (file.end if deed.startswith("-") else file.begin)(jobs[deed.lstrip("-")])
    return BegunFile(path, goes_on=True, tell=pytest.fail).times


def test_what_is_under_way_at_the_end_is_what_was_not_ended(tmp_path):
    path = tmp_path / "mine.jsonl"
    assert left(path) == {}
    assert left(path, "one", goes_on=False) == {ONE: 1}
    assert left(path, "one", "-one", goes_on=False) == {}
    assert left(path, "one", "two", "one", "three", "-three", "two", "one", goes_on=False) == {ONE: 1}
    assert left(path, "two", "one") == {ONE: 2}
    assert left(path, "three") == {ONE: 2, THREE: 1}
    assert left(path, "one", "-one", "two") == {TWO: 1, THREE: 1}, "a job that has ended is no longer held against it"
    assert left(path, "one", goes_on=False) == {ONE: 1}, "a command that does not go on begins anew"


def test_an_orderly_end_leaves_what_was_there_before(tmp_path):
    path = tmp_path / "mine.jsonl"
    left(path, "one")
    with suppress(KeyboardInterrupt), BegunFile(path, goes_on=True) as file:
        file.begin(TWO)
        file.begin(ONE)
        raise KeyboardInterrupt
    with BegunFile(path, goes_on=True) as file:
        assert file.times == {ONE: 1}
        file.begin(ONE)
        file.end(ONE)
    assert list(tmp_path.iterdir()) == []


def test_readers_of_records_do_not_see_it_and_its_size_does_not_grow(tmp_path):
    path = tmp_path / "mine.jsonl"
    file = BegunFile(path, goes_on=False)
    for _ in range(1000):
        file.begin(ONE)
        file.begin(TWO)
    assert file.path.name == "mine.jsonl.begun"
    assert file.path.stat().st_size < 200
    assert json.loads(file.path.read_text()) == {"job": list(TWO), "times": 1}
    path.write_text("")
    assert read_records(path) == ([], [])


def test_lines_that_are_no_jobs_say_nothing(tmp_path):
    path = tmp_path / "mine.jsonl"
    left(path, "one")
    lines = ["", "{", "[]", '{"job": 1, "times": 1}', '{"job": ["a", 2], "times": 1}', '{"job": ["a"]}', "[" * 99_999]
    begun = path.with_name("mine.jsonl.begun")
    begun.write_bytes("\n".join([*lines, begun.read_text()]).encode() + b"\xff\xfe\n")
    assert BegunFile(path, goes_on=True).times == {ONE: 1}


def test_a_file_that_cannot_be_written_is_told_once(tmp_path):
    told = []
    with BegunFile(tmp_path / "gone" / "mine.jsonl", goes_on=False, tell=told.append) as file:
        file.begin(ONE)
        file.begin(TWO)
        file.end(TWO)
    assert len(told) == 1
    assert "mine.jsonl.begun (No such file or directory)" in told[0]
