"""Messages are harmless on a terminal and of a bounded length, and with --json only JSON is on standard output."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cases import synthetic
from cases.onnx_models import W, conv, model_of
from convbench.algorithm import registry
from convbench.cli import streams

PROBLEM = "n1c1h3w3-k1r2s2"
EVIL = "\x1b[31mred\x1b[0m \x9b2J\x07\x7f \u202egpj.exe\u202c \x1b]0;title\x07 end"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
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


# ---- every kind of file that is read


def foreign_records(path):
    """Records with control characters in every text."""
    device = synthetic.EMULATOR | {"name": f"name {EVIL}", "clock": f"clock {EVIL}", "driver": EVIL}
    texts = {"layer": f"layer {EVIL}", "workload": f"net {EVIL}", "family": EVIL, "precision": f"bits {EVIL}"}
    random = np.random.default_rng(0)
    records = [
        synthetic.timed(random, 10.0, algorithm=f"algorithm {EVIL}", device=device, config={EVIL: EVIL}, **texts),
        synthetic.record(outcome="crashed", algorithm="bad", reason=f"reason {EVIL}", device=device, **texts),
    ]
    path.write_text("".join(f"{record.to_json()}\n" for record in records) + f"no record {EVIL}\n")


def foreign_table(path):
    columns = "source,name,N,C,H,W,K,R,S,pad_t,pad_l,pad_b,pad_r,stride_h,stride_w,dil_h,dil_w,groups,OH,OW"
    row = "1,3,8,8,4,3,3,1,1,1,1,1,1,1,1,1,8,8"
    path.write_text(f"{columns}\n{EVIL},{EVIL},{row}\n{EVIL},bad,{EVIL}{row}\n")


def foreign_lines(path):
    path.write_text(f"{PROBLEM}\n{EVIL}\n--dir={EVIL}\nconv -n {EVIL}\n")


def foreign_trace(path):
    event = {"ph": "X", "cat": "cpu_op", "name": "aten::convolution", "args": {"Input Dims": [[EVIL]]}}
    path.write_text(json.dumps({"traceEvents": [event, {**event, "name": EVIL}], EVIL: EVIL}))


def foreign_model(path):
    node = conv(name=f"node {EVIL}", pads=[1, 1, 1, 1])
    path.write_bytes(model_of(node, weights=W).SerializeToString())


def foreign_configs(path):
    path.write_text(f'{{"device": {json.dumps(EVIL)}}}\nno entry {EVIL}\n')


def foreign_cases(path):
    path.write_text(f"direct forward {PROBLEM} {EVIL} seed=0\n")


def foreign_chip(path):
    path.write_text(f"[mine]\nname = {json.dumps(EVIL)}\n")


def foreign_plugin(path):
    path.write_text(NOISY.replace("class Noisy(Direct):\n", f"class Noisy(Direct):\n    __doc__ = {EVIL!r}\n"))


@pytest.mark.parametrize(
    ("write", "name", "words"),
    [
        (foreign_records, "r.jsonl", "report r.jsonl --format markdown"),
        (foreign_records, "r.jsonl", "report r.jsonl --json"),
        (foreign_records, "r.jsonl", "compare r.jsonl r.jsonl"),
        (foreign_records, "r.jsonl", "compare r.jsonl r.jsonl --json"),
        (foreign_table, "w.csv", "list w.csv"),
        (foreign_table, "w.csv", "list w.csv --json"),
        (foreign_lines, "w.txt", "list w.txt"),
        (foreign_trace, "w.json", "list w.json"),
        (foreign_model, "m.onnx", "list m.onnx"),
        (foreign_configs, "c.jsonl", f"bench {PROBLEM} --algorithm direct --database c.jsonl --gpu none"),
        (foreign_cases, "corpus.txt", "fuzz --corpus corpus.txt --examples 1 --algorithm direct"),
        (foreign_chip, "chip.toml", f"bench {PROBLEM} --algorithm direct --gpu chip.toml"),
        (foreign_plugin, "noisy.py", "list --plugin noisy.py"),
    ],
)
def test_no_file_sends_control_characters_to_the_terminal(convbench, here, monkeypatch, write, name, words):
    monkeypatch.setattr(registry, "_registered", {})
    write(here / name)
    _, out, err = convbench(*words.split())
    assert out + err
    assert OBEYED.findall(out + err) == []
    if "--json" in words:
        json.loads(out)
    for page in here.rglob("*.md"):
        assert OBEYED.findall(page.read_text()) == []


def test_a_page_shows_control_characters_as_escapes(convbench, here):
    foreign_records(here / "r.jsonl")
    convbench("report", "r.jsonl", "--format", "html")
    page = (here / "r.html").read_text()
    body = page.partition("<body")[2]
    assert OBEYED.findall(body) == []
    assert "\\u202egpj" in body


def test_a_long_text_of_a_file_is_cut_in_tables(convbench, here):
    (here / "r.jsonl").write_text(synthetic.record(outcome="crashed", reason="x" * 10**6).to_json() + "\n")
    status, out, _ = convbench("report", "r.jsonl", "--format", "markdown")
    assert status == 0
    assert len(out) < 20_000
    assert "more characters)" in out
