"""numba-cuda: the examples of its documentation, each run by `python -m convbench.emulator -m unittest`."""

import subprocess
import sys

import pytest

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
