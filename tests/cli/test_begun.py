"""What ended a whole command is known to the next: it is tried once more, apart, and then recorded as crashed."""

import json
import os
import signal
import time

import pytest

from convbench.algorithm import registry
from convbench.records import read_records
from support.command_line import started, status_of
from support.plugins import ENDS_WITH_ONE

PROBLEMS = "n1c2h3w3-k1r1s1", "n1c1h3w3-k1r1s1"
KEPT = "--out", "kept"

PLUGIN = (
    """
import os, time
from pathlib import Path
from convbench.algorithm import registry
from algorithms.direct.plain import Config, Direct

class Ends(Direct):
    name = "ends"
    def plan(self, problem, *args, **kwargs):
        if problem.c == 2:
            os._exit(9)
        return super().plan(problem, *args, **kwargs)

class Waits(Direct):
    name = "waits"
    def plan(self, problem, *args, **kwargs):
        if problem.c == 2:
            Path("begun").touch()
            time.sleep(60)
        return super().plan(problem, *args, **kwargs)

"""
    + ENDS_WITH_ONE
    + """
registry.register(Ends)
registry.register(EndsWithOne)
registry.register(Waits)
"""
)


@pytest.fixture
def words(here, monkeypatch):
    (here / "wild.py").write_text(PLUGIN)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))

    def words(command, algorithms, *more):
        monkeypatch.setattr(registry, "_registered", {})  # as in a process of its own
        return [
            command, *PROBLEMS, "--plugin", "wild.py", "--algorithm", algorithms, "--device", "simulator",
            "--isolation", "none", *more,
        ]  # fmt: skip

    return words


def ended_in_the_wait(here, words, number):
    """The exit status of a command that gets a signal when it has begun the job that waits."""
    child = started(words)
    deadline = time.monotonic() + 60
    while not (here / "begun").exists() or not list(here.rglob("*.begun")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.5)  # a worker's job is seen a few times in a second
    os.kill(child, number)
    (here / "begun").unlink()
    return status_of(child)


def kept(here):
    (file,) = (here / "kept").rglob("*.jsonl")
    records, bad = read_records(file)
    assert bad == []
    return {(one.algorithm, one.problem): one for one in records}, len(records)


def test_what_ended_the_process_is_tried_once_more_in_a_worker(here, words, convbench):
    assert status_of(started(words("verify", "direct,ends", *KEPT))) == 9
    assert list(kept(here)[0]) == [("direct", PROBLEMS[0])]
    (begun,) = here.rglob("*.begun")
    assert json.loads(begun.read_text())["job"][:3] == [PROBLEMS[0], "forward", "ends"]

    status, _, err = convbench(*words("verify", "direct,ends", *KEPT, "--resume"))
    assert status == 1
    assert f"ends on {PROBLEMS[0]}: under way when an earlier command ended; tried once more, in a worker" in err
    records, count = kept(here)
    assert count == len(records) == 4
    outcomes = {name: one.outcome for name, one in records.items()}
    assert outcomes.pop(("ends", PROBLEMS[0])) == "crashed"
    assert records["ends", PROBLEMS[0]].reason == "it ended its process, with status 9"
    assert set(outcomes.values()) == {"passed"}
    assert not begun.exists()


def test_a_job_that_two_killed_commands_began_is_crashed_and_an_orderly_end_does_not_count(here, words, convbench):
    first, again = words("verify", "direct,waits", *KEPT), words("verify", "direct,waits", *KEPT, "--resume")
    assert ended_in_the_wait(here, first, signal.SIGTERM) == 130
    assert not list(here.rglob("*.begun"))
    assert ended_in_the_wait(here, again, signal.SIGKILL) == -signal.SIGKILL
    assert ended_in_the_wait(here, again, signal.SIGKILL) == -signal.SIGKILL
    status, _, _ = convbench(*words("verify", "direct,waits", *KEPT, "--resume"))
    assert not (here / "begun").exists(), "it did not run"
    assert status == 1
    records, count = kept(here)
    assert count == len(records) == 4
    lost = records.pop(("waits", PROBLEMS[0]))
    assert lost.outcome == "crashed"
    assert lost.reason == "it was begun 2 times, and each time the whole command ended before it did"
    assert {one.outcome for one in records.values()} == {"passed"}
    assert not list(here.rglob("*.begun"))


def test_a_config_that_ended_a_search_is_tried_apart_and_what_is_known_is_not_tried_again(here, words, convbench):
    search = "--gpu", "none", "--out", "tried.jsonl", "--database", "tuned.jsonl"

    def tune(*more):
        return [word for word in words("tune", "ends_with_one", *search, *more) if word != PROBLEMS[1]]

    refused = convbench("tune", PROBLEMS[0], "--resume")
    assert refused[0] == 2
    assert "--resume goes on with the records of an earlier search; name their file with --out" in refused[2]
    assert status_of(started(tune())) == 6
    for _ in range(2):
        status, _, _ = convbench(*tune("--resume"))
        assert status == 1
        tried, bad = read_records(here / "tried.jsonl")
        assert sorted((one.config["threads"], one.outcome) for one in tried) == [
            (32, "passed"), (64, "crashed"), (128, "passed"),
        ]  # fmt: skip
        assert bad == []
    assert not list(here.rglob("*.begun"))
