"""Feed every reader of text from outside with malformed inputs by a coverage-guided fuzzer (Atheris, libFuzzer).

`nox -s parsers` runs 1,000,000 inputs. A reader must give a value or raise an error that it documents, within 10
seconds and 1 GiB of memory. The table goes to reports/parsers/parsers.md. Exit status 1 if a reader has a fault, if a
process dies, or if fewer inputs were run than were asked for.

`cases.parsers` has the readers. Inputs that show a fault go to the folder of --keep, by default a temporary one; they
are not committed, because some may crash other software. A run with the folder of an earlier one goes on where that one
ended.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from re import findall

FOLDER = Path(__file__).parents[2] / "reports" / "parsers"
SECONDS_OF_AN_INPUT, MEBIBYTES = 10, 1024
MOST_STARTS = 20  # of a reader's process, after it died
MOST_KEPT = 5  # inputs of the same fault
TITLE = """# Readers of text, fed with malformed inputs

{inputs:,} inputs in {seconds:,.0f} s of processor time, by Atheris {version} (libFuzzer), whose mutations follow the
coverage of the code that reads. Each input has at most {longest:,} bytes. A reader gives a value or raises an
error that it documents; everything else is a fault: another exception, more than {limit} s for an input, more than
{memory:,} MiB of memory, or the end of the process. {faults}

"Inputs a second" is of processor time, the start of the process included. "Features" are edges of the code with how
often they were passed, as libFuzzer counts them. "Slowest" is an input's time in whole seconds, on a machine that may
have other work. Made by `nox -s parsers`.
"""


@dataclass
class Run:
    """What the processes of a reader did."""

    name: str
    done: int = 0
    processor_s: float = 0.0
    edges: int = 0
    features: int = 0
    slowest_s: int = 0
    peak_mib: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, output: str, status: int) -> None:
        """Take what libFuzzer printed, and how its process ended."""
        steps = [(0, 0, 0), *(tuple(map(int, one)) for one in findall(r"#(\d+)\s.*?cov: (\d+) ft: (\d+)", output))]
        self.edges, self.features = max(self.edges, steps[-1][1]), max(self.features, steps[-1][2])
        told = {name: int(number) for name, number in findall(r"stat::(\w+):\s+(\d+)", output)}
        self.done += told.get("number_of_executed_units", steps[-1][0])
        self.slowest_s = max(self.slowest_s, told.get("slowest_unit_time_sec", 0))
        self.peak_mib = max(self.peak_mib, told.get("peak_rss_mb", 0))
        if status:
            died = {70: f"more than {SECONDS_OF_AN_INPUT} s", 71: f"more than {MEBIBYTES} MiB"}
            self.faults[died.get(status, f"its process ended with status {status}")] += 1

    @property
    def row(self) -> tuple[object, ...]:
        """The row of the table."""
        speed = f"{self.done / self.processor_s:,.0f}" if self.processor_s else "–"
        faults = "; ".join(f"{count} × {what}" for what, count in self.faults.items()) or "0"
        return self.name, f"{self.done:,}", speed, self.edges, self.features, self.slowest_s, self.peak_mib, faults


def fed(group: str, name: str, inputs: int, seed: int, until: float, keep: Path) -> Run:
    """Run one reader in processes of its own, until it had its inputs or the time is over."""
    place = keep / f"{slug(name)}.json"
    run = Run(**json.loads(place.read_text())) if place.exists() else Run(name)
    run.faults = Counter(run.faults)
    for again in range(MOST_STARTS):
        left = int(until - time.monotonic())
        if run.done >= inputs or left < 1:
            break
        command = [
            sys.executable, "-m", "runs.parsers", "--child", f"{group}/{name}", "--inputs", str(inputs - run.done),
            "--seed", str(seed + run.done + again), "--keep", str(keep), "--seconds", str(left),
        ]  # fmt: skip
        log = keep / f"{slug(name)}.log"
        with log.open("wb") as file:
            child = subprocess.Popen(command, stdout=file, stderr=file)
            _, ended, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(ended)
        output = log.read_text(errors="replace")
        run.processor_s += used.ru_utime + used.ru_stime
        run.add(output, child.returncode)
        if not run.done:
            print(output[-2000:], flush=True)
        place.write_text(json.dumps(vars(run)))
    lines = keep / f"{slug(name)}.faults"
    run.faults.update(dict.fromkeys(lines.read_text().splitlines() if lines.exists() else (), 1))
    print(" · ".join(map(str, run.row)), flush=True)
    return run


def slug(name: str) -> str:
    """A name as part of a file name."""
    return "-".join(findall(r"\w+", name))


def main() -> int:
    """Run all readers, or be the process of one; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--inputs", type=int, default=1_000_000)
    arguments.add_argument("--seconds", type=int, default=1_800, help="the run ends after this time")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--only", action="append", help="a reader's name; may be repeated")
    arguments.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    arguments.add_argument("--out", type=Path, default=FOLDER, help="folder of the table")
    arguments.add_argument("--keep", type=Path, help="folder for inputs that show a fault")
    arguments.add_argument("--child", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    keep = given.keep or Path(tempfile.mkdtemp(prefix="convbench-parsers-"))
    keep.mkdir(parents=True, exist_ok=True)
    if given.child:
        from runs.parsers_fuzzer import feed

        feed(given.child, given.inputs, given.seed, given.seconds, keep)
        return 0
    return everything(given, keep)


def everything(given: argparse.Namespace, keep: Path) -> int:
    """Run all readers side by side, and write the table."""
    from importlib.metadata import version

    from cases.parsers import GROUPS, group, parsers
    from convbench.report import markdown_table

    groups = {name: one for one in GROUPS for name in group(one)}
    chosen = [parser for name, parser in parsers().items() if not given.only or name in given.only]
    whole = sum(parser.share for parser in chosen)
    each = {parser.name: ceil(given.inputs * parser.share / whole) for parser in chosen}
    start = time.monotonic()
    with ThreadPoolExecutor(given.processes) as pool:
        waiting = [
            pool.submit(fed, groups[name], name, each[name], given.seed, start + given.seconds, keep)
            for name in sorted(each, key=lambda name: -each[name])  # the fast readers first
        ]
        runs = [one.result() for one in waiting]
    runs.sort(key=lambda run: list(groups).index(run.name))
    done, faults = sum(run.done for run in runs), sum((run.faults for run in runs), Counter[str]())
    told = f"{faults.total()} faults." if faults else "No fault was found."
    header = "reader", "inputs", "inputs a second", "edges", "features", "slowest, s", "memory, MiB", "faults"
    table = markdown_table(header, [run.row for run in runs])
    page = TITLE.format(
        inputs=done, seconds=sum(run.processor_s for run in runs), version=version("atheris"),
        longest=max(parser.longest for parser in chosen), limit=SECONDS_OF_AN_INPUT, memory=MEBIBYTES, faults=told,
    )  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "parsers.md").write_text(f"{page}\n{table}\n")
    print(f"{done:,} inputs; {told} Inputs that show a fault: {keep}")
    return int(bool(faults) or done < given.inputs)


if __name__ == "__main__":
    sys.exit(main())
