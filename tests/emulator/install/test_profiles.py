"""`--profile` counts one launch of each kernel of a program, whose results stay the same."""

import json

import pytest

from convbench.emulator import compiler_fault
from support.programs import emulated

pytestmark = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")

PROGRAM = """
import numpy as np
from numba import cuda, float32

@cuda.jit
def add_up(x, total):
    cuda.atomic.add(total, 0, x[cuda.grid(1)])

@cuda.jit
def column(x, y):
    tile = cuda.shared.array((32, 32), float32)
    i = cuda.threadIdx.x
    tile[i, 0] = x[8 * i]
    y[i] = tile[i, 0]

@cuda.jit
def outside(x, y):
    y[cuda.grid(1)] = x[1000000]

x = cuda.to_device(np.ones(256, np.float32))
total = cuda.to_device(np.zeros(1, np.float32))
for _ in range(3):
    add_up[4, 64](x, total)
column[1, 32](x, total_of := cuda.device_array(32, np.float32))
print(total.copy_to_host()[0], total_of.copy_to_host().sum())
try:
    outside[1, 32](x, total_of)
except Exception as error:
    print(type(error).__name__)
"""


def test_each_kernel_is_counted_once(tmp_path):
    ended = emulated(PROGRAM, "--profile", "--json", "found.json", folder=tmp_path)
    assert ended.out == "768.0 32.0\nKernelFault\n", ended.err  # the counted launch left no trace
    head, *rows = ended.err[ended.err.index("profile of add_up") :].splitlines()
    assert head.startswith("profile of add_up, launch 1, grid 4 × 1 × 1, block 64 × 1 × 1: ")
    assert head.endswith("all 4 blocks were counted")
    (marked,) = (line for line in rows if "bank conflict" in line)
    told = "13 16 32.0 32 1 32 4 tile[i, 0] = x[8 * i]  <- 32-way bank conflict, uncoalesced"
    assert marked.split() == told.split()
    assert any(line.startswith("profile of outside, launch 1") and "none: outside" in line for line in rows)
    add_up, column, outside = json.loads((tmp_path / "found.json").read_text())["profiles"]
    assert (add_up["launch"], add_up["counted_blocks"], add_up["total"]["atomics"]) == (1, 4, 8)
    (line,) = (line for line in column["lines"] if line["line"] == 13)
    assert (line["wavefronts"], line["ideal_wavefronts"], line["sectors"], line["ideal_sectors"]) == (32, 1, 32, 4)
    assert line["marks"] == ["32-way bank conflict", "uncoalesced"]
    assert "refused" in outside


def test_one_launch_is_counted_alone(tmp_path):
    ended = emulated(PROGRAM, "--only", "add_up:2", folder=tmp_path, CONVBENCH_PROFILE="1")
    assert ended.out.startswith("768.0 32.0")
    assert [line.partition(":")[0] for line in ended.err.splitlines() if line.startswith("profile of")] == [
        "profile of add_up, launch 2, grid 4 × 1 × 1, block 64 × 1 × 1"
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--checked"], "--profile (CONVBENCH_PROFILE) and checks exclude each other: run the program once with each"),
        (["--code", "llvm"], "--profile (CONVBENCH_PROFILE) counts PTX, which does not run here"),
    ],
)
def test_options_that_exclude_it_are_told(words, told, tmp_path):
    ended = emulated("print('end')", "--profile", *words, folder=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"convbench: {told}")
    assert len(ended.err.splitlines()) == 1
