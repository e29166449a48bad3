"""The comparison of `nox -s onnx_files` finds a difference where there is one; the committed table is complete."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cases.onnx_models import TRANSPOSED, W, conv, model_of
from convbench import workload
from convbench.problem.notation import parse
from runs import onnx_files
from runs.onnx_files import FOLDER, LEAST_EQUAL, NONE, PACKAGES, SIZES, differences, probed, result

RATE = {"x": (1, 3, 8, 576)}


def by_reference(model, feed):
    names = [output.name for output in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model).run(names, dict(feed)), strict=True))


def branching():
    """A convolution, and one in each branch of an If that a rate decides; the one of the else branch is in a second."""

    def graph(name, *nodes):
        return helper.make_graph(list(nodes), name, [], [helper.make_tensor_value_info(f"{name}_y", 1, None)])

    inner = helper.make_node(
        "If", ["fast"], ["other_y"], name="inner",
        then_branch=graph("a", conv("t", "v", "a_y", name="never")),
        else_branch=graph("b", conv("t", "u", "b_y", name="slow")),
    )  # fmt: skip
    nodes = [
        conv(y="t", name="first"),
        helper.make_node("Equal", ["sr", "rate"], ["fast"]),
        helper.make_node(
            "If", ["fast"], ["y"], name="outer",
            then_branch=graph("then", conv("t", "w2", "then_y", name="quick")), else_branch=graph("other", inner),
        ),
    ]  # fmt: skip
    weights = {**W, "w2": (2, 4, 1, 1), "u": (2, 4, 2, 2), "v": (2, 4, 3, 3)}
    model = model_of(*nodes, x=(1, 3, 8, "W"), weights=weights)
    model.graph.input.append(helper.make_tensor_value_info("sr", TensorProto.INT64, ()))
    model.graph.initializer.append(numpy_helper.from_array(np.array(16000), "rate"))
    return model


def variants(model, *sizes):
    return [(each, workload.from_onnx(model, inputs=each)) for each in sizes]


def test_layers_inside_branches_are_compared_where_they_run():
    model = branching()
    assert sorted(probed(model).outputs) == [
        "first", "never in branch then of If 'inner' in branch else of If 'outer'",
        "quick in branch then of If 'outer'", "slow in branch else of If 'inner' in branch else of If 'outer'",
    ]  # fmt: skip
    fast, slow = RATE, {"x": (1, 3, 8, 288)}
    told = differences(model, variants(model, fast, slow), by_reference)
    assert told == ["never in branch then of If 'inner' in branch else of If 'outer' did not run"]
    (only_fast, _) = differences(model, variants(model, fast), by_reference)
    assert only_fast.endswith("did not run")


@pytest.mark.parametrize("name", ["plain", "one axis", "pads and output_padding"])
def test_the_layers_of_a_model_are_those_that_run(name):
    assert result(TRANSPOSED[name].model, [{}], by_reference) == ("2", "equal")


def test_a_model_without_convolutions_is_told():
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    assert result(model, [{}], by_reference) == ("0", NONE)


def test_another_shape_a_missing_layer_and_one_too_many_are_told():
    model = model_of(conv(name="a", pads=[1, 1, 1, 1]), weights=W)
    right = workload.from_onnx(model)
    (layer,) = right.layers
    assert differences(model, [({}, right)], by_reference) == []
    wrong = replace(right, layers=(replace(layer, problem=parse("n1c3h8w8-k4r3s3")),))
    (told,) = differences(model, [({}, wrong)], by_reference)
    assert told.startswith("a is ((1, 3, 8, 8), (4, 3, 3, 3), (1, 4, 6, 6)), and onnxruntime has ((1, 3, 8, 8), ")
    (told, other) = differences(model, [({}, replace(right, layers=(replace(layer, name="b"),)))], by_reference)
    assert (told, other) == ("a is no layer", "b is no convolution of the model")
    gradient = replace(right, layers=(replace(layer, direction="backward_data"),))
    assert differences(model, [({}, gradient)], by_reference) != []
    skipping = replace(right, skipped=("DeformConv 'd': its filter's taps move with the data",))
    assert differences(model, [({}, skipping)], by_reference) == ["skipped " + skipping.skipped[0]]


def test_the_committed_table_has_every_package_and_enough_files_are_equal():
    with (FOLDER / "files.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    found = {(row["package"], row["version"]) for row in rows}
    assert found == {(name, version) for name, versions in PACKAGES.items() for version in versions}
    assert SIZES.keys() <= {row["file"] for row in rows}
    assert sum(row["result"] == "equal" for row in rows) >= LEAST_EQUAL
    assert {row["result"] for row in rows} == {"equal", NONE}
    page = (FOLDER / "files.md").read_text(encoding="utf-8")
    assert all(row["file"] in page for row in rows)
    assert len(rows) >= 20


def test_a_table_with_a_difference_fails(tmp_path):
    row = ("a.onnx", "p", "1", "", "1", "equal")
    enough = [row] * LEAST_EQUAL
    assert onnx_files.write(enough, [("k", "1", "equal")], tmp_path) == 0
    assert onnx_files.write(enough[1:], [("k", "1", "equal")], tmp_path) == 1
    assert onnx_files.write([*enough, (*row[:-1], "differs: a is no layer")], [], tmp_path) == 1
    assert onnx_files.write([*enough, (*row[:-1], "refused: unknown")], [], tmp_path) == 1
    assert onnx_files.write(enough, [("k", "1", "equal; but its numbers differ")], tmp_path) == 1
