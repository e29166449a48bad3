"""The examples of --help work, and the words that a shell completes exist."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convbench import devices, workload
from convbench.algorithm import registry
from convbench.cli import app, options
from convbench.cli.examples import EXAMPLES
from convbench.profiling import Forecast


def test_every_command_has_a_worked_example_in_its_help(convbench):
    assert set(EXAMPLES) == set(app.COMMANDS)
    for command, examples in EXAMPLES.items():
        status, out, _ = convbench(command, "--help")
        assert status == 0
        assert examples
        for example, _ in examples:
            assert f"  {example}\n" in out


def in_a_process(*words):
    """A program that `run` starts changes numba-cuda for the rest of its process."""
    Path("program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "convbench", *words], capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


PROGRAM = """
import numpy as np
from numba import cuda

@cuda.jit
def add(x):
    x[cuda.grid(1)] += 1

x = cuda.to_device(np.zeros(4))
add[1, 4](x)
print(x.copy_to_host())
"""


def test_the_examples_work_one_after_the_other(convbench, here, monkeypatch):
    """The records that one leaves are those that the next renders and compares: with themselves, where all is equal.

    Only `tune` predicts times here; the other predictions have their own tests.
    """
    predict = Forecast.predict
    order = ("bench", *(command for command in EXAMPLES if command != "bench"))
    for command in order:
        other = predict if command == "tune" else lambda forecast, *_: forecast._without("for the test")
        monkeypatch.setattr(Forecast, "predict", other)
        if command == "compare":
            for name in ("before", "after"):
                shutil.copytree(here / "reports" / "local" / "emulator", here / name)
        if command == "merge":
            Path("theirs.txt").write_text("direct forward n1c1h1w1-k1r1s1 integers seed=0\n")
        for example, _ in EXAMPLES[command]:
            program, *words = shlex.split(example.partition(" | ")[0])
            status, out, err = in_a_process(*words) if command == "run" else convbench(*words)
            if command == "gpu" and "--device" not in words:  # there is none here
                assert (status, "cuda was asked for" in err) == (2, True)
                continue
            assert (program, status) == ("convbench", 3 if "--strict" in words else 0), f"{example}: {err}"
            assert out.strip()


def completed(words: str) -> list[str]:
    """What bash is given for the last word of a line."""
    done = subprocess.run(
        [sys.executable, "-m", "convbench"], capture_output=True, text=True, timeout=60,
        env=os.environ | {
            "COMP_WORDS": words, "COMP_CWORD": str(len(words.split())), "_CONVBENCH_COMPLETE": "complete_bash",
        },
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.parametrize(("words", "expected"), [
    ("convbench ", list(app.COMMANDS)),
    ("convbench bench --workload ", workload.names()),
    ("convbench verify --device ", list(devices.NAMES)),
    ("convbench verify --direction ", ["forward", "backward_data", "backward_weights"]),
])  # fmt: skip
def test_a_shell_completes_commands_and_values(words, expected):
    assert completed(words) == expected


def test_algorithms_are_completed_after_a_comma(monkeypatch):
    from convbench.cli.completion import algorithms

    assert algorithms("") == [*registry.names(), *registry.baseline_names()]
    assert algorithms("direct,win") == ["direct,winograd_2x2_3x3", "direct,winograd_4x4_3x3"]


def test_the_devices_of_the_options_are_those_that_there_are():
    assert tuple(devices.NAMES) == options.DEVICES
