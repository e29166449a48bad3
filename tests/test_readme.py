"""The README is run, word for word."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from convbench.record import read_records

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str, heading: str) -> list[str]:
    """The code blocks of one language in a section."""
    section = README.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_the_users_algorithm_is_verified_and_timed(tmp_path):
    (program,) = blocks("python", "Your own algorithm")
    (command,) = blocks("bash", "Your own algorithm")
    assert len([line for line in program.splitlines() if line.strip()]) <= 32
    (tmp_path / "my_pointwise.py").write_text(program)
    name, *words = shlex.split(command)
    assert name == "convbench"
    done = subprocess.run(
        [sys.executable, "-m", "convbench", *words, "--device", "emulator"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    records, _ = read_records(tmp_path / "reports" / "emulator" / "problems.jsonl")
    outcomes = {(record.algorithm, record.layer): record for record in records}
    mine = outcomes["my_pointwise", "n2c16h9w9-k8r1s1-bias"]
    assert mine.outcome == "passed"
    assert mine.exact
    assert mine.timing is not None
    refused = outcomes["my_pointwise", "n1c4h9w9-k4r3s3"]
    assert (refused.outcome, refused.reason) == ("refused", "it has dense 1 × 1 filters only")
    assert outcomes["direct", "n1c4h9w9-k4r3s3"].outcome == "passed"


def test_the_library_is_used_as_shown(tmp_path):
    (program,) = blocks("python", "As a library")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "448" in done.stdout


def test_the_emulator_catches_the_missing_barrier(tmp_path):
    (program,) = blocks("python", "Devices")
    (said,) = blocks("text", "Devices")
    path = tmp_path / "block_sum.py"
    path.write_text(program)
    done = subprocess.run([sys.executable, path.name], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1].replace(str(tmp_path) + "/", "")
    assert last.split(": ", 1)[1] == " ".join(said.split())
    path.write_text(
        program.replace(
            "        half //= 2  # a barrier is missing here", "        cuda.syncthreads()\n        half //= 2"
        )
    )
    done = subprocess.run([sys.executable, path.name], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "line", [*blocks("bash", "Use")[0].splitlines(), *blocks("bash", "As a library")[0].splitlines()]
)
def test_the_commands_that_it_shows_exist(line):
    """Each is parsed by the program with --help behind it, so that nothing runs for hours."""
    name, *words = shlex.split(line, comments=True)
    if name == "pip":
        assert words[1] in (".[cu13]", ".[maps]")
        return
    options = [word for word in words if word.startswith("--")]
    done = subprocess.run([sys.executable, "-m", "convbench", words[0], "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for option in options:
        assert option in done.stdout


def test_the_two_commands_name_sessions_that_exist():
    noxfile = (README.parent / "noxfile.py").read_text()
    for command in blocks("bash", "Two commands"):
        session = command.split("-s ")[1].strip()
        assert f"def {session}(session" in noxfile
    assert "python3 -m nox -s tests" in (README.parent / ".ci" / "run").read_text()
