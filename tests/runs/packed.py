"""Predict the times of kernels with and without packed multiply-adds, on a B200: reports/predicted/packed.md.

python -m nox -s profiles

The run fails if a default config is slower with packed multiply-adds, which the devices that have them take by default.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from convbench import profiling
from convbench.algorithm import Algorithm, registry
from convbench.inspection import architecture
from convbench.inspection.blueprint import Blueprint
from convbench.problem import ConvProblem
from convbench.problem.notation import parse
from convbench.profiling.model import WORDS, Prediction

GPU, BLOCKS = "b200", 4
# a small one, whose tiles are the smallest, and the convolutions of ResNet-18 at batch 32
LAYERS = (
    "n1c16h14w14-k32r3s3-pad1",
    "n32c3h224w224-k64r7s7-pad3-stride2",
    "n32c64h56w56-k64r3s3-pad1",
    "n32c64h56w56-k128r3s3-pad1-stride2",
    "n32c128h28w28-k128r3s3-pad1",
    "n32c128h28w28-k256r3s3-pad1-stride2",
    "n32c256h14w14-k256r3s3-pad1",
    "n32c256h14w14-k512r3s3-pad1-stride2",
    "n32c512h7w7-k512r3s3-pad1",
    "n32c64h56w56-k128r1s1-stride2",
    "n32c128h28w28-k256r1s1-stride2",
    "n32c256h14w14-k512r1s1-stride2",
)
ALGORITHMS = "implicit_gemm", "winograd_2x2_3x3", "winograd_4x4_3x3", "fft_tiled"
KERNELS = "implicit_gemm_tiled", "winograd_fused", "batched_gemm"  # those with the products
OUT = Path("reports/predicted/packed.md")
HEAD = """# Packed multiply-adds

Made by `python -m nox -s profiles`. All times are predicted for {gpu}, not measured;
[published_times.md](published_times.md) has the errors of the model. One machine instruction, FFMA2, adds two products
of float32. Only compute capabilities 10.0 and 10.3 have it. It is issued once and occupies the multipliers for as long
as two FFMA, so it helps kernels that are bound by the issue of instructions.

The configs are the defaults of a small layer and of the layers of ResNet-18 at batch 32, with `is_packed` as the only
difference. Algorithms are left out where they refuse a layer or have no such kernel for it, and `fft_tiled` where the
stride is not 1. The times of a kernel are those of one launch, of which `fft_tiled` may have several.
"""
NAMES = (
    "layer", "algorithm", "kernel", "without, µs", "packed, µs", "times as fast", "bound without", "bound packed",
    "run without, µs", "run packed, µs",
)  # fmt: skip
COLUMNS = f"| {' | '.join(NAMES)} |", "|:--|:--|:--|--:|--:|--:|:--|:--|--:|--:|"


def predicted(by: Algorithm, problem: ConvProblem, config: Any, chip: profiling.Chip) -> tuple[str, Prediction, float]:
    """The kernel with the products, the time of its first launch, and that of the whole run."""
    target = architecture.get(chip.architecture)
    plan = profiling.profile_plan(by, problem, "forward", target, config, blocks=BLOCKS, loads=False)
    times = profiling.predict_plan(plan, chip)
    names = [launch.profile.kernel for launch in plan.launches]
    first = next(number for number, name in enumerate(names) if name in KERNELS)
    return names[first], times.launches[first], times.run_us


def row_of(by: Algorithm, layer: str, chip: profiling.Chip) -> tuple[str, float] | None:
    """A row of the table and how many times as fast the packed kernel is; None without such a kernel."""
    problem = parse(layer)
    if by.refuses(problem) or (by.name == "fft_tiled" and problem.stride != (1, 1)):
        return None
    default = by.resolved(problem, "forward", None, Blueprint(architecture.get(chip.architecture)))
    if not default.is_packed:
        return None  # small products of the FFT are not in registers
    (kernel, packed, run_packed), (_, plain, run_plain) = (
        predicted(by, problem, replace(default, is_packed=one), chip) for one in (True, False)
    )
    gain = plain.us / packed.us
    cells = (
        layer, by.name, kernel, f"{plain.us:,.1f}", f"{packed.us:,.1f}", f"{gain:.2f}",
        WORDS[plain.bound], WORDS[packed.bound], f"{run_plain:,.1f}", f"{run_packed:,.1f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |", gain


def main() -> int:
    chip = profiling.chip(GPU)
    lines, slower = [HEAD.format(gpu=chip.name), *COLUMNS], []
    for layer in LAYERS:
        for name in ALGORITHMS:
            found = row_of(registry.get(name), layer, chip)
            print(layer, name, "" if found is None else f"{found[1]:.2f}", flush=True)
            if found is not None:
                lines.append(found[0])
                slower += [found[0]] if found[1] < 1 else []
    OUT.write_text("\n".join(lines) + "\n")
    for row in slower:
        print(f"slower with packed multiply-adds: {row}", file=sys.stderr)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
