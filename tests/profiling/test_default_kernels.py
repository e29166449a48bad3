"""The committed profiles of the default kernels are of these kernels, and every excess in them is explained."""

import re
from pathlib import Path

from convbench.algorithm import registry

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "reports" / "predicted" / "default_kernels.md"
AGAIN = "the kernels have changed: run nox -s profiles"


def rows(heading: str) -> list[list[str]]:
    part = TABLE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[1:]]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_every_line_with_excess_exists_and_is_explained_in_the_docstring_of_its_kernel():
    source = {path: squeezed(path.read_text()) for path in (ROOT / "algorithms").rglob("*.py")}
    found = rows("Lines with conflicts, and lines that are not coalesced")
    assert len(found) >= 10
    for kernel, line, access, why in found:
        text = squeezed(line.strip("`").replace("\\|", "|"))
        modules = [code for code in source.values() if f"def {kernel}(" in code and text in code]
        assert modules, f"{line} of {kernel}: {AGAIN}"
        assert any(f"Excess: {why}" in code for code in modules), f"{kernel}, {access}: {AGAIN}"


def test_all_algorithms_have_kernels_in_it_and_no_time_stands_for_incomplete_counts():
    """Every time says that it is predicted; a launch whose counts are not complete has none."""
    text = TABLE.read_text()
    layers = re.findall(r"^## (n\S+)$", text, re.MULTILINE)
    profiled = [row for layer in layers for row in rows(layer)]
    assert {row[0] for row in profiled} == set(registry.names())
    assert "NVIDIA H200 SXM, not measured" in squeezed(text)
    for row in profiled:
        assert (row[2] == "–") == row[7].startswith("not known: ")
