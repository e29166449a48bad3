"""Check that the fuzzer never reports a correct algorithm, and measure how much of the error bounds they use.

`nox -s false_alarms` runs 100,000 cases over all algorithms on the emulator. Any failure ends it with exit status 1.
The largest fractions by algorithm, direction and dtype, and their histogram, go to reports/emulator/bounds.md,
bounds.csv and bounds.png. Exit status 1, too, when the largest fraction of an algorithm is not in 0.02 to 0.8.
"""

import argparse
import sys
import time
from collections import Counter
from math import ceil, log10
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.fuzz import fuzz
from convbench.records.environment import cores
from convbench.report import markdown_table

FOLDER = Path(__file__).parents[2] / "reports" / "emulator"
CHUNK = 250  # cases in one process, which never frees its compiled kernels
SLOWER = {"fft_tiled": 4}  # this many times slower than others, so it gets fewer cases
LEAST, MOST = 0.02, 0.8
STEP = 0.25  # the width of a bin, in decades
FINEST = -4.0  # the lowest bin, which also counts everything smaller
TITLE = """# How much of their error bounds right algorithms use

{cases:,} random cases on `emulator`, {seconds:,.0f} s on {processes} processes ({compile_s:,.0f} s of compiling): all
directions, dtypes, layouts and kinds of data. {failures}
A fraction of 1 is the limit; the fraction is of the worst element of a case, and leaves out what storing half
precision rounds. Bounds that are neither loose nor lucky have their largest fraction between {least} and {most}.
The picture leaves out what is at most 0.0001, most of it exact; [the counts](bounds.csv) have it. Made by
`nox -s false_alarms`.

![Histogram of the fractions by algorithm](bounds.png)
"""


def chunk(order: tuple[str, int, int]) -> dict[str, Any]:
    """Fuzz one algorithm; `order` is its name, the number of cases, and the seed."""
    name, examples, seed = order
    algorithm = registry.get(name)
    result = fuzz(algorithm, EmulatorDevice(workers=1), examples=examples, seed=seed)
    counts: Counter[tuple[str, str, str, float]] = Counter()
    largest: dict[tuple[str, str, str], float] = {}
    for case, fraction in result.fractions:
        key = name, case.direction, case.problem.dtype
        largest[key] = max(largest.get(key, 0.0), fraction)
        place = FINEST if fraction <= 10**FINEST else STEP * int(log10(fraction) // STEP)
        counts[(*key, place)] += 1
    figures = result.figures
    return {
        "counts": counts, "largest": largest, "failure": result.failure and str(result.failure),
        "cases": figures.cases, "refused": figures.refused, "run_s": figures.run_s, "compile_s": figures.compile_s,
    }  # fmt: skip


def main() -> int:
    """Run and write the results; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=100_000)
    arguments.add_argument("--algorithm", action="append", choices=registry.names())
    arguments.add_argument("--out", type=Path, default=FOLDER, help="folder of the figures")
    given = arguments.parse_args()
    names = given.algorithm or registry.names()
    share = {name: 1 / SLOWER.get(name, 1) for name in names}
    each = {name: ceil(given.cases * part / sum(share.values())) for name, part in share.items()}
    most = max(each.values())
    todo = [
        (name, min(CHUNK, each[name] - first), first)
        for first in range(0, most, CHUNK) for name in names if first < each[name]
    ]  # fmt: skip
    start, done = time.monotonic(), []
    status = 1
    with get_context("spawn").Pool(cores(), maxtasksperchild=1) as pool:
        for one in pool.imap_unordered(chunk, todo):
            done.append(one)
            cases = sum(part["cases"] for part in done)
            print(f"{cases:,} cases after {time.monotonic() - start:.0f} s", flush=True)
            if done[-1]["failure"]:
                print(done[-1]["failure"], flush=True)
            status = write(done, given.out, time.monotonic() - start)  # a run that is stopped keeps what it has
    return status


def write(done: list[dict[str, Any]], folder: Path, seconds: float) -> int:
    """Write the page, the counts and the picture; returns 0 if no case failed and all fractions are in range."""
    folder.mkdir(parents=True, exist_ok=True)
    counts: Counter[tuple[str, str, str, float]] = sum((one["counts"] for one in done), Counter())
    largest: dict[tuple[str, str, str], float] = {}
    for one in done:
        for key, fraction in one["largest"].items():
            largest[key] = max(largest.get(key, 0.0), fraction)
    columns = ["algorithm", "direction", "dtype", "log10_from"]
    frame = pd.DataFrame([(*key, count) for key, count in sorted(counts.items())], columns=[*columns, "cases"])
    frame.to_csv(folder / "bounds.csv", index=False, lineterminator="\n")
    failures = [one["failure"] for one in done if one["failure"]]
    by_algorithm = {
        name: max(f for key, f in largest.items() if key[0] == name) for name in sorted({k[0] for k in largest})
    }
    rows = [
        (*key, f"{fraction:.3g}", sum(count for place, count in counts.items() if place[:3] == key))
        for key, fraction in sorted(largest.items())
    ]
    cases, refused = (sum(one[name] for one in done) for name in ("cases", "refused"))
    page = [
        TITLE.format(
            cases=cases, seconds=seconds, processes=cores(), compile_s=sum(one["compile_s"] for one in done),
            failures=f"{len(failures)} failed. {refused:,} draws more were refused by the algorithm or the device.",
            least=LEAST, most=MOST,
        ),
        markdown_table(("algorithm", "largest fraction"), [(name, f"{f:.3g}") for name, f in by_algorithm.items()]),
        markdown_table(("algorithm", "direction", "dtype", "largest fraction", "cases"), rows),
    ]  # fmt: skip
    (folder / "bounds.md").write_text("\n\n".join(part.strip() for part in page) + "\n")
    chart(frame).save(folder / "bounds.png", ppi=144)
    strange = {name: fraction for name, fraction in by_algorithm.items() if not LEAST <= fraction <= MOST}
    busy = sum(one["run_s"] - one["compile_s"] for one in done)
    print(f"{len(failures)} failures in {cases:,} cases; {cases / busy:.0f} a second and core, no compiling; {strange}")
    return int(bool(failures or strange))


def chart(frame: pd.DataFrame) -> alt.Chart:
    """A histogram for each algorithm, by decades, coloured by direction; fractions of at most 0.0001 are left out."""
    shown = frame[frame.log10_from > FINEST]
    grouped = shown.groupby(["algorithm", "log10_from", "direction"], as_index=False).cases.sum()
    grouped["top"] = grouped.groupby(["algorithm", "log10_from"]).cases.cumsum()
    grouped = grouped.assign(bottom=grouped.top - grouped.cases, log10_to=grouped.log10_from + STEP)
    decades = alt.Axis(values=[-4, -3, -2, -1, 0], labelExpr="format(pow(10, datum.value), '.1~r')")
    return (
        alt.Chart(grouped)
        .mark_rect()
        .encode(
            alt.X("log10_from:Q", title="largest fraction of the bound in a case", axis=decades),
            alt.X2("log10_to:Q"),
            alt.Y("bottom:Q", title="cases"),
            alt.Y2("top:Q"),
            alt.Color("direction:N"),
        )
        .properties(width=220, height=110)
        .facet(facet=alt.Facet("algorithm:N", title=None), columns=3)
    )


if __name__ == "__main__":
    sys.exit(main())
