"""A pytest plugin: numba-cuda's own tests run on the emulator, and each outcome is compared with a table.

The table is `expected_ptx.csv` where the emulator runs PTX (CONVBENCH_CODE=ptx), and `expected.csv` where it runs LLVM
code. A test that the table does not name must pass. The others are `skipped` by numba-cuda itself, `refused` by the
emulator, which then says what it does not have, or `failed` for the reason given: they need what has nothing to do with
running a kernel. A crash of the interpreter and a timeout end a worker, and fail the test that it ran.
"""

import csv
import importlib
import os
import re
from pathlib import Path

import pytest

from convbench.emulator.install import settings  # the import installs the emulator

SUITE = "numba.cuda.tests.cudapy"
CHILDREN = Path(__file__).with_name("children")
EXPECTED = Path(__file__).with_name("expected_ptx.csv" if settings.fix_code() == "ptx" else "expected.csv")
SEVERITY = ("passed", "skipped", "refused", "failed")
PATH = re.compile(r"(?<![\w.])/\S*/")  # folders of files, which differ between machines
REFUSAL = re.compile(r"convbench\.emulator\.errors\.(Unsupported|Compilation)Error: ")


class Module(pytest.Module):
    """A module of numba-cuda's tests under its own name, which pytest cannot find from its path in the wheel."""

    def _getobj(self):
        return importlib.import_module(f"{SUITE}.{self.path.stem}")


def pytest_pycollect_makemodule(module_path, parent):
    return Module.from_parent(parent, path=module_path)


def pytest_collect_directory(path, parent):
    return pytest.Dir.from_parent(parent, path=path)


@pytest.fixture
def initialize_from_pytest_config(request):
    """The settings that numba-cuda's test classes need."""
    request.cls._dump_failed_filechecks = False


def pytest_addoption(parser):
    parser.addoption("--write-expected", action="store_true", help="write what happened to the table")


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # xdist's workers run the tests, and its controller gets the reports
        os.environ["PYTHONPATH"] = os.pathsep.join([str(CHILDREN), os.environ["PYTHONPATH"]])
    else:
        config.pluginmanager.register(Comparison(config.getoption("write_expected")), "comparison")


class Comparison:
    """The outcome of every test, compared with the expected one."""

    def __init__(self, write: bool) -> None:
        with EXPECTED.open(newline="", encoding="utf-8") as file:
            self.expected = {row["test"]: row for row in csv.DictReader(file)}
        self.write = write
        self.actual: dict[str, dict[str, str]] = {}
        self.details: dict[str, str] = {}

    def pytest_runtest_logreport(self, report):
        test = f"{Path(report.location[0]).stem}.{report.nodeid.partition('::')[2].replace('::', '.')}"
        outcome, reason = _judge(report)
        known = self.actual.get(test)
        if known is None or SEVERITY.index(outcome) > SEVERITY.index(known["outcome"]):
            self.actual[test] = {"test": test, "outcome": outcome, "reason": reason}
            self.details[test] = report.longreprtext

    def _expected(self, test):
        return self.expected.get(test, {"outcome": "passed"})["outcome"]

    def differences(self):
        for test, row in self.actual.items():
            expected = self._expected(test)
            if row["outcome"] != expected:
                yield f"{test}: {row['outcome']}, not {expected}\n{self.details[test]}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if self.write:
            changed = {test: row for test, row in self.actual.items() if row["outcome"] != self._expected(test)}
            kept = {**self.expected, **changed}  # reasons written by hand stay
            with EXPECTED.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, ["test", "outcome", "reason"], lineterminator="\n")
                writer.writeheader()
                writer.writerows(kept[test] for test in sorted(kept) if kept[test]["outcome"] != "passed")
        elif exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if any(self.differences()) else pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter):
        outcomes = [row["outcome"] for row in self.actual.values()]
        counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in SEVERITY)
        terminalreporter.section(f"compared with {EXPECTED.name}")
        for difference in self.differences():
            terminalreporter.line(difference)
        terminalreporter.line(counts)


def _judge(report):
    """Outcome and reason of one phase of a test, or of a subtest of it."""
    if report.passed or hasattr(report, "wasxfail"):
        return "passed", ""
    if report.skipped:
        return "skipped", str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash else report.longreprtext
    if message.startswith("contains ") and "failed subtest" in message:
        return "passed", ""  # the subtests have reports of their own
    outcome = "refused" if REFUSAL.match(message) else "failed"
    return outcome, " ".join(PATH.sub("", REFUSAL.sub("", message, count=1)).split())
