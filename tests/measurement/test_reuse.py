"""A plan that is right on its first data alone is wrong: it is seen on one kind of data, on two, and by the fuzzer."""

import pytest

from cases.forgetful import FORGETFUL, PadsTheFirstInputOnly
from cases.wrong_algorithms import WithoutMistake, algorithm_of
from convbench import parse
from convbench.devices.emulator import EmulatorDevice
from convbench.errors import OutOfDeviceMemoryError
from convbench.fuzz import FuzzCase, judge
from convbench.measurement import Case, verify, verify_kinds
from convbench.measurement.reuse import neighbours


class Small(EmulatorDevice):
    """The emulator, with so many bytes in all and nothing ever freed."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def empty(self, shape, dtype):
        array = super().empty(shape, dtype)
        if array.nbytes > self.room:
            raise OutOfDeviceMemoryError(f"{array.nbytes} bytes wanted, {self.room} left")
        self.room -= array.nbytes
        return array


PROBLEM = "n2c3h6w5-k4r3s3-pad1"


@pytest.fixture(autouse=True)
def _nothing_kept():
    for plan in FORGETFUL:
        for name in ("copies", "prepared", "last"):
            getattr(plan, name, {}).clear()


@pytest.mark.parametrize("kinds", [("integers", "uniform"), ("uniform",), ("normal",)], ids="+".join)
@pytest.mark.parametrize("plan", FORGETFUL, ids=lambda plan: plan.__name__)
def test_a_plan_that_keeps_something_of_its_first_run_is_wrong(plan, kinds, device):
    found = verify_kinds(algorithm_of(plan), Case(parse(PROBLEM), 3), device, kinds)
    assert not found.passed
    assert "two runs" in found.reason or "used plan differs" in found.reason or "elements are wrong" in found.reason


@pytest.mark.parametrize("plan", FORGETFUL, ids=lambda plan: plan.__name__)
def test_the_fuzzer_sees_it_too(plan, device):
    algorithm = algorithm_of(plan)
    case = FuzzCase(
        algorithm=algorithm.name, direction="forward", problem=parse(PROBLEM), kind="integers", seed=0, config=""
    )
    assert judge(case, algorithm, device).outcome == "failed"


def test_the_same_plan_without_a_mistake_passes(device):
    for kinds in (("integers", "uniform"), ("uniform",), ("nonfinite",), ("integers", "uniform", "large")):
        assert verify_kinds(algorithm_of(WithoutMistake), Case(parse(PROBLEM), 3), device, kinds).passed


@pytest.mark.parametrize(
    "text", [PROBLEM, "n1c1h1w1-k1r1s1", "n8c64h56w56-k64r3s3-pad1-g64-stride2", "n1c4h4w4-k2r3s3-pad3-circular"]
)
def test_a_neighbour_is_another_problem_of_the_same_kind(text):
    problem = parse(text)
    found = list(neighbours(problem))
    assert found
    assert problem not in found
    for other in found:
        assert (other.r, other.s, other.stride, other.padding, other.dtype) == (
            problem.r, problem.s, problem.stride, problem.padding, problem.dtype,
        )  # fmt: skip
        assert other.macs <= max(2 * problem.macs, 1_000_000)


def test_a_device_without_room_for_a_second_plan_still_changes_the_data():
    """The first plan makes all runs: one that keeps its first input is seen, and a correct one passes."""
    small = Small(room=40_000)
    case = Case(parse("n2c3h32w32-k4r3s3-pad1"), 3)  # 24 KiB of x, 32 KiB of y
    assert verify(algorithm_of(WithoutMistake), case, Small(room=100_000)).passed
    with pytest.raises(OutOfDeviceMemoryError):
        verify(algorithm_of(WithoutMistake), case, small)
    assert not verify(algorithm_of(PadsTheFirstInputOnly), case, Small(room=100_000)).passed
