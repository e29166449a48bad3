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
from convbench.profiling import chips, demands, model
from runs.predictions_launches import Case, Launch, Shape, case_of

SOURCES = "predictions.cu", "predictions_sgemm.cu"
WAIT_US = (
    6.6  # of the host for a kernel that does nothing (ReFrame, microbenchmark of the latency of kernels, on a P100)
)
GPUS = {"1650": "gtx1650", "3060": "rtx3060", "3070ti": "rtx3070ti"}


class Row(NamedTuple):
    family: str
    case: str
    gpu: str
    measured_us: float
    us: float  # predicted, with all that was timed
    predicted: model.Prediction  # of the first launch

    @property
    def error(self) -> float:
        return self.us / self.measured_us - 1


def call(name: str, *arguments: Any) -> Any:
    error, *found = getattr(nvrtc, name)(*arguments)
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, name
    return found[0] if len(found) == 1 else found


@cache
def compiled(source: str, architecture: str) -> tuple[LoadedModule, dict[str, demands.Resources]]:
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
        taken[name] = demands.Resources(int(registers), int(shared[1]) if shared else 0)
    return load_ptx(ptx.rstrip(b"\0").decode()), taken


def built(launch: Launch, architecture: str) -> tuple[LoadedModule, dict[str, demands.Resources]]:
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
            is_full = counts.blocks >= chip.multiprocessors * max(demands.held(counts, taken, chip).blocks, 1)
        found.append(model.predict(counts, taken, chip, dirty_bytes=0 if found else dirty_bytes))
    return found, is_full


def published(folder: Path) -> list[Row]:
    found = []
    for file in sorted(folder.glob("*.csv")):
        with file.open() as lines:
            rows = list(csv.DictReader(lines))
        for row in rows:
            case = case_of(row)
            if case is None:
                continue
            chip, first = chips.get(GPUS[row["gpu"]]), case.launches[0]
            if np.prod(first.grid) * np.prod(first.block) < 1024 * chip.multiprocessors and len(first.grid) < 3:
                threads = int(np.prod(first.block))
                if np.prod(first.grid) < chip.multiprocessors * min(chip.limits.max_blocks, 1024 // threads):
                    continue  # certainly less than one wave
            times, is_full = predicted(case, chip, dirty_bytes=chip.l2_kib * 1024)
            if is_full:
                title = f"{row['benchmark'].partition(' (')[0]}, {first.arrays[0][0]} {first.numbers} {first.block}"
                us = sum(time.us for time in times) + case.waits * WAIT_US
                found.append(Row(file.stem, title, chip.name, float(row["gpu_time_s"]) * 1e6, us, times[0]))
                print(found[-1].case, chip.name, f"{found[-1].error:+.1%}", times[0].bound, flush=True)
    return found


REDUCTION = """A published reduction of 2 elements takes 29 µs, so its times contain about 25 µs of other work, such as
further launches for the sums of blocks. Only the first launch is predicted.

What misses, and why:

- Sizes of less than a megabyte: the model has one figure for the launch, and caches that were emptied cost more.
- Sums of arrays by columns: each warp writes parts of sectors, which the model lets the L2 cache merge without a cost.
- Greyscale: three loads of bytes for each pixel, whose requests the model lets overlap fully.
- Blocks of 1,024 threads, of convolutions and of products by tiles: one block fits a multiprocessor, so barriers are
  exposed more than the model has it.
- SGEMM by 1-D register tiles: ptxas unrolls a loop that NVVM leaves, and merges its loads from shared memory.
- The coalesced SGEMM on an A100: half of its requests are for one word, which the model takes for as fast as any.
- Histograms, scans, products of a matrix and a vector, and steps 6 and 7 of the series on SGEMM are not tried. No size
  of the published products of a matrix and a vector fills a GPU."""

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
    alone = [row for row in rows if row.family != "reduction"]
    rest = statistics.median(abs(row.error) for row in alone)
    lines = [
        "# Predicted and published times",
        "",
        "Made by `python -m nox -s predictions`. Each time is predicted for the GPU that is named, not measured by us.",
        "No figure of the model is fitted to these times. The kernels are written anew from their description.",
        "",
        f"All {len(rows)} times of textbook kernels on three GPUs, of sizes that fill one: median error {middle:.1%}.",
        f"Without the reductions it is {rest:.1%}. {REDUCTION}",
        "",
        *table(rows, lambda row: row.family, "family"),
        "",
        *table(rows, lambda row: row.case.partition(",")[0], "kernel"),
        "",
        *table(rows, lambda row: row.gpu, "GPU"),
        "",
        *table([*alone, *steps], lambda row: model.WORDS[row.predicted.bound], "bound by, without reductions"),
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
