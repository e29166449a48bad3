"""The words of a survey count what they do not name."""

from types import SimpleNamespace

import pytest

from convbench.devices.simulator import SimulatorDevice
from convbench.problem.notation import parse
from convbench.survey import Orders, Survey
from convbench.survey.survey import MOST_NAMED
from convbench.workload import Layer, Workload


@pytest.mark.parametrize("more", [0, 1, 5])
def test_failures_that_are_not_named_are_counted(tmp_path, more):
    layers = (Layer(name="a", problem=parse("n4c2h5w5-k2r3s3")),)
    survey = Survey(
        SimulatorDevice(),
        Orders(
            out=tmp_path, workload=Workload(name="mine", source="", layers=layers), seconds=1, algorithms=("direct",)
        ),
    )
    count = MOST_NAMED + more
    survey.rows = [
        {"outcome": "wrong", "algorithm": "mine", "direction": "forward", "problem": place, "reason": "it is off"}
        for place in range(count)
    ]
    survey.records = [
        SimpleNamespace(outcome="wrong", algorithm="other", problem=place, reason="it is off") for place in range(count)
    ]
    told = [sentence for sentence in survey.words() if sentence.startswith("Failed: ")]
    assert sum("mine forward" in sentence for sentence in told) == MOST_NAMED
    assert sum("other" in sentence for sentence in told) == MOST_NAMED
    assert [sentence for sentence in told if "more" in sentence] == (
        [f"Failed: {more} more, in correctness.jsonl", f"Failed: {more} more, in standard.jsonl"] if more else []
    )
