"""SIGTERM and SIGHUP end every command as Ctrl-C does, and a closed pipe ends it without a word."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from convbench import interrupts
from convbench.measurement import Harness
from convbench.records import RecordsFile, read_records
from convbench.tuning import Tuner
from support.command_line import started, status_of

PROBLEMS = "n1c1h4w4-k1r3s3", "n1c1h4w5-k1r3s3", "n1c1h4w6-k1r3s3"


@pytest.fixture(autouse=True)
def in_the_foreground():
    """Under nohup and in the background of some shells these signals are ignored, and stay so."""
    usual = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)


@pytest.fixture
def at_call(monkeypatch):
    """Have this process get a signal at the n-th call of a method, before the method does anything."""

    def arrange(owner: type, name: str, n: int, number: signal.Signals) -> None:
        usual, calls = getattr(owner, name), []

        def method(*given):
            calls.append(given)
            if len(calls) == n:
                os.kill(os.getpid(), number)
            return usual(*given)

        monkeypatch.setattr(owner, name, method)

    return arrange


def test_verify_reports_what_it_has(convbench, at_call):
    at_call(Harness, "judge", 3, signal.SIGTERM)
    status, out, err = convbench("verify", *PROBLEMS, "--algorithm", "direct", "--device", "simulator")
    assert (status, err) == (130, "convbench: interrupted after 2 of 3\n")
    assert out.count("| passed") == 2


def test_bench_keeps_and_reports_what_it_has(convbench, here, at_call):
    at_call(RecordsFile, "append", 2, signal.SIGHUP)
    status, out, err = convbench("bench", *PROBLEMS, "--algorithm", "direct", "--device", "simulator", "--samples", 1)
    assert status == 130
    assert "interrupted; 1 of 3 results are in reports/local/simulator/problems.jsonl, and the same" in err
    assert PROBLEMS[0] in out
    assert len(read_records(here / "reports" / "local" / "simulator" / "problems.jsonl")[0]) == 1


def test_tune_keeps_what_it_has(convbench, at_call):
    at_call(Tuner, "_note", 2, signal.SIGTERM)
    command = "tune", *PROBLEMS[:1], "--algorithm", "direct", "--device", "simulator", "--gpu", "none", "--trials", 3
    status, out, err = convbench(*command)
    assert status == 130
    assert "interrupted; 1 tuned configs are in reports/tuned/simulator.jsonl" in err
    assert "| direct" in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_commands_without_results_end_with_the_same_status(convbench, monkeypatch, number):
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("convbench.workload.names", interrupted)
    assert convbench("list") == (130, "", "")


def test_a_signal_that_was_ignored_stays_ignored_and_handlers_are_as_before_in_the_end():
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` has it
    try:
        with interrupts.as_ctrl_c():
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, usual)


def test_sigterm_ends_a_command_in_the_background_of_a_shell_too_where_ctrl_c_is_ignored():
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.as_ctrl_c(), pytest.raises(KeyboardInterrupt) as told:
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.is_interruption(told.value), "and is not taken for an error of an algorithm"
        assert not interrupts.is_interruption(KeyboardInterrupt())
    finally:
        signal.signal(signal.SIGINT, usual)


@pytest.mark.parametrize("words", ["show n1c1h4w4-k1r3s3", "--help"])
def test_a_closed_pipe_ends_a_command_without_a_word(words):
    code = f"exec 3>&2; set -o pipefail; {sys.executable} -m convbench {words} 2>&3 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (141, "")


WAITS = """
import time
from pathlib import Path
from convbench.algorithm import registry
from algorithms.direct.plain import Direct

class Waits(Direct):
    name = "waits"
    def plan(self, *args, **kwargs):
        Path("begun").touch()
        time.sleep(60)

registry.register(Waits)
"""


@pytest.mark.parametrize("command", [("verify", PROBLEMS[0], "--out", "kept"), ("fuzz", "--examples", "2")])
def test_a_batch_system_that_ends_the_worker_first_makes_no_result(here, command):
    """It signals every process of a job, in any order."""
    (here / "waits.py").write_text(WAITS)
    parent = started([*command, "--plugin", "waits.py", "--algorithm", "waits", "--device", "simulator"])
    deadline = time.monotonic() + 60
    while not (here / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for worker in psutil.Process(parent).children(recursive=True):
        worker.terminate()
    time.sleep(0.2)
    os.kill(parent, signal.SIGTERM)
    assert status_of(parent) == 130
    assert [path.name for path in here.rglob("*") if path.is_file() and path.read_bytes()] == ["waits.py"]
