"""Verify a sample of timm's layers by every algorithm, in shards that are merged, and say what all of them would take.

`nox -s sample` draws 200 of the layers of `timm_conv2d_unique` with less than 100 million multiply-adds: of each kind
of layer and size as many as it has of all. It verifies them in four shards, one for each core at a time, and merges the
results. From the processor time of the layers it estimates that of the whole workload, for one machine and for 64. The
table goes to reports/emulator/sample.md, the results to reports/emulator/sample.jsonl. Exit status 1 if a result is
lost, doubled or not right.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from convbench.algorithm import registry
from convbench.problem import ConvProblem
from convbench.records import read_records
from convbench.records.environment import cores, processor
from convbench.report import markdown_table
from convbench.workload import Layer, load

FOLDER = Path(__file__).parents[3] / "reports" / "emulator"
WORKLOAD, MOST_MACS = "timm_conv2d_unique", 100_000_000
SHARDS, MACHINES, LOOK_S = 4, 64, 0.1
TITLE = """# A sample of timm's layers, verified by every algorithm

{count} of the {all:,} layers of `{workload}` with less than {most:,} multiply-adds, {share} of each kind and size, on
`emulator` with {cores} cores of {processor}, in {shards} shards, {cores} at a time. Made by `nox -s sample`.

"""
MODEL = """
Processor time of a layer, all {algorithms} algorithms together, by its multiply-adds. What the sample has of each kind
and size stands for all of that kind and size. A larger layer counts as many seconds for each multiply-add as the
largest of the sample do together, {rate:.0f} s for 10⁹:

{table}

All {whole:,} layers of the workload would take {hours:,.0f} processor-hours. With a shard for each core, that is
{here:,.0f} hours on this machine, and {machines:.1f} hours on {number} such machines. The largest layer takes
{largest:.2f} hours: no run of all is shorter.
"""


@dataclass(frozen=True)
class Took:
    """What a shard took."""

    layers: int
    macs: int
    seconds: float
    processor_s: float
    each: dict[str, float]  # seconds of processors by problem


def kind(problem: ConvProblem) -> str:
    """The kind of a layer, and the decade of its multiply-adds."""
    taps = (problem.r, problem.s)
    if problem.groups > 1:
        name = "depthwise" if problem.groups == problem.c else "grouped"
    else:
        name = f"{taps[0]} × {taps[1]}" if taps in ((1, 1), (3, 3)) else "other"
    return f"{name}, 10^{len(str(problem.macs)) - 1}"


def sample(layers: list[Layer], count: int, seed: int) -> list[Layer]:
    """So many layers, of each kind in proportion; what is left by rounding goes to the kinds with the largest rest."""
    kinds: dict[str, list[Layer]] = {}
    for layer in layers:
        kinds.setdefault(kind(layer.problem), []).append(layer)
    quotas = {name: count * len(found) / len(layers) for name, found in kinds.items()}
    sizes = {name: int(quota) for name, quota in quotas.items()}
    for name in sorted(quotas, key=lambda name: sizes[name] - quotas[name])[: count - sum(sizes.values())]:
        sizes[name] += 1
    random = Random(seed)
    return [layer for name in sorted(kinds) for layer in random.sample(kinds[name], sizes[name])]


def verify(folder: Path, shard: int) -> Took:
    """Verify a shard, and see when each result is written."""
    words = [sys.executable, "-m", "convbench", "verify", "--workload", "sample.txt", "--device", "emulator"]
    words += ["--shard", f"{shard}/{SHARDS}", "--out", "records"]
    path = folder / "records" / "emulator" / f"sample-shard-{shard}-of-{SHARDS}.verified.jsonl"
    env = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}  # no kernel is compiled before
    start, used, ends = time.monotonic(), 0.0, list[float]()  # ends: processor time when each result was there
    with (folder / f"printed-{shard}.txt").open("a") as printed:
        process = subprocess.Popen(words, cwd=folder, stdout=printed, stderr=printed, env=env)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(LOOK_S)
            with suppress(psutil.Error):
                used = max(used, processor_s(watched))
            lines = path.read_bytes().count(b"\n") if path.exists() else 0
            ends += [used] * (lines - len(ends))
    seconds = time.monotonic() - start
    records, each, last = read_records(path)[0], dict[str, float](), 0.0
    ends += [used] * (len(records) - len(ends))
    for record, end in zip(records, ends, strict=True):
        each[record.problem] = each.get(record.problem, 0.0) + end - last
        last = end
    layers = load(str(folder / "sample.txt")).shard(f"{shard}/{SHARDS}").layers
    return Took(len(layers), sum(layer.problem.macs for layer in layers), seconds, used, each)


def processor_s(process: psutil.Process) -> float:
    """Seconds of processors that a process and those that it started have used, also those that have ended."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system + one.children_user + one.children_system for one in times)


def main() -> int:
    """Run the sample, and write the table; returns the exit status."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--layers", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--out", type=Path, default=FOLDER)
    given = arguments.parse_args()
    whole = load(WORKLOAD).distinct().layers
    small = [layer for layer in whole if layer.problem.macs < MOST_MACS]
    chosen = sample(small, given.layers, given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place:
        folder, merged = Path(place), given.out / "sample.jsonl"
        (folder / "sample.txt").write_text("".join(f"{layer.problem}\n" for layer in chosen))
        with ThreadPoolExecutor(cores()) as pool:
            took = list(pool.map(lambda shard: verify(folder, shard), range(1, SHARDS + 1)))
        merged.unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, "-m", "convbench", "merge", str(merged.resolve()), "records"], cwd=folder, check=True
        )
    records, bad = read_records(merged)
    counts = Counter((record.problem, record.algorithm) for record in records)
    jobs = {(str(layer.problem), name) for layer in chosen for name in registry.names()}
    faults = [f"{job} has {counts[job]} results" for job in jobs | set(counts) if counts[job] != 1 or job not in jobs]
    faults += [str(line) for line in bad]
    faults += [
        f"{record.algorithm} on {record.problem}: {record.outcome}: {record.reason}"
        for record in records if record.outcome not in ("passed", "refused")
    ]  # fmt: skip
    page = TITLE.format(
        count=len(chosen), all=len(small), workload=WORKLOAD, most=MOST_MACS, cores=cores(), processor=processor(),
        share=f"{len(chosen) / len(small):.1%}", shards=SHARDS,
    ) + shards(took) + "\n" + model(took, chosen, list(whole)) + "\n" + outcomes(records) + "\n"  # fmt: skip
    page += "".join(f"\n- {fault}" for fault in faults)
    (given.out / "sample.md").write_text(page)
    print(page)
    return int(bool(faults))


def shards(took: list[Took]) -> str:
    """The table of the shards."""
    whole = sum(one.macs for one in took)
    rows = [
        (number, one.layers, f"{one.macs / whole:.2%}", f"{one.seconds:,.0f}", f"{one.processor_s:,.0f}")
        for number, one in enumerate(took, start=1)
    ]
    rows.append((
        "all", sum(one.layers for one in took), "100 %", f"{sum(one.seconds for one in took):,.0f}",
        f"{sum(one.processor_s for one in took):,.0f}",
    ))  # fmt: skip
    return markdown_table(("shard", "layers", "multiply-adds", "s", "processor s"), rows)


def model(took: list[Took], chosen: list[Layer], whole: list[Layer]) -> str:
    """The sentences about what other numbers of layers take."""
    each = {problem: seconds for one in took for problem, seconds in one.each.items()}
    alike: dict[str | int, list[float]] = {}  # by kind and size, and by size alone for kinds that the sample lacks
    for layer in chosen:
        alike.setdefault(kind(layer.problem), []).append(each[str(layer.problem)])
        alike.setdefault(digits(layer), []).append(each[str(layer.problem)])
    large = [layer.problem for layer in chosen if layer.problem.macs >= MOST_MACS / 10]
    rate = sum(each[str(problem)] for problem in large) / max(1, sum(problem.macs for problem in large))
    total, largest = 0.0, 0.0
    for layer in whole:
        known = alike.get(kind(layer.problem)) or alike.get(digits(layer))
        is_small = layer.problem.macs < MOST_MACS
        seconds = float(np.mean(known)) if known and is_small else rate * layer.problem.macs
        total, largest = total + seconds, max(largest, seconds)
    rows = []
    for size in sorted({digits(layer) for layer in chosen}):
        times = alike[size]
        middle = f"{np.median(times):.1f}", f"{np.mean(times):.1f}"
        rows.append((f"10^{size - 1}", len(times), *middle, f"{max(times):.1f}"))
    return MODEL.format(
        algorithms=len(registry.names()), rate=rate * 1e9, whole=len(whole), hours=total / 3600,
        table=markdown_table(("multiply-adds from", "layers", "median s", "mean s", "most s"), rows),
        here=total / 3600 / cores(), machines=total / 3600 / cores() / MACHINES, number=MACHINES,
        largest=largest / 3600,
    )  # fmt: skip


def digits(layer: Layer) -> int:
    """Digits of the number of a layer's multiply-adds."""
    return len(str(layer.problem.macs))


def outcomes(records: list) -> str:
    """The table of the outcomes by algorithm."""
    rows = []
    for name in registry.names():
        own = [record for record in records if record.algorithm == name]
        passed = [record for record in own if record.outcome == "passed"]
        worst = max((record.fraction for record in passed if record.fraction is not None), default=None)
        told = "–" if worst is None else f"{worst:.3g}"
        refused = sum(one.outcome == "refused" for one in own)
        rows.append((name, len(passed), refused, len(own) - len(passed) - refused, told))
    header = "algorithm", "passed", "refused", "failed", "largest fraction of its bound"
    return markdown_table(header, rows)


if __name__ == "__main__":
    sys.exit(main())
