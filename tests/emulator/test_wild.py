"""No kernel ends the process in fast mode: every wild access is caught, or harmless."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numba import cuda

from cases.wild.run import CASES
from convbench.emulator import Emulator, KernelFault

TESTS = Path(__file__).parents[1]
OUTSIDE = {"llvm": {"INDEX"}, "ptx": {"READ_OUTSIDE", "WRITE_OUTSIDE", "MISALIGNED"}}  # PTX has addresses, and no axes
# a tuple is no memory; NVVM keeps a value that is written to local memory and read again in a register
NO_ACCESS = {"llvm": {"tuple_at_a_huge_index"}, "ptx": {"tuple_at_a_huge_index", "local_memory_at_a_huge_index"}}
HARMLESS = {"done", "NumbaError", "UnsupportedError", "CompilationError", "MASK_WITHOUT_SELF"}


def run(code: str, *names: str) -> tuple[int, dict[str, str]]:
    """The exit status of the process, and the outcome of each case."""
    ended = subprocess.run(
        [sys.executable, "-m", "cases.wild.run", code, *names],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    outcomes = dict((*line.split(maxsplit=1), "crashed")[:2] for line in ended.stdout.splitlines())
    return ended.returncode, outcomes


@pytest.fixture(scope="module", params=OUTSIDE)
def code(request):
    return request.param


@pytest.fixture(scope="module")
def outcomes(code):
    status, found = run(code)
    assert status == 0, f"the process ended with {status} in {list(found)[-1:]}"
    return found


def test_no_wild_kernel_ends_the_process(outcomes, code):
    assert set(outcomes) == set(CASES)
    assert set(outcomes.values()) <= HARMLESS | OUTSIDE[code]


@pytest.mark.parametrize("name", [name for name in CASES if "index" in name or "beyond" in name])
def test_a_wild_index_is_caught(outcomes, name, code):
    if name not in NO_ACCESS[code] | {"array_as_index"}:
        assert outcomes[name] in OUTSIDE[code]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("deep_recursion")])
def test_recursion_is_refused_for_nobody_knows_its_depth(outcomes, name):
    assert outcomes[name] == "UnsupportedError"


@cuda.jit
def runs_for_minutes(y, turns):
    i = cuda.grid(1)
    for k in range(turns):
        y[i] = y[i] * 1.0000001 + k


@pytest.mark.parametrize("checked", [False, True])
def test_an_interrupt_ends_a_long_launch_within_seconds(checked):
    """It ends between two blocks, because a running block cannot be stopped."""
    emulator = Emulator(checked=checked, workers=None if checked else 2)
    emulator.launch(runs_for_minutes, 1, 1, np.zeros(1), 1)
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        emulator.launch(runs_for_minutes, 100_000, 1, np.zeros(100_000), 1_000_000)
    assert time.monotonic() - start < 5


def test_a_launch_after_a_fault_is_right():
    @cuda.jit
    def kernel(y, last):
        y[cuda.grid(1)] = 1
        y[last] = 2

    emulator, y = Emulator(), np.zeros(8)
    with pytest.raises(KernelFault):
        emulator.launch(kernel, 1, 8, y, 8)
    emulator.launch(kernel, 1, 7, y, 7)
    assert y.tolist() == [1, 1, 1, 1, 1, 1, 1, 2]
