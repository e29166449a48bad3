"""The pytest plugin: off without its option; with it, kernels of a suite run on the emulator."""

from support.programs import python

SUITE = """
import numpy as np
from numba import cuda

AVAILABLE = cuda.is_available()

@cuda.jit
def add(x, y):
    i = cuda.grid(1)
    y[i] = x[i] + 1

def test_device():
    assert AVAILABLE

def test_clean():
    y = cuda.device_array(8)
    add[1, 8](cuda.to_device(np.arange(8.0)), y)
    np.testing.assert_array_equal(y.copy_to_host(), np.arange(8) + 1)

def test_outside():
    y = cuda.device_array(8)
    add[1, 9](cuda.to_device(np.arange(8.0)), y)
"""


def run_suite(folder, *options, **environment):
    (folder / "test_suite.py").write_text(SUITE)
    words = "-m", "pytest", "-p", "convbench.testing.plugin", "-p", "no:cacheprovider", *options
    return python(*words, folder=folder, **environment)


def test_without_the_option_nothing_of_the_emulator_is_imported(tmp_path):
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n\ndef test_it():\n    assert 'convbench.emulator' not in sys.modules\n"
    )
    assert python("-m", "pytest", "-p", "convbench.testing.plugin", "-q", folder=tmp_path).status == 0


def test_checked_mode_fails_the_test_whose_kernel_has_a_fault_at_the_line_of_its_launch(tmp_path):
    ended = run_suite(tmp_path, "--cuda=checked")
    assert (ended.status, "1 failed, 2 passed" in ended.out) == (1, True), ended.out
    assert "cuda: emulator, checked mode, compute capability 9.0" in ended.out
    assert "index 8 is out of bounds for axis 0 of x" in ended.out
    assert "10 |     y[i] = x[i] + 1\n" in ended.out
    assert "|            ^^^^\n" in ended.out
    assert "test_suite.py:22: KernelFault" in ended.out
    assert "dispatcher.py" not in ended.out


def test_a_suite_that_keeps_going_fails_as_a_whole(tmp_path):
    ended = run_suite(tmp_path, "--cuda=emulator", CONVBENCH_KEEP_GOING="1")
    assert "3 passed" in ended.out, ended.out
    assert (ended.status, "1 distinct fault in 2 launches of 1 kernel" in ended.out) == (1, True), ended.out


def test_a_wrong_option_is_told_without_a_traceback(tmp_path):
    ended = run_suite(tmp_path, "--cuda=checked", CONVBENCH_ORDERS="backward")
    assert ended.status == 4
    assert "one or more of forward, reverse, random" in ended.err
    assert "Traceback" not in ended.err
