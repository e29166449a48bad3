"""The search for the fastest config, on a device with known times."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases.handmade import predicted, unpredicted
from cases.wrong_algorithms import WithoutMistake
from convbench.algorithm import Algorithm, Family, registry
from convbench.devices import Stopwatch
from convbench.devices.simulator import SimulatorDevice
from convbench.devices.stopwatch import Sample
from convbench.errors import ConfigError, ContractError, ConvbenchError
from convbench.measurement import Effort, Harness
from convbench.problem.notation import parse
from convbench.tuning import Found, Tuner, database, proposals
from convbench.workload import Layer, Workload
from support.command_line import assert_refused

PROBLEM = parse("n1c1h4w4-k2r3s3-pad1")
LAYER = Layer(name="conv1", problem=PROBLEM)
WORKLOAD = Workload(name="mine", source="test", layers=(LAYER,))
EFFORT = Effort(warmup=0, minimum=12, maximum=12, max_seconds=10, caches=("warm",))


@dataclass(frozen=True, kw_only=True)
class Tile:
    tile: int = 8
    stages: int = 1


class TiledPlan(WithoutMistake):
    def __init__(self, problem, direction, device, config=None):
        super().__init__(problem, direction, device)
        self.chosen = config

    def run(self, source, target):
        if self.chosen.stages == 7:
            raise ConfigError("a block has too few registers for it")
        super().run(source, target)
        if self.chosen.stages == 9:
            self.device.write(target, self.device.download(target) + 1)
        if self.chosen.stages == 5:
            raise KeyboardInterrupt


class Tiled(Algorithm):
    name: ClassVar[str] = "tiled"
    family: ClassVar[Family] = "direct"
    plans: ClassVar = {"forward": TiledPlan}
    more: ClassVar[tuple[Any, ...]] = ()

    def configs(self, problem, direction):
        return (Tile(), Tile(tile=16))

    def space(self, problem, direction):
        return (*self.configs(problem, direction), *self.more)


def tiled(*more: Any) -> Algorithm:
    return type("Tiled", (Tiled,), {"more": more})()


class KnownTimes(SimulatorDevice):
    """Each config's time is what a table says, with 1 % noise."""

    def __init__(self, times: Mapping[Any, float], noise: float = 0.01) -> None:
        super().__init__()
        self.times, self.noise, self.random = times, noise, np.random.default_rng(1)
        self.watched: list[Any] = []

    def stopwatch(self, work, cache):
        config = work.__self__.plan.chosen
        self.watched.append(config)
        device = self

        class Clock(Stopwatch):
            method = "synthetic"

            def take(self):
                return Sample(device.times[config] * (1 + device.noise * device.random.standard_normal()), 1.0)

        return Clock(self, work, cache)


def searched(algorithm: Algorithm, device: SimulatorDevice, order=None, **options: Any):
    """What a search found, and its records."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    tuner = Tuner(Harness(device, effort=EFFORT, now=lambda: now), **options)
    space = algorithm.space_for(PROBLEM, "forward")
    found = Found(layer=LAYER, algorithm=algorithm, space=len(space))
    return found, list(tuner.search(found, WORKLOAD, order or proposals.Exhaustive(space)))


def test_the_fastest_config_wins_and_is_timed_again_beside_the_default():
    times = {Tile(): 100.0, Tile(tile=16): 90.0, Tile(tile=32): 50.0, Tile(tile=64): 70.0, Tile(tile=4): 200.0}
    device = KnownTimes(times)
    found, records = searched(tiled(Tile(tile=32), Tile(tile=64), Tile(tile=4)), device)
    assert [record.outcome for record in records] == ["passed"] * 5
    assert device.watched == [*times, Tile(), Tile(tile=32)]
    assert found.verdict == "faster than the default"
    assert found.entry is not None
    assert (found.entry.config, found.entry.timed) == ({"tile": 32, "stages": 1}, 5)
    assert found.entry.median_us == pytest.approx(50.0, rel=0.02)
    assert found.entry.default_us == pytest.approx(100.0, rel=0.02)
    assert found.ratio is not None
    assert found.ratio[1] <= found.ratio[0] <= found.ratio[2] < 1
    assert (found.entry.device, found.entry.clock) == ("simulator", "CPU wall clock, simulated")


def test_a_config_that_is_faster_by_chance_does_not_displace_the_default():
    """All take the same time, and the luckiest of them is timed anew; at most a few of 20 searches may be wrong."""
    algorithm, kept = tiled(*(Tile(tile=tile) for tile in (32, 64, 128))), 0
    for seed in range(20):
        device = KnownTimes(dict.fromkeys(algorithm.space_for(PROBLEM, "forward"), 100.0), noise=0.05)
        device.random = np.random.default_rng(seed)
        found, _ = searched(algorithm, device)
        assert found.entry is not None
        is_default = found.entry.config == {"tile": 8, "stages": 1}
        assert is_default == found.verdict.startswith(("the default stays", "the default is the fastest"))
        kept += is_default
    assert kept >= 17


def test_a_wrong_config_is_recorded_and_never_wins_and_what_does_not_fit_is_pruned():
    wrong, large = Tile(stages=9), Tile(stages=7)
    device = KnownTimes({Tile(): 100.0, Tile(tile=16): 99.0, wrong: 1.0, large: 1.0})
    found, records = searched(tiled(wrong, large), device)
    outcomes = {record.config["stages"]: record.outcome for record in records}
    assert outcomes == {1: "passed", 9: "wrong", 7: "refused"}
    assert found.outcomes == {"passed": 2, "wrong": 1, "refused": 1}
    assert found.pruned_for == "a block has too few registers for it"
    assert "elements are wrong" in str(found.wrong_for)
    assert found.entry is not None
    assert found.entry.config["stages"] == 1


def test_a_default_that_is_wrong_has_no_time_and_another_is_kept():
    class Broken(Tiled):
        def configs(self, problem, direction):
            return (Tile(stages=9), Tile(tile=16))

    found, _ = searched(Broken(), KnownTimes({Tile(tile=16): 10.0}))
    assert found.entry is not None
    assert (found.entry.config["tile"], found.entry.default_us) == (16, None)
    assert found.verdict == "the default cannot be timed"


def test_where_nothing_is_right_nothing_is_kept():
    class Broken(Tiled):
        def configs(self, problem, direction):
            return (Tile(stages=9), Tile(stages=7))

    found, _ = searched(Broken(), KnownTimes({}))
    assert (found.entry, found.verdict) == (None, "nothing was right")


def test_trials_and_seconds_end_a_search_after_the_default():
    algorithm = tiled(*(Tile(tile=tile) for tile in range(17, 40)))
    times = dict.fromkeys(algorithm.space_for(PROBLEM, "forward"), 100.0)
    found, records = searched(algorithm, KnownTimes(times), most=3)
    assert (len(records), records[0].config["tile"]) == (3, 8)
    found, records = searched(algorithm, KnownTimes(times), seconds=0.0)
    assert len(records) == 4, "those that take turns with the default"
    assert found.entry is not None


@pytest.mark.parametrize("tried", [1, 4])
def test_a_search_that_was_stopped_says_how_many_configs_it_tried_and_not_that_the_default_is_the_fastest(tried):
    algorithm = tiled(*(Tile(tile=tile) for tile in range(17, 40)))
    times = dict.fromkeys(algorithm.space_for(PROBLEM, "forward"), 100.0) | {Tile(): 10.0}
    found, _ = searched(algorithm, KnownTimes(times), most=tried)
    assert found.verdict == f"none was faster than the default; {tried} of 25 configs were tried"
    found, _ = searched(algorithm, KnownTimes(times | {Tile(tile=16): 1.0}), most=2)
    assert found.verdict == "faster than the default; 2 of 25 configs were tried"
    found, _ = searched(algorithm, KnownTimes(times))
    assert found.verdict == "the default is the fastest"


def test_ctrl_c_keeps_what_was_found():
    algorithm = tiled(Tile(tile=32), Tile(tile=64), Tile(tile=2, stages=5))
    device = KnownTimes({Tile(): 100.0, Tile(tile=16): 90.0, Tile(tile=32): 50.0, Tile(tile=64): 60.0})
    tuner = Tuner(Harness(device, effort=EFFORT))
    space = algorithm.space_for(PROBLEM, "forward")
    found = Found(layer=LAYER, algorithm=algorithm, space=len(space))
    with pytest.raises(KeyboardInterrupt):
        list(tuner.search(found, WORKLOAD, proposals.Exhaustive(space)))
    tuner.decide(found, WORKLOAD)
    assert found.entry is not None
    assert found.entry.config == {"tile": 32, "stages": 1}


# ---- spaces


def test_the_space_has_each_config_once_and_the_default_first():
    algorithm = tiled(Tile(tile=16), Tile(tile=32), Tile(tile=32))
    assert algorithm.space_for(PROBLEM, "forward") == (Tile(), Tile(tile=16), Tile(tile=32))


@pytest.mark.parametrize("foreign", [{"tile": 8}, 8, Tile])
def test_what_is_no_frozen_dataclass_is_no_config(foreign):
    with pytest.raises(
        ContractError, match=r"Tiled\.space gave .* a config is an instance of a frozen dataclass; number 3 is"
    ):
        tiled(foreign).space_for(PROBLEM, "forward")


@pytest.mark.parametrize("name", registry.names())
def test_the_default_is_first_in_every_registered_space(name):
    algorithm = registry.get(name)
    for text in ("n1c4h9w9-k4r3s3-pad1", "n2c4h9w9-k4r3s3-g4", "n1c4h9w9-k4r1s1-float16", "n1c4h9w9-k4r1s1-bfloat16"):
        problem = parse(text)
        for direction in algorithm.plans:
            if algorithm.refuses(problem, direction) is None:
                space = algorithm.space_for(problem, direction)
                assert space[0] == algorithm.resolved(problem, direction)
                assert len({repr(database.as_json(config)) for config in space}) == len(space)


# ---- the order


@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=15, unique=True),
    st.integers(1, 5),
)
def test_an_exhaustive_order_proposes_each_config_once_in_the_order_of_the_space(seed, pairs, count):
    space = [Tile(tile=tile, stages=stages) for tile, stages in pairs]
    order, asked = proposals.proposals(space, None, None, seed), []
    while some := order.next(count):
        assert len(some) <= count
        asked += some
    assert asked == space


@pytest.mark.parametrize("seed", range(3))
def test_optuna_proposes_each_config_once_the_default_first_and_the_same_for_a_seed(seed):
    space = [Tile(tile=tile, stages=stages) for tile in (8, 16, 32) for stages in (1, 2, 3) if tile * stages != 32]

    def asked():
        order, found = proposals.Optuna(space, seed), []
        while some := order.next(2):
            found += some
            for config in some:
                order.tell(config, None if config.stages == 3 else config.tile / config.stages)
        return found

    first = asked()
    assert first[0] == space[0]
    assert sorted(map(repr, first)) == sorted(map(repr, space))
    assert asked() == first


@dataclass(frozen=True, kw_only=True)
class Wide:
    tile_m: int
    tile_n: int
    tile_k: int
    stages: int
    swizzled: bool


def test_optuna_finds_fast_configs_more_often_than_chance():
    """Of 512 configs 35 are fast: 80 drawn by chance hold five of them, and more than eleven once in 200 times."""
    space = [
        Wide(tile_m=m, tile_n=n, tile_k=k, stages=stages, swizzled=swizzled)
        for m in range(4) for n in range(4) for k in range(4) for stages in range(4) for swizzled in (False, True)
    ]  # fmt: skip

    def us(config):
        return 1.0 + config.tile_m + config.tile_n + config.tile_k + config.stages + 4 * config.swizzled

    assert sum(us(config) <= 4 for config in space) == 35
    order, found = proposals.Optuna(space, 0), 0
    for _ in range(80):
        (config,) = order.next(1)
        order.tell(config, us(config))
        found += us(config) <= 4
    assert found > 11


def test_large_spaces_are_optunas_and_a_missing_one_gives_the_command(monkeypatch):
    space = [Tile(tile=tile) for tile in range(1, proposals.MOST_EXHAUSTIVE + 2)]
    assert isinstance(proposals.proposals(space[:-1], None, None, 0), proposals.Exhaustive)
    assert isinstance(proposals.proposals(space, None, None, 0), proposals.Optuna)
    assert isinstance(proposals.proposals(space, "exhaustive", None, 0), proposals.Exhaustive)
    assert isinstance(proposals.proposals(space[:5], None, 4, 0), proposals.Optuna)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConvbenchError, match=r'pip install "convbench\[tune\]".*--search exhaustive'):
        proposals.proposals(space, None, None, 0)


# ---- the command


def test_tune_writes_what_people_can_read_and_says_whose_times_they_are(convbench, here):
    status, out, err = convbench(
        "tune", "n1c2h5w5-k2r3s3-pad1", "--algorithm", "direct,depthwise", "--out", "all.jsonl", "--gpu", "none"
    )
    assert (status, err) == (0, "")
    assert "emulated on CPU" in out
    assert "depthwise refuses: groups = 1 is not c = 2" in out
    (line,) = (here / "reports" / "tuned" / "emulator.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["device"], entry["algorithm"], entry["problem"]) == ("emulator", "direct", "n1c2h5w5-k2r3s3-pad1")
    assert entry["clock"].endswith("emulated on CPU")
    assert len((here / "all.jsonl").read_text().splitlines()) == 3


def test_tune_without_a_gpu_ranks_by_predicted_times_and_says_so(convbench, here):
    words = "tune", "n1c2h5w5-k2r3s3-pad1", "--algorithm", "direct", "--gpu", "a100"
    status, out, err = convbench(*words)
    assert (status, err) == (0, "")
    said = "predicted for NVIDIA A100 40GB SXM, not measured"
    assert f"# Ranked by times {said}, and verified on emulator" in out
    assert "emulated on CPU" not in out
    (line,) = (here / "reports" / "tuned" / "emulator.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["clock"], entry["interval_us"]) == (said, None)
    assert json.loads(convbench(*words, "--json")[1])["ranked_by"] == f"times {said}"


class KnownPredictions:
    """Each config's predicted time is what a table says; None stands for a config whose counts are not complete."""

    gpu = "NVIDIA H200 SXM"

    def __init__(self, times: Mapping[Any, float | None]) -> None:
        self.times = times

    def predict(self, algorithm, problem, direction, config):
        us = self.times[config]
        return unpredicted("not counted") if us is None else predicted(us, error=0.2)


@pytest.mark.parametrize(
    ("times", "verdict", "kept"),
    [
        ((100.0, 50.0, 200.0), "predicted to be faster than the default", 16),
        ((100.0, 90.0, 200.0), "the default stays: the best is ahead by less than the model's error", 8),
        ((100.0, 110.0, None), "the default is predicted to be the fastest", 8),
        ((None, 50.0, 60.0), "the default has no predicted time", 16),
        ((None, None, None), "no time is predicted: not counted", None),
    ],
)
def test_predicted_times_rank_whatever_the_device_measures(times, verdict, kept):
    """The measured times have the opposite order."""
    configs = Tile(), Tile(tile=16), Tile(tile=32)
    device = KnownTimes(dict(zip(configs, (10.0, 500.0, 1.0), strict=True)))
    predictions = KnownPredictions(dict(zip(configs, times, strict=True)))
    tuner = Tuner(Harness(device, effort=EFFORT, forecast=predictions))
    found = Found(layer=LAYER, algorithm=tiled(Tile(tile=32)), space=3)
    records = list(tuner.search(found, WORKLOAD, proposals.Exhaustive(configs)))
    assert [len(record.timing.first.samples_us) for record in records] == [1, 1, 1]
    assert found.verdict == verdict
    assert len(device.watched) == 3  # nothing is timed again
    if kept is None:
        assert found.entry is None
    else:
        assert (found.entry.config["tile"], found.entry.clock) == (kept, "predicted for NVIDIA H200 SXM, not measured")
        assert found.entry.median_us == times[configs.index(Tile(tile=kept))]


def test_a_wrong_config_gives_status_1_and_ctrl_c_130_with_what_was_found(convbench, here, monkeypatch):
    registered = {"tiled": tiled(Tile(stages=9))}
    monkeypatch.setattr(registry, "_registered", registered)
    words = ("tune", str(PROBLEM), "--algorithm", "tiled", "--device", "simulator")
    status, out, err = convbench(*words, "--json")
    told = json.loads(out)
    assert (status, told["tuned"][0]["outcomes"]) == (1, {"passed": 2, "wrong": 1})
    assert "some configs are wrong or failed" in err
    path = here / told["database"]
    path.unlink()
    registered["tiled"] = tiled(Tile(tile=32), Tile(tile=64), Tile(stages=5))
    status, _, err = convbench(*words)
    assert (status, err) == (130, "convbench: interrupted; 1 tuned configs are in reports/tuned/simulator.jsonl\n")
    assert path.is_file()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("tune",), ("one of the two",)),
        (("tune", "n1c2h5w5-k2r3s3", "--search", "magic"), ("'magic'", "exhaustive, optuna")),
        (("tune", "n1c2h5w5-k2r3s3", "--algorithm", "depthwise"), ("nothing to tune", "groups = 1 is not c = 2")),
        (("tune", "n1c2h5w5-k2r3s3", "--device", "cuda"), ("cuda was asked for",)),
        (("tune", "n1c2h5w5-k2r3s3", "--algorithm", "direct", "--database", "/dev/null/x"), ("/dev/null/x",)),
        (("bench", "n1c2h5w5-k2r3s3", "--database", "none.jsonl"), ("none.jsonl is no file", "convbench tune")),
        (("bench", "n1c2h5w5-k2r3s3", "--database", "x", "--untuned"), ("--untuned", "--database")),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_message_and_status_2(convbench, words, parts):
    assert_refused(convbench(*words), *parts)
