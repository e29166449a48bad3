"""Predictions of records: the same as those of `convbench profile`, or the reason why there is no time."""

from dataclasses import replace

import pytest

from convbench import profiling
from convbench.algorithm import registry
from convbench.inspection import architecture
from convbench.problem.notation import parse
from convbench.profiling import forecast

H200 = profiling.chip("h200")
PROBLEM = parse("n1c2h5w5-k2r3s3-pad1")


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("NVIDIA H200", "h200"), ("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA A100-SXM4-40GB", "a100"),
        ("NVIDIA A100-SXM4-80GB", "a100-80gb"), ("Tesla T4", "t4"), ("NVIDIA L4", "l4"), ("NVIDIA A10", "a10"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"), ("NVIDIA GeForce RTX 3070 Ti", "rtx3070ti"),
        ("NVIDIA RTX A6000", "a6000"), ("NVIDIA H200 NVL", None), ("NVIDIA H100 PCIe", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA GeForce RTX 4090 D", None), ("NVIDIA L40S", None),
        ("NVIDIA GeForce RTX 3060 Ti", None), ("NVIDIA A100 80GB PCIe", None), ("emulator", None), ("", None),
    ],
)  # fmt: skip
def test_the_names_that_drivers_give_lead_to_the_chip_and_variants_to_none(name, chip):
    found = profiling.chip_of_device(name)
    assert found == (None if chip is None else profiling.chip(chip))


def test_a_prediction_is_that_of_the_plans_run():
    algorithm = registry.get("direct")
    told = profiling.Forecast(H200).predict(algorithm, PROBLEM, "forward", None)
    plan = profiling.profile_plan(algorithm, PROBLEM, "forward", architecture.get("sm_90"), blocks=forecast.BLOCKS)
    times = profiling.predict_plan(plan, H200)
    assert told.us == times.run_us
    assert (told.kernel, told.bottleneck) == ("direct", times.launches[0].sentence)
    assert (told.low_us, told.high_us) == times.launches[0].interval
    assert told.phases_us == {"multiply": told.us}
    assert told.caption == "predicted for NVIDIA H200 SXM, not measured"


def test_a_plan_whose_counts_are_not_complete_gets_no_time(monkeypatch):
    plan = profiling.profile_plan(registry.get("direct"), PROBLEM, "forward", architecture.get("sm_90"), blocks=1)
    (launch,) = plan.launches
    uncounted = replace(launch, profile=replace(launch.profile, uncounted=["wmma", "cp.bulk"]))
    monkeypatch.setattr(forecast, "profile_plan", lambda *_, **__: replace(plan, launches=(launch, uncounted)))
    told = profiling.Forecast(H200).predict(registry.get("direct"), PROBLEM, "forward", None)
    assert (told.us, told.reason) == (None, "accesses of wmma, cp.bulk are not counted in direct")


def test_whatever_goes_wrong_is_the_reason_and_is_not_raised(monkeypatch):
    wrong = profiling.Forecast(H200).predict(
        registry.get("winograd_2x2_3x3"), parse("n1c2h5w5-k2r5s5"), "forward", None
    )
    assert wrong.us is None
    assert "3 × 3" in wrong.reason
    native = profiling.Forecast(H200).predict(registry.get("numpy"), PROBLEM, "forward", None)
    assert native.reason == "numpy launches no kernel of its own"

    def fails(*_: object, **__: object) -> None:
        raise SystemExit("by a plugin")

    monkeypatch.setattr(forecast, "profile_plan", fails)
    told = profiling.Forecast(H200).predict(registry.get("direct"), PROBLEM, "forward", None)
    assert told.reason == "SystemExit: by a plugin"
