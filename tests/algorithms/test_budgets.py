"""Limits on each kernel's registers, spilled bytes and share of FFMA in the hot loop, by class of layer.

To add a budget, add a row. Its kernel is compiled once, however many rows are about it. `convbench inspect` with the
row's words shows what there is to gain, and prints the figures of a new row.
"""

from dataclasses import dataclass, replace
from functools import cache

import pytest

from convbench.algorithm import registry
from convbench.fuzz import FuzzCase, config_of
from convbench.inspection import architecture, inspector
from convbench.inspection.inspector import InspectedKernel
from convbench.problem import DIRECTIONS, Direction
from convbench.problem.notation import parse


@dataclass(frozen=True)
class Budget:
    """Limits of the figures that `convbench inspect ALGORITHM PROBLEM` shows for one kernel of the plan."""

    algorithm: str
    problem: str
    kernel: str  # the name of its function
    registers: int = 255  # of a thread, at most
    ffma: float = 0.0  # share of the hot loop without rare blocks, at least
    spills: int = 0  # bytes, at most
    config: str = ""  # the fields that differ from the default's
    direction: Direction = "forward"
    arch: str = "sm_90"

    def __str__(self) -> str:
        words = self.algorithm, self.kernel, self.problem, self.direction, self.arch, self.config
        return " ".join(filter(None, words))


RESNET_3X3 = "n32c64h56w56-k64r3s3-pad1"
RESNET_3X3_128 = "n32c128h28w28-k128r3s3-pad1"
RESNET_1X1 = "n32c256h28w28-k128r1s1"
DEPTHWISE_3X3 = "n32c128h56w56-k128r3s3-pad1-g128"
STEM = "n32c3h224w224-k64r7s7-pad3-stride2"
FIVE = "n32c64h56w56-k64r5s5-pad2"
DILATED = "n32c64h56w56-k64r3s3-pad2-dil2"

GEMM = "tile_k=128,tile_o=128,tile_t=16,thread_k=16,thread_o=8,stages=2,is_specialised=True"
GENERIC = "tile_k=128,tile_o=128,tile_t=8,thread_k=8,thread_o=8,stages=4,is_specialised=False"
STAGED = "tile_i=128,tile_j=128,tile_l=16,thread_i=8,thread_j=16,stages=2,is_specialised=True"

FAST = (
    Budget("implicit_gemm", RESNET_3X3_128, "implicit_gemm_tiled", registers=216, ffma=0.90, config=GEMM),
    Budget("implicit_gemm", RESNET_1X1, "implicit_gemm_tiled", registers=216, ffma=0.90, config=GEMM),
    Budget("implicit_gemm", RESNET_3X3_128, "implicit_gemm_tiled", registers=128, ffma=0.73, config=GENERIC),
    Budget("winograd_4x4_3x3", RESNET_3X3_128, "batched_gemm", registers=224, ffma=0.92, config=STAGED),
    Budget("winograd_2x2_3x3", RESNET_3X3, "winograd_fused", registers=255, ffma=0.83),
    Budget("fft_tiled", FIVE, "batched_gemm", registers=96, ffma=0.90),
    Budget("direct_tiled", RESNET_3X3, "direct_tiled_window", registers=128, ffma=0.93),
    Budget("direct_tiled", FIVE, "direct_tiled_window", registers=128, ffma=0.93),
    Budget("direct_tiled", DILATED, "direct_tiled_window", registers=128, ffma=0.93),
    Budget("direct_tiled", STEM, "direct_tiled_window", registers=168, ffma=0.92),
    Budget("depthwise", DEPTHWISE_3X3, "depthwise_patch", registers=64),
)
TENSOR = (
    Budget("implicit_gemm_tf32", RESNET_3X3_128, "tensor_gemm"),
    Budget("implicit_gemm_3xtf32", RESNET_3X3_128, "tensor_gemm"),
    Budget("implicit_gemm_f16", f"{RESNET_3X3_128}-float16", "tensor_gemm"),
)
WARPGROUP = "WarpgroupConfig,is_specialised=True"
BUDGETS = (
    *FAST,
    *TENSOR,
    Budget("implicit_gemm_tf32", RESNET_3X3_128, "warpgroup_gemm", registers=128, config=WARPGROUP),
    Budget("implicit_gemm_3xtf32", RESNET_3X3_128, "warpgroup_gemm", registers=240, config=WARPGROUP),
    Budget("implicit_gemm_f16", f"{RESNET_3X3_128}-float16", "warpgroup_gemm", registers=128, config=WARPGROUP),
    # on every architecture, nothing may spill
    *(
        replace(budget, registers=255, ffma=0.0, arch=arch)
        for arch in ("sm_80", "sm_100")
        for budget in (*FAST, *TENSOR)
        if budget.problem not in (RESNET_1X1, DILATED)  # the same kernels as of other layers
    ),
    # the plain kernels, in which indices take what there is to take: as they are, rounded up to a multiple of 8
    Budget("direct", RESNET_3X3, "direct", registers=56),
    Budget("direct", RESNET_3X3, "direct", registers=56, arch="sm_80"),
    Budget("im2col_gemm", RESNET_3X3, "im2col", registers=48),
    Budget("im2col_gemm", RESNET_3X3, "gemm", registers=56),
    Budget("im2col_gemm", RESNET_3X3, "col2im", registers=96, direction="backward_data"),
)

LAYERS = RESNET_3X3, DEPTHWISE_3X3, f"{RESNET_3X3}-float16", f"{RESNET_3X3}-bfloat16"


@cache
def kernels_of(name: str, problem: str, direction: Direction, config: str, arch: str) -> tuple[InspectedKernel, ...]:
    """All kernels of a plan. A kernel that two plans share is compiled once."""
    algorithm, what = registry.get(name), parse(problem)
    case = FuzzCase(algorithm=name, direction=direction, problem=what, kind="uniform", seed=0, config=config)
    chosen = config_of(algorithm, case) if config else None
    return inspector.inspect(algorithm, what, direction, architecture.get(arch), chosen).kernels


def excesses(budget: Budget, kernel: InspectedKernel) -> list[str]:
    """A sentence for each limit that a kernel exceeds."""
    resources = kernel.resources
    checks = (
        (resources.registers <= budget.registers, f"{resources.registers} registers, at most {budget.registers}"),
        (resources.spill_bytes <= budget.spills, f"{resources.spill_bytes} spilled bytes, at most {budget.spills}"),
        (kernel.ffma_share >= budget.ffma, f"{kernel.ffma_share:.1%} FFMA in the hot loop, at least {budget.ffma:.1%}"),
    )
    return [words for holds, words in checks if not holds]


@pytest.mark.parametrize(("name", "budget"), [(budget.algorithm, budget) for budget in BUDGETS], ids=str)
def test_a_kernel_keeps_its_budget(name, budget):
    plan = kernels_of(name, budget.problem, budget.direction, budget.config, budget.arch)
    named = [kernel for kernel in plan if kernel.name == budget.kernel]
    assert named, f"{budget}: the plan launches {', '.join(kernel.name for kernel in plan)}"
    for kernel in named:
        assert not excesses(budget, kernel), f"{budget}: {'; '.join(excesses(budget, kernel))}"


def test_a_broken_budget_is_told(monkeypatch):
    """A budget can fail: each limit here is slightly tighter than the kernel's figures."""
    (kernel,) = kernels_of("direct", RESNET_3X3, "forward", "", "sm_90")
    registers, share = kernel.resources.registers, kernel.ffma_share
    fits = Budget("direct", RESNET_3X3, "direct", registers=registers, ffma=share)
    assert excesses(fits, kernel) == []
    tight = Budget("direct", RESNET_3X3, "direct", registers=registers - 1, ffma=share + 1e-6, spills=-1)
    assert [words.partition(",")[0].partition(" ")[2] for words in excesses(tight, kernel)] == [
        "registers", "spilled bytes", "FFMA in the hot loop",
    ]  # fmt: skip


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_no_kernel_of_a_default_plan_spills(algorithm, direction):
    if direction not in algorithm.plans:
        return
    computes = (text for text in LAYERS if algorithm.refuses(parse(text), direction) is None)
    kernels = kernels_of(algorithm.name, next(computes), direction, "", "sm_90")
    assert {kernel.name: kernel.resources.spill_bytes for kernel in kernels if kernel.resources.spill_bytes} == {}
