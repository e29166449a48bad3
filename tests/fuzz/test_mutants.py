"""The fuzzer kills mutants of the shipped kernels: one of each module here, all of them with `nox -s mutants`."""

import csv
import re
import sys
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest

from cases.algorithm_mutants import BEYOND, EQUIVALENT, MODULES, Place, examples_until_killed, mutated, places
from cases.mutants import KINDS
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.measurement import Case, verify
from convbench.problem.notation import parse

TABLE = Path(__file__).parents[2] / "reports" / "emulator" / "mutants.csv"

KERNEL = re.compile(r"^\s*@(cuda\.jit|fast_kernel)\b", re.MULTILINE)

# no algorithm launches these on the emulator: the gate of a GPU's stopwatch, and reductions with their own tests
NOT_FUZZED = {"convbench.devices.cuda_stopwatch", "convbench.intrinsics.warps"}

device = EmulatorDevice(checked=True)


def a_few() -> list[Place]:
    """One mutant of each module: that which takes the fewest cases of those in the table, the last of several."""
    with TABLE.open() as file:
        rows = [row for row in csv.DictReader(file) if row["examples"]]
    cases = {
        (row["module"], row["function"], row["kind"], row["expression"], int(row["part"])): int(row["examples"])
        for row in rows
    }
    known = [[place for place in places(name) if place.what in cases] for name in MODULES]
    return [min(reversed(ours), key=lambda place: cases[place.what]) for ours in known if ours]


@pytest.mark.parametrize("place", a_few(), ids=str)
def test_a_mutant_is_killed(place):
    assert examples_until_killed(place, device) is not None, place.mutant.expression


def test_there_are_mutants_of_every_kind():
    assert {place.mutant.kind for name in MODULES for place in places(name)} == KINDS


def test_every_kernel_is_mutated_somewhere():
    """No module with a kernel is left out, but those that the fuzzer cannot reach."""
    root = Path(__file__).parents[2]
    files = [path for package in ("algorithms", "convbench") for path in (root / package).rglob("*.py")]
    names = {path: ".".join(path.relative_to(root).with_suffix("").parts) for path in files}
    with_kernels = {names[path] for path in files if KERNEL.search(path.read_text())} - NOT_FUZZED
    assert with_kernels == MODULES.keys() | BEYOND
    assert not MODULES.keys() & BEYOND


def test_a_mutant_is_gone_when_its_time_is_over():
    """The same case passes before, fails with the mutant, and passes after."""
    place = next(
        place for place in places("algorithms.direct.plain") if place.mutant.expression == "target[n, m, i, j]"
    )
    direct, case = registry.get("direct"), Case(parse("n1c1h3w3-k2r1s1"), 0)
    assert verify(direct, case, device).passed
    with mutated(place):
        assert not verify(direct, case, device).passed
    assert verify(direct, case, device).passed


def test_a_mutant_is_gone_from_what_was_imported_while_it_was_there(monkeypatch):
    from algorithms.direct import plain as direct

    place = next(place for place in places("algorithms.direct.plain") if place.function == "make_kernel")
    original, later = direct.make_kernel, ModuleType("later")
    monkeypatch.setitem(sys.modules, "later", later)
    with mutated(place):
        later.make_kernel = direct.make_kernel
        assert later.make_kernel is not original
    assert later.make_kernel is direct.make_kernel is original


def test_the_committed_table_is_of_these_kernels():
    """Every mutant in it exists, and every survivor in it is explained."""
    rows = list(csv.DictReader(StringIO(TABLE.read_text())))
    assert len(rows) >= 150
    known = {place.what for name in MODULES for place in places(name)}
    for row in rows:
        what = row["module"], row["function"], row["kind"], row["expression"], int(row["part"])
        assert what in known, "the kernels have changed: run nox -s mutants"
        assert bool(row["equivalent because"]) == (what in EQUIVALENT)
    survivors = [row for row in rows if not row["examples"] and not row["equivalent because"]]
    assert len(survivors) <= 0.02 * len(rows)
