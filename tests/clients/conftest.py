"""Compares what happened to each program of another package with the table `expected.csv`.

A row names the package and its version, the test, what happens in fast mode (`emulator`) and in checked mode
(`checked`), and the reason for whatever is not `passed` or `clean`. `--write-expected` writes the columns of the mode
that ran; reasons are written by hand.

The run fails if an outcome is another one, if a row has no test any more, or if a file cannot be imported.
"""

import csv
from importlib.metadata import version
from pathlib import Path

import pytest

EXPECTED = Path(__file__).with_name("expected.csv")
COLUMNS = ["client", "version", "test", "emulator", "checked", "reason"]


def pytest_addoption(parser):
    parser.addoption("--write-expected", action="store_true", help="write what happened to the table")


def pytest_configure(config):
    mode = config.getoption("--cuda")
    if mode is None:
        raise pytest.UsageError("--cuda=emulator or --cuda=checked: tests/clients needs the emulator")
    if mode == "checked":
        from convbench.emulator.install import settings

        settings.choose(keep_going=True)
    config.pluginmanager.register(Comparison(mode, write=config.getoption("write_expected")), "comparison")


class Comparison:
    """The outcome of every test, compared with the expected one."""

    def __init__(self, mode, *, write):
        self.mode, self.write, self.actual = mode, write, {}
        self.before, self.collected = {}, {}
        with EXPECTED.open(newline="", encoding="utf-8") as file:
            self.expected = {row["test"]: row for row in csv.DictReader(file)}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        """Note the tests of each client, before any is deselected; where single tests are named, all are not known."""
        if any("::" in word for word in config.args):
            return
        for item in items:
            client = Path(item.path).stem.removeprefix("test_")
            self.collected.setdefault(client, set()).add(item.nodeid.partition("::")[2])

    def pytest_runtest_setup(self):
        self.before = _launches_with_faults()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        report.client = Path(item.path).stem.removeprefix("test_")
        return report

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and report.passed:
            return
        after = _launches_with_faults()
        new = {place for place, launches in after.items() if launches != self.before.get(place)}
        test = report.nodeid.partition("::")[2]
        if report.passed:
            lines = ", ".join(sorted(f"{Path(file).name}:{line}" if line else "order of threads" for file, line in new))
            outcome = "passed" if self.mode == "emulator" else f"faults: {lines}" if lines else "clean"
        elif report.skipped:
            outcome = "skipped"
        else:
            outcome = "refused" if "UnsupportedError" in report.longreprtext else "failed"
        self.actual[test] = {"client": report.client, "test": test, "outcome": outcome}

    def differences(self):
        for test, row in self.actual.items():
            expected = self.expected.get(test, {}).get(self.mode, "no row")
            if row["outcome"] != expected:
                yield f"{test}: {row['outcome']}, not {expected}"
        for test, row in self.expected.items():
            if test not in self.collected.get(row["client"], {test}):
                yield f"{test}: it has a row and no test"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if self.write:
            for test, row in self.actual.items():
                known = self.expected.setdefault(test, dict.fromkeys(COLUMNS, "") | {"test": test})
                known |= {"client": row["client"], "version": _version(row["client"]), self.mode: row["outcome"]}
            with EXPECTED.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(sorted(self.expected.values(), key=lambda row: (row["client"], row["test"])))
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if any(self.differences()) else pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section(f"compared with {EXPECTED.name}")
        for difference in self.differences():
            terminalreporter.line(difference)
        outcomes = [row["outcome"].partition(":")[0] for row in self.actual.values()]
        counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes))
        terminalreporter.line(counts)


def _launches_with_faults():
    """How many launches had a fault, by its place."""
    from convbench.emulator.install.findings import FINDINGS

    found = {}
    for finding in FINDINGS.faults:
        found[finding.place()] = found.get(finding.place(), 0) + len(finding.launches)
    return found


def _version(client):
    package = {"xarray_spatial": "xarray-spatial", "numba_cuda": "numba-cuda", "nemo": "nemo_toolkit"}.get(
        client, client
    )
    return version(package)
