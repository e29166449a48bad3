"""What an algorithm does to its process costs its own result, in every command; `nox -s faults` has the whole table."""

import json

import pytest

from convbench.algorithm import registry
from convbench.measurement.limits import memory_reason, needed_bytes
from convbench.problem.notation import parse
from convbench.records import read_records
from convbench.tuning.database import read_entries
from support.plugins import ENDS_WITH_ONE

PROBLEMS = "n1c2h5w5-k2r3s3", "n1c3h4w4-k2r1s1"

PLUGIN = (
    """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path
from convbench.algorithm import registry
from algorithms.direct.plain import Config, Direct, DirectPlan

class Ends(Direct):
    name = "ends"

    def plan(self, *args, **kwargs):
        with Path("deaths").open("a") as file:
            file.write("one\\n")
        print("the last words", flush=True)
        os._exit(0)

class HangsOnce(Direct):
    name = "hangs_once"

    def plan(self, *args, **kwargs):
        if not Path("hung").exists():
            Path("hung").touch()
            time.sleep(600)
        return super().plan(*args, **kwargs)

class KilledWhenAsked(Direct):
    name = "killed_when_asked"

    def limits(self, *args):
        if Path("kill").exists():
            Path("kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().limits(*args)

class AtLast(DirectPlan):
    def run(self, *arrays):
        AtLast.runs += 1
        if AtLast.runs > 12:  # it is timed by then
            os._exit(5)
        super().run(*arrays)

AtLast.runs = 0

class EndsLate(Direct):
    name, plans = "ends_late", {"forward": AtLast}

"""
    + ENDS_WITH_ONE
    + """
for algorithm in (Ends, HangsOnce, KilledWhenAsked, EndsLate, EndsWithOne):
    registry.register(algorithm)
"""
)


@pytest.fixture
def call(convbench, here, monkeypatch):
    (here / "wild.py").write_text(PLUGIN)

    def run(command, algorithms, *words):
        monkeypatch.setattr(registry, "_registered", {})  # as in a process of its own
        return convbench(
            command, *(() if command == "fuzz" else PROBLEMS), "--plugin", "wild.py", "--algorithm", algorithms,
            "--device", "emulator", *words,
        )  # fmt: skip

    return run


def test_verify_keeps_a_record_of_each_and_does_none_twice(call, here):
    words = "--out", "kept", "--json"
    status, out, err = call("verify", "direct,ends,im2col_gemm", *words)
    assert status == 1
    outcomes = [(row["algorithm"], row["outcome"]) for row in json.loads(out)]
    assert outcomes == [("direct", "passed"), ("ends", "crashed"), ("im2col_gemm", "passed")] * 2
    assert "2 of 6 results are wrong or failed: 2 crashed" in err
    assert f"convbench verify {PROBLEMS[0]} --algorithm ends --seed 0 --device emulator --plugin wild.py" in err
    (file,) = (here / "kept").rglob("*.jsonl")
    records, bad = read_records(file)
    assert ([(one.algorithm, one.outcome) for one in records], bad) == (outcomes, [])
    assert all(one.timing is None for one in records)
    reason, output = {(one.reason, one.output) for one in records if one.algorithm == "ends"}.pop()
    assert (reason, output) == ("it ended its process, with status 0", "the last words\n")

    status, out, _ = call("verify", "direct,ends,im2col_gemm", *words, "--resume")
    assert (status, [(row["algorithm"], row["outcome"]) for row in json.loads(out)]) == (1, outcomes)
    assert read_records(file)[0] == records
    assert (here / "deaths").read_text().count("one") == 2
    call("verify", "direct,ends,im2col_gemm", *words, "--retry", "crashed")
    assert (here / "deaths").read_text().count("one") == 4
    assert len(read_records(file)[0]) == len(records) + 2


@pytest.mark.parametrize("when", ["at first", "by --resume"])
def test_a_process_that_is_killed_when_it_tells_the_config_costs_no_second_record(call, here, when):
    words = "--out", "kept", "--resume"
    for attempt in ("at first", "by --resume"):
        if attempt == when:
            (here / "kill").touch()
        assert call("verify", "killed_when_asked", *words)[0] == 0
        records = read_records(next((here / "kept").rglob("*.jsonl")))[0]
        assert [(one.problem, one.outcome, "threads" in one.config) for one in records] == [
            (problem, "passed", True) for problem in PROBLEMS
        ]
    assert not (here / "kill").exists()


def test_bench_times_the_others_when_one_ends_while_it_is_timed(call, here):
    status, _, err = call("bench", "direct,ends_late,im2col_gemm", "--gpu", "none", "--out", "kept")
    assert status == 1
    assert "crashed" in err
    records = read_records(next((here / "kept").rglob("*.jsonl")))[0]
    assert len(records) == 6
    assert all((one.timing is not None) == (one.algorithm != "ends_late") for one in records)
    assert {one.reason for one in records if one.algorithm == "ends_late"} == {"it ended its process, with status 5"}


def test_tune_goes_on_with_the_other_configs(call, here):
    status, _, _ = call("tune", "ends_with_one", "--out", "tried.jsonl", "--database", "tuned.jsonl")
    assert status == 1
    tried = [(one.problem, one.config["threads"], one.outcome) for one in read_records(here / "tried.jsonl")[0]]
    for problem in PROBLEMS:
        assert {(threads, what) for text, threads, what in tried if text == problem} == {
            (32, "passed"), (64, "crashed"), (128, "passed"),
        }  # fmt: skip
    assert {entry.problem for entry in read_entries(here / "tuned.jsonl")[0]} == {*PROBLEMS}


def test_a_campaign_goes_on_after_a_case_that_does_not_end_and_without_what_always_ends(call, here):
    words = "--timeout", "10", "--examples", "24", "--keep-going", "--direction", "forward", "--json"
    status, out, _ = call("fuzz", "direct,ends,hangs_once", *words)
    assert status == 1
    told = json.loads(out)
    reasons = {(one["cause"]["algorithm"], one["cause"]["fault"]): one["reason"] for one in told["failures"]}
    assert reasons == {
        ("ends", "the process ended"): "it ended its process, with status 0",
        ("hangs_once", "does not end"): "it did not end within 10 s",
    }
    assert len(told["failures"]) == 2
    assert ["ends took 3 processes down" in reason for reason in told["lost"]] == [True]
    assert told["algorithms"]["direct"]["cases"] > 0


def test_a_problem_whose_data_does_not_fit_is_out_of_memory_before_it_is_begun():
    problem = parse("n8c64h256w256-k64r1s1")  # 2 × 2^25 elements of x and y
    assert needed_bytes(problem, "forward") > 2**32
    assert memory_reason(problem, "forward", None) is None
    assert memory_reason(problem, "forward", 2**40) is None
    assert "about 5.6 GiB of host memory, and a worker may take 4.0 GiB" in memory_reason(problem, "forward", 2**32)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--isolation", "proces"), "isolation 'proces' is unknown; there are process, none; did you mean process?"),
        (("--timeout", "0"), "--timeout is 0; it must be more than 0"),
        (("--timeout", "5"), "--timeout limits a worker process, and there is none; add --isolation process"),
        (("--memory", "much", "--isolation", "process"), "--memory 'much' is no size"),
        (("--memory", "1MB", "--isolation", "process"), "--memory 1MB is less than a worker needs to start"),
        (("--resume",), "--resume goes on with a records file; name its folder with --out"),
        (("--out", "kept", "--retry", "crashd"), "--retry 'crashd' is no outcome"),
        (("--out", "kept", "--retry", ""), "--retry '' is no outcome"),
    ],
)
def test_an_option_that_cannot_be_is_one_message(convbench, here, words, told):
    status, _, err = convbench("verify", PROBLEMS[0], "--algorithm", "direct", "--device", "emulator", *words)
    assert status == 2
    assert told in err
    assert "Traceback" not in err
