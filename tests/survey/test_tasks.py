"""The processes of a GPU survey: the images that they compare, their tasks, and compilation ahead of the runs."""

import time
from dataclasses import replace
from functools import partial
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.direct.plain import Config, Direct, DirectPlan
from cases.wrong_algorithms import WithoutMistake, WrongAt, algorithm_of
from convbench.algorithm import registry
from convbench.cli import options
from convbench.devices.simulator import SimulatorDevice
from convbench.errors import ConfigError
from convbench.measurement import Case, Effort, SampledCase, verify
from convbench.problem.notation import parse
from convbench.report import to_markdown
from convbench.survey import tasks
from convbench.survey.layers import Measured
from convbench.survey.tasks import Alone, Check, Times, run
from convbench.survey.workers import Processes
from convbench.workload import Layer

SMALL = "n1c2h5w5-k2r3s3"
EFFORT = Effort(warmup=0, minimum=6, maximum=6, max_seconds=1, caches=("warm",))


# ---- what is compared of a large batch


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
    done = run(check, SimulatorDevice(), Alone())
    assert [(row["problem"], row["outcome"]) for row in done.rows] == [
        (f"{SMALL}-float16", "passed"), ("n1c1h1w1-k1r1s1-float16", "passed"),
    ]  # fmt: skip
    late = run(replace(check, deadline=0.0), SimulatorDevice(), Alone())
    assert (late.rows, late.left_out) == ([], 2)


def test_a_layer_whose_turn_comes_too_late_is_left_out():
    measured = Measured(layer=Layer(name="a", problem=parse(SMALL)), group="other", algorithms=("direct",))
    times = Times(measured=measured, workload="mine", seed=0, effort=EFFORT, database=None)
    late = run(times, SimulatorDevice(), Alone(granted=False))
    assert (late.records, late.left_out) == ([], 1)
    done = run(times, SimulatorDevice(), Alone())
    assert [(one.problem, one.outcome) for one in done.records] == [(SMALL, "passed"), (f"{SMALL}-NHWC", "passed")]


def test_a_layer_is_timed_in_its_own_direction():
    layer = Layer(name="a", problem=parse(SMALL), count=3, direction="backward_weights")
    times = Times(
        measured=Measured(layer=layer, group="other", algorithms=("direct",), formats=("NCHW",)),
        workload="mine", seed=0, effort=EFFORT, database=None,
    )  # fmt: skip
    (one,) = run(times, SimulatorDevice(), Alone()).records
    assert (one.outcome, one.direction, one.count) == ("passed", "backward_weights", 3)


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
        Alone(),
    )  # fmt: skip
    assert len(watches) == 2
    assert all({*taken[first : first + 2]} == {*watches} for first in range(0, 12, 2))


def test_what_a_device_alone_has_is_checked_and_timed_beside_the_default(monkeypatch):
    class Pair(Direct):
        name, plans = "pair", {"forward": DirectPlan}

        def rivals(self, problem, direction, device):
            return (Config(threads=32),)

    monkeypatch.setattr(registry, "_registered", {"pair": Pair()})
    monkeypatch.setattr(tasks, "MANY_CONFIGS", (SMALL,))
    check = Check(
        algorithm="pair", direction="forward", dtype="float32", problems=(SMALL,), seed=0, deadline=time.time() + 60
    )
    rows = run(check, SimulatorDevice(), Alone()).rows
    assert [row["outcome"] for row in rows] == ["passed"] * len(rows)
    assert rows[0]["config"] is None
    assert rows[-1]["config"] == {"threads": 32}
    layer = Layer(name="a", problem=parse(SMALL))
    measured = Measured(layer=layer, group="other", algorithms=("pair",), formats=("NCHW",))
    times = Times(measured=measured, workload="mine", seed=0, effort=EFFORT, database=None)
    records = run(times, SimulatorDevice(), Alone()).records
    assert len({one.config["threads"] for one in records}) == 2
    page = to_markdown(records, title="survey")
    assert "threads=32" in page


# ---- processes

PLUGIN = """
import os
from convbench import Algorithm, register
from algorithms.direct.plain import Config, Direct, DirectPlan

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

    def times(name, *algorithms):
        layer = Layer(name=name, problem=parse(SMALL))
        measured = Measured(layer=layer, group="other", algorithms=algorithms, formats=("NCHW",))
        return Times(measured=measured, workload="mine", seed=0, effort=EFFORT, database=None)

    workers = Processes(2, "emulator", partial(options.load_plugins, [str(plugin)]))
    try:
        tasks = [times("a", "mine"), times("b", "dies", "mine"), times("c", "mine"), times("d", "mine")]
        done = {task.measured.layer.name: outcome for task, outcome in workers.done(tasks, time.time() + 120)}
        late = dict(workers.done([times("e", "mine")], time.time() - 1))
    finally:
        workers.close()
    assert [*late.values()] == [None]
    assert [[one.outcome for one in done[name].records] for name in "acd"] == [["passed"]] * 3
    assert {one.algorithm: one.outcome for one in done["b"].records} == {"dies": "crashed", "mine": "passed"}
    (dead,) = (one for one in done["b"].records if one.algorithm == "dies")
    assert dead.reason == "it ended its process, with status 3"
    assert all(one.notes == [] for one in done.values())
    runs = [line.split()[0] for line in log.read_text().splitlines()]
    turns = [worker for worker, _ in groupby(runs)]
    assert len(turns) <= 4, "each layer's runs follow each other, whichever process has them"
    assert len(set(runs)) <= 3


def test_a_check_that_takes_its_process_down_loses_that_run_alone(tmp_path):
    plugin = tmp_path / "plugin_of_the_check.py"
    plugin.write_text(PLUGIN.format(log=str(tmp_path / "log")))
    other = "n1c1h1w1-k1r1s1"

    def check(algorithm):
        return Check(
            algorithm=algorithm, direction="forward", dtype="float32", problems=(SMALL, other), seed=0,
            deadline=time.time() + 120,
        )  # fmt: skip

    workers = Processes(1, "emulator", partial(options.load_plugins, [str(plugin)]))
    try:
        done = {
            task.algorithm: outcome for task, outcome in workers.done([check("dies"), check("mine")], time.time() + 120)
        }
    finally:
        workers.close()
    rows = {name: [(row["problem"], row["outcome"]) for row in outcome.rows] for name, outcome in done.items()}
    assert rows == {
        "dies": [(SMALL, "crashed"), (other, "crashed")], "mine": [(SMALL, "passed"), (other, "passed")],
    }  # fmt: skip


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
    from convbench.survey.ahead import load_library

    (note,) = load_library(SimulatorDevice())
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
