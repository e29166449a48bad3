"""The layout: folders stay small, and a folder imports from another only the names that its `__init__` offers.

Which folder may import which is import-linter's business (`python -m nox -s lint`).
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = "convbench", "algorithms"
MOST_FILES = 20  # in a folder of code
GROUPED = {"convbench/emulator"}  # larger, and no public room of the suite: it stands alone
SUBROOMS = {
    "convbench.problem.notation",
    "convbench.report.side_by_side",
    "convbench.crew.cluster",
}  # that others import from, too

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def reached_into(source: str, importer: str) -> list[str]:
    """Imports of names that belong to a module inside another folder."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(PACKAGES):
            continue
        if room_of(node.module) == room_of(importer) or node.module in SUBROOMS or node.module.count(".") < 2:
            continue
        found += [f"{node.module}.{name.name}" for name in node.names if f"{node.module}.{name.name}" not in MODULES]
    return found


def test_folders_import_what_others_give_and_not_what_is_inside_them():
    assert {path.name: found for path in FILES if (found := reached_into(path.read_text(), module_of(path)))} == {}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from convbench.records import Record", []),
        ("from convbench.records import environment", []),
        ("from convbench.records.record import Record", ["convbench.records.record.Record"]),
        ("def f():\n    from convbench.records.record import Record", ["convbench.records.record.Record"]),
        ("from convbench.layer.automatic import choose", []),  # its own folder
        ("from convbench.problem.notation import parse", []),
        ("from convbench.problem.notation import own", []),
        ("from convbench.errors import ConvbenchError", []),
    ],
)
def test_reaching_into_a_folder_is_seen(line, told):
    assert reached_into(line, "convbench.layer.layer") == told


def test_no_folder_holds_more_files_than_a_reader_can_keep_in_mind():
    folders = {path.parent for path in FILES} | {path.parent for path in (ROOT / "tests").rglob("*.py")}
    counts = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in counts.items() if count > MOST_FILES and name not in GROUPED} == {}


@pytest.mark.parametrize(("package", "most"), [("convbench", 25), ("algorithms", 14)])
def test_the_top_of_a_package_fits_on_a_screen(package, most):
    entries = [path.name for path in (ROOT / package).iterdir() if path.name != "__pycache__"]
    assert len(entries) <= most


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=module_of)
def test_each_folder_says_what_it_is_for(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text
    assert text.split("\n")[0].endswith((".", ":"))
