"""Programs run as Python runs them, with the emulator as their device; faults are told as a person wants them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree as ET

import pytest

from convbench.emulator import program
from support.programs import ROOT, emulated, python

PLAIN = """
import sys, pickle
from helper import value
class Kept: pass
print(sys.argv, __name__, __file__, value, sys.path[0] != "")
pickle.dumps(Kept())
if sys.argv[1] == "exits":
    sys.exit(7)
def fails():
    raise ValueError("on purpose")
fails()
"""

KERNELS = """
import numpy as np
from numba import cuda, float32

PRICES = cuda.to_device(np.arange(64, dtype=np.float32))

@cuda.jit
def total(x, out):
    partial = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    partial[i] = x[i]
    if i == 0:
        for j in range(64):
            out[0] += partial[j]

@cuda.jit
def shifted(x, y):
    i = cuda.grid(1)
    y[i] = x[i - 1]

@cuda.jit
def captures(x):
    i = cuda.grid(1)
    x[i] = PRICES[i]  # memory that no argument names

@cuda.jit
def returns(x):
    i = cuda.threadIdx.x
    if i >= 40:
        return
    cuda.syncthreads()
    x[i] = 1

def main():
    x = cuda.to_device(np.arange(64, dtype=np.float32))
    y = cuda.device_array_like(x)
    captures[1, 64](y)
    returns[1, 64](y)
    shifted[1, 64](x, y)
    total[1, 64](x, cuda.to_device(np.zeros(1, np.float32)))
    shifted[1, 65](x, y)
    shifted[1, 66](x, y)
    print("end")

main()
"""

RACE = """\
Traceback (most recent call last):
  File "{folder}/program.py", line 45, in <module>
    main()
  File "{folder}/program.py", line 40, in main
    total[1, 64](x, cuda.to_device(np.zeros(1, np.float32)))
convbench.emulator.errors.KernelFault: total ({folder}/program.py:11): `partial[i] = x[i]`: data race: writes \
partial[1], which thread (0, 0, 0) read, with no barrier between; block (0, 0, 0), thread (1, 0, 0)

  program.py:11, block (0, 0, 0), thread (1, 0, 0)
     11 |     partial[i] = x[i]
        |     ^^^^^^^^^^
  partial = cuda.shared.array(64, float32)
  the other access:
     14 |             out[0] += partial[j]
        |                       ^^^^^^^^^^
  launch 1 of total, grid (1, 1, 1), block (64, 1, 1)
  to repeat it alone: convbench run --only total:1 program.py
"""


@pytest.mark.parametrize("how", ["exits", "fails"])
def test_status_traceback_and_arguments_are_those_of_python(how, tmp_path):
    (tmp_path / "helper.py").write_text("value = 5")
    ours = emulated(PLAIN, "--checked", folder=tmp_path, arguments=[how, "--checked"])
    assert ours == python("program.py", how, "--checked", folder=tmp_path)


def test_a_module_runs_as_python_runs_it(tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys; print(sys.argv, __spec__.name, __package__)")
    ours = python("-m", "convbench.emulator", "-m", "pack", "--checked", folder=tmp_path)
    assert ours == python("-m", "pack", "--checked", folder=tmp_path)


def test_a_fault_ends_at_the_users_line_and_shows_both_accesses(tmp_path):
    ended = emulated(KERNELS, "--checked", folder=tmp_path)
    assert (ended.status, ended.out) == (1, "")
    notes, _, fault = ended.err.partition("Traceback")
    assert "note: shifted: `y[i] = x[i - 1]`: index -1 counts from the end of x" in notes
    assert f"Traceback{fault}" == RACE.format(folder=tmp_path)


def test_keep_going_tells_each_fault_once(tmp_path):
    words = "--keep-going", "--json", "found.json", "--junit", "found.xml"
    ended = emulated(KERNELS, *words, folder=tmp_path)
    assert (ended.status, ended.out) == (1, "end\n"), ended.err
    assert "2 distinct faults in 6 launches of 4 kernels" in ended.err
    assert "Traceback" not in ended.err
    found = json.loads((tmp_path / "found.json").read_text())
    race, outside = sorted(found["faults"], key=lambda fault: fault["line"])
    assert (race["kernel"], race["kind"], race["line"], race["other_lines"]) == ("total", "race_overwrite", 11, [14])
    assert (outside["kind"], outside["line"], outside["launches"]) == ("index", 19, [2, 3])
    assert outside["array"]["shape"] == [64]
    assert [note["line"] for note in found["notes"]] == [19, 31]
    assert found["launches"] == {"captures": 1, "returns": 1, "shifted": 3, "total": 1}
    (suite,) = ET.parse(tmp_path / "found.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")


def test_one_launch_is_checked_alone(tmp_path):
    ended = emulated(KERNELS, "--only", "shifted:1", "--strict-index", folder=tmp_path)
    assert (ended.status, ended.out) == (1, "")
    assert "index -1 is out of bounds for axis 0 of x" in ended.err
    ended = emulated("print('end')", folder=tmp_path, CONVBENCH_ONLY="shifted:9")
    assert (ended.status, ended.out) == (2, "end\n")
    assert "the program launched shifted 0 times" in ended.err


WRONG = """
from importlib import import_module
from convbench.emulator.install import options
for given in ({"memory": "3x"}, {"memory": "0"}, {"orders": "backward"}, {"budget": "-1"}, {"only": "kernel"},
              {"only": "kernel:0"}, {"compute_capability": "3.5"}, {"compute_capability": "nine"}, {"checked": "maybe"},
              {"code": "sass"}, {"speed": 3}):
    try:
        import_module("convbench.emulator.install")(**given)
    except options.OptionError as error:
        print(error)
    else:
        print(given, "was taken")
print(options.Options().but(memory="2GiB", orders="reverse,random", budget=1000, only="f:2", compute_capability=(8, 6)))
"""


def test_wrong_values_of_options_are_told_with_the_rule(tmp_path):
    (tmp_path / "wrong.py").write_text(WRONG)
    ended = python("wrong.py", folder=tmp_path)
    *wrong, right = ended.out.splitlines()
    assert len(wrong) == 11, ended.err
    assert not [line for line in wrong if "was taken" in line]
    assert wrong[0].endswith("is a number of bytes such as 8GiB or 512MiB, at least 1, not '3x'")
    assert wrong[-1].startswith("the emulator has no option 'speed'; its options are budget, checked,")
    assert "checked=True, compute_capability=(8, 6), memory=2147483648, orders=('reverse', 'random')" in right


CHECKS = """
from convbench.emulator.__main__ import _parser
from convbench.emulator.install.options import OptionError, Options

for option, value in (("strict_index", "1"), ("strict_return", True), ("strict_store", "yes"), ("keep_going", "1"),
                      ("only", "k:1")):
    assert Options().but(**{option: value}).checked
    try:
        Options().but(checked="0", **{option: value})
    except OptionError as error:
        print(error)

# `--only` checks one launch, and runs the others fast with the same options
chosen = Options().but(strict_store=True, strict_return=True, strict_index=True, keep_going=True)
assert not chosen.emulator("llvm", checked=False).checked
checked = chosen.emulator("llvm", checked=True)
assert (checked.strict_store, checked.strict_return, checked.strict_index) == (True, True, True)
assert not Options(checked=True).emulator("llvm", checked=True).strict_store

flags = {flag for action in _parser()._actions for flag in action.option_strings}
assert {f"--{name.replace('_', '-')}" for name in Options.__dataclass_fields__} <= flags
"""


def test_a_program_cannot_switch_checks_off_and_say_how_to_check(tmp_path):
    (tmp_path / "checks.py").write_text(CHECKS)
    ended = python("checks.py", folder=tmp_path)
    assert (ended.status, ended.err) == (0, "")
    names = "strict_index", "strict_return", "strict_store", "keep_going", "only"
    for name, line in zip(names, ended.out.splitlines(), strict=True):
        shown = f"--{name.replace('_', '-')} (CONVBENCH_{name.upper()})"
        assert line.startswith(f"{shown} is about checks, which --checked")


def test_the_emulator_is_not_installed_in_the_process_of_the_tests():
    """All test modules are imported by now. The door would change numba-cuda for every other test."""
    assert "convbench.emulator.install" not in sys.modules


def test_a_name_that_is_nearly_an_option_is_told(tmp_path):
    ended = emulated("print('end')", folder=tmp_path, CONVBENCH_CHEKED="1", CONVBENCH_BROWSER="required")
    assert (ended.status, ended.out) == (2, "")
    told = "the environment variable CONVBENCH_CHEKED sets nothing; did you mean CONVBENCH_CHECKED?"
    assert ended.err == f"convbench: {told}\n"


def test_two_files_of_one_name_are_refused(tmp_path):
    ended = emulated("print('end')", "--json", "found", "--junit", "found", folder=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "convbench: --json and --junit both write found: one would be lost\n"


@pytest.mark.parametrize(
    ("name", "is_module", "told"),
    [
        ("none.py", False, "the script none.py cannot be read: No such file or directory"),
        (".", False, "is a folder: name a script, or a module with -m"),
        ("no_such_module", True, "there is no module no_such_module"),
        ("no_such.module", True, "there is no module no_such.module"),
        ("xml.etree", True, "xml.etree is a package without __main__"),
    ],
)
def test_a_program_that_is_not_there_is_told(name, is_module, told):
    with pytest.raises(program.ProgramError, match=re.escape(told)):
        program.code_of(program.Program(name, is_module=is_module))


LAST = """
import numpy as np
from numba import cuda

@cuda.jit
def last(x):
    cuda.atomic.exch(x, 0, cuda.blockIdx.x)

last[4, 1](cuda.to_device(np.zeros(1, np.int32)))
"""


def test_a_fault_without_a_line_is_told_at_its_kernel(tmp_path):
    ended = emulated(LAST, "--keep-going", folder=tmp_path)
    assert ended.status == 1
    assert re.search(r"program\.py:5: fault: last: the result depends on the order of threads: x\[0\]", ended.err)


def test_how_often_a_kernel_was_launched_is_told_in_words(tmp_path):
    ended = emulated(LAST, "--only", "last:7", folder=tmp_path)
    assert ended.status == 2
    assert ended.err.endswith("convbench: --only last:7: the program launched last 1 time\n")


POOL = """
import multiprocessing
import numpy as np
from numba import cuda

@cuda.jit
def outside(x):
    x[cuda.grid(1)] = 1

def work(count):
    outside[1, 64](np.zeros(count))

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.map(work, [60])
        pool.close()
        pool.join()  # so that it tells what it found
"""


def test_a_fault_in_a_pool_arrives_with_its_notes(tmp_path):
    ended = emulated(POOL, "--checked", folder=tmp_path)
    assert ended.status == 1
    assert "PicklingError" not in ended.err
    assert "KernelFault: outside (" in ended.err
    assert ended.err.rstrip().endswith("to repeat it alone: convbench run --only outside:1 program.py")


def test_a_fault_in_another_process_counts_for_the_exit_status(tmp_path):
    ended = emulated(POOL, "--keep-going", folder=tmp_path)
    assert ended.status == 1, ended.err
    assert "1 distinct fault in 1 launch of 1 kernel" in ended.err


THREAD = """
import threading
import numpy as np
from numba import cuda

@cuda.jit
def outside(x):
    x[cuda.grid(1)] = 1

def work():
    outside[1, 64](np.zeros(60))

thread = threading.Thread(target=work)
thread.start()
thread.join()
print("went on")
"""


def test_a_fault_in_a_thread_ends_at_the_users_line(tmp_path):
    ended = emulated(THREAD, "--checked", folder=tmp_path)
    assert (ended.status, ended.out) == (1, "went on\n")
    before, _, fault = ended.err.partition("convbench.emulator.errors.KernelFault: outside")
    frames = [line for line in before.splitlines() if line.startswith("  File")]
    assert frames[-1].endswith('program.py", line 11, in work'), ended.err
    assert fault.rstrip().endswith("to repeat it alone: convbench run --only outside:1 program.py")


ASKED = """
import sys
from beside import word
print(word, sys.argv, __name__, __package__ == "", __spec__.name, __file__.endswith("__main__.py"))
"""


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_a_folder_and_a_zip_file_run_as_python_runs_them(tmp_path, packed):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "beside.py").write_text("word = 'beside'\n")
    (tmp_path / "app" / "__main__.py").write_text(ASKED)
    if packed:
        shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "app")
    name = "packed.zip" if packed else "app"
    mine, pythons = python("-m", "convbench.emulator", name, "-x", folder=tmp_path), python(name, "-x", folder=tmp_path)
    assert mine.out == pythons.out == f"beside ['{name}', '-x'] __main__ True __main__ True\n", mine.err
    assert mine.status == 0


def test_a_zip_file_without_a_program_is_told(tmp_path):
    shutil.make_archive(str(tmp_path / "packed"), "zip", ROOT / "docs" / "how_to")
    with pytest.raises(program.ProgramError, match=r"is a zip file: .* it has no __main__\.py"):
        program.code_of(program.Program(str(tmp_path / "packed.zip")))


def test_a_wrong_call_is_one_message_and_status_2(tmp_path):
    ended = python("-m", "convbench.emulator", "--json", "no/such/folder.json", "x.py", folder=tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        "convbench: --json no/such/folder.json: there is no such folder, or a folder is in its place\n"
    )


ENDLESS = """
import numpy as np
from numba import cuda

@cuda.jit
def spins(x):
    while x[0] == 0:
        x[1] += 1
        cuda.syncthreads()

x = cuda.to_device(np.zeros(2))
print("now", flush=True)
spins[1, 32](x)
"""


def test_an_interrupt_ends_a_launch_at_the_users_line(tmp_path):
    (tmp_path / "program.py").write_text(ENDLESS)
    words = [sys.executable, "-m", "convbench.emulator", "program.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as it:
        assert it.stdout.readline() == "now\n"
        time.sleep(2)
        it.send_signal(signal.SIGINT)
        _, err = it.communicate(timeout=30)
    assert it.returncode == -signal.SIGINT
    assert err.splitlines()[-2:] == ["    spins[1, 32](x)", "KeyboardInterrupt"]
