"""Convolutions of ONNX models that are fused, of integers or in another layout are read, and the user is told."""

import pytest
from onnx import TensorProto, helper

from cases.onnx_models import W, conv, model_of
from convbench import workload
from convbench.errors import ConvbenchError

MICROSOFT = "com.microsoft"
PAD = [1, 1, 1, 1]


def fused(operator, inputs, output="y", name="f", **attributes):
    return helper.make_node(operator, inputs, [output], name=name, domain=MICROSOFT, **attributes)


def read(model, told):
    with pytest.warns(UserWarning, match=told):
        return workload.from_onnx(model)


def add(model, kind, **shapes):
    for name, shape in shapes.items():
        model.graph.input.append(helper.make_tensor_value_info(name, kind, shape))
    return model


def test_a_fused_convolution_is_read_and_what_is_fused_is_told():
    nodes = [
        fused("FusedConv", ["x", "w", "b", "z"], "a", activation="Relu", pads=PAD, strides=[2, 2]),
        fused("FusedConv", ["a", "v"], "c", name="g", activation="Relu"),
        conv("c", "u", name="plain"),
    ]
    weights = {**W, "b": (4,), "v": (4, 4, 1, 1), "u": (4, 4, 3, 3)}
    found = read(model_of(*nodes, weights=weights, z=(1, 4, 4, 4), domains=[MICROSOFT]), "fused with it")
    assert [(layer.name, str(layer.problem)) for layer in found.layers] == [
        ("f", "n1c3h8w8-k4r3s3-pad1-stride2-bias"),
        ("g", "n1c4h4w4-k4r1s1"),
        ("plain", "n1c4h4w4-k4r3s3"),
    ]
    assert found.notes == (
        "FusedConv 'f': Relu and the addition of another tensor are fused with it, and no part of the problem",
        "FusedConv 'g': Relu is fused with it, and no part of the problem",
    )


def test_channels_may_be_last_as_onnxruntime_has_them():
    """The weight of NhwcConv is K R S C; that of NhwcFusedConv is K C R S, unless its kernel_shape says otherwise."""
    nodes = [
        fused("NhwcConv", ["x", "w", "b"], "a", kernel_shape=[3, 2], pads=[1, 0, 1, 0]),
        fused("NhwcFusedConv", ["a", "v"], "c", name="g", kernel_shape=[1, 3], group=2),
        fused("NhwcFusedConv", ["c", "u"], "y", name="h", kernel_shape=[1, 3]),
    ]
    weights = {"w": (4, 3, 2, 5), "b": (4,), "v": (6, 2, 1, 3), "u": (7, 1, 3, 6)}
    found = workload.from_onnx(model_of(*nodes, x=(2, 8, 9, 5), weights=weights, domains=[MICROSOFT]))
    assert [str(layer.problem) for layer in found.layers] == [
        "n2c5h8w9-k4r3s2-pad1x0-bias-NHWC",
        "n2c4h8w8-k6r1s3-g2-NHWC-KCRS",
        "n2c6h8w6-k7r1s3-NHWC",
    ]


def test_an_unnamed_one_is_called_by_its_own_output():
    node = fused("NhwcConv", ["x", "w"], "mine", name="", kernel_shape=[3, 3])
    model = model_of(node, x=(1, 8, 8, 3), weights={"w": (4, 3, 3, 3)}, domains=[MICROSOFT])
    assert [layer.name for layer in workload.from_onnx(model).layers] == ["mine"]


def test_convolutions_of_integers_are_read_as_those_of_float32():
    nodes = [
        helper.make_node("ConvInteger", ["i", "j"], ["t"], name="int", pads=PAD),
        helper.make_node("QLinearConv", ["i", "s", "o", "j", "s", "p", "s", "o", "b"], ["q"], name="q", strides=[2, 1]),
        helper.make_node("QLinearAdd", ["q", "s", "o", "q", "s", "o", "s", "o"], ["sum"], domain=MICROSOFT),
        helper.make_node("QLinearConv", ["sum", "s", "o", "l", "s", "p", "s", "o"], ["y"], name="last"),
    ]
    model = model_of(*nodes, weights={}, s=(), domains=[MICROSOFT])
    add(model, TensorProto.UINT8, i=(2, 3, 8, 8), o=())
    add(model, TensorProto.INT8, j=(4, 3, 3, 3), l=(5, 4, 1, 1), p=())
    add(model, TensorProto.INT32, b=(4,))
    found = read(model, "its numbers are UINT8 and INT8")
    assert [(layer.name, str(layer.problem)) for layer in found.layers] == [
        ("int", "n2c3h8w8-k4r3s3-pad1"),
        ("q", "n2c3h8w8-k4r3s3-stride2x1-bias"),
        ("last", "n2c4h3w6-k5r1s1"),
    ]
    told = "its numbers are UINT8 and INT8, and the problem's are float32"
    assert any(note.endswith(told) for note in found.notes)
    assert "ConvInteger 'int'" in found.notes[0]


def test_a_convolution_between_quantise_and_dequantise_is_read_and_that_is_told():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "o"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "o"], ["xd"]),
        helper.make_node("DequantizeLinear", ["j", "s", "p"], ["wd"]),
        conv("xd", "wd", "y1", name="first"),
        conv("xd", "wd", "y", name="second"),
    ]
    model = model_of(*nodes, s=())
    add(model, TensorProto.UINT8, o=())
    add(model, TensorProto.INT8, j=(4, 3, 3, 3), p=())
    found = read(model, "quantised")
    assert [str(layer.problem) for layer in found.layers] == ["n1c3h8w8-k4r3s3"] * 2
    (told,) = found.notes
    assert told.startswith("Conv 'first' and 1 more: its numbers are quantised as UINT8 and INT8, and the problem has")


def test_a_fused_convolution_of_an_open_input_is_refused_with_sizes_that_help():
    node = fused("FusedConv", ["x", "w"], activation="Relu")
    with pytest.raises(ConvbenchError, match="--input x=1x3x224x224"):
        workload.from_onnx(model_of(node, x=(1, 3, "H", "W"), weights=W, domains=[MICROSOFT]))


def test_notes_reach_the_command_line(convbench, here):
    node = fused("FusedConv", ["x", "w"], activation="Relu")
    (here / "fused.onnx").write_bytes(model_of(node, weights=W, domains=[MICROSOFT]).SerializeToString())
    status, _, err = convbench("verify", "--workload", "fused.onnx", "--algorithm", "direct")
    assert status == 0
    assert err == "convbench: FusedConv 'f': Relu is fused with it, and no part of the problem\n"
