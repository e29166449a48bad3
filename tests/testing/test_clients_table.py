"""The comparison of tests/clients with its table: what fails the run."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

PLACE = Path(__file__).parent.parent / "clients" / "conftest.py"
EXIT = pytest.ExitCode


@pytest.fixture
def comparison(monkeypatch):
    spec = importlib.util.spec_from_file_location("clients_conftest", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "_launches_with_faults", dict)
    comparison = module.Comparison("emulator", write=False)
    comparison.expected = {
        name: {"client": "shop", "test": name, "emulator": "passed"} for name in ("test_a", "test_b")
    }
    return comparison


def collect(comparison, *names, args=("tests/clients",)):
    items = [SimpleNamespace(path=Path("test_shop.py"), nodeid=f"test_shop.py::{name}") for name in names]
    comparison.pytest_collection_modifyitems(SimpleNamespace(args=list(args)), items)


def run(comparison, *names, exit_status=EXIT.OK):
    for name in names:
        comparison.actual[name] = {"client": "shop", "test": name, "outcome": "passed"}
    session = SimpleNamespace(exitstatus=exit_status)
    comparison.pytest_sessionfinish(session, exit_status)
    return session.exitstatus


def test_the_expected_outcomes_pass(comparison):
    collect(comparison, "test_a", "test_b")
    assert run(comparison, "test_a", "test_b") == EXIT.OK


def test_an_outcome_that_the_table_knows_passes_although_the_test_failed(comparison):
    comparison.expected["test_b"]["emulator"] = "failed"
    collect(comparison, "test_a", "test_b")
    comparison.actual["test_b"] = {"client": "shop", "test": "test_b", "outcome": "failed"}
    assert run(comparison, "test_a", exit_status=EXIT.TESTS_FAILED) == EXIT.OK


def test_a_file_that_cannot_be_imported_fails(comparison):
    assert run(comparison, exit_status=EXIT.INTERRUPTED) == EXIT.INTERRUPTED


def test_a_row_without_a_test_fails(comparison):
    collect(comparison, "test_a")
    assert run(comparison, "test_a") == EXIT.TESTS_FAILED
    assert list(comparison.differences()) == ["test_b: it has a row and no test"]


def test_a_test_that_is_named_alone_passes(comparison):
    collect(comparison, "test_a", args=["tests/clients/test_shop.py::test_a"])
    assert run(comparison, "test_a") == EXIT.OK


def test_a_test_without_a_row_fails(comparison):
    collect(comparison, "test_a", "test_b", "test_c")
    assert run(comparison, "test_a", "test_b", "test_c") == EXIT.TESTS_FAILED


def test_the_readme_has_the_tables_of_today():
    spec = importlib.util.spec_from_file_location("clients_summary", PLACE.with_name("summary.py"))
    summary = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(summary)
    text = summary.README.read_text(encoding="utf-8")
    assert summary.whole(text) == text, "run `python tests/clients/summary.py`"


def test_at_least_95_percent_of_the_programs_have_the_right_values():
    text = (PLACE.with_name("README.md")).read_text(encoding="utf-8")
    share = float(text.partition("have the right values: ")[2].partition("%")[0])
    assert share >= 95
