"""Count the mutants of the shipped kernels that the fuzzer kills: `nox -s mutants`.

Every mutant of every kernel, or every n-th with --every, is fuzzed on the checked emulator until a case fails, 200
cases at most. The table goes to reports/emulator/mutants.md, and each mutant to mutants.csv beside it. Exit status 1
when fewer than 98 % of the mutants that are not equivalent are killed, or one that is listed as equivalent is.

With --code ptx, the checked emulator runs the code that a GPU gets, and the files are mutants_ptx.md and
mutants_ptx.csv.

With --by-hand, the mutants of `cases.mutants_by_hand` are fuzzed instead, 400 cases at most. Their table goes to
mutants_by_hand.md and mutants_by_hand.csv. Exit status 1 when fewer than 95 % are killed.
"""

import argparse
import csv
import sys
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

from cases.algorithm_mutants import EQUIVALENT, EXAMPLES, MODULES, Place, examples_until_killed, places
from convbench.devices.emulator import EmulatorDevice
from convbench.emulator.disk import nothing_kept
from convbench.emulator.sources import Code
from convbench.records.environment import cores
from convbench.report import markdown_table
from runs import mutation_by_hand as by_hand

FOLDER = Path(__file__).parents[2] / "reports" / "emulator"
TARGET = 0.98
HEADER = ("module", "function", "kind", "line", "expression", "part", "examples", "equivalent because")
TITLE = """# Mutants of the shipped kernels

Each kernel with one small edit (an index or a bound off by one, a comparison swapped, a barrier dropped, axes swapped,
a constant wrong) was fuzzed on `emulator-checked`{on} until a case failed, {examples} cases of each algorithm that has
it at most, seed 0: {what} of the {total:,} mutants that there are.
Made by `nox -s mutants{options}`; [every mutant]({name}.csv).
"""


def judged(todo: tuple[str, int, Code]) -> tuple[str, int, int | None, str]:
    """The place, the number of cases until its mutant was killed or None, and the message of the last case."""
    name, number, code = todo
    place = list(places(name))[number]
    with nothing_kept():
        found = examples_until_killed(place, EmulatorDevice(checked=True, workers=1, code=code))
    return name, number, *((None, "") if found is None else found)


def main() -> int:
    """Run and write the results; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--every", type=int, default=1, help="take every n-th mutant of a module")
    arguments.add_argument(
        "--module", action="append", choices=sorted({*MODULES, *by_hand.REACHED}), help="only these modules"
    )
    arguments.add_argument("--code", choices=("llvm", "ptx"), default="llvm", help="the code that is checked")
    arguments.add_argument("--out", type=Path, default=FOLDER, help="folder of the table")
    arguments.add_argument("--by-hand", action="store_true", help="the mutants that were written by hand")
    given = arguments.parse_args()
    if given.by_hand and given.code == "ptx":
        arguments.error("--by-hand runs LLVM code")
    if given.by_hand:
        return by_hand.run(given.out, modules=given.module, every_nth=given.every)
    if lacking := sorted(set(given.module or ()) - MODULES.keys()):
        arguments.error(f"{', '.join(lacking)}: only --by-hand has mutants of these modules")
    known = {name: list(places(name)) for name in given.module or MODULES}
    todo = [(name, number) for name, found in known.items() for number in range(0, len(found), given.every)]
    results: dict[tuple[str, int], tuple[int | None, str]] = {}
    start = time.monotonic()
    with get_context("spawn").Pool(cores(), maxtasksperchild=40) as pool:  # a process never frees its compiled kernels
        for name, number, examples, words in pool.imap_unordered(judged, [(*one, given.code) for one in todo]):
            results[name, number] = examples, words
            place = known[name][number]
            if examples is None and place.what not in EQUIVALENT:
                print(f"survivor: {place}: {place.mutant.expression}", flush=True)
            if len(results) % 20 == 0:
                print(f"{len(results)} of {len(todo)} after {time.monotonic() - start:.0f} s", flush=True)
    rows = [(known[name][number], results[name, number][0]) for name, number in todo]
    return write(rows, given.out, total=sum(map(len, known.values())), every=given.every, code=given.code)


def write(rows: list[tuple[Place, int | None]], folder: Path, *, total: int, every: int, code: Code = "llvm") -> int:
    """Write the table and the list; returns 0 if the target is met."""
    folder.mkdir(parents=True, exist_ok=True)
    file_name, on, options = ("mutants", "", "") if code == "llvm" else ("mutants_ptx", " as PTX", " -- --code ptx")
    with (folder / f"{file_name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for place, examples in rows:
            mutant, reason = place.mutant, EQUIVALENT.get(place.what, "")
            where = mutant.kind, mutant.line, mutant.expression, mutant.part
            writer.writerow((place.module, place.function, *where, "" if examples is None else examples, reason))
    table, kinds = [], Counter(place.mutant.kind for place, _ in rows)
    open_ = [(place, examples) for place, examples in rows if place.what not in EQUIVALENT]
    for name in MODULES:
        ours = [examples for place, examples in open_ if place.module == name]
        equal = sum(place.module == name for place, _ in rows) - len(ours)
        killed = sorted(examples for examples in ours if examples is not None)
        if ours:
            middle = killed[len(killed) // 2] if killed else "–"
            table.append(
                (name, len(ours) + equal, equal, len(killed), len(ours) - len(killed), middle, killed[-1:] or "–")
            )
    killed = sum(examples is not None for _, examples in open_)
    table.append(("all", len(rows), len(rows) - len(open_), killed, len(open_) - killed, "", ""))
    header = ("module", "mutants", "equivalent", "killed", "survived", "median cases", "most cases")
    share = f"{100 * killed / len(open_):.1f} % of those that are not equivalent were killed."
    survivors = [
        (place.module, place.function, place.mutant.kind, f"`{place.mutant.expression}`", place.mutant.part)
        for place, examples in open_ if examples is None
    ]  # fmt: skip
    equivalent = [
        (place.module, place.function, place.mutant.kind, f"`{place.mutant.expression}`", EQUIVALENT[place.what])
        for place, _ in rows if place.what in EQUIVALENT
    ]  # fmt: skip
    what = "all" if every == 1 else f"every {every}th"
    parts = [
        TITLE.format(examples=EXAMPLES, what=what, total=total, on=on, options=options, name=file_name),
        markdown_table(header, [[cell[0] if isinstance(cell, list) else cell for cell in row] for row in table]),
        share,
        markdown_table(("kind", "mutants"), kinds.most_common()),
    ]
    if survivors:
        parts += ["## Survived", markdown_table(("module", "function", "kind", "expression", "part"), survivors)]
    if equivalent:
        header = ("module", "function", "kind", "expression", "why no result and no rule can tell it")
        parts += ["## Equivalent", markdown_table(header, equivalent)]
    (folder / f"{file_name}.md").write_text("\n\n".join(part.strip() for part in parts) + "\n")
    wrongly = [str(place) for place, examples in rows if examples is not None and place.what in EQUIVALENT]
    print(share, *(f"listed as equivalent, but killed: {place}" for place in wrongly), sep="\n")
    return int(bool(wrongly) or killed < TARGET * len(open_))


if __name__ == "__main__":
    sys.exit(main())
