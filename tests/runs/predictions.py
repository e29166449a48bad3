"""Compare predicted times with published ones, and write a table with the errors.

    python -m nox -s predictions -- FOLDER

FOLDER has the published times as CSV files (R100001/Programming-Massively-Parallel-Processors, folder
Performance-Tests-NvBench), one for each family. The kernels are written anew (`predictions.cu`). Sizes that do not
fill the GPU with one wave of blocks are left out. Times of SGEMM by the steps of a series are in this file.
"""

import csv
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from cuda.bindings import nvrtc

from convbench.emulator import LoadedModule, Profile, load_ptx, profile
from convbench.inspection import toolkit
from convbench.profiling import chips, model, resident
from runs.predictions_launches import Case, Launch, Shape, case_of

SOURCES = "predictions.cu", "predictions_sgemm.cu"
WAIT_US = 20.0  # that the host takes longer than the GPU for a launch that does nothing (TIMED)
GPUS = {"1650": "gtx1650", "3060": "rtx3060", "3070ti": "rtx3070ti"}


class Row(NamedTuple):
    family: str
    case: str
    gpu: str
    measured_us: float
    us: float  # predicted, with all that was timed
    predicted: model.Prediction  # of the first launch
    host_us: float | None = None  # what the smallest array with as many launches takes longer than predicted

    @property
    def error(self) -> float:
        return self.us / self.measured_us - 1


def call(name: str, *arguments: Any) -> Any:
    error, *found = getattr(nvrtc, name)(*arguments)
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, name
    return found[0] if len(found) == 1 else found


@cache
def compiled(source: str, architecture: str) -> tuple[LoadedModule, dict[str, resident.Resources]]:
    """The kernels for an architecture, and what each takes."""
    text = (Path(__file__).parent / source).read_bytes()
    program = call("nvrtcCreateProgram", text, source.encode(), 0, [], [])
    options = [f"--gpu-architecture={architecture}".encode(), b"--generate-line-info"]
    call("nvrtcCompileProgram", program, len(options), options)
    ptx, cubin = bytes(call("nvrtcGetPTXSize", program)), bytes(call("nvrtcGetCUBINSize", program))
    call("nvrtcGetPTX", program, ptx)
    call("nvrtcGetCUBIN", program, cubin)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(toolkit.tool("cuobjdump")), "-res-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    taken = {}
    for name, registers, rest in re.findall(r"Function (\w+):\s+REG:(\d+)(.*)", text):
        shared = re.search(r"SHARED:(\d+)", rest)
        taken[name] = resident.Resources(int(registers), int(shared[1]) if shared else 0)
    return load_ptx(ptx.rstrip(b"\0").decode()), taken


def built(launch: Launch, architecture: str) -> tuple[LoadedModule, dict[str, resident.Resources]]:
    return compiled(SOURCES[launch.kernel.startswith("sgemm")], architecture)


@cache
def counted(launch: Launch, architecture: str) -> Profile:
    module, _ = built(launch, architecture)
    arrays = [np.zeros(size, dtype) for size, dtype in launch.arrays]
    capability = tuple(map(int, (architecture[3:-1], architecture[-1])))
    return profile(
        module[launch.kernel], launch.grid, launch.block, *arrays, *launch.numbers, shared_bytes=launch.shared_bytes,
        blocks=9, compute_capability=capability,
    )  # fmt: skip


def predicted(case: Case, chip: chips.Chip, dirty_bytes: int = 0) -> tuple[list[model.Prediction], bool]:
    """The predictions of all launches, and whether the first fills the GPU."""
    found, is_full = [], False
    for launch in case.launches:
        counts = counted(launch, chip.architecture)
        taken = built(launch, chip.architecture)[1][launch.kernel]
        if not found:
            is_full = counts.blocks >= chip.multiprocessors * max(resident.held(counts, taken, chip).blocks, 1)
        found.append(model.predict(counts, taken, chip, dirty_bytes=0 if found else dirty_bytes))
    return found, is_full


def published(folder: Path) -> list[Row]:
    found = []
    for file in sorted(folder.glob("*.csv")):
        smallest: dict[tuple[str, str, int], float] = {}
        with file.open() as lines:
            rows = list(csv.DictReader(lines))
        for row in rows:
            case, chip = case_of(row), chips.get(GPUS[row["gpu"]])
            if case is None:
                continue
            first, key = case.launches[0], (row["benchmark"], row["gpu"], len(case.launches))
            is_base = file.stem in WITH_HOST and key not in smallest
            if not is_base and not may_fill(first, chip):
                continue
            times, is_full = predicted(case, chip, dirty_bytes=chip.l2_kib * 1024)
            us, measured_us = sum(time.us for time in times) + case.waits * WAIT_US, float(row["gpu_time_s"]) * 1e6
            host_us = None if is_base else smallest.get(key)
            if is_base:
                smallest[key] = measured_us - us
            if is_full:
                title = f"{row['benchmark'].partition(' (')[0]}, {first.arrays[0][0]} {first.numbers} {first.block}"
                found.append(Row(file.stem, title, chip.name, measured_us, us, times[0], host_us))
                print(found[-1].case, chip.name, f"{found[-1].error:+.1%}", times[0].bound, flush=True)
    return found


def may_fill(launch: Launch, chip: chips.Chip) -> bool:
    """Whether a launch may fill a GPU; if not, its blocks are certainly fewer than one wave."""
    threads = int(np.prod(launch.block))
    return int(np.prod(launch.grid)) >= chip.multiprocessors * max(min(chip.limits.max_blocks, 1024 // threads), 1)


WITH_HOST = "reduction", "scan"  # between whose launches the host works
TIMED = """What the published times contain is told in `tests/runs/predictions_launches.py`. Reductions and scans
contain waits of the host between their launches. Each wait is taken for 20 µs. So much longer than the GPU the host
takes for a launch that does nothing: 19.7, 20.2 and 20.7 µs on the three GPUs, by CPU Time and GPU Time of the smallest
arrays in the published files (array_add/BenchResults). The allocations of a scan are taken for nothing, because no
published time was found. A table of its own has the errors of reductions and scans if the host takes as long as for
the smallest array with as many launches."""
MISSES = """What misses, and why:

- Scans of 2^18 elements and more on the RTX 3060 and 3070 Ti take 280 µs longer than smaller ones, all three alike. A
  scan allocates memory for its sums. Up to 2^17 elements that takes no time that could be seen. The arrays of larger
  ones fill the blocks in which the driver allocates, so it presumably gets a new one in each run. No published time of
  this was found.
- Scans by Brent-Kung's algorithm take as long as if a multiprocessor held one block. The cause is not known.
- Sizes of less than a megabyte: the model has one figure for the launch, 4 µs. NVBench's times of the smallest arrays
  are about 7 µs. A launch whose caches were emptied fetches its code and its arguments from memory.
- Sums of arrays by columns: each row of the memory is opened for 64 bytes. GPGPU-Sim's configurations have 12 clocks
  between two openings, in which 96 bytes could be moved. That would be 1.5 times the time; the published one is 1.6 to
  1.7 times that by rows, and more for 8,192 rows, which reach over 256 MiB. The counts do not have this, because it
  depends on which blocks run side by side.
- Histograms in blocks of 32 to 256 threads: their atomics go to 512 words, about 47 · 10^9 a second on each of the
  three GPUs, so the L2 cache limits them. What it can do for neighbouring words is not published.
- Greyscale pictures, most on a GTX 1650: a warp stores half of each sector, which may cost more than the model has it.
- Tiled convolutions in two dimensions are predicted too fast, most with several channels and in blocks of 64 threads.
  The cause is not known.
- The coalesced SGEMM on an A100: half of its requests are for one word, which the model takes for as fast as any.
- SGEMM by warp tiles is predicted 22 to 29 % too fast on an RTX A6000 and 4090. The cause is not known.
- No size of the published products of a matrix and a vector fills a GPU: 8,192 rows are 16 blocks of 512 threads."""

SGEMM = {  # GFLOP/s for 4096³ on an RTX A6000, an A100 and an RTX 4090 (siboehm's series)
    "sgemm_uncoalesced": (309, 292, 674),
    "sgemm_coalesced": (1987, 3119, 5218),
    "sgemm_tiles": (2980, 5452, 6481),
    "sgemm_registers_1d": (8475, 10369, 19308),
    "sgemm_registers_2d": (15972, 14155, 35637),
    "sgemm_vectorised": (18237, 15297, 42464),
    "sgemm_warp_tiles": (21779, 17807, 45320),
}
BLOCKS: dict[str, tuple[Shape, Shape]] = {
    "sgemm_uncoalesced": ((128, 128), (32, 32)),
    "sgemm_coalesced": ((128, 128), (1024,)),
    "sgemm_tiles": ((128, 128), (32, 32)),
    "sgemm_registers_1d": ((64, 64), (512,)),
    "sgemm_registers_2d": ((32, 32), (256,)),
    "sgemm_vectorised": ((32, 32), (256,)),
    "sgemm_warp_tiles": ((32, 32), (128,)),
}


def sgemm() -> list[Row]:
    found, n = [], 4096
    for name, speeds in SGEMM.items():
        for gpu, gflops in zip(("a6000", "a100", "rtx4090"), speeds, strict=True):
            chip = chips.get(gpu)
            grid, block = BLOCKS[name]
            (prediction,), _ = predicted(Case((Launch(name, grid, block, ((n * n, "f4"),) * 3, (n,)),)), chip)
            found.append(Row("SGEMM by steps", name, chip.name, 2 * n**3 / gflops / 1e3, prediction.us, prediction))
            print(name, chip.name, f"{found[-1].error:+.1%}", prediction.bound, flush=True)
    return found


def ranks(values: list[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda at: values[at])
    found = [0.0] * len(values)
    for rank, at in enumerate(order):
        found[at] = rank
    return found


def table(rows: list[Row], key: Callable[[Row], str], head: str) -> list[str]:
    lines = [f"| {head} | times | median error | 9 of 10 are within | worst | rank correlation |"]
    lines.append("|:--|--:|--:|--:|--:|--:|")
    for name in dict.fromkeys(map(key, rows)):
        mine = [row for row in rows if key(row) == name]
        errors = [abs(row.error) for row in mine]
        both = [ranks([row.measured_us for row in mine]), ranks([row.us for row in mine])]
        rank = f"{np.corrcoef(both)[0, 1]:.3f}" if len(mine) > 2 else "–"
        numbers = statistics.median(errors), float(np.quantile(errors, 0.9)), max(errors)
        lines.append(f"| {name} | {len(mine)} | {' | '.join(f'{number:.1%}' for number in numbers)} | {rank} |")
    return lines


def main(folder: Path, out: Path) -> None:
    rows = published(folder)
    steps = sgemm()
    middle = statistics.median(abs(row.error) for row in rows)
    alone = [row for row in rows if row.family not in WITH_HOST]
    rest = statistics.median(abs(row.error) for row in alone)
    hosted = [row._replace(us=row.us + row.host_us) for row in rows if row.host_us is not None]
    series = statistics.median(abs(row.error) for row in steps)
    lines = [
        "# Predicted and published times",
        "",
        "Made by `python -m nox -s predictions`. Each time is predicted for the GPU that is named, not measured by us.",
        "No figure of the model is fitted to these times. The kernels are written anew from their description.",
        "",
        f"All {len(rows)} times of textbook kernels on three GPUs, of sizes that fill one: median error {middle:.1%}.",
        f"Without reductions and scans it is {rest:.1%}. Of SGEMM by the seven steps of a series it is {series:.1%}.",
        "",
        TIMED,
        "",
        MISSES,
        "",
        *table(rows, lambda row: row.family, "family"),
        "",
        *table(rows, lambda row: row.case.partition(",")[0], "kernel"),
        "",
        *table(rows, lambda row: row.gpu, "GPU"),
        "",
        *table(hosted, lambda row: row.case.partition(",")[0], "kernel, with the host as for the smallest array"),
        "",
        *table(
            [*alone, *steps], lambda row: model.WORDS[row.predicted.bound], "bound by, without reductions and scans"
        ),
        "",
        "SGEMM of 4096³ by the steps of a published series, in GFLOP/s:",
        "",
        "| step | GPU | published | predicted | error | bound by |",
        "|:--|:--|--:|--:|--:|:--|",
    ]
    for row in steps:
        was, now = (2 * 4096**3 / us / 1e3 for us in (row.measured_us, row.us))
        bound = model.WORDS[row.predicted.bound]
        lines.append(f"| {row.case} | {row.gpu} | {was:,.0f} | {now:,.0f} | {row.error:+.1%} | {bound} |")
    lines += ["", *table(steps, lambda row: row.gpu, "GPU")]
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path("reports/predicted/published_times.md"))
