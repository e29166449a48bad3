"""`convbench fuzz` on a user's own algorithm, on several cores, when interrupted, and with wrong arguments."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convbench.algorithm import registry
from support.command_line import assert_refused, shown_on_terminal

CONVBENCH = Path(sys.executable).with_name("convbench")
TESTS = Path(__file__).parents[1]
EMULATED = "--device", "emulator"
LINE = "direct forward n1c1h3w3-k1r2s2-stride2 integers seed=7"

# the whole file of a user's algorithm
MY_MODULE = """
from dataclasses import replace
from algorithms.direct.plain import Direct, DirectPlan
from convbench import register

class Plan(DirectPlan):
    def run(self, x, y):
        if WRONG:
            self.geometry = replace(self.geometry, stride=tuple(min(u, 2) for u in self.geometry.stride))
        super().run(x, y)

@register
class Mine(Direct):
    name = "mine"
    plans = {"forward": Plan}
"""


def run(folder, *words, **environment):
    """In a process of its own: (status, standard output, standard error)."""
    done = subprocess.run(
        [CONVBENCH, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": ""} | environment,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def planted(*names):
    return (
        "import convbench\nfrom cases.planted import algorithms\n"
        f"for name in {names}: convbench.register(getattr(algorithms, name))\n"
    )


@pytest.fixture
def bugs(tmp_path):
    (tmp_path / "bugs.py").write_text(planted("ThreeBugs", "TakesTheProcessDown", "EndsWhenAsked", "RefusesAll"))
    return tmp_path


def words_for(name):
    return "fuzz", "--plugin", "bugs.py", "--algorithm", name, *EMULATED


# ---- a user's own algorithm


def test_a_bug_in_ones_own_algorithm_is_found_repeated_and_known_the_next_time(tmp_path):
    """The whole path: a bug is found, saved, repeated by the printed command, run first, and gone after the fix."""
    module, corpus = tmp_path / "my_module.py", tmp_path / "fuzz_corpus.txt"
    module.write_text(f"WRONG = True\n{MY_MODULE}")
    words = "fuzz", "--plugin", "my_module", "--algorithm", "mine", *EMULATED
    status, out, err = run(tmp_path, *words)
    assert (status, err) == (1, "")
    assert "FAILED mine, forward: " in out
    line, cause = corpus.read_text().split("  # ")
    assert f"  case    {line}\n" in out
    assert cause.startswith("mine, forward: ")
    assert len(line) < 80
    (command,) = re.findall(r"^  repeat  convbench (.*)$", out, re.MULTILINE)
    reason = out.splitlines()[1].strip()
    status, out, _ = run(tmp_path, *shlex.split(command))
    assert (status, out.splitlines()) == (1, [line, "failed on emulator", reason])

    before = corpus.read_text()
    status, out, _ = run(tmp_path, *words)
    assert status == 1
    assert out.count("FAILED") == 1
    assert "  in the corpus\n" in out
    assert "1 of the corpus first" in out
    assert corpus.read_text() == before

    module.write_text(f"WRONG = False\n{MY_MODULE}")
    status, out, _ = run(tmp_path, *words, "--examples", 8)
    assert (status, out.count("FAILED")) == (0, 0)
    assert "Cases:    8 of seed 0 on emulator" in out
    assert "1 of the corpus first" in out
    assert corpus.read_text() == before
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"fuzz_corpus.txt", "my_module.py"}


# ---- many jobs, many bugs


def test_jobs_share_the_cases_and_find_each_bug_once(bugs):
    words = *words_for("three_bugs"), "--jobs", "2", "--keep-going", "--examples", "101", "--json"
    status, out, err = run(bugs, *words, PYTHONPATH=str(TESTS))
    assert (status, err) == (1, "")
    told = json.loads(out)
    assert (told["cases"], told["jobs"], told["interrupted"], told["lost"]) == (101, 2, False, [])
    assert told["algorithms"]["three_bugs"]["cases"] == 101
    assert 0 < told["coverage"]["seen"] < told["coverage"]["possible"]
    assert len(told["coverage"]["unseen"]) == 4
    assert told["compile_s"] > 0
    assert told["cases_per_second_and_job"] > 1
    causes = sorted((bug["cause"]["direction"], bug["cause"]["fault"]) for bug in told["failures"])
    assert causes == [("backward_weights", "crash"), ("forward", "wrong values"), ("forward", "wrong values")]
    cases = [bug["case"] for bug in told["failures"]]
    assert sum("-dil" in case for case in cases) == sum("-bias" in case for case in cases) == 1
    assert all(bug["shrunk"] and not bug["from_corpus"] for bug in told["failures"])
    assert (bugs / "fuzz_corpus.txt").read_text().count("\n") == 3


def test_an_interruption_keeps_what_was_found(bugs):
    """The signal goes to the whole group of processes, as from `timeout`; SIGTERM does what Ctrl-C does."""
    corpus = bugs / "fuzz_corpus.txt"
    words = *words_for("three_bugs"), "--jobs", "2", "--keep-going", "--seconds", "600"
    running = subprocess.Popen(
        [CONVBENCH, *words], cwd=bugs, env=os.environ | {"PYTHONPATH": str(TESTS)}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not corpus.exists():
        assert time.monotonic() < deadline, "nothing found in five minutes"
        assert running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGTERM)
    out, err = running.communicate(timeout=180)
    assert running.returncode == 130
    assert err == "convbench: interrupted; what was found is kept\n"
    assert 1 <= corpus.read_text().count("\n") == out.count("FAILED") <= 3
    assert re.search(r"^Failures: [123]", out, re.MULTILINE)


def test_a_process_that_is_taken_down_leaves_its_case_behind(bugs):
    status, out, err = run(bugs, *words_for("takes_the_process_down"), "--jobs", 2, PYTHONPATH=str(TESTS))
    assert status == 1
    assert "FAILED takes_the_process_down, forward: the process ended (its process was ended by SIGABRT)" in out
    assert "-bias" in (bugs / "fuzz_corpus.txt").read_text()
    assert err == ""


def test_an_algorithm_that_ends_the_process_where_it_is_asked_is_a_failure_that_can_be_repeated(bugs):
    words = *words_for("ends_when_asked"), "--direction", "forward", "--json"
    status, out, err = run(bugs, *words, PYTHONPATH=str(TESTS))
    assert (status, err) == (1, "")
    (found,) = json.loads(out)["failures"]
    reason = "it ended its process, with status 0"
    assert (found["cause"]["fault"], found["reason"]) == ("the process ended", reason)
    status, out, _ = run(bugs, *shlex.split(found["repeat"])[1:], PYTHONPATH=str(TESTS))
    assert (status, out.splitlines()) == (1, [found["case"], "failed on emulator", reason])


def test_an_algorithm_that_refuses_all_is_not_a_success(bugs):
    status, out, err = run(bugs, *words_for("refuses_all"), PYTHONPATH=str(TESTS))
    assert (status, err) == (1, "convbench: nothing was run, for all was refused\n")
    assert "Cases:    0" in out


@pytest.fixture
def fuzz(convbench, here, monkeypatch):
    """Fuzz in this process and its children, with an algorithm that refuses everything, and no corpus from before."""
    (here / "refusing.py").write_text(planted("RefusesAll"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))

    def run(*words):
        monkeypatch.setattr(registry, "_registered", {})
        return convbench("fuzz", "--plugin", "refusing.py", *EMULATED, "--direction", "forward", *words)

    return run


def test_an_algorithm_without_a_case_is_named_and_the_call_is_not_a_pass(fuzz):
    status, out, err = fuzz("--examples", "1", "--algorithm", "direct,im2col_gemm")
    assert status == 1
    assert err.startswith("convbench: 1 of 2 algorithms had no case, so nothing is known about them: im2col_gemm. ")
    assert "No case:  im2col_gemm (the end came before its turn)" in out
    status, out, err = fuzz("--examples", "1", "--algorithm", "direct,im2col_gemm", "--json")
    assert (status, json.loads(out)["without_case"]) == (1, {"im2col_gemm": "the end came before its turn"})


def test_what_cannot_have_a_case_is_a_reason_for_status_1_only_if_it_was_named(fuzz, monkeypatch):
    status, out, err = fuzz("--examples", "2", "--algorithm", "direct,refuses_all")
    assert (status, "No case:  refuses_all (refuses everything)" in out) == (1, True)
    assert "1 of 2 algorithms had no case" in err
    monkeypatch.setattr(registry, "names", lambda: ["direct", *registry._registered])
    status, out, err = fuzz("--examples", "2")
    assert (status, err) == (0, "")
    assert "No case:  refuses_all (refuses everything)" in out


# ---- what is shown


def test_progress_is_shown_on_a_terminal(bugs):
    words = *words_for("three_bugs"), "--examples", "20", "--direction", "backward_data"
    environment = {"COLUMNS": "160", "TERM": "xterm", "PYTHONPATH": str(TESTS)}
    out, text = shown_on_terminal([CONVBENCH, *words], bugs, environment)
    assert "fuzzing on emulator" in text
    assert re.search(r"\d+ cases, \d+/s \(\d+ s compiling\), \d+% of pairs, 0 failures", text)
    assert "Failures: none" in out


# ---- in this process: one case, and calls that make no sense


def test_a_case_is_replayed_without_its_corpus(convbench, here):
    status, out, err = convbench("fuzz", *EMULATED, "--replay", LINE)
    assert (status, err) == (0, "")
    assert out.splitlines() == [LINE, "passed on emulator"]
    status, out, _ = convbench("fuzz", *EMULATED, "--replay", LINE.replace("integers", "normal"), "--json")
    told = json.loads(out)
    assert (status, told["outcome"], told["device"]) == (0, "passed", "emulator")
    assert 0 <= told["fraction_of_bound"] < 1
    assert list(here.iterdir()) == []


def test_a_replay_of_what_is_refused_is_not_a_success(convbench):
    status, out, _ = convbench("fuzz", *EMULATED, "--replay", LINE.replace("direct", "depthwise").replace("c1", "c2"))
    assert status == 1
    assert out.splitlines()[1] == "refused on emulator"


def test_the_checks_are_on_where_there_is_no_gpu(convbench):
    _, out, _ = convbench("fuzz", "--replay", LINE)
    assert "passed on emulator-checked" in out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--algorithm", "magic"), ("'magic'", "direct_tiled")),
        (("--direction", "sideways"), ("'sideways'", "backward_data")),
        (("--direction", "forward,up"), ("'up'",)),
        (("--device", "tpu"), ("'tpu'", "emulator-checked")),
        (("--device", "cuda"), ("cuda was asked for", "no driver, for the test")),
        (("--plugin", "none.py"), ("none.py", "no file")),
        (("--plugin", "no_such_module"), ("no_such_module", "cannot be imported")),
        (("--seconds", "0"), ("--seconds is 0", "more than 0")),
        (("--seconds", "nan"), ("--seconds is nan", "more than 0")),
        (("--corpus", "."), ("bad.txt, line 3: 2 words",)),
        (("--corpus", "bad.txt/corpus.txt"), ("the corpus cannot be written to bad.txt/corpus.txt", "no folder")),
        (("--corpus", "bad.txt"), ("bad.txt, line 3: 2 words", "'not this'")),
        (("--replay", "direct forward"), ("2 words", "'direct forward'")),
        (("--replay", LINE.replace("direct", "magic")), ("'magic'",)),
        (("--replay", LINE, "--jobs", "2"), ("--replay runs one case",)),
        (("--replay", LINE, "--algorithm", "direct"), ("--replay runs one case",)),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_message_and_status_2(convbench, here, words, parts):
    (here / "bad.txt").write_text(f"# known\n{LINE}\nnot this\n")
    assert_refused(convbench("fuzz", *words), *parts)


@pytest.mark.parametrize("words", [("--examples", "0"), ("--jobs", "0"), ("--seed", "-1"), ("--seconds", "soon")])
def test_a_number_that_cannot_be_gets_status_2(convbench, words):
    status, out, err = convbench("fuzz", *words)
    assert (status, out) == (2, "")
    assert words[0] in err
