"""The part of `runs.mutation` for the mutants of `cases.mutants_by_hand`."""

import csv
from collections import Counter
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from cases.mutants_by_hand import EXAMPLES, REACHED, Row, every, found_after
from convbench.devices.emulator import EmulatorDevice
from convbench.emulator.disk import nothing_kept
from convbench.records.environment import cores
from convbench.report import markdown_table

__all__ = ["REACHED", "TARGET", "run", "write"]

TARGET = 0.95
HEADER = ("mutant", "kind", "function", "old", "new", "examples")
TITLE = """# Mutants of the shipped kernels that were written by hand

Each fault shows only on a large axis, in a rare config or at an end of a pipeline. It was fuzzed on `emulator-checked`
until a case failed, {examples} cases of each algorithm that has the kernel at most, seed 0: {count} of the {total}
mutants that there are. Made by `nox -s mutants -- --by-hand`; [every mutant](mutants_by_hand.csv).
"""


def judged(number: int) -> tuple[int, int | None]:
    """The number of a mutant, and the number of cases until it was killed, or None."""
    row = list(every())[number]
    with nothing_kept():
        found = found_after(row, EmulatorDevice(checked=True, workers=1))
    return number, found and found[0]


def run(folder: Path, *, modules: Sequence[str] | None = None, every_nth: int = 1) -> int:
    """Fuzz the mutants and write the results; returns 0 if the target is met."""
    rows = list(every())
    todo = [number for number, row in enumerate(rows) if not modules or row.place.module in modules][::every_nth]
    results: dict[int, int | None] = {}
    with get_context("spawn").Pool(cores(), maxtasksperchild=40) as pool:
        for number, examples in pool.imap_unordered(judged, todo):
            results[number] = examples
            if examples is None:
                row = rows[number]
                print(f"survivor: {row.name}: {row.place.mutant.expression} -> {row.new}", flush=True)
    return write([(rows[number], results[number]) for number in todo], folder, total=len(rows))


def write(results: Sequence[tuple[Row, int | None]], folder: Path, *, total: int) -> int:
    """Write the table and the list; returns 0 if the target is met."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "mutants_by_hand.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for row, examples in results:
            what = row.name, row.kind, row.place.function, row.place.mutant.expression, row.new
            writer.writerow((*what, "" if examples is None else examples))
    all_of, killed = Counter(row.kind for row, _ in results), Counter(row.kind for row, n in results if n is not None)
    table = [(kind, count, killed[kind], count - killed[kind]) for kind, count in sorted(all_of.items())]
    table.append(("all", len(results), killed.total(), len(results) - killed.total()))
    parts = [
        TITLE.format(examples=EXAMPLES, count=len(results), total=total),
        markdown_table(("kind", "mutants", "killed", "survived"), table),
    ]
    survivors = [
        (row.name, row.kind, f"`{row.place.mutant.expression.strip()}`", f"`{row.new.strip()}`")
        for row, examples in results if examples is None
    ]  # fmt: skip
    if survivors:
        parts += ["## Survived", markdown_table(("mutant", "kind", "old", "new"), survivors)]
    (folder / "mutants_by_hand.md").write_text("\n\n".join(part.strip() for part in parts) + "\n")
    print(f"{killed.total()} of {len(results)} mutants were killed.")
    return int(killed.total() < TARGET * len(results))
