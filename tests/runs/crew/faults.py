"""What becomes of everything else when an algorithm ends its process, hangs, or leaves it in a mess.

`nox -s faults` has an algorithm do each thing on one problem, in verify, bench, tune and fuzz, as a plugin, and as a
built-in algorithm that is broken from outside. Beside it two algorithms are right. Each run must end by itself within
its time, with exit status 1 where the algorithm failed; each result must be there once, and those of the others be
right. The table goes to reports/emulator/faults.md. Exit status 1 if any row is not as it must be.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent

from convbench.records import read_records
from convbench.records.environment import cores
from convbench.report import markdown_table

ROOT = str(Path(__file__).parents[3])
FOLDER = Path(__file__).parents[3] / "reports" / "emulator"
PROBLEMS = "n1c2h5w5-k2r3s3", "n1c3h4w4-k2r1s1"
LIMIT_S = 600  # for one run
TITLE = """# What becomes of the rest when an algorithm misbehaves

{good} of {count} rows are as they must be. In each, an algorithm does what the row says while a plan is made, on two
problems, or in a campaign of the fuzzer. Two other algorithms run beside it. A row is as it must be if the command ends
by itself with the right exit status, each result of the three is there once, and the other two are right. The last
column says what is not. Made by `nox -s faults`.

"""


@dataclass(frozen=True)
class Deed:
    """What an algorithm does, as lines of Python, and what its results must be."""

    code: str
    outcome: str  # of its records
    fault: str  # of its finding, for the fuzzer
    where: str = "plan"  # the method that does it


DEEDS = {
    "raises an exception": Deed("raise ZeroDivisionError('mine')", "crashed", "crash"),
    "raises a BaseException": Deed("raise Odd", "crashed", "crash"),
    "raises KeyboardInterrupt": Deed("raise KeyboardInterrupt", "crashed", "crash"),
    "leaves by sys.exit": Deed("sys.exit(0)", "crashed", "crash"),
    "ends with status 0": Deed("os._exit(0)", "crashed", "the process ended"),
    "ends with status 3": Deed("os._exit(3)", "crashed", "the process ended"),
    "is ended by SIGSEGV": Deed("os.kill(os.getpid(), signal.SIGSEGV)", "crashed", "the process ended"),
    "aborts": Deed("os.abort()", "crashed", "the process ended"),
    "loops on the host": Deed("while True: pass", "timed_out", "does not end"),
    "loops in a kernel": Deed(
        "device.launch('multiply', endless, 1, 1, device.upload(np.zeros(1)))", "timed_out", "does not end"
    ),
    "takes all memory": Deed(
        "kept = []\nwhile True: kept.append(bytearray(b'1' * 2**26))", "out_of_memory", "out of memory"
    ),
    # the limit holds for the child, too: its allocation fails, and it ends
    "has a child take it": Deed("subprocess.run([sys.executable, '-c', HUNGRY])", "passed", ""),
    "forks": Deed("if os.fork() == 0: time.sleep(600)", "passed", ""),
    "forks, and the copy goes on": Deed("os.fork()", "passed", ""),
    "starts a thread": Deed("threading.Thread(target=time.sleep, args=(600,)).start()", "passed", ""),
    "closes all files": Deed("os.closerange(0, 256)", "crashed", "the process ended"),
    "changes the folder": Deed("os.chdir('/')", "passed", ""),
    "prints without end": Deed("for _ in range(2000): os.write(1, b'x' * 4096)", "passed", ""),
    "ends where it may refuse": Deed("os._exit(4)", "crashed", "the process ended", where="limits"),
}
COMMANDS = {
    "verify": ("--out", "records"),
    "bench": ("--out", "records", "--gpu", "none"),
    "tune": ("--out", "records/tuned.jsonl", "--database", "tuned.jsonl", "--trials", "2", "--gpu", "h200"),
    "fuzz": ("--examples", "24", "--keep-going", "--direction", "forward", "--json"),
}
BROKEN = "ends with status 3 (built-in direct)"

BEGINNING = '''\
import os, signal, subprocess, sys, threading, time
import numpy as np
from numba import cuda
from convbench.algorithm import registry
from algorithms.direct import Direct

HUNGRY = """
import time
try:
    kept = bytearray(b'1' * 2**31)
except MemoryError:
    raise SystemExit(1)  # without a traceback, which would be taken for one of convbench
time.sleep(600)
"""

class Odd(BaseException):
    def __str__(self):
        raise RuntimeError("no text")

@cuda.jit
def endless(x):
    while x[0] == 0.0:
        x[0] *= 2.0

def deed(problem, device):
'''
PLUGIN = """
class Bad(Direct):
    name = "bad"

    def {where}(self, *args, **kwargs):
        deed(*args[:2])
        return super().{where}(*args, **kwargs)

class Good(Direct):
    name = "good"

registry.register(Bad)
registry.register(Good)
"""
# Python imports a module named sitecustomize when it starts: this one breaks a built-in algorithm in every worker
BREAKING = """
import os, sys
if "convbench.crew.worker" in sys.orig_argv:
    from algorithms.direct.plain import Direct
    Direct.plan = lambda *args, **kwargs: os._exit(3)
"""


def run(command: str, name: str, deed: Deed, folder: Path) -> dict[str, object]:
    """The row of one run."""
    (folder / "plugin.py").write_text(BEGINNING + indent(deed.code, "    ") + "\n" + PLUGIN.format(where=deed.where))
    limits = "--timeout", "30" if "loops" in name else "300", "--memory", "1500MB"
    words = [command, *(() if command == "fuzz" else PROBLEMS), "--plugin", "plugin.py"]
    words += ["--algorithm", "good,bad,im2col_gemm", "--device", "emulator", *limits, *COMMANDS[command]]
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "convbench", *words], cwd=folder, capture_output=True, text=True, timeout=LIMIT_S,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return row(command, name, [f"it did not end within {LIMIT_S} s"], "–", time.monotonic() - start)
    seconds = time.monotonic() - start
    if command == "fuzz":
        became, faults = of_campaign(deed, done)
    else:
        became, faults = of_records(command, deed, folder)
    expected = int(deed.outcome != "passed")
    faults += [] if done.returncode == expected else [f"exit status {done.returncode}: {done.stderr[-300:]}"]
    faults += ["a traceback"] if "Traceback" in done.stderr else []
    return row(command, name, faults, became, seconds)


def row(command: str, name: str, faults: list[str], became: str, seconds: float) -> dict[str, object]:
    told = "; ".join(" ".join(fault.split()) for fault in faults)
    return {"command": command, "deed": name, "became": became, "seconds": round(seconds), "faults": told}


def of_records(command: str, deed: Deed, folder: Path) -> tuple[str, list[str]]:
    """What became of the algorithm, and what is not as it must be, in the records of a run."""
    files = list((folder / "records").rglob("*.jsonl"))
    if command == "tune" and deed.where == "limits":
        return "refused", [] if files else ["no records"]
    records, bad = read_records(files[0]) if files else ([], [])
    faults = [str(line) for line in bad]
    each = {"tune": 2}.get(command, 1)
    counts = Counter((record.algorithm, record.problem) for record in records)
    for algorithm in ("good", "bad", "im2col_gemm"):
        for problem in PROBLEMS:
            found = counts[algorithm, problem]
            least, most = (each, each + 2) if command == "tune" else (1, 1)
            if not least <= found <= most and not (command == "tune" and algorithm == "im2col_gemm"):
                faults.append(f"{found} records of {algorithm} on {problem}")
    others = [record for record in records if record.algorithm != "bad" and record.outcome != "passed"]
    faults += [f"{record.algorithm}: {record.outcome}: {record.reason}" for record in others]
    became = {record.outcome for record in records if record.algorithm == "bad"}
    faults += [] if became == {deed.outcome} else [f"it became {', '.join(sorted(became)) or 'nothing'}"]
    return ", ".join(sorted(became)).replace("_", " "), faults


def of_campaign(deed: Deed, done: "subprocess.CompletedProcess[str]") -> tuple[str, list[str]]:
    """The same in the answer of a campaign."""
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return "–", [f"no JSON: {done.stdout[-200:]}"]
    found = {(one["cause"]["algorithm"], one["cause"]["fault"]) for one in told["failures"]}
    expected = {("bad", deed.fault)} if deed.fault else set()
    faults = [] if found == expected else [f"found {sorted(found)}"]
    faults += [f"{name} had no case" for name in ("good", "im2col_gemm") if not told["algorithms"][name]["cases"]]
    return ", ".join(sorted(fault for _, fault in found)) or "passed", faults


def run_broken(command: str, folder: Path) -> dict[str, object]:
    """The row of a run in which a built-in algorithm ends its process."""
    (folder / "sitecustomize.py").write_text(BREAKING)
    problems = () if command == "fuzz" else PROBLEMS
    isolation = () if command == "fuzz" else ("--isolation", "process")
    words = [command, *problems, "--algorithm", "depthwise,direct,im2col_gemm", "--device", "emulator", *isolation]
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "convbench", *words, *COMMANDS[command]], cwd=folder, capture_output=True, text=True,
        timeout=LIMIT_S, check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), ROOT])},
    )  # fmt: skip
    seconds, faults, became = time.monotonic() - start, [], "–"
    if command == "fuzz":
        told = json.loads(done.stdout)
        became = ", ".join(sorted({one["cause"]["fault"] for one in told["failures"]}))
        faults += [] if told["algorithms"]["im2col_gemm"]["cases"] else ["im2col_gemm had no case"]
        faults += [] if became == "the process ended" else [f"it became {became or 'nothing'}"]
    else:
        (file,) = (folder / "records").rglob("*.jsonl")
        outcomes = {(one.algorithm, one.problem): one.outcome for one in read_records(file)[0]}
        became = ", ".join(sorted({what for (name, _), what in outcomes.items() if name == "direct"}))
        faults += [] if became == "crashed" else [f"it became {became or 'nothing'}"]
        faults += [
            f"im2col_gemm: {what}" for (name, _), what in outcomes.items() if (name, what) == ("im2col_gemm", "")
        ]
        faults += [] if any(name == "im2col_gemm" for name, _ in outcomes) else ["im2col_gemm is lost"]
    faults += [] if done.returncode == 1 else [f"exit status {done.returncode}: {done.stderr[-300:]}"]
    return row(command, BROKEN, faults, became, seconds)


def main() -> None:
    """Run all rows, as many at a time as there are cores, and write the table."""
    wanted = sys.argv[1:]
    planned = [(command, name) for command in COMMANDS for name in (*DEEDS, BROKEN)]
    planned = [one for one in planned if not wanted or any(word in " ".join(one) for word in wanted)]
    with ThreadPoolExecutor(cores()) as pool:
        rows = list(pool.map(lambda one: row_of(*one), planned))
    good = sum(not one["faults"] for one in rows)
    if not wanted:
        header = ["command", "what it does", "what became of it", "s", "not as it must be"]
        table = markdown_table(header, ([value or "–" for value in one.values()] for one in rows))
        (FOLDER / "faults.md").write_text(TITLE.format(good=good, count=len(rows)) + table + "\n")
    sys.exit(good < len(rows))


def row_of(command: str, name: str) -> dict[str, object]:
    """Run one row in a folder of its own."""
    with TemporaryDirectory() as place:
        found = run_broken(command, Path(place)) if name == BROKEN else run(command, name, DEEDS[name], Path(place))
    print(found, flush=True)
    return found


if __name__ == "__main__":
    main()
