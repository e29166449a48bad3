"""The command line in a separate process: speed of --help, interrupts, terminals, full disks and closed outputs."""

import os
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

from convbench.records import read_records
from support.command_line import shown_on_terminal

PROBLEM = "n1c2h5w5-k2r3s3-pad1"
COLUMNS = {"COLUMNS": "140", "TERM": "xterm"}


def test_help_answers_at_once():
    """Half a second is promised. Processor time is measured, because the machine may be busy with other tests."""
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "convbench", "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert "verify" in done.stdout
    assert 0 < min(taken) < 0.5


@pytest.mark.parametrize(
    "statement", ["import convbench", "import convbench; convbench.parse('n1c1h5w5-k1r3s3')", "import convbench.cli"]
)
def test_importing_the_suite_does_not_import_numba(statement):
    code = (
        f"import sys; {statement}; print([m for m in sys.modules if m.split('.')[0] in ('numba', 'pandas', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("device", "long"), [("simulator", "n2c8h40w40-k8r3s3-pad1"), ("emulator", "n16c64h56w56-k64r3s3-pad1")]
)
def test_ctrl_c_keeps_what_was_measured_and_resume_goes_on(tmp_path, device, long):
    """The messages and statuses of a real interrupt, after two quick results and during a slow one."""
    (tmp_path / "work.txt").write_text(f"n1c1h4w4-k1r3s3\n{long}\n")
    command = [
        sys.executable,
        "-m",
        "convbench",
        "bench",
        "--workload",
        "work.txt",
        "--gpu",
        "none",
        "--device",
        device,
    ]
    command += ["--algorithm", "direct", "--algorithm", "im2col_gemm"]
    path = tmp_path / "reports" / "local" / device / "work.jsonl"
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline, "no records within a minute"
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert "interrupted" in err
    assert str(path.relative_to(tmp_path)) in err
    assert "--resume" in err
    records, bad = read_records(path)
    assert bad == []
    assert 2 <= len(records) < 4
    assert records[0].problem in out
    assert path.with_suffix(".md").is_file()
    kept = path.read_text()
    (tmp_path / "work.txt").write_text("n1c1h4w4-k1r3s3\nn1c1h4w5-k1r3s3\n")
    again = subprocess.run([*command, "--resume"], cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert again.returncode == 0, again.stderr
    assert path.read_text().startswith(kept)
    assert len(read_records(path)[0]) == len(records) + 2


def test_progress_and_what_compiling_took_are_shown_on_a_terminal(tmp_path):
    command = [
        sys.executable,
        "-m",
        "convbench",
        "bench",
        PROBLEM,
        "--gpu",
        "none",
        "--device",
        "emulator",
        "--algorithm",
        "direct",
    ]
    nothing_kept = {"XDG_CACHE_HOME": str(tmp_path)}
    _, text = shown_on_terminal(command, tmp_path, COLUMNS | nothing_kept)
    assert "bench on emulator" in text
    assert "0/1" in text
    assert [seconds for seconds in re.findall(r"\((\d+) s compiling\)", text) if int(seconds) > 0]
    assert "1/1" in text


@pytest.mark.parametrize(("redirection", "status"), [("> /dev/full", 2), (">&-", 0)])
def test_an_output_that_cannot_be_written_gives_no_traceback(redirection, status):
    command = f"{sys.executable} -m convbench show {PROBLEM} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode == status


def test_a_terminal_without_unicode_gives_no_traceback():
    command = [sys.executable, "-m", "convbench", "show", "n1c2h5w5-k2r2s2"]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=True)
    assert b"the filter is 2 ? 2" in done.stdout


def test_a_full_disk_keeps_what_was_recorded(tmp_path):
    """A limit on file sizes acts like a full disk and is harmless. 4 KiB hold a few of the ten records."""
    algorithms = "direct,im2col_gemm,depthwise,direct_tiled,implicit_gemm"
    command = (
        f"{sys.executable} -m convbench bench {PROBLEM} n1c1h3w3-k1r1s1 --device simulator --algorithm {algorithms}"
    )
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 4; {command}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr
    records, _ = read_records(tmp_path / "reports" / "local" / "simulator" / "problems.jsonl")
    assert 1 <= len(records) < 10
    assert records[0].algorithm == "depthwise", "what is refused is recorded at once"
