"""Convolutions inside If, Loop, Scan and the functions of an ONNX model are read, each with its place."""

import contextlib
import warnings

import numpy as np
import onnx
import onnx.inliner
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from cases.onnx_models import W, conv, model_of
from convbench import workload
from convbench.errors import ConvbenchError

PAD = [1, 1, 1, 1]
SAME = {"w": (3, 3, 3, 3)}


def info(name, shape=None, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def branch(name, *nodes):
    return helper.make_graph(nodes, name, [], [info(name)])


def named(model, **inputs):
    return [(layer.name, str(layer.problem)) for layer in workload.from_onnx(model, **inputs).layers]


def switched(then, otherwise, *more, condition=None, name="switch", **options):
    """A model whose output "out" of an If is used by more nodes."""
    node = helper.make_node("If", ["go"], ["out"], name=name, then_branch=then, else_branch=otherwise)
    model = model_of(node, *more, **{"weights": W, **options})
    if condition is None:
        model.graph.input.append(info("go", [], TensorProto.BOOL))
    else:
        model.graph.initializer.append(numpy_helper.from_array(np.array(condition), "go"))
    return model


# ---- If and functions


def test_convolutions_inside_branches_and_functions_are_read():
    inner = helper.make_node(
        "If", ["go"], ["deep"], name="inner",
        then_branch=branch("p", conv(y="p", name="deepest")), else_branch=branch("q", conv(y="q", pads=PAD)),
    )  # fmt: skip
    function = helper.make_function(
        "own", "Block", ["x", "w"], ["y"], [conv(name="within")], [helper.make_opsetid("", 22)]
    )
    call = helper.make_node("Block", ["x", "w"], ["block"], domain="own")
    model = switched(
        branch("deep", inner), branch("e", helper.make_node("Relu", ["x"], ["e"])), call, conv(name="plain"),
        name="outer", domains=["own"], functions=[function],
    )  # fmt: skip
    assert named(model) == [
        ("deepest in branch then of If 'inner' in branch then of If 'outer'", "n1c3h8w8-k4r3s3"),
        ("outer/then/inner/else/q in branch else of If 'inner' in branch then of If 'outer'", "n1c3h8w8-k4r3s3-pad1"),
        ("within in function 'Block'", "n1c3h8w8-k4r3s3"),
        ("plain", "n1c3h8w8-k4r3s3"),
    ]
    inlined = onnx.inliner.inline_local_functions(model)
    assert [text for _, text in named(inlined)] == [text for _, text in named(model)]


def test_tensors_of_a_branch_hide_those_of_the_other():
    """Both branches call their tensor t, and one has a weight of its own, called w."""
    nodes = [helper.make_node("MaxPool", ["x"], ["t"], kernel_shape=[2, 2], strides=[2, 2]), conv("t", y="p")]
    then = branch("p", *nodes)
    then.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, (5, 3, 1, 1), [0.0] * 15))
    otherwise = branch("q", helper.make_node("Relu", ["x"], ["t"]), conv("t", y="q"))
    assert [text for _, text in named(switched(then, otherwise))] == ["n1c3h4w4-k5r1s1", "n1c3h8w8-k4r3s3"]


@pytest.mark.parametrize(("condition", "text"), [(True, "n1c4h8w8-k4r3s3"), (False, "n1c4h6w6-k4r3s3")])
def test_a_constant_condition_chooses_the_branch(condition, text):
    last = conv("out", "w4", "y", name="last")
    model = switched(
        branch("p", conv(y="p", pads=PAD, name="wide")), branch("q", conv(y="q", name="narrow")), last,
        condition=condition, weights={**W, "w4": (4, 4, 3, 3)},
    )  # fmt: skip
    with pytest.warns(UserWarning, match="never runs"):
        found = workload.from_onnx(model)
    lost, side = ("narrow", "else") if condition else ("wide", "then")
    assert [str(layer.problem) for layer in found.layers][1:] == [text]
    assert found.skipped == (
        f"Conv {lost!r} in branch {side} of If 'switch': it never runs, because the condition is a constant",
    )


def test_the_result_of_an_if_has_the_sizes_on_which_its_branches_agree():
    last, weights = conv("out", "w4", "y", name="last"), {**W, "w4": (4, 4, 3, 3)}
    same = [branch(name, conv(y=name, name=name)) for name in ("p", "q")]
    assert named(switched(*same, last, weights=weights))[-1] == ("last", "n1c4h6w6-k4r3s3")
    differing = [branch("p", conv(y="p")), branch("q", conv(y="q", pads=[1, 0, 1, 0]))]
    with pytest.warns(UserWarning, match="skipped Conv 'last': the height of its input 'out' is unknown"):
        found = workload.from_onnx(switched(*differing, last, weights=weights))
    assert len(found.layers) == 2
    given = named(switched(*differing, last, weights=weights), inputs={"out": (1, 4, 20, 6)})
    assert given[-1] == ("last", "n1c4h20w6-k4r3s3")


def test_attributes_of_a_call_reach_the_nodes_of_the_function():
    inside = conv(name="within", pads=PAD)
    inside.attribute.add(name="strides", ref_attr_name="step", type=onnx.AttributeProto.INTS)
    inside.attribute.add(name="dilations", ref_attr_name="absent", type=onnx.AttributeProto.INTS)
    opsets = [helper.make_opsetid("", 22)]
    function = helper.make_function("own", "Block", ["x", "w"], ["y"], [inside], opsets, attributes=["step", "absent"])
    calls = [helper.make_node("Block", ["x", "w"], [f"y{u}"], domain="own", step=[u, u]) for u in (1, 2)]
    model = model_of(*calls, weights=W, domains=["own"], functions=[function])
    assert [text for _, text in named(model)] == ["n1c3h8w8-k4r3s3-pad1", "n1c3h8w8-k4r3s3-pad1-stride2"]


def test_a_function_that_calls_itself_is_refused():
    call = helper.make_node("Block", ["x", "w"], ["y"], domain="own")
    function = helper.make_function("own", "Block", ["x", "w"], ["y"], [call], [helper.make_opsetid("", 22)])
    with pytest.raises(ConvbenchError, match="nested more than 50 deep"):
        workload.from_onnx(model_of(call, domains=["own"], functions=[function]))


# ---- Loop and Scan


def looped(*nodes, returned):
    """A model whose loop begins with x, calls it v, and returns a tensor for it."""
    body = helper.make_graph(
        [*nodes, helper.make_node("Identity", ["on"], ["again"])], "body",
        [info("i", [], TensorProto.INT64), info("on", [], TensorProto.BOOL), info("v")],
        [info("again", [], TensorProto.BOOL), info(returned)],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["times", "", "x"], ["out"], name="again", body=body)
    model = model_of(loop, conv("out", name="last"), weights=SAME)
    model.graph.initializer.append(numpy_helper.from_array(np.array(3), "times"))
    return model


def test_a_convolution_in_a_loop_has_the_sizes_that_stay():
    model = looped(conv("v", y="r", name="each", pads=PAD), returned="r")
    assert named(model) == [
        ("each in the body of Loop 'again'", "n1c3h8w8-k3r3s3-pad1"),
        ("last", "n1c3h8w8-k3r3s3"),
    ]


@pytest.mark.filterwarnings("ignore:net. skipped")
def test_a_size_that_changes_from_iteration_to_iteration_is_unknown():
    """Rows are lost in each iteration, and columns are not."""
    model = looped(conv("v", y="r", name="each", pads=[0, 1, 0, 1]), returned="r")
    with pytest.raises(ConvbenchError) as caught:
        workload.from_onnx(model)
    assert "Conv 'each' in the body of Loop 'again': the height of its input" in str(caught.value)
    assert "Conv 'last': the height of its input 'out' is unknown" in str(caught.value)


def test_values_that_a_loop_carries_are_not_those_of_its_first_iteration():
    """The carried shape is 8 × 8 at first and another one later; nothing is computed from it."""
    nodes = [helper.make_node("Add", ["v", "v"], ["r"]), helper.make_node("Expand", ["one", "v"], ["image"])]
    body = helper.make_graph(
        [*nodes, conv("image", y="c", name="each"), helper.make_node("Identity", ["on"], ["again"])], "body",
        [info("i", [], TensorProto.INT64), info("on", [], TensorProto.BOOL), info("v", [4], TensorProto.INT64)],
        [info("again", [], TensorProto.BOOL), info("r", [4], TensorProto.INT64)],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["times", "", "first"], ["out"], name="grow", body=body)
    model = model_of(loop, weights=SAME, one=(1, 1, 1, 1))
    values = {"times": np.array(3), "first": np.array([1, 3, 8, 8])}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    with pytest.raises(ConvbenchError, match="Conv 'each' in the body of Loop 'grow'"):
        workload.from_onnx(model)


def test_the_body_of_a_scan_gets_slices():
    body = helper.make_graph(
        [conv("s", y="r", name="each"), helper.make_node("Identity", ["t"], ["u"])], "body",
        [info("t"), info("s")], [info("u"), info("r")],
    )  # fmt: skip
    scan = helper.make_node(
        "Scan", ["state", "x"], ["end", "rows"], name="rows", body=body, num_scan_inputs=1, scan_input_axes=[1]
    )
    model = model_of(scan, x=(2, 7, 3, 8, 9), weights=W, state=(4,))
    assert named(model) == [("each in the body of Scan 'rows'", "n2c3h8w9-k4r3s3")]


@given(data=st.data())
def test_a_damaged_model_with_bodies_and_functions_is_read_or_refused(data):
    call = helper.make_node("Block", ["x", "w"], ["block"], domain="own")
    function = helper.make_function("own", "Block", ["x", "w"], ["y"], [conv()], [helper.make_opsetid("", 22)])
    models = [
        looped(conv("v", y="r", name="each", pads=PAD), returned="r"),
        switched(branch("p", conv(y="p")), branch("q"), call, condition=True, domains=["own"], functions=[function]),
    ]
    content = bytearray(data.draw(st.sampled_from(models)).SerializeToString())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ConvbenchError, DecodeError), warnings.catch_warnings(action="ignore"):
        assert workload.from_onnx(onnx.load_model_from_string(bytes(content))).layers


# ---- domains


def test_the_domain_ai_onnx_is_the_default_one():
    relu = helper.make_node("Relu", ["x"], ["r"], domain="ai.onnx")
    node = conv("r", name="c")
    node.domain = "ai.onnx"
    model = model_of(relu, node, weights=W)
    model.opset_import[0].domain = "ai.onnx"
    assert named(model) == [("c", "n1c3h8w8-k4r3s3")]
