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
from convbench.profiling import chips, model

SOURCE = Path(__file__).parent / "predictions.cu"
GPUS = {"1650": "gtx1650", "3060": "rtx3060", "3070ti": "rtx3070ti"}
Shape = tuple[int, ...]


class Launch(NamedTuple):
    kernel: str
    grid: Shape
    block: Shape
    arrays: tuple[tuple[int, str], ...]  # elements and dtypes
    numbers: tuple[int, ...]


class Row(NamedTuple):
    family: str
    case: str
    gpu: str
    measured_us: float
    predicted: model.Prediction

    @property
    def error(self) -> float:
        return self.predicted.us / self.measured_us - 1


def call(name: str, *arguments: Any) -> Any:
    error, *found = getattr(nvrtc, name)(*arguments)
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, name
    return found[0] if len(found) == 1 else found


@cache
def compiled(architecture: str) -> tuple[LoadedModule, dict[str, model.Resources]]:
    """The kernels for an architecture, and what each takes."""
    program = call("nvrtcCreateProgram", SOURCE.read_bytes(), b"predictions.cu", 0, [], [])
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
        taken[name] = model.Resources(int(registers), int(shared[1]) if shared else 0)
    return load_ptx(ptx.rstrip(b"\0").decode()), taken


@cache
def counted(launch: Launch, architecture: str) -> Profile:
    module, _ = compiled(architecture)
    arrays = [np.zeros(size, dtype) for size, dtype in launch.arrays]
    capability = tuple(map(int, (architecture[3:-1], architecture[-1])))
    arguments = *arrays, *launch.numbers
    return profile(
        module[launch.kernel], launch.grid, launch.block, *arguments, blocks=9, compute_capability=capability
    )


def predicted(launch: Launch, chip: chips.Chip) -> tuple[model.Prediction, bool]:
    """The prediction, and whether the launch fills the GPU."""
    found = counted(launch, chip.architecture)
    taken = compiled(chip.architecture)[1][launch.kernel]
    waves = found.blocks / (chip.multiprocessors * max(model.held(found, taken, chip).blocks, 1))
    return model.predict(found, taken, chip), waves >= 1


def up(size: int, by: int) -> int:
    return -(-size // by)


def square(kernel: str, n: int, block: int, arrays: str, numbers: tuple[int, ...] = (), mask: int = 0) -> Launch:
    """A launch for n by n elements, in square blocks."""
    sizes = [(n * n, arrays)] * 3 if not mask else [(n * n, arrays), (mask, arrays), (n * n, arrays)]
    return Launch(kernel, (up(n, block), up(n, block)), (block, block), tuple(sizes), numbers or (n,))


ONE_DIMENSION = {
    "Convolution 1D Basic": "convolution_1d",
    "Convolution 1D Constant Memory": "convolution_1d_constant",
    "Convolution 1D Tiled": "convolution_1d_tiled",
    "Convolution 1D Tiled and Caching": "convolution_1d_tiled_and_cached",
}
REDUCTIONS = {  # and how many elements a thread loads
    "Simple Reduction": ("reduction_simple", 1),
    "Reduction - Adjacent Threads": ("reduction_adjacent", 1),
    "Reduction - Sequential Addressing": ("reduction_sequential", 1),
    "Reduction - Two Loads per Thread": ("reduction_two_loads", 2),
    "Reduction - Unroll Last Warp": ("reduction_last_warp", 2),
}


def launch_of(name: str, row: dict[str, str]) -> Launch | None:
    """The launch of a published time; None if its kernel is not written anew."""
    n = int(row.get("axis_size") or 0)
    name = name.partition(" (")[0]
    if name in ("Coalesced", "Not Coalesced"):
        return square("add_coalesced" if name == "Coalesced" else "add_by_columns", n, 16, "i4")
    if name == "Image to Grayscale":
        return Launch("greyscale", (up(n, 16), up(n, 16)), (16, 16), ((3 * n * n, "u1"), (n * n, "u1")), (n,))
    if name == "Simple Matrix Vector Multiplication":
        rows, columns, block = int(row["num_rows"]), int(row["num_cols"]), int(row["num_threads"])
        arrays = (rows * columns, "i4"), (columns, "i4"), (rows, "i4")
        return Launch("matrix_vector", (up(rows, block),), (block,), arrays, (rows, columns))
    if name in ("Simple Matrix Matrix Multiplication", "Matrix Matrix Multiplication with Tiles"):
        n, block = int(row["num_rows_1"]), int(row["num_threads"])
        if name.startswith("Simple"):
            return square("matrix_product", n, block, "i4")
        is_whole = block in (16, 32) and n % block == 0
        return square(f"matrix_product_tiles_{block}", n, block, "i4") if is_whole else None
    if name in ONE_DIMENSION:
        size, width, block = int(row["array_size"]), int(row["mask_width"]), int(row["block_dim"])
        mask = ((width, "f4"),) if name.endswith("Basic") else ()
        arrays = (size, "f4"), *mask, (size, "f4")
        return Launch(ONE_DIMENSION[name], (up(size, block),), (block,), arrays, (size, width))
    if name in ("Convolution 2D Basic", "Convolution 2D Constant Memory") and row["num_channels"] == "1":
        width, block = int(row["mask_width"]), int(row["block_axis_dim"])
        if name.endswith("Basic"):
            return square("convolution_2d", n, block, "f4", (n, width), width * width)
        grid = up(n, block), up(n, block)
        return Launch("convolution_2d_constant", grid, (block, block), ((n * n, "f4"),) * 2, (n, width))
    if name in REDUCTIONS:
        size, block, (kernel, loads) = int(row["array_size"]), int(row["num_threads"]), REDUCTIONS[name]
        blocks = size // (block * loads)
        return Launch(kernel, (blocks,), (block,), ((size, "i4"), (blocks, "i4")), ()) if blocks else None
    return None


def published(folder: Path) -> list[Row]:
    found = []
    for file in sorted(folder.glob("*.csv")):
        with file.open() as lines:
            rows = list(csv.DictReader(lines))
        for row in rows:
            launch = launch_of(row["benchmark"], row)
            if launch is None:
                continue
            chip = chips.get(GPUS[row["gpu"]])
            grid, (x, *rest) = launch.grid, launch.block
            if np.prod(grid) * x * (rest or [1])[0] < 1024 * chip.multiprocessors:
                continue  # certainly less than one wave
            prediction, is_full = predicted(launch, chip)
            if is_full:
                case = f"{row['benchmark'].partition(' (')[0]}, {launch.arrays[0][0]} {launch.numbers}"
                found.append(Row(file.stem, case, chip.name, float(row["gpu_time_s"]) * 1e6, prediction))
                print(found[-1].case, chip.name, f"{found[-1].error:+.1%}", prediction.bound, flush=True)
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
}
BLOCKS: dict[str, tuple[Shape, Shape]] = {
    "sgemm_uncoalesced": ((128, 128), (32, 32)),
    "sgemm_coalesced": ((128, 128), (1024,)),
    "sgemm_tiles": ((128, 128), (32, 32)),
    "sgemm_registers_1d": ((64, 64), (512,)),
    "sgemm_registers_2d": ((32, 32), (256,)),
}


def sgemm() -> list[Row]:
    found, n = [], 4096
    for name, speeds in SGEMM.items():
        for gpu, gflops in zip(("a6000", "a100", "rtx4090"), speeds, strict=True):
            chip = chips.get(gpu)
            grid, block = BLOCKS[name]
            prediction, _ = predicted(Launch(name, grid, block, ((n * n, "f4"),) * 3, (n,)), chip)
            found.append(Row("SGEMM by steps", name, chip.name, 2 * n**3 / gflops / 1e3, prediction))
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
        both = [ranks([row.measured_us for row in mine]), ranks([row.predicted.us for row in mine])]
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
        was, now = (2 * 4096**3 / us / 1e3 for us in (row.measured_us, row.predicted.us))
        bound = model.WORDS[row.predicted.bound]
        lines.append(f"| {row.case} | {row.gpu} | {was:,.0f} | {now:,.0f} | {row.error:+.1%} | {bound} |")
    lines += ["", *table(steps, lambda row: row.gpu, "GPU")]
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path("reports/predicted/published_times.md"))
