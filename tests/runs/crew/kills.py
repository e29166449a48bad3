"""Kill commands and their workers at random moments, and count what is lost, doubled or torn after all.

`nox -s kills` runs bench, tune and fuzz, with a worker process and on a cluster of Dask. At random moments it sends
SIGKILL to the command or to one process that it has started. A command that was killed is run again, with --resume
where there is such an option, until it ends by itself. Then every job must have one record, and the files must hold
nothing else. The table goes to reports/emulator/kills.md. Exit status 1 if anything is lost, doubled or torn.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import psutil

from convbench.fuzz import Corpus
from convbench.records import read_records
from convbench.records.environment import cores
from convbench.report import markdown_table
from convbench.tuning.database import read_entries

FOLDER = Path(__file__).parents[3] / "reports" / "emulator"
PROBLEMS = [f"n1c{c}h{h}w4-k2r1s1" for c in (1, 2, 3, 4) for h in (3, 4, 5)]
TUNED = PROBLEMS[:4]
LONGEST_S = 8.0  # to the next kill
LIMIT_S = 600.0  # for one run
GAVE_UP = "a worker ended while it started", "no cluster can be started here"
CONFIGS = 3  # that tune tries of each problem
WRONG = """
from convbench.algorithm import registry
from algorithms.direct import Direct

class Wrong(Direct):
    name = "wrong"

    def plan(self, problem, *args, **kwargs):
        if problem.c > 1:
            raise ValueError(f"c = {min(problem.c, 4)}")
        return super().plan(problem, *args, **kwargs)

registry.register(Wrong)
"""
COMMANDS = {
    "bench": (*PROBLEMS, "--algorithm", "direct,implicit_gemm", "--samples", "1", "--gpu", "none", "--out", "records",
              "--resume"),
    "tune": (*TUNED, "--algorithm", "implicit_gemm", "--trials", str(CONFIGS), "--database", "tuned.jsonl",
             "--out", "tried.jsonl", "--resume"),
    "fuzz": ("--plugin", "wrong.py", "--algorithm", "wrong,direct", "--examples", "40", "--keep-going", "--direction",
             "forward", "--corpus", "corpus.txt"),
}  # fmt: skip
WORKERS = {"a process": {"bench": ("--isolation", "process"), "tune": ("--isolation", "process")}, "Dask": {}}
TITLE = """# What is left of a run whose processes are killed

{kills} times, at a random moment, SIGKILL ended a command or one of the processes that it had started: worker
processes, the workers of a local cluster of Dask, and theirs. A command that was killed, or that gave up because three
workers in a row were killed while they started, was run again until one ended by itself. A job is a result of `bench`,
a candidate of `tune`, or a failing case of `fuzz`. Made by `nox -s kills`.

"""


@dataclass
class Tally:
    """What was done to one command with one kind of workers, and what became of it."""

    command: str
    workers: str
    parents: int = 0  # killed
    others: int = 0
    runs: int = 0
    gave_up: int = 0  # runs, of which three workers in a row were killed while they started
    ends: int = 0  # of runs that were not killed
    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # how a run ended, or what a file holds

    @property
    def kills(self) -> int:
        return self.parents + self.others


def campaign(command: str, workers: str, kills: int, seed: int) -> Tally:
    """Kill runs of one command until there were so many kills, then let the last one end."""
    tally, random = Tally(command, workers), Random(f"{seed} {command} {workers}")
    while tally.kills < kills:
        with TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "wrong.py").write_text(WRONG)
            while not run(tally, folder, kills, random):
                pass
            CHECKS[command](tally, folder)
        print(tally, flush=True)
    return tally


def run(tally: Tally, folder: Path, kills: int, random: Random) -> bool:
    """One run, with kills. Whether it ended by itself."""
    words = [tally.command, *COMMANDS[tally.command], "--device", "emulator"]
    words += WORKERS[tally.workers].get(tally.command, ()) if tally.workers != "Dask" else ("--cluster", "local:2")
    tally.runs += 1
    with (folder / "printed.txt").open("w+") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "convbench", *words], cwd=folder, stdout=printed, stderr=printed
        )
        end, killed = time.monotonic() + LIMIT_S, False
        while process.poll() is None and not killed and tally.kills < kills:
            with suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0.0, LONGEST_S))
                break
            killed = kill(tally, process, random)
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            tally.wrong.append(f"it did not end within {LIMIT_S:.0f} s")
        printed.seek(0)
        told = printed.read()
    if not killed and process.returncode == 2 and any(words in told for words in GAVE_UP):
        tally.gave_up += 1
        return False
    tally.ends += not killed
    if not killed and (process.returncode not in (0, 1) or "Traceback" in told):
        tally.wrong.append(f"exit status {process.returncode}: {' '.join(told[-400:].split())}")
    return not killed


def kill(tally: Tally, process: "subprocess.Popen[bytes]", random: Random) -> bool:
    """Kill the command or one of its processes. Whether it was the command."""
    try:
        children = [one for one in psutil.Process(process.pid).children(recursive=True) if not _is_pythons(one)]
    except psutil.Error:
        return False
    if not children or random.random() < 1 / 4:
        process.kill()
        process.wait()
        psutil.wait_procs(children, timeout=30)
        tally.wrong += [f"{child} lives on" for child in children if child.is_running()]
        tally.parents += 1
        return True
    with suppress(psutil.Error):
        random.choice(children).kill()
        tally.others += 1
    return False


def _is_pythons(process: psutil.Process) -> bool:
    """Whether a process is the keeper of Python's semaphores, which starts again and tells a traceback if killed."""
    return any("resource_tracker" in word for word in process.cmdline())


def check_records(tally: Tally, folder: Path) -> None:
    """Every job of bench has one record."""
    path = folder / "records" / "emulator" / "problems.jsonl"
    records, bad = read_records(path) if path.exists() else ([], [])
    counts = Counter((one.problem, one.algorithm) for one in records)
    jobs = [(problem, name) for problem in PROBLEMS for name in ("direct", "implicit_gemm")]
    tally.jobs += len(jobs)
    tally.lost += [str(job) for job in jobs if not counts[job]]
    tally.doubled += [str(job) for job, times in counts.items() if times > 1]
    tally.torn += [str(line) for line in bad]


def check_entries(tally: Tally, folder: Path) -> None:
    """Every candidate of tune has one record, and each search with one that passed has one entry."""
    entries, bad, _ = read_entries(folder / "tuned.jsonl")
    path = folder / "tried.jsonl"
    records, torn = read_records(path) if path.exists() else ([], [])
    tally.torn += [str(line) for line in (*bad, *torn)]
    configs = Counter((one.problem, str(one.config)) for one in records)
    tally.doubled += [str(one) for one, times in configs.items() if times > 1]
    tried = Counter(problem for problem, _ in configs)
    tally.jobs += CONFIGS * len(TUNED)
    tally.lost += [f"{CONFIGS - tried[problem]} of {problem}" for problem in TUNED if tried[problem] < CONFIGS]
    passed = {one.problem for one in records if one.outcome == "passed"}
    found = Counter(entry.problem for entry in entries)
    tally.wrong += [f"{found[problem]} entries of {problem}" for problem in passed if found[problem] != 1]


def check_corpus(tally: Tally, folder: Path) -> None:
    """Every failing case is there once, and the fault of the plugin was found."""
    cases, faults = Corpus(folder / "corpus.txt").known()
    tally.torn += [str(fault) for fault in faults]
    tally.jobs += len(cases)
    tally.doubled += [str(case) for case, times in Counter(one.case for one in cases).items() if times > 1]
    if not any(one.case.algorithm == "wrong" and one.case.problem.c > 1 for one in cases):
        tally.lost.append("the failure of the plugin")


CHECKS: dict[str, Callable[[Tally, Path], None]] = {
    "bench": check_records, "tune": check_entries, "fuzz": check_corpus,
}  # fmt: skip


def main() -> int:
    """Run all campaigns, and write the table; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=504)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", default="", help="a command, or a kind of workers")
    arguments.add_argument("--out", type=Path, default=FOLDER)
    given = arguments.parse_args()
    planned = [(command, workers) for command in COMMANDS for workers in WORKERS]
    planned = [one for one in planned if given.only in " ".join(one)]
    each = -(-given.kills // len(planned))
    with ThreadPoolExecutor(cores() + 1) as pool:  # they wait most of the time
        tallies = list(pool.map(lambda one: campaign(*one, each, given.seed), planned))
    rows = [
        (
            one.command, one.workers, one.parents, one.others, one.runs, one.gave_up, one.ends, one.jobs, len(one.lost),
            len(one.doubled), len(one.torn), "; ".join(dict.fromkeys(one.wrong)) or "–",
        )
        for one in tallies
    ]  # fmt: skip
    header = [
        "command", "workers", "command killed", "others killed", "runs", "gave up", "ended by themselves", "jobs",
        "lost", "doubled", "torn", "not as it must be",
    ]  # fmt: skip
    page = TITLE.format(kills=sum(one.kills for one in tallies)) + markdown_table(header, rows) + "\n"
    print(page)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "kills.md").write_text(page)
    return int(any(one.lost or one.doubled or one.torn or one.wrong for one in tallies))


if __name__ == "__main__":
    sys.exit(main())
