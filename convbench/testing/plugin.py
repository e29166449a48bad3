"""A pytest plugin: `pytest --cuda=emulator` runs CUDA kernels on the emulator, `--cuda=checked` with checks.

Without the option it does nothing, and imports nothing of the emulator.
"""

import atexit
import importlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from convbench.emulator import Emulator

MODES = "emulator", "checked"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("convbench", "Numba CUDA kernels without a GPU")
    group.addoption(
        "--cuda",
        choices=MODES,
        default=None,
        help="run numba.cuda kernels on convbench's emulator; with `checked`, report races and wrong accesses, too",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Install the emulator before a conftest.py asks for devices."""
    mode = early_config.known_args_namespace.cuda
    if mode is None:
        return
    from convbench.emulator import EmulatorError

    try:
        door: Any = importlib.import_module("convbench.emulator.install")
        door(checked=mode == "checked" or None)
        report = importlib.import_module("convbench.emulator.install.report")
        atexit.unregister(report.tell_at_exit)  # the summary of the tests has it
    except EmulatorError as error:
        raise pytest.UsageError(f"--cuda={mode}: {error}") from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which device the tests see."""
    mode = config.getoption("--cuda")
    if mode is None:
        return None
    from convbench.emulator.install import settings

    options = settings.options()
    major, minor = options.compute_capability
    kind = "checked" if options.checked else "fast"
    return f"cuda: emulator, {kind} mode, compute capability {major}.{minor}, as {options.runs()}"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """List the notes, the faults of --keep-going (CONVBENCH_KEEP_GOING=1) and the profiles of CONVBENCH_PROFILE=1."""
    if config.getoption("--cuda") is None:
        return
    from convbench.emulator.install import findings, profiles, settings

    kept_going = settings.options().keep_going
    if findings.FINDINGS.notes or (kept_going and findings.FINDINGS.faults):
        terminalreporter.section("CUDA kernels on the emulator")
        terminalreporter.line(findings.FINDINGS.summary(settings.launches(), faults=kept_going))
    if counted := profiles.PROFILES.summary():
        terminalreporter.section("profiles of CUDA kernels")
        terminalreporter.line(counted)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session if a program that kept going had faults (CONVBENCH_KEEP_GOING=1)."""
    if session.config.getoption("--cuda") is None or session.exitstatus != pytest.ExitCode.OK:
        return
    from convbench.emulator.install import findings, settings

    if settings.options().keep_going and findings.FINDINGS.faults:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def emulator() -> "Emulator":
    """An emulator in checked mode: `emulator.launch(kernel, grid, block, *args)`. It needs no option."""
    from convbench.emulator import Emulator

    return Emulator(checked=True, strict_index=False, strict_return=False, strict_store=False)
