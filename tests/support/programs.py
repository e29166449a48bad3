"""Programs that run in a process of their own, because installing the emulator changes numba-cuda for good."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    status: int
    out: str
    err: str


def python(*words, folder, timeout=100, **environment):
    """Run Python with these words in a folder."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **environment}
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env=env, capture_output=True, text=True, timeout=timeout
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def emulated(text, *options, folder, arguments=(), **environment):
    """Run the text as `program.py` by `python -m convbench.emulator`."""
    (folder / "program.py").write_text(text)
    return python("-m", "convbench.emulator", *options, "program.py", *arguments, folder=folder, **environment)
