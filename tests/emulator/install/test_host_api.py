"""The host API of numba.cuda on host memory, and processes and threads that use it."""

import re
from pathlib import Path

import pytest

from convbench.emulator import compiler_fault
from support.programs import python

PROGRAMS = Path(__file__).parents[2] / "cases" / "programs"
PARTS = re.findall(r"^def (\w+)\(\):", (PROGRAMS / "host_api.py").read_text(), re.MULTILINE)

nvvm = pytest.mark.skipif(compiler_fault() is not None, reason=f"{compiler_fault()}")


@nvvm
def test_every_part_of_the_host_api_has_its_values(tmp_path):
    ended = python("-m", "convbench.emulator", PROGRAMS / "host_api.py", folder=tmp_path)
    assert ended.status == 0, ended.err
    assert ended.out.split() == PARTS


def test_threads_and_processes(tmp_path):
    ended = python("-m", "convbench.emulator", PROGRAMS / "processes.py", folder=tmp_path)
    assert ended.status == 0, ended.err
    assert ended.out.splitlines()[:4] == [
        "forked first: 8000.0",
        "threads: [0.0, 1000.0, 8000.0, 27000.0]",
        "spawned: 27000.0",
        "of a server: 64000.0",
    ]
    assert re.search(
        r"forked later: CudaDriverError: CUDA initialized before forking: .* multiprocessing.get_context\('spawn'\)",
        ended.out,
    )
