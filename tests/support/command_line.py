"""Check the answer to wrong arguments, and run a command in a separate process: on a terminal, or to be killed."""

import os
import pty
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from convbench import cli


def assert_refused(answer: tuple[int, str, str], *parts: str) -> None:
    """Assert status 2, no standard output, and a message with these parts; `answer` is (status, output, error)."""
    status, out, err = answer
    assert (status, out) == (2, ""), f"status {status}, printed {out!r}"
    assert err.startswith("convbench: "), err
    assert "Traceback" not in err, err
    for part in parts:
        assert part in err, f"{part!r} is not in {err!r}"


def shown_on_terminal(command: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    """Run a command that must succeed; returns its standard output, and its standard error as a terminal shows it."""
    terminal, end = pty.openpty()
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=end, env=os.environ | environment)
    os.close(end)
    shown = b""
    with suppress(OSError):  # Linux reports an error when the last process has closed its side of the terminal
        while some := os.read(terminal, 4096):
            shown += some
    os.close(terminal)
    out, _ = running.communicate(timeout=180)
    assert running.returncode == 0, shown.decode()
    return out.decode(), shown.decode()


def started(words: Sequence[str]) -> int:
    """The process ID of a copy of this process that runs a command, unheard. SIGTERM has its usual effect there."""
    child = os.fork()
    if child == 0:
        try:
            nowhere = os.open(os.devnull, os.O_RDWR)
            for standard in (0, 1, 2):
                os.dup2(nowhere, standard)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            cli.main(words)
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        finally:
            os._exit(77)
    return child


def status_of(child: int) -> int:
    """The exit status of a process when it has ended; the negative number of the signal that has ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
