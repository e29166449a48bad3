"""A case that depends on the calls before it is found, told as such, and repeated by the printed command."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cases.forgetful import CountsItsCalls, LeavesItsMode, Reference, SetsAVariable
from convbench.devices.emulator import EmulatorDevice
from convbench.fuzz import FuzzCase, Verdict, fuzz, judge_in_order
from convbench.fuzz.again import calls_needed

CONVBENCH = Path(sys.executable).with_name("convbench")
TESTS = Path(__file__).parents[1]
CASES = [FuzzCase.read(f"reference forward n{n}c1h3w3-k1r1s1 integers seed=0") for n in range(1, 10)]


@pytest.fixture(scope="module")
def emulator():
    return EmulatorDevice(workers=1)


def convbench(folder, *words):
    (folder / "dependent.py").write_text(
        f"import sys\nsys.path.insert(0, {str(TESTS)!r})\nimport convbench\nfrom cases.forgetful import DEPENDENT\n"
        "for one in DEPENDENT: convbench.register(one)\n"
    )
    done = subprocess.run(
        [CONVBENCH, *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_state_that_leaks_is_found_and_repeated_by_the_printed_command(tmp_path):
    """A cache in a module, which a new process does not have."""
    emulated = "fuzz", "--plugin", "dependent.py", "--device", "emulator"
    words = "--examples", "100", "--json", "--algorithm", "caches_by_shape"
    status, out, err = convbench(tmp_path, *emulated, *words)
    assert (status, err) == (1, "")
    (cached,) = json.loads(out)["failures"]
    assert cached["cause"]["fault"] == "depends on calls before it"
    assert cached["repeat"].count("--replay") == len(cached["before"]) + 1 == 2
    corpus = (tmp_path / "fuzz_corpus.txt").read_text()
    assert f"# before it: {cached['before'][0]}\n{cached['case']}  # " in corpus
    status, out, _ = convbench(tmp_path, *shlex.split(cached["repeat"])[1:])
    assert status == 1
    assert (out.count("passed on emulator"), out.count("failed on emulator")) == (1, 1)


def test_what_counts_its_calls_is_seen_without_another_process(emulator, monkeypatch):
    """What passed before is run again as soon as a case fails."""
    monkeypatch.setattr(CountsItsCalls.Plan, "calls", 0)
    found = fuzz(CountsItsCalls(), emulator, examples=60).failure
    assert found.cause.fault == "depends on calls before it"
    assert "it passed, and after" in found.reason


def test_a_variable_of_the_environment_is_seen(emulator, monkeypatch):
    monkeypatch.setenv("CONVBENCH_TESTS_SET", "")
    monkeypatch.delenv("CONVBENCH_TESTS_SET")
    assert fuzz(SetsAVariable(), emulator, examples=100).failure.cause.fault == "depends on calls before it"


def test_what_only_changes_bits_is_seen_when_a_case_is_repeated(emulator, monkeypatch):
    found = None
    for seed in range(4):  # which cases are run again is left to chance
        monkeypatch.setattr(LeavesItsMode.Plan, "mode", "usual")
        found = found or fuzz(LeavesItsMode(), emulator, examples=150, seed=seed).failure
    assert found.cause.fault == "depends on calls before it"
    assert "its output has other bits" in found.reason


def test_a_right_algorithm_gives_the_same_bits_in_any_order(emulator):
    result = fuzz(Reference(), emulator, examples=80)
    assert result.failure is None
    assert 5 <= result.figures.repeated <= 12
    assert result.figures.cases == 80
    order = [*CASES, *reversed(CASES), *CASES[::2]]
    verdicts = list(judge_in_order(order, lambda _: Reference(), emulator))
    assert {verdict.outcome for verdict in verdicts} == {"passed"}
    assert verdicts[0].bits == verdicts[17].bits != verdicts[1].bits


def test_bits_that_differ_are_a_failure_of_the_later_call(emulator, monkeypatch):
    from convbench.fuzz import again

    bits = iter("aabac")
    monkeypatch.setattr(again, "judge", lambda *_, **__: Verdict(outcome="passed", bits=next(bits)))
    order = [CASES[0], CASES[0], CASES[1], CASES[0], CASES[0]]
    *first, last = judge_in_order(order, lambda _: Reference(), emulator)
    assert [verdict.outcome for verdict in first] == ["passed"] * 4
    assert last.cause.fault == "depends on calls before it"
    assert last.reason == "it passed, and after 4 more calls in this process its output has other bits"


@pytest.mark.parametrize("guilty", [[8], [3], [2, 6]])
def test_the_calls_that_are_needed_are_few(guilty):
    needed = {CASES[number] for number in guilty}
    case = FuzzCase.read("reference forward n1c1h3w3-k1r1s1 integers seed=1")
    found = calls_needed(case, CASES, lambda cases: needed <= set(cases))
    assert found == tuple(CASES[number] for number in guilty)
    assert calls_needed(case, CASES, lambda cases: False) is None
