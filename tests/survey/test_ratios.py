"""The plan of a GPU survey, and the ratios that are computed from its records."""

from dataclasses import replace
from typing import Any

import pytest

from convbench import workload
from convbench.problem.notation import parse
from convbench.records import Record, Series, Timing
from convbench.survey import layers, ratios
from convbench.survey.layers import Measured, Target
from convbench.workload import Layer

STANDARD = workload.load("standard")


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


def test_gradients_are_compared_with_gradients_and_have_no_targets():
    forward, gradient = planned("res1")[0], Layer(name="res1", problem=parse("n1c4h9w9-k4r3s3"))
    gradient = replace(gradient, direction="backward_data")
    both = [forward, Measured(layer=gradient, group=layers.group_of(gradient), algorithms=())]
    records = [
        record("res1", name, us, direction=direction)
        for direction, ours, theirs in (("forward", 10.0, 20.0), ("backward_data", 10.0, 50.0))
        for name, us in (("direct", ours), ("cudnn", theirs))
    ]
    table = ratios.by_layer(records)
    warm = table[table.cache == "warm"].set_index("direction").ratio
    assert dict(warm) == pytest.approx({"forward": 2.0, "backward_data": 5.0})
    rows = {row.group: row for row in ratios.groups(table, both) if row.precision == "float32"}
    assert (rows["ResNet-50 3×3"].warm, rows["ResNet-50 3×3"].planned) == (pytest.approx(2.0), 1)
    own = rows["ResNet-50 3×3 backward_data"]
    assert (own.warm, own.planned, own.verdict) == (pytest.approx(5.0), 1, "no target")
    assert "backward_data" in ratios.to_markdown([*rows.values()], table, "title", [])


def test_the_layers_of_a_survey_keep_their_direction():
    gradient = Layer(name="a", problem=parse("n1c4h9w9-k4r3s3"), direction="backward_weights")
    (one,) = layers.plan([gradient])
    able = [name for name in layers.registry.names() if layers.registry.get(name).refuses(*gradient.work) is None]
    assert one.layer.direction == "backward_weights"
    assert "direct" in able
    assert set(able) <= set(one.algorithms) <= {*able, *layers.BASELINES}


def test_what_is_not_right_has_no_ratio():
    wrong = replace(record("res1", "direct", 1.0), outcome="wrong", reason="off by one", timing=None)
    assert ratios.by_layer([wrong, record("res1", "cudnn", 20.0)]).empty
    (row, *_) = ratios.groups(ratios.by_layer([]), planned("res1"))
    assert (row.layers, row.planned, row.verdict) == (0, 1, "not measured")
