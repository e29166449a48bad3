"""The survey of a GPU: what it plans, in what time, what it leaves, and that it needs no more than it says."""

import json
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wrong_algorithms import WithoutMistake, algorithm_of

from convbench import registry, workload
from convbench.cli import options
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError
from convbench.notation import parse
from convbench.record import Record, read_records
from convbench.sampling import Effort
from convbench.survey import layers, ratios
from convbench.survey.crew import Crew
from convbench.survey.layers import Measured, Target
from convbench.survey.survey import Orders, Survey
from convbench.survey.tasks import Check, Times, run
from convbench.timing import Series, Timing
from convbench.verify import Case, SampledCase, verify
from convbench.workload import Layer, Workload

SMALL = "n1c2h5w5-k2r3s3"
STANDARD = workload.load("standard")
EFFORT = Effort(warmup=0, minimum=6, maximum=6, max_seconds=1, caches=("warm",))
FILES = {"correctness.jsonl", "standard.jsonl", "ratios.md", "ratios.csv", "standard.md", "environment.json"}
TRIAL = ("gpu", "--out", "survey", "--device", "simulator", "--workload", "small.txt", "--check", SMALL)


ONE = ("--plugin", "one.py", "--algorithm", "one")  # an algorithm of one direction and dtype
ONE_PY = """
from algorithms.direct import Direct, DirectPlan
from convbench import register
@register
class One(Direct):
    name, dtypes, plans = "one", ("float32",), {"forward": DirectPlan}
"""


# ---- the plan


def test_the_standard_layers_are_distinct_and_each_is_of_a_group_with_a_target():
    assert STANDARD.distinct().layers == STANDARD.layers
    assert {layer.problem.n for layer in STANDARD.layers} == {32}
    assert not any(layer.problem.bias for layer in STANDARD.layers), "the library would add it in a launch of its own"
    counts: dict[str, int] = {}
    for layer in STANDARD.layers:
        counts[layers.group_of(layer)] = counts.get(layers.group_of(layer), 0) + 1
    assert counts == {
        "ResNet-50 3×3": 7, "VGG 3×3": 9, "1×1": 15, "stem 7×7": 1, "depthwise 3×3": 10, "5×5": 5, "dilated 3×3": 6,
    }  # fmt: skip
    assert set(counts) == {group for group, precision in layers.TARGETS if precision == "float32"}


def test_the_order_of_the_work_gives_every_group_its_share():
    planned = layers.plan(STANDARD.layers)
    strict = [one for one in planned if one.layer.problem.dtype == "float32"]
    assert sorted(one.layer.name for one in strict) == sorted(layer.name for layer in STANDARD.layers)
    first = planned[: len(planned) // 4]
    assert {one.group for one in first} == {layers.group_of(layer) for layer in STANDARD.layers}
    assert {one.layer.problem.dtype for one in first} == {"float32", "float16", "bfloat16"}
    for one in planned:
        assert "cudnn" in one.algorithms
        assert ("cudnn_tf32" in one.algorithms) == (one.layer.problem.dtype == "float32")
        assert {*one.algorithms} - {"cudnn", "cudnn_tf32"}, f"nobody of ours competes in {one.layer}"
        assert [problem.layout for problem in one.problems] == ["NCHW", "NHWC"]


def test_who_is_named_competes_alone_and_who_refuses_does_not():
    (one,) = layers.plan([Layer(name="a", problem=parse("n1c4h9w9-k4r3s3-stride2"))], ["direct", "winograd_2x2_3x3"])
    assert (one.group, one.algorithms) == ("other", ("direct", "cudnn", "cudnn_tf32"))


# ---- ratios


def record(layer: str, algorithm: str, us: float, **changes: Any) -> Record:
    samples = tuple(us * (1 + 0.001 * (number % 5 - 2)) for number in range(25))
    family, precision = ("baseline", "float32") if algorithm.startswith("cudnn") else ("gemm", "float32")
    series = [
        Series(
            cache=cache, method="known", samples_us=tuple(factor * one for one in samples), host_us=samples,
            stop="samples",
        )
        for cache, factor in (("warm", 1.0), ("cold", 2.0 if family == "baseline" else 4.0))
    ]  # fmt: skip
    timing = Timing(
        clock="CUDA events", host_clock="", series=tuple(series), prepare_us=1.0, phases_us={}, compile_s=0.0
    )
    fields: dict[str, Any] = {
        "problem": "n1c4h9w9-k4r3s3", "direction": "forward", "algorithm": algorithm, "family": family,
        "precision": precision, "config": {"tile": 8}, "outcome": "passed", "workload": "mine", "layer": layer,
        "count": 1, "seed": 0, "timing": timing, "environment": {}, "when": "2026-01-02T03:04:05+00:00",
        "device": {"name": "GPU", "clock": "CUDA events", "is_gpu": True},
    }  # fmt: skip
    return Record(**fields | changes)


def planned(*names: str, problem: str = "n1c4h9w9-k4r3s3") -> list[Measured]:
    found = [Layer(name=name, problem=parse(problem)) for name in names]
    return [Measured(layer=layer, group=layers.group_of(layer), algorithms=()) for layer in found]


def test_a_ratio_is_of_the_best_order_of_memory_on_both_sides():
    records = [
        record("res1", "cudnn", 30.0), record("res1", "cudnn", 20.0, problem="n1c4h9w9-k4r3s3-NHWC-KRSC"),
        record("res1", "implicit_gemm", 10.0), record("res1", "winograd_4x4_3x3", 8.0),
        record("res1", "implicit_gemm_tf32", 4.0, precision="tf32"),
        record("res1", "cudnn_tf32", 2.0, precision="tf32"),
    ]  # fmt: skip
    table = ratios.by_layer(records)
    strict = table[table.precision == "float32"].set_index("cache")
    assert dict(strict.ratio) == pytest.approx({"warm": 20 / 8, "cold": 40 / 32})
    assert set(strict.algorithm) == {"winograd_4x4_3x3"}
    assert set(strict.layout_library) == {"NHWC"}
    assert (strict.ratio_low < strict.ratio).all()
    assert dict(table[table.precision == "TF32"].set_index("cache").ratio) == pytest.approx({"warm": 0.5, "cold": 0.25})
    assert set(table.precision) == {"float32", "TF32"}


def test_3xtf32_stands_against_strict_float32_in_rows_of_its_own():
    records = [
        record("a", "cudnn", 20.0), record("a", "implicit_gemm", 10.0),
        record("a", "implicit_gemm_3xtf32", 5.0, precision="3xtf32"),
    ]  # fmt: skip
    table = ratios.by_layer(records)
    warm = table[table.cache == "warm"].set_index("precision").ratio
    assert dict(warm) == pytest.approx({"float32": 2.0, "float32 or 3xTF32": 4.0})


@pytest.mark.parametrize(("us", "verdict"), [(9.0, "beyond the target"), (11.0, "reached"), (13.0, "not reached")])
def test_a_group_is_judged_by_the_median_of_its_layers(us, verdict):
    assert layers.TARGETS["ResNet-50 3×3", "float32"] == Target(1.6, 2.0)
    ours = {"res1": 1.0, "res2": us, "res3": 100.0}
    records = [
        one for name, time_us in ours.items() for one in (record(name, "direct", time_us), record(name, "cudnn", 20.0))
    ]
    table = ratios.by_layer(records)
    rows = {(row.group, row.precision): row for row in ratios.groups(table, planned("res1", "res2", "res3", "res4"))}
    row = rows["ResNet-50 3×3", "float32"]
    assert (row.layers, row.planned, row.verdict) == (3, 4, verdict)
    assert row.warm == pytest.approx(20.0 / us)
    assert (row.least, row.most) == pytest.approx((0.2, 20.0))
    assert rows["VGG 3×3", "float32"].verdict == "not measured"
    page = ratios.to_markdown([*rows.values()], table, "title", ["a note"])
    assert f"{row.warm:.2f}" in page
    assert "- a note" in page
    assert "res3" in page


def test_what_is_not_right_has_no_ratio():
    wrong = replace(record("res1", "direct", 1.0), outcome="wrong", reason="off by one", timing=None)
    assert ratios.by_layer([wrong, record("res1", "cudnn", 20.0)]).empty
    (row, *_) = ratios.groups(ratios.by_layer([]), planned("res1"))
    assert (row.layers, row.planned, row.verdict) == (0, 1, "not measured")


# ---- what is compared of a large batch


class WrongAt(WithoutMistake):
    image: ClassVar[int] = 0

    def run(self, x, y):
        super().run(x, y)
        host = self.device.download(y)
        host[self.image] += 1
        self.device.write(y, host)


@pytest.mark.parametrize("image", [0, -1])
@pytest.mark.parametrize("text", ["n5c2h4w4-k3r3s3-pad1-bias", "n2c2h4w4-k3r3s3", "n3c2h4w4-k3r3s3-NHWC"])
def test_a_mistake_in_the_first_or_the_last_image_is_found(text, image):
    device, case = SimulatorDevice(), SampledCase(parse(text), 0)
    assert verify(algorithm_of(WithoutMistake), case, device).passed
    assert not verify(algorithm_of(type("Wrong", (WrongAt,), {"image": image})), case, device).passed


def test_the_fraction_of_the_bound_is_that_of_the_compared_images():
    problem = parse("n4c2h4w4-k3r3s3-pad1")
    case, whole = SampledCase(problem, 0), Case(problem, 0)
    given, expected = case.of("uniform")
    assert given["x"].shape == problem.x_shape
    np.testing.assert_array_equal(expected["y"], whole.of("uniform")[1]["y"][[0, 3]])
    part, all_ = (verify(registry.get("direct"), one, SimulatorDevice()).fraction for one in (case, whole))
    assert part is not None
    assert all_ is not None
    assert 0 < part <= all_


# ---- one task


def test_checks_that_are_not_begun_by_their_deadline_are_left_out():
    check = Check(
        algorithm="direct", direction="forward", dtype="float16", problems=(SMALL, "n1c1h1w1-k1r1s1"), seed=0,
        deadline=time.time() + 60,
    )  # fmt: skip
    done = run(check, SimulatorDevice(), lambda: nullcontext(True))
    assert [(row["problem"], row["outcome"]) for row in done.rows] == [
        (f"{SMALL}-float16", "passed"), ("n1c1h1w1-k1r1s1-float16", "passed"),
    ]  # fmt: skip
    late = run(replace(check, deadline=0.0), SimulatorDevice(), lambda: nullcontext(True))
    assert (late.rows, late.left_out) == ([], 2)


def test_a_layer_whose_turn_comes_too_late_is_left_out():
    measured = Measured(layer=Layer(name="a", problem=parse(SMALL)), group="other", algorithms=("direct",))
    times = Times(measured=measured, workload="mine", seed=0, effort=EFFORT, database=None)
    late = run(times, SimulatorDevice(), lambda: nullcontext(False))
    assert (late.records, late.left_out) == ([], 1)
    done = run(times, SimulatorDevice(), lambda: nullcontext(True))
    assert [(one.problem, one.outcome) for one in done.records] == [(SMALL, "passed"), (f"{SMALL}-NHWC", "passed")]


def test_the_orders_of_memory_of_a_layer_take_turns():
    taken: list[int] = []

    class Watched(SimulatorDevice):
        def stopwatch(self, work, cache):
            watch, number = super().stopwatch(work, cache), len({*taken}) + len(watches)
            watches.append(number)
            take = watch.take

            def noted():
                taken.append(number)
                return take()

            watch.take = noted
            return watch

    watches: list[int] = []
    measured = Measured(layer=Layer(name="a", problem=parse(SMALL)), group="other", algorithms=("direct",))
    run(
        Times(measured=measured, workload="mine", seed=0, effort=EFFORT, database=None), Watched(),
        lambda: nullcontext(True),
    )  # fmt: skip
    assert len(watches) == 2
    assert all({*taken[first : first + 2]} == {*watches} for first in range(0, 12, 2))


# ---- processes

PLUGIN = """
import os
from convbench import Algorithm, register
from algorithms.direct import Config, Direct, DirectPlan

def note(word):
    with open({log!r}, "a") as file:
        file.write(f"{{os.getpid()}} {{word}}\\n")

class Noted(DirectPlan):
    def run(self, x, y):
        note("run")
        super().run(x, y)

@register
class Mine(Direct):
    name = "mine"
    plans = {{"forward": Noted}}

class Dying(DirectPlan):
    def run(self, x, y):
        os._exit(3)

@register
class Dies(Direct):
    name = "dies"
    plans = {{"forward": Dying}}
"""


def test_processes_time_one_after_the_other_and_one_that_dies_is_replaced(tmp_path):
    log, plugin = tmp_path / "log", tmp_path / "plugin_of_the_survey.py"
    plugin.write_text(PLUGIN.format(log=str(log)))

    def times(name, algorithm):
        layer = Layer(name=name, problem=parse(SMALL))
        measured = Measured(layer=layer, group="other", algorithms=(algorithm,), formats=("NCHW",))
        return Times(measured=measured, workload="mine", seed=0, effort=EFFORT, database=None)

    crew = Crew(2, "emulator", partial(options.load_plugins, [str(plugin)]))
    try:
        tasks = [times("a", "mine"), times("b", "dies"), times("c", "mine"), times("d", "mine")]
        done = {task.measured.layer.name: outcome for task, outcome in crew.done(tasks, time.time() + 120)}
        assert [one.outcome for name in "acd" for one in done[name].records] == ["passed"] * 3
        assert done["b"].records == []
        assert "ended its process, with status 3" in done["b"].notes[0]
        late = dict(crew.done([times("e", "mine")], time.time() - 1))
        assert [*late.values()] == [None]
    finally:
        crew.close()
    workers = [line.split()[0] for line in log.read_text().splitlines()]
    turns = [worker for worker, _ in groupby(workers)]
    assert len(turns) <= 3, "each layer's runs follow each other, whichever process has them"
    assert len(set(workers)) <= 3


# ---- the command


@pytest.fixture
def small(here, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    (here / "small.txt").write_text("n4c2h5w5-k2r3s3-pad1\n")
    (here / "one.py").write_text(ONE_PY)
    return here


def test_a_trial_without_a_gpu_comes_to_its_end_and_leaves_at_most_eight_files(convbench, small):
    (small / "survey").mkdir()
    (small / "survey" / "standard.jsonl").write_text("of an earlier survey\n")
    (small / "survey" / "mine.txt").write_text("not ours\n")
    status, out, err = convbench(*TRIAL, "--algorithm", "direct", "--seconds", "200")
    assert (status, err) == (0, "")
    found = {path.name for path in (small / "survey").iterdir()} - {"mine.txt"}
    assert found <= FILES
    assert found == FILES - {"ratios.csv"}, "there is no library here, and so no ratio"
    assert len(FILES) <= 8
    records, bad = read_records(small / "survey" / "standard.jsonl")
    assert bad == []
    assert {(one.algorithm, one.outcome) for one in records} == {
        ("direct", "passed"), ("cudnn", "refused"), ("cudnn_tf32", "refused"),
    }  # fmt: skip
    rows = [json.loads(line) for line in (small / "survey" / "correctness.jsonl").read_text().splitlines()]
    direct = registry.get("direct")
    assert [(row["direction"], row["dtype"]) for row in rows] == [
        (direction, dtype) for dtype in direct.dtypes for direction in direct.plans
    ]
    assert {row["outcome"] for row in rows} == {"passed"}
    facts = json.loads((small / "survey" / "environment.json").read_text())
    assert facts["device"]["name"] == "simulator"
    assert facts["seconds"] < 200
    assert facts["correctness"]["left_out"] == facts["times"]["left_out"] == []
    assert "Survey of simulator (CPU wall clock, simulated)" in out
    assert "not measured" in out


def test_a_survey_that_has_no_time_says_what_it_left_out(convbench, small):
    status, out, _ = convbench(*TRIAL, "--algorithm", "direct", "--seconds", "1", "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["times"]["left_out"] == ["n4c2h5w5-k2r3s3-pad1 n4c2h5w5-k2r3s3-pad1"]
    done, planned_ = facts["correctness"]["done"], facts["correctness"]["planned"]
    assert len(facts["correctness"]["left_out"]) == planned_ - done > 0
    page = (small / "survey" / "ratios.md").read_text()
    assert "Left out for lack of time, 1 layers: n4c2h5w5-k2r3s3-pad1" in page


def test_what_is_wrong_gives_status_1_and_is_named(convbench, small, monkeypatch):
    wrong = algorithm_of(type("Wrong", (WrongAt,), {}))
    type(wrong).name = "mine"
    monkeypatch.setattr(registry, "_registered", {"mine": wrong})
    status, out, err = convbench(*TRIAL, "--algorithm", "mine")
    assert status == 1
    assert "Failed: mine forward n1c2h5w5-k2r3s3:" in out
    assert "results are wrong or failed" in err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("gpu", "--out", "survey"), ("cuda was asked for", "no driver, for the test")),
        (("gpu", "--out", "survey", "--workload", "none"), ("'none'", "standard")),
        (("gpu", "--out", "survey", "--device", "emulator", "--check", "n1"), ("position",)),
        (("gpu", "--out", "/dev/null/x", "--device", "emulator", "--workload", "lenet5"), ("/dev/null/x",)),
    ],
)
def test_a_call_that_makes_no_sense_gets_one_message_and_status_2(convbench, here, words, parts):
    status, out, err = convbench(*words)
    assert (status, out) == (2, "")
    for part in parts:
        assert part in err
    assert not (here / "survey").exists()


def test_ctrl_c_leaves_what_was_found(small, monkeypatch):
    chosen = Workload(name="mine", source="", layers=(Layer(name="a", problem=parse("n4c2h5w5-k2r3s3-pad1")),))
    orders = Orders(
        out=small / "survey", workload=chosen, seconds=100, algorithms=("direct",), problems=(SMALL,), effort=EFFORT
    )
    survey = Survey(SimulatorDevice(), orders)
    words = survey.run()
    next(words)
    with pytest.raises(KeyboardInterrupt):
        words.throw(KeyboardInterrupt)
    assert len((small / "survey" / "correctness.jsonl").read_text().splitlines()) == 1
    assert "Correctness: 1 runs passed" in (small / "survey" / "ratios.md").read_text()


def test_a_survey_needs_neither_the_package_installed_nor_what_only_reports_and_tuning_need(small):
    """As on a machine without a network: a checkout, and what is there."""
    words = ["emulator" if word == "simulator" else word for word in (*TRIAL, *ONE, "--seconds", "120", "--json")]
    absent = ("pydantic", "greenlet", "optuna", "altair", "jinja2", "pynvml", "pyarrow", "onnx", "skimage", "nox")
    script = f"""
import builtins
import importlib.metadata as metadata
usual = builtins.__import__
def importing(name, globals=None, locals=None, fromlist=(), level=0):
    whose = str((globals or {{}}).get("__name__")).partition(".")[0]
    if name.partition(".")[0] in {absent} and whose in ("convbench", "algorithms"):
        raise ImportError(name)
    return usual(name, globals, locals, fromlist, level)
builtins.__import__ = importing
real, found = metadata.distribution, metadata.entry_points
def distribution(name):
    if name == "convbench":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.distribution = distribution
metadata.entry_points = lambda **wanted: [] if "convbench" in wanted.get("group", "") else found(**wanted)
from convbench.cli import main
main({words!r})
"""
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=small, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["correctness"]["done"] >= 1


# ---- what only a GPU does, as far as it can be seen without one


class Kernel:
    """A stand-in for a dispatcher."""

    def __init__(self, error=None):
        self.overloads, self.error, self.launched = {}, error, 0
        self._cache = None

    def typeof_pyval(self, value):
        return type(value).__name__

    def compile(self, types):
        self.overloads[types] = type("Compiled", (), {"regs_per_thread": 255, "max_threads_per_block": 256})()

    def launch(self):
        self.launched += 1
        if self.error:
            raise self.error


def test_a_block_with_too_few_registers_is_a_config_that_cannot_run():
    from convbench.devices.cuda import _registers_for

    kernel = Kernel(RuntimeError("[701] Call to cuLaunchKernel results in CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"))
    kernel.compile(("int",))
    with (
        pytest.raises(ConfigError, match=r"take 255 registers each.*at most 256 threads"),
        _registers_for(kernel, (512, 1, 1)),
    ):
        kernel.launch()
    other = Kernel(RuntimeError("illegal address"))
    with pytest.raises(RuntimeError, match="illegal address"), _registers_for(other, (512, 1, 1)):
        other.launch()


def test_compiling_ahead_launches_nothing(monkeypatch):
    from convbench.survey.compiler import CompilingDevice

    device = CompilingDevice.__new__(CompilingDevice)
    device.compile_s, device._phases_us = 0.0, None
    monkeypatch.setattr(CompilingDevice, "_keep_on_disk", lambda self, kernel: None)
    kernel = Kernel()
    device._launch(kernel, (1, 1, 1), (32, 1, 1), (1, 2.0), 0)
    device._launch(kernel, (1, 1, 1), (32, 1, 1), (3, 4.0), 0)
    assert [*kernel.overloads] == [("int", "float")]
    assert kernel.launched == 0
    assert device.compile_s > 0
    device.call("multiply", lambda: pytest.fail("a library was called"))


def test_a_library_that_is_not_there_is_noted_and_ends_nothing():
    from convbench.survey.tasks import _load_library

    (note,) = _load_library(SimulatorDevice())
    assert "the library cannot be used: RefusedError: cuDNN needs a GPU" in note


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), st.sampled_from(["float32", "float64", "float16"])
)
def test_arrays_that_are_compiled_for_are_contiguous_and_of_the_types_of_real_ones(shape, dtype):
    from convbench.survey.compiler import CompilingDevice

    device = CompilingDevice.__new__(CompilingDevice)
    device._memory = type("Memory", (), {"_cuda_memsize_": 1, "device_pointer_value": 4096})()
    array, real = device.upload(np.ones(shape, dtype)), np.ones(shape, dtype)
    assert (array.shape, array.strides, array.dtype) == (real.shape, real.strides, real.dtype)
    assert array.flags["C_CONTIGUOUS"]
    assert device.download(array).tobytes() == np.zeros(shape, dtype).tobytes()
