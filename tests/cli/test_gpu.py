"""`convbench gpu`: its duration, the files that it writes, its errors, and that it needs no optional packages."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from cases.wrong_algorithms import WrongAt, algorithm_of
from convbench.algorithm import registry
from convbench.devices.simulator import SimulatorDevice
from convbench.measurement import Effort
from convbench.problem.notation import parse
from convbench.records import read_records
from convbench.survey import Orders, Survey
from convbench.workload import Layer, Workload
from support.command_line import assert_refused

SMALL = "n1c2h5w5-k2r3s3"
EFFORT = Effort(warmup=0, minimum=6, maximum=6, max_seconds=1, caches=("warm",))
FILES = {"correctness.jsonl", "standard.jsonl", "ratios.md", "ratios.csv", "standard.md", "environment.json"}
TRIAL = ("gpu", "--out", "survey", "--device", "simulator", "--workload", "small.txt", "--check", SMALL)


ONE = ("--plugin", "one.py", "--algorithm", "one")  # an algorithm of one direction and dtype
ONE_PY = """
from algorithms.direct.plain import Direct, DirectPlan
from convbench import register
@register
class One(Direct):
    name, dtypes, plans = "one", ("float32",), {"forward": DirectPlan}
"""


@pytest.fixture
def small(here, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    (here / "small.txt").write_text("n4c2h5w5-k2r3s3-pad1\n")
    (here / "one.py").write_text(ONE_PY)
    return here


def test_a_trial_without_a_gpu_comes_to_its_end_and_leaves_at_most_eight_files(convbench, small):
    (small / "survey").mkdir()
    (small / "survey" / "standard.jsonl").write_text("of an earlier survey\n")
    (small / "survey" / "mine.txt").write_text("not ours\n")
    status, out, err = convbench(*TRIAL, "--algorithm", "direct", "--seconds", "200")
    assert (status, err) == (0, "")
    found = {path.name for path in (small / "survey").iterdir()} - {"mine.txt"}
    assert found <= FILES
    assert found == FILES - {"ratios.csv"}, "there is no library here, and so no ratio"
    assert len(FILES) <= 8
    records, bad = read_records(small / "survey" / "standard.jsonl")
    assert bad == []
    assert {(one.algorithm, one.outcome) for one in records} == {
        ("direct", "passed"), ("cudnn", "refused"), ("cudnn_tf32", "refused"),
    }  # fmt: skip
    rows = [json.loads(line) for line in (small / "survey" / "correctness.jsonl").read_text().splitlines()]
    direct = registry.get("direct")
    assert [(row["direction"], row["dtype"]) for row in rows] == [
        (direction, dtype) for dtype in direct.dtypes for direction in direct.plans
    ]
    assert {row["outcome"] for row in rows} == {"passed"}
    facts = json.loads((small / "survey" / "environment.json").read_text())
    assert facts["device"]["name"] == "simulator"
    assert facts["seconds"] < 200
    assert facts["correctness"]["left_out"] == facts["times"]["left_out"] == []
    assert "Survey of simulator (CPU wall clock, simulated)" in out
    assert "not measured" in out


def test_a_second_survey_leaves_alone_what_the_first_is_writing(convbench, small):
    nothing = Workload(name="nothing", source="", layers=())
    orders = Orders(out=small / "survey", workload=nothing, seconds=1, algorithms=("direct",), problems=(SMALL,))
    running = Survey(SimulatorDevice(), orders).run()
    next(running)
    (small / "survey" / "standard.jsonl").write_text("of the first\n")
    status, out, err = convbench(*TRIAL, "--algorithm", "direct")
    running.close()
    assert (status, out) == (2, "")
    assert "survey/ratios.md is being written by process" in err
    assert (small / "survey" / "standard.jsonl").read_text() == "of the first\n"


def test_a_survey_that_has_no_time_says_what_it_left_out(convbench, small):
    status, out, _ = convbench(*TRIAL, "--algorithm", "direct", "--seconds", "1", "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["times"]["left_out"] == ["n4c2h5w5-k2r3s3-pad1 n4c2h5w5-k2r3s3-pad1"]
    done, planned_ = facts["correctness"]["done"], facts["correctness"]["planned"]
    assert len(facts["correctness"]["left_out"]) == planned_ - done > 0
    page = (small / "survey" / "ratios.md").read_text()
    assert "Left out for lack of time, 1 layers: n4c2h5w5-k2r3s3-pad1" in page


def test_what_is_wrong_gives_status_1_and_is_named(convbench, small, monkeypatch):
    wrong = algorithm_of(type("Wrong", (WrongAt,), {}))
    type(wrong).name = "mine"
    monkeypatch.setattr(registry, "_registered", {"mine": wrong})
    status, out, err = convbench(*TRIAL, "--algorithm", "mine")
    assert status == 1
    assert "Failed: mine forward n1c2h5w5-k2r3s3:" in out
    assert "results are wrong or failed" in err


DIES_PY = """
import os
class Dying(DirectPlan):
    def run(self, *arrays):
        os._exit(0)

@register
class Dies(Direct):
    name, dtypes, plans = "dies", ("float32",), {"forward": Dying}
"""


def test_what_dies_is_named_first_and_the_others_are_measured(convbench, small):
    (small / "dies.py").write_text(ONE_PY + DIES_PY)
    status, _, _ = convbench(
        "gpu", "--out", "survey", "--device", "emulator", "--workload", "small.txt", "--check", SMALL,
        "--plugin", "dies.py", "--algorithm", "one,dies",
    )  # fmt: skip
    assert status == 1
    page = (small / "survey" / "ratios.md").read_text()
    died = "Died or did not end: dies (crashed on n1c2h5w5-k2r3s3); the others went on"
    assert 0 < page.index(died) < page.index("Correctness: ")
    records = read_records(small / "survey" / "standard.jsonl")[0]
    assert {(one.algorithm, one.outcome) for one in records if one.family != "baseline"} == {
        ("one", "passed"), ("dies", "crashed"),
    }  # fmt: skip
    rows = [json.loads(line) for line in (small / "survey" / "correctness.jsonl").read_text().splitlines()]
    assert {(row["algorithm"], row["outcome"]) for row in rows} == {("one", "passed"), ("dies", "crashed")}


ENDS_WHEN_ASKED_PY = """
import os
@register
class Ends(Direct):
    name, dtypes, plans = "ends", ("float32",), {"forward": DirectPlan}

    def limits(self, problem, direction):
        os._exit(0)
"""


def test_what_ends_the_process_where_it_is_asked_is_named_first_and_the_others_are_measured(convbench, small):
    (small / "ends.py").write_text(ONE_PY + ENDS_WHEN_ASKED_PY)
    status, _, _ = convbench(
        "gpu", "--out", "survey", "--device", "emulator", "--workload", "small.txt", "--check", SMALL,
        "--plugin", "ends.py", "--algorithm", "one,ends",
    )  # fmt: skip
    assert status == 1
    page = (small / "survey" / "ratios.md").read_text()
    assert "Died or did not end: ends (crashed on n1c2h5w5-k2r3s3); the others went on" in page
    records = read_records(small / "survey" / "standard.jsonl")[0]
    found = Counter((one.algorithm, one.problem, one.outcome) for one in records if one.family != "baseline")
    layouts = "n4c2h5w5-k2r3s3-pad1", "n4c2h5w5-k2r3s3-pad1-NHWC"
    assert found == {
        (name, layout, outcome): 1 for layout in layouts for name, outcome in (("one", "passed"), ("ends", "crashed"))
    }
    assert {one.reason for one in records if one.algorithm == "ends"} == {"it ended its process, with status 0"}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("gpu", "--out", "survey"), ("cuda was asked for", "no driver, for the test")),
        (("gpu", "--out", "survey", "--workload", "none"), ("'none'", "standard")),
        (("gpu", "--out", "survey", "--device", "emulator", "--check", "n1"), ("position",)),
        (("gpu", "--out", "/dev/null/x", "--device", "emulator", "--workload", "lenet5"), ("/dev/null/x",)),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_message_and_status_2(convbench, here, words, parts):
    assert_refused(convbench(*words), *parts)
    assert not (here / "survey").exists()


def test_ctrl_c_leaves_what_was_found(small, monkeypatch):
    chosen = Workload(name="mine", source="", layers=(Layer(name="a", problem=parse("n4c2h5w5-k2r3s3-pad1")),))
    orders = Orders(
        out=small / "survey", workload=chosen, seconds=100, algorithms=("direct",), problems=(SMALL,), effort=EFFORT
    )
    survey = Survey(SimulatorDevice(), orders)
    words = survey.run()
    next(words)
    with pytest.raises(KeyboardInterrupt):
        words.throw(KeyboardInterrupt)
    assert len((small / "survey" / "correctness.jsonl").read_text().splitlines()) == 1
    assert "Correctness: 1 runs passed" in (small / "survey" / "ratios.md").read_text()


def test_a_survey_needs_neither_the_package_installed_nor_what_only_reports_and_tuning_need(small):
    """As on a machine without a network, where only a checkout and the required packages exist."""
    words = ["emulator" if word == "simulator" else word for word in (*TRIAL, *ONE, "--seconds", "120", "--json")]
    absent = ("pydantic", "greenlet", "optuna", "altair", "jinja2", "pynvml", "pyarrow", "onnx", "skimage", "nox")
    script = f"""
import builtins
import importlib.metadata as metadata
usual = builtins.__import__
def importing(name, globals=None, locals=None, fromlist=(), level=0):
    whose = str((globals or {{}}).get("__name__")).partition(".")[0]
    if name.partition(".")[0] in {absent} and whose in ("convbench", "algorithms"):
        raise ImportError(name)
    return usual(name, globals, locals, fromlist, level)
builtins.__import__ = importing
real, found = metadata.distribution, metadata.entry_points
def distribution(name):
    if name == "convbench":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.distribution = distribution
metadata.entry_points = lambda **wanted: [] if "convbench" in wanted.get("group", "") else found(**wanted)
from convbench.cli import main
main({words!r})
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=small, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["correctness"]["done"] >= 1
