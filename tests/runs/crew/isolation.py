"""What it costs to run algorithms in processes of their own, and what a second worker gains: a table.

`nox -s isolation` runs bench with and without isolation, the fuzzer's command and its campaign in one process, and
verify and fuzz with one worker and with two. Both sides of a row do the same jobs or cases, each time with no compiled
kernel, and take turns. The table goes to reports/emulator/isolation.md. Exit status 1 if a promise is broken.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from convbench.algorithm import registry
from convbench.cli import options
from convbench.devices import select
from convbench.fuzz import Campaign
from convbench.records.environment import cores, processor
from convbench.report import markdown_table

TESTS = Path(__file__).parents[2]
FOLDER = TESTS.parent / "reports" / "emulator"
LAYERS = [f"n1c{c}h{h}w{h}-k{c}r{r}s{r}-pad{r // 2}" for c, h in ((4, 9), (8, 12), (16, 7), (6, 15)) for r in (1, 3, 5)]
FUZZED = "direct", "direct_tiled", "im2col_gemm", "implicit_gemm"  # so that each has its turns within the cases
CHECKED = "--device", "emulator-checked"  # which has one thread, so that a second worker has a core of its own
TITLE = """# What isolation costs, and what a second worker gains

Seconds of wall time, medians of {rounds} on {cores} cores of {processor}. In each pair both sides do the same work,
each time with no compiled kernel, one after the other, and the pairs alternate in their order. Made by
`nox -s isolation`.

"""


@dataclass
class Pair:
    """Two ways to do the same work, and how their times must compare."""

    what: str
    first: str  # what the first way is
    second: str
    commands: tuple[Sequence[str], Sequence[str]]
    most: float  # of the second time through the first, as promised
    seconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def run(self, *, backwards: bool) -> None:
        for way in (1, 0) if backwards else (0, 1):
            seconds = took(self.commands[way])
            self.seconds[way].append(seconds)
            print(f"{self.what}, {(self.first, self.second)[way]}: {seconds:.1f} s", flush=True)

    @property
    def ratio(self) -> float:
        return statistics.median(self.seconds[1]) / statistics.median(self.seconds[0])


def took(words: Sequence[str]) -> float:
    """Seconds that a command takes. It must end with status 0."""
    with TemporaryDirectory() as place:
        start = time.monotonic()
        process = subprocess.run(
            [sys.executable, "-m", *words], cwd=place, capture_output=True, text=True, check=False,
            env=os.environ | {"XDG_CACHE_HOME": f"{place}/cache", "PYTHONPATH": str(TESTS)},
        )  # fmt: skip
        seconds = time.monotonic() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: exit status {process.returncode}\n{process.stderr[-2000:]}")
    return seconds


def inside(cases: int) -> None:
    """Run the cases of `fuzz --examples` in this process."""
    options.available_algorithms()
    campaign, done = Campaign([registry.get(name) for name in FUZZED], select(CHECKED[1])), 0
    for step in campaign.steps():
        done += step.case is not None and not step.is_again
        if step.case is not None and step.verdict.outcome == "failed":
            raise SystemExit(f"{step.case} failed: {step.verdict.reason}")
        if done >= cases:
            return


def pairs(cases: int) -> list[Pair]:
    """The rows of the table."""
    # few samples: isolation costs most where little else is done
    bench = "convbench", "bench", "--workload", "resnet18", "--device", "emulator", "--samples", "3", "--out", "records"
    fuzz = "convbench", "fuzz", *CHECKED, "--algorithm", ",".join(FUZZED), "--examples", str(cases)
    verify = "convbench", "verify", *LAYERS, *CHECKED, "--out", "records"
    return [
        Pair(
            "`bench --workload resnet18 --samples 3`", "--isolation none", "--isolation process",
            ((*bench, "--isolation", "none"), (*bench, "--isolation", "process")), 1.05,
        ),
        Pair(
            f"`fuzz --examples {cases}`", "its campaign in one process", "the command",
            (("runs.crew.isolation", "--inside", str(cases)), fuzz), 1.15,
        ),
        Pair(
            f"`fuzz --examples {cases}`", "--jobs 1", "--jobs 2", (fuzz, (*fuzz, "--jobs", "2")), 1 / 1.8,
        ),
        Pair(
            f"`verify`, {len(LAYERS)} layers", "--cluster local:1", "--cluster local:2",
            ((*verify, "--cluster", "local:1"), (*verify, "--cluster", "local:2")), 1 / 1.8,
        ),
    ]  # fmt: skip


def main() -> int:
    """Run all pairs, and write the table; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--cases", type=int, default=120, help="of the fuzzer")
    arguments.add_argument("--only", default="", help="rows whose text holds one of these words, with commas")
    arguments.add_argument("--inside", type=int, default=0, help="only run so many cases in this process")
    arguments.add_argument("--out", type=Path, default=FOLDER)
    given = arguments.parse_args()
    if given.inside:
        inside(given.inside)
        return 0
    words = given.only.split(",")
    chosen = [
        pair for pair in pairs(given.cases)
        if any(word in f"{pair.what} {pair.first} {pair.second}" for word in words)
    ]  # fmt: skip
    for number in range(given.rounds):
        for pair in chosen:
            pair.run(backwards=bool(number % 2))
    rows = [
        (
            pair.what, pair.first, pair.second, *(f"{statistics.median(side):.1f}" for side in pair.seconds),
            f"{pair.ratio:.3f}", f"{pair.most:.2f}", "yes" if pair.ratio <= pair.most else "**no**",
        )
        for pair in chosen
    ]  # fmt: skip
    header = ["what", "one way", "the other", "s", "s", "ratio", "at most", "kept"]
    page = TITLE.format(rounds=given.rounds, cores=cores(), processor=processor()) + markdown_table(header, rows) + "\n"
    print(page)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "isolation.md").write_text(page)
    return int(not all(pair.ratio <= pair.most for pair in chosen))


if __name__ == "__main__":
    sys.exit(main())
