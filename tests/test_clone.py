"""The README's two commands work in a clone in any order: what a user measures leaves the committed reports alone."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clone(tmp_path):
    """A clone of this checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", folder], check=True)
    return folder


def run_bench(clone):
    """The core of `nox -s bench`: the same command and workload, fewer layers and one algorithm."""
    words = "bench", "--workload", "resnet18", "--where", "k == 512 and r == 1", "--algorithm", "im2col_gemm", "--html"
    program = Path(sysconfig.get_path("scripts")) / "convbench"
    done = subprocess.run([program, *words], cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def run_tests(clone):
    """Of `nox -s tests`, what reads the committed reports."""
    words = "-q", "-p", "no:cacheprovider", "tests/report/test_report.py", "-k", "committed or gallery"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=clone, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(clone))))},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done


@pytest.mark.parametrize("order", [(run_bench, run_tests), (run_tests, run_bench)], ids=lambda order: order[0].__name__)
def test_both_commands_work_in_any_order(clone, order):
    for command in order:
        command(clone)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert changed.stdout == ""
    assert {path.name for path in (clone / "reports" / "local" / "emulator").glob("resnet18.*")} >= {
        "resnet18.jsonl", "resnet18.md", "resnet18.html", "resnet18.png",
    }  # fmt: skip


def test_a_run_without_a_terminal_tells_each_layer_and_ends_with_what_matters(clone):
    done = run_bench(clone)
    (line,) = [line for line in done.stderr.splitlines() if "layer4.0.downsample.0" in line]
    assert line.startswith("convbench: 1 of 1, ")
    assert "1 passed; fastest im2col_gemm, " in line
    assert line.endswith(" µs, predicted for NVIDIA H200 SXM, not measured")
    last = done.stdout.strip().splitlines()[-3:]
    assert last[-1] == f"Open {clone / 'reports' / 'local' / 'emulator' / 'resnet18.html'}"
    assert last[0].startswith("Predicted for NVIDIA H200 SXM, not measured: im2col_gemm is the only algorithm")
    assert "verified on the emulator" in last[1]
    assert "emulated on CPU" not in "".join(last)
