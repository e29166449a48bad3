"""The harness: the record of an algorithm that passes, fails, refuses, crashes or runs out of memory."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
import pytest

from cases.wrong_algorithms import UnwrittenElement, WithoutMistake, algorithm_of
from convbench import workload
from convbench.algorithm import Algorithm, Family, registry
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError, DeviceError, KernelError, OutOfDeviceMemoryError, RefusedError
from convbench.measurement import Effort, Harness, Job, jobs
from convbench.problem import DIRECTIONS
from convbench.problem.notation import parse
from convbench.workload import Layer

LAYER = Layer(name="conv1", problem=parse("n1c1h4w4-k2r3s3-pad1"), count=3)
EFFORT = Effort(warmup=1, minimum=3, maximum=4, max_seconds=10, caches=("warm",))


def harness_on(device: SimulatorDevice, **options: Any) -> Harness:
    return Harness(device, effort=EFFORT, now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), **options)


def records_of(algorithm: Algorithm, device: SimulatorDevice | None = None):
    chosen = workload.Workload(name="mine", source="test", layers=(LAYER,))
    return list(harness_on(device or SimulatorDevice()).records(chosen, jobs(chosen, [algorithm])))


def failing(error: BaseException, *, when: str = "run") -> Algorithm:
    class Plan(WithoutMistake):
        def run(self, x, y):
            if when == "run":
                raise error
            super().run(x, y)

        def prepare(self):
            if when == "prepare":
                raise error
            super().prepare()

    return algorithm_of(Plan)


def test_a_right_algorithm_is_verified_and_timed():
    (record,) = records_of(algorithm_of(WithoutMistake))
    assert record.outcome == "passed"
    assert record.exact
    assert record.fraction is not None
    assert 0 < record.fraction < 1
    assert 0 < record.rms_error_ulp <= record.worst_error_ulp < 20
    assert record.timing is not None
    (series,) = record.timing.series
    assert (len(series.samples_us), series.stop, series.cache) == (EFFORT.maximum, "samples", "warm")
    assert min(series.host_us) >= 0
    assert record.timing.host_clock == "process time of all threads"
    assert (record.timing.queue_us, record.timing.floor_us, series.clocks) == (None, None, None)
    assert record.precision == "float32"
    assert record.timing.clock == "CPU wall clock, simulated"
    assert set(record.timing.phases_us) == {"multiply"}
    assert (record.layer, record.count, record.workload) == ("conv1", 3, "mine")
    assert record.when == "2026-01-02T03:04:05+00:00"
    assert record.device["is_gpu"] is False
    assert record.environment["packages"]["numba-cuda"].startswith("0.30")


def test_a_wrong_algorithm_is_not_timed():
    (record,) = records_of(algorithm_of(UnwrittenElement))
    assert (record.outcome, record.timing) == ("wrong", None)
    assert "y[0," in str(record.reason)


@pytest.mark.parametrize("when", ["run", "prepare"])
@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RuntimeError("broken"), "crashed"),
        (OutOfDeviceMemoryError("no room"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (ConfigError("a grid of 2³¹ blocks"), "refused"),
        (RefusedError("cooperative groups have no counterpart"), "refused"),
        (KernelError("direct: wrote y[7], which has 4 elements"), "wrong"),
    ],
)
def test_whatever_an_algorithm_raises_is_its_outcome(error, outcome, when):
    (record,) = records_of(failing(error, when=when))
    assert (record.outcome, record.timing) == (outcome, None)
    assert str(error) in str(record.reason)


def test_a_fault_that_only_the_timed_runs_have_is_wrong():
    class Late(WithoutMistake):
        runs = 0

        def run(self, x, y):
            self.runs += 1
            if self.runs > 2:
                raise KernelError("a race")
            super().run(x, y)

    (record,) = records_of(algorithm_of(Late))
    assert (record.outcome, record.reason, record.timing) == ("wrong", "a race", None)


def test_ctrl_c_is_not_an_outcome():
    with pytest.raises(KeyboardInterrupt):
        records_of(failing(KeyboardInterrupt()))


def test_what_is_refused_is_recorded_with_its_reason_and_never_planned():
    class NeverMade(WithoutMistake):
        def __init__(self, *_):
            raise AssertionError("planned although it refuses")

    class Refusing(Algorithm):
        name: ClassVar[str] = "refusing"
        family: ClassVar[Family] = "direct"

        plans: ClassVar = {"forward": NeverMade}

        def limits(self, problem, direction):
            return "never on Sundays"

    (record,) = records_of(Refusing())
    assert (record.outcome, record.reason, record.config) == ("refused", "never on Sundays", {})


def test_what_the_device_refuses_is_recorded_as_refused():
    (record,) = records_of(algorithm_of(WithoutMistake), SimulatorDevice(max_macs=100))
    assert record.outcome == "refused"
    assert "at most 100" in str(record.reason)


def test_a_result_that_changes_while_it_is_timed_is_wrong():
    class TiredPlan(WithoutMistake):
        runs = 0

        def run(self, x, y):
            self.runs += 1
            if self.runs > 3:
                self.addend = self.device.upload(np.full(self.problem.k, 9, np.float32))
            super().run(x, y)

    (record,) = records_of(algorithm_of(TiredPlan))
    assert (record.outcome, record.timing) == ("wrong", None)
    assert "timed runs" in str(record.reason)


def test_a_lost_device_ends_the_run_after_its_record():
    class Lost(SimulatorDevice):
        def synchronize(self):
            raise RuntimeError("unspecified launch failure")

    chosen = workload.Workload(name="mine", source="test", layers=(LAYER,))
    results = harness_on(Lost()).records(chosen, jobs(chosen, [algorithm_of(WithoutMistake)] * 2))
    assert next(results).outcome == "crashed"
    with pytest.raises(DeviceError, match=r"took the device down.*--resume"):
        next(results)


@pytest.mark.parametrize("direction", ["backward_data", "backward_weights"])
def test_gradients_are_verified_and_timed_like_any_result(direction):
    chosen = workload.from_texts(["n1c2h4w4-k2r3s3-pad1-bias-NHWC-reflect"]).with_direction(direction)
    harness = harness_on(SimulatorDevice())
    (record,) = harness.records(chosen, jobs(chosen, [registry.get("direct")]))
    assert (record.outcome, record.direction, record.exact) == ("passed", direction, True)
    assert record.timing is not None
    reduce = {"reduce"} if direction == "backward_weights" else set()
    assert {"multiply"} | reduce <= set(record.timing.phases_us)


def test_each_layer_is_computed_in_its_own_direction():
    problem = parse("n1c2h4w4-k2r3s3-pad1")
    layers = tuple(Layer(name="a", problem=problem, direction=direction) for direction in DIRECTIONS)
    chosen = workload.Workload(name="mine", source="test", layers=layers).distinct()
    todo = jobs(chosen, [registry.get("direct")])
    harness = harness_on(SimulatorDevice())
    records = list(harness.records(chosen, todo))
    assert [(record.direction, record.outcome) for record in records] == [(each, "passed") for each in DIRECTIONS]
    assert [(*record.key, record.seed) for record in records] == [harness.key(job) for job in todo]
    assert len({harness.key(job) for job in todo}) == len(DIRECTIONS)


def test_the_time_limit_ends_the_samples():
    class Slow(SimulatorDevice):
        def elapsed_us(self, work):
            work()
            return 4e6

    (record,) = records_of(algorithm_of(WithoutMistake), Slow())
    assert record.timing is not None
    assert record.timing.first.samples_us == (4e6,) * 3  # 10 seconds are over after the third
    assert record.timing.first.stop == "seconds"


def test_the_key_is_known_before_the_record():
    harness, job = harness_on(SimulatorDevice()), Job(layer=LAYER, algorithm=algorithm_of(WithoutMistake))
    (record,) = harness.records(workload.Workload(name="mine", source="", layers=(LAYER,)), [job])
    assert harness.key(job) == (*record.key, record.seed)


def test_a_gpu_gets_more_samples_than_a_simulator():
    class Gpu(SimulatorDevice):
        is_gpu = True

    assert Effort.for_device(Gpu()).minimum > Effort.for_device(SimulatorDevice()).minimum
    assert Effort.for_device(Gpu()).caches == ("warm", "cold")


# ---- what is right on a layer is timed together


def three(device, **options):
    """Records of one layer by an algorithm under three names, in the order in which they come."""

    def named(name, plan=WithoutMistake):
        algorithm = algorithm_of(plan)
        type(algorithm).name = name
        return algorithm

    algorithms = [named("a"), named("b", options.pop("plan", WithoutMistake)), named("c")]
    chosen = workload.Workload(name="mine", source="test", layers=(LAYER,))
    return harness_on(device, **options).records(chosen, jobs(chosen, algorithms))


def test_algorithms_take_turns_in_an_order_that_the_seed_decides():
    def visits(seed):
        seen: list[str] = []

        class Watched(SimulatorDevice):
            def stopwatch(self, work, cache):
                name = "abc"[len(watches)]
                watches.append(name)

                def watched():
                    seen.append(name)
                    work()

                return super().stopwatch(watched, cache)

        watches: list[str] = []
        records = list(three(Watched(), seed=seed))
        assert [record.algorithm for record in records] == watches == ["a", "b", "c"]
        assert seen[::2] == seen[1::2], "each timed run comes right after one of the same, for a warm cache"
        return seen[::2]

    seen = visits(0)
    assert len(seen) == 3 * EFFORT.maximum
    assert all(set(seen[first : first + 3]) == {"a", "b", "c"} for first in range(0, len(seen), 3))
    assert visits(0) == seen
    assert {tuple(visits(seed)[:3]) for seed in range(4)} != {tuple(seen[:3])}


def test_a_fault_while_others_are_timed_is_that_ones_alone():
    class Late(WithoutMistake):
        runs = 0

        def run(self, x, y):
            Late.runs += 1
            if Late.runs > 5:
                raise RuntimeError("broken")
            super().run(x, y)

    outcomes = {record.algorithm: record.outcome for record in three(SimulatorDevice(), plan=Late)}
    assert outcomes == {"a": "passed", "b": "crashed", "c": "passed"}


def test_a_device_that_is_lost_while_it_times_ends_the_run_after_the_record():
    class Lost(SimulatorDevice):
        lost = False

        def synchronize(self):
            if self.lost:
                raise RuntimeError("unspecified launch failure")

    device = Lost()

    class Late(WithoutMistake):
        runs = 0

        def run(self, x, y):
            Late.runs += 1
            device.lost = Late.runs > 5
            if device.lost:
                raise RuntimeError("illegal address")
            super().run(x, y)

    seen = []
    with pytest.raises(DeviceError, match=r"b on .* took the device down"):
        seen.extend((record.algorithm, record.outcome) for record in three(device, plan=Late))


def test_what_does_not_fit_beside_the_others_is_timed_alone():
    class Small(SimulatorDevice):
        held = 0

        def stopwatch(self, work, cache):
            Small.held += 1
            if Small.held == 2:
                raise OutOfDeviceMemoryError("the other holds it all")
            return super().stopwatch(work, cache)

    outcomes = [(record.algorithm, record.outcome) for record in three(Small())]
    assert outcomes == [("a", "passed"), ("b", "passed"), ("c", "passed")]


def test_a_time_under_the_hardware_floor_is_an_error():
    class TooFast(SimulatorDevice):
        def describe(self):
            return super().describe() | {
                "is_gpu": True, "compute_capability": "9.0", "multiprocessors": 1, "sm_clock_mhz": 1.0,
                "memory_clock_mhz": 1.0, "memory_bus_bits": 8, "l2_bytes": 0,
            }  # fmt: skip

        def elapsed_us(self, work):
            work()
            return 1e-3

    (record,) = records_of(algorithm_of(WithoutMistake), TooFast())
    assert (record.outcome, record.timing) == ("wrong", None)
    for word in ("0.001 µs", "simulator needs", str(LAYER.problem)):
        assert word in str(record.reason)


def test_cold_and_warm_are_kept_apart():
    class Flushing(SimulatorDevice):
        flushes = 0

        def flush(self):
            self.flushes += 1

    device, both = Flushing(), ("warm", "cold")
    chosen = workload.Workload(name="mine", source="test", layers=(LAYER,))
    effort = Effort(warmup=1, minimum=3, maximum=3, caches=both)
    (record,) = Harness(device, effort=effort).records(chosen, jobs(chosen, [algorithm_of(WithoutMistake)]))
    assert tuple(series.cache for series in record.timing.series) == both
    assert device.flushes == 3
    warm, cold = (series.method for series in record.timing.series)
    assert "warm cache" in warm
    assert f"{device.flush_bytes:,} bytes" in cold
