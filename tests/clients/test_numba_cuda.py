"""numba-cuda: the examples of its documentation, each run as a program by `-m unittest`, and `cuda.reduce`."""

import subprocess
import sys

import numpy as np
import pytest
from numba import cuda

EXAMPLES = (
    "cg", "cpointer", "cpu_gpu_compat", "ffi", "globals", "laplace", "montecarlo", "random", "reduction", "sessionize",
    "ufunc", "vecadd",
)  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_documentation(name, pytestconfig):
    if name == "random" and pytestconfig.getoption("--cuda") == "checked":
        pytest.skip("its arrays are so large that their shadow memory takes more than 10 GB")
    options = ["--keep-going"] if pytestconfig.getoption("--cuda") == "checked" else []
    module = f"numba.cuda.tests.doc_examples.test_{name}"
    words = [sys.executable, "-W", "ignore", "-m", "convbench.emulator", *options, "-m", "unittest", module]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK" in done.stderr
    if "was not checked" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])


@cuda.reduce
def add(a, b):
    return a + b


@cuda.reduce
def greater(a, b):
    return max(a, b)


@pytest.mark.parametrize("size", [1, 31, 64, 65, 500, 2049, 70_000])
def test_a_reduction(size):
    x = np.random.default_rng(size).integers(-1000, 1000, size)
    assert add(x) == x.sum()
    assert add(x, init=7) == x.sum() + 7
    assert greater(cuda.to_device(x), init=-2000) == x.max()
    found = cuda.to_device(np.zeros(1, x.dtype))
    add(cuda.to_device(x), size=size // 2 + 1, res=found)
    assert found.copy_to_host()[0] == x[: size // 2 + 1].sum()
