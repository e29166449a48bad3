"""Every kernel compiles for real GPUs. No GPU is needed. The simulator accepts programs that the compiler refuses."""

import re
from itertools import product
from types import SimpleNamespace

import pytest
from numba import cuda, types

from cases.problems import PROBLEMS
from convbench.algorithm import registry
from convbench.devices.simulator import SimulatorDevice
from convbench.emulator import shortcuts
from convbench.emulator.building import Cache
from convbench.measurement import Execution
from convbench.problem import DIRECTIONS
from convbench.problem.notation import parse
from convbench.reference.data import tensors
from support.strategies import in_own_dtype

ARCHITECTURES = [(8, 0), (9, 0), (10, 0)]  # bfloat16 begins with 8.0

DOUBLE = {types.float64, types.complex128}


compiled = Cache(1000)  # what the front end made


class Compiler(SimulatorDevice):
    """A device that compiles what it is asked to launch, and runs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: dict = {}

    def _launch(self, kernel, grid, block, args, shared_bytes):
        signature = tuple(kernel.typeof_pyval(argument) for argument in args)
        self.launches[kernel, signature] = kernel.py_func.__name__


def launched_by(name: str) -> Compiler:
    """What each problem of the contract's battery, in each direction, is launched with."""
    algorithm, device = registry.get(name), Compiler()
    for text, direction in product(PROBLEMS, DIRECTIONS):
        problem = in_own_dtype(parse(text), algorithm)
        if algorithm.refuses(problem, direction) is None:
            given = tensors(problem, direction, 0, "uniform")
            configs = algorithm.configs(problem.explicitly_padded(), direction)
            for config in configs if problem.dtype == algorithm.dtypes[0] else configs[:1]:
                execution = Execution(algorithm, problem, direction, device, given, config)
                execution.load()
                execution.run()
    return device


@pytest.fixture(autouse=True)
def no_device_needed(monkeypatch):
    """Numba asks the current device which architecture a device function is for. Shortcuts compile in less time.

    The front end does the same for all architectures (see `convbench.inspection.compiler`), so it runs once for them.
    """
    from numba.cuda import compiler, dispatcher

    current = SimpleNamespace(compute_capability=(9, 0))
    front_end = compiler._compile_pyfunc_with_fixup
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: current)
    monkeypatch.setattr(
        compiler, "_compile_pyfunc_with_fixup",
        lambda function, signature, **options: compiled.get(
            (function, signature), lambda: front_end(function, signature, **options)
        ),
    )  # fmt: skip
    with shortcuts.taken():
        yield current


@pytest.mark.parametrize("capability", ARCHITECTURES, ids=lambda cc: f"sm_{cc[0]}{cc[1]}")
def test_every_kernel_compiles_and_computes_in_single_precision(algorithm, capability, no_device_needed):
    no_device_needed.compute_capability = capability
    launches = launched_by(algorithm.name).launches
    assert launches
    seen = set()
    for (kernel, signature), name in launches.items():
        dtypes = tuple(getattr(kind, "dtype", None) for kind in signature)
        every = capability == (9, 0) and dtypes[0] == types.float32
        program = name, dtypes if capability <= (9, 0) else ()  # dtypes are told apart by the first two
        if program in seen and not every:
            continue  # other configs and layouts of the same program
        seen.add(program)
        ptx, _ = cuda.compile(kernel.py_func, signature, cc=capability, device=False, abi="numba", output="ptx")
        assert f".target sm_{capability[0]}{capability[1]}" in ptx
        if not DOUBLE.isdisjoint(dtypes):
            continue  # what is asked to compute so
        doubles = re.findall(r"\b(?:fma|mul|add|sub|div)\.(?:rn\.)?f64\b", ptx)
        assert not doubles, f"{name}: {len(doubles)} instructions in float64, which is 2 to 64 times slower"


def test_the_kernels_of_the_stopwatch_compile():
    """The gate reads the host's number anew each time, and sleeps between."""
    from convbench.devices.cuda_stopwatch import wait_at_gate, write_all

    signature = types.Array(types.int32, 1, "C"), types.int64
    gate, _ = cuda.compile(wait_at_gate.py_func, signature, cc=(9, 0), device=False, abi="numba", output="ptx")
    assert "nanosleep" in gate
    assert "ld.global.cv" in gate
    signature = (types.Array(types.float32, 1, "C"),)
    flush, _ = cuda.compile(write_all.py_func, signature, cc=(9, 0), device=False, abi="numba", output="ptx")
    assert "st.global" in flush
