"""Messages are harmless on a terminal and of a bounded length, and with --json only JSON is on standard output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from convbench.algorithm import registry
from convbench.cli import streams

PROBLEM = "n1c1h3w3-k1r2s2"
NOISY = """
import sys, warnings
from algorithms.direct.plain import Direct, DirectPlan
from convbench import register

print("printed at import")
sys.stdout.write("written at import")

class Plan(DirectPlan):
    def run(self, x, y):
        print("printed while it runs")
        super().run(x, y)

@register
class Noisy(Direct):
    name = "noisy"
    plans = {"forward": Plan}
"""


@pytest.fixture
def noisy(here, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    (here / "noisy.py").write_text(NOISY)
    return "--plugin", "noisy.py", "--algorithm", "noisy", "--device", "emulator"


@pytest.mark.parametrize("command", ["verify", "bench", "tune"])
def test_with_json_what_a_plugin_prints_is_on_standard_error(convbench, noisy, command):
    status, out, err = convbench(command, PROBLEM, *noisy, "--json")
    assert status == 0
    assert json.loads(out)
    for said in ("printed at import", "written at import", "printed while it runs"):
        assert said in err


@pytest.mark.parametrize("words", [("--replay", f"noisy forward {PROBLEM} integers seed=1"), ("--examples", "2")])
def test_the_fuzzer_and_its_processes_print_only_json(here, noisy, words):
    """In a process of its own, because the jobs write to the standard output of that process."""
    plugin, chosen = noisy[:2], () if words[0] == "--replay" else ("--algorithm", "noisy", "--direction", "forward")
    done = subprocess.run(
        [sys.executable, "-m", "convbench", "fuzz", *plugin, *chosen, "--device", "emulator", *words, "--json"],
        capture_output=True, text=True, timeout=300, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert json.loads(done.stdout)
    assert "printed while it runs" in done.stderr


def test_without_json_what_a_plugin_prints_stays_on_standard_output(convbench, noisy):
    status, out, err = convbench("verify", PROBLEM, *noisy)
    assert status == 0
    assert "printed" not in err
    assert "printed while it runs" in out


@pytest.mark.parametrize(
    "words",
    [
        ("verify", PROBLEM, "--algorithm", "\x1b[31mred\x07"),
        ("verify", "--workload", "\x1b[31mred\x9b"),
        ("show", "n1c1h3w3-\x1b]0;title\x07"),
        ("verify", "--\x1b[2J"),
        ("fuzz", "--replay", "\x1b[2J"),
        ("verify", PROBLEM, "--plugin", "\x1b[2J\u202e.py"),
    ],
)
def test_control_characters_of_a_message_are_escapes(convbench, words):
    status, out, err = convbench(*words)
    assert (status, out) == (2, "")
    assert "\\x1b" in err
    assert streams.visible(err) == err
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & {*err}


def test_a_plugin_cannot_send_control_characters_to_the_terminal(convbench, here):
    (here / "coloured.py").write_text(
        'import warnings\nwarnings.warn("\\x1b[31mred")\nraise ValueError("\\x1b[2Jgone")\n'
    )
    with pytest.warns(UserWarning, match="red"):
        status, _, err = convbench("list", "--plugin", "coloured.py")
    assert status == 2
    assert err == "convbench: plugin coloured.py cannot be imported: ValueError: \\x1b[2Jgone\n"


@pytest.mark.parametrize("count", [3_000, 1_000_000])
def test_a_message_has_a_bounded_length_and_says_how_much_was_cut(convbench, count):
    status, _, err = convbench("verify", PROBLEM, "--algorithm", "x" * count)
    assert status == 2
    if count < streams.MOST_CHARACTERS:
        assert "x" * count in err
    else:
        assert len(err) < streams.MOST_CHARACTERS + 50
        assert err.startswith("convbench: algorithm 'xxx")
        cut = streams.message("x" * 5_000)
        assert cut == "x" * 4_000 + "… (1,000 more characters)"
        assert err.endswith(" more characters)\n")


def test_a_failure_of_a_case_is_shown_harmlessly(convbench, here, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    broken = NOISY.replace('print("printed while it runs")', 'raise ValueError("\\x1b[2J" + "x" * 10**6)')
    (here / "broken.py").write_text(broken)
    line = f"noisy forward {PROBLEM} integers seed=1"
    status, out, _ = convbench("fuzz", "--plugin", "broken.py", "--device", "emulator", "--replay", line)
    assert (status, "\x1b" in out, len(out) < 5_000) == (1, False, True)
    assert "\\x1b[2Jxxx" in out
