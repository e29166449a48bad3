"""A kernel that does not compile is a failure, and is told by its line and by what Numba cannot do."""

import inspect

import numpy as np
import pytest
from numba import cuda, float32

from algorithms.direct.plain import Direct, DirectPlan
from convbench import parse
from convbench.algorithm import registry
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import CompileError
from convbench.fuzz import FuzzCase, judge
from convbench.measurement import Harness, Job
from convbench.workload import Layer


def adds_text(x):
    x[0] = x[1] + "text"  # here


def names_what_is_not_there(x):
    x[0] = undefined_name(x[1])  # noqa: F821  here


def has_no_such_attribute(x):
    x[0] = x.nonsense  # here


def makes_lists(x):
    y = [[1, 2], [3]]  # here
    x[0] = y[0][cuda.threadIdx.x]


def has_two_types(x):
    y = 1
    if x[0] > 0:
        y = (1, 2)
    x[0] = y  # here


def shapes_shared_memory_by_an_argument(x):
    tile = cuda.shared.array(x.size, float32)  # here
    x[0] = tile[0]


def opens_a_file(x):  # here: of a construct, Numba knows the function alone
    with open("f") as file:  # noqa: PTH123
        x[0] = file


@cuda.jit(device=True)
def _inner(value):
    return value + "text"  # here


def calls_what_does_not_compile(x):
    x[0] = _inner(x[0])


BROKEN = {
    adds_text: "Numba has no implementation of add(float32, Literal[str](text))",
    names_what_is_not_there: "NameError: name 'undefined_name' is not defined",
    has_no_such_attribute: "Unknown attribute 'nonsense' of type array(float32, 1d, C)",
    makes_lists: "NRT required but not enabled",
    has_two_types: "Cannot unify Literal[int](1) and Tuple",
    shapes_shared_memory_by_an_argument: "Numba has no implementation of array(int64, class(float32))",
    opens_a_file: "The 'with (context manager) as (variable):' construct is not supported",
    calls_what_does_not_compile: "Numba has no implementation of add(float32, Literal[str](text))",
}


@pytest.mark.parametrize("checked", [False, True], ids=["fast", "checked"])
@pytest.mark.parametrize("function", BROKEN, ids=lambda function: function.__name__)
def test_the_line_and_the_reason_are_told(function, checked):
    device = EmulatorDevice(checked=checked)
    source = _inner.py_func if function is calls_what_does_not_compile else function
    lines, first = inspect.getsourcelines(source)
    (line,) = (first + number for number, text in enumerate(lines) if "  here" in text or "# here" in text)
    with pytest.raises(CompileError) as caught:
        device.launch("multiply", cuda.jit(function), 1, 1, device.upload(np.zeros(4, np.float32)))
    assert f"does not compile: {__file__}:{line}: " in str(caught.value)
    assert BROKEN[function] in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


class DoesNotCompile(Direct):
    name = "does_not_compile"

    class Plan(DirectPlan):
        def run(self, source, target):
            self.device.launch("multiply", cuda.jit(adds_text), 1, 1, target)

    plans = {"forward": Plan}


def test_it_is_a_failure_and_no_refusal(device):
    problem, algorithm = parse("n1c1h3w3-k1r1s1"), DoesNotCompile()
    verdict = Harness(device).judge(Job(layer=Layer(name="mine", problem=problem), algorithm=algorithm))
    assert verdict.outcome == "crashed"
    assert verdict.reason.startswith(f"does not compile: {__file__}:")
    case = FuzzCase(algorithm=algorithm.name, direction="forward", problem=problem, kind="integers", seed=0, config="")
    found = judge(case, algorithm, device)
    assert (found.outcome, found.cause.fault) == ("failed", "does not compile")


def test_the_command_ends_with_status_1(convbench, here, monkeypatch):
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    (here / "mine.py").write_text(
        "from numba import cuda\n"
        "from convbench import register\n"
        "from algorithms.direct.plain import Direct, DirectPlan\n"
        "@cuda.jit\n"
        "def broken(x):\n"
        "    x[0, 0, 0, 0] = x.nonsense\n"
        "class Plan(DirectPlan):\n"
        "    def run(self, source, target):\n"
        "        self.device.launch('multiply', broken, 1, 1, target)\n"
        "@register\n"
        "class Mine(Direct):\n"
        "    name = 'mine'\n"
        "    plans = {'forward': Plan}\n"
    )
    status, out, err = convbench("verify", "n1c1h3w3-k1r1s1", "--plugin", "mine.py", "--algorithm", "mine")
    assert status == 1
    assert "mine.py:6: Unknown attribute 'nonsense'" in out
    assert "1 of 1 results are wrong or failed" in err
