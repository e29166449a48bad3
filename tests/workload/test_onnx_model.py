"""The convolutions found in an ONNX model are those that PyTorch runs and that ONNX computes."""

import io
import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cases.onnx_models import W, conv, model_of
from cases.torch_networks import mobilenet_like, resnet_like, shufflenet_like
from convbench import workload
from convbench.reference import definition as reference
from support.strategies import seeds


def texts_of(model):
    return [str(layer.problem) for layer in workload.from_onnx(model).layers]


def bytes_of(module, shape):
    """A module as PyTorch exports it, with an open batch."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no other package is the older one, and says so
        torch.onnx.export(
            module.eval(), (torch.zeros(shape),), file, dynamo=False, input_names=["x"],
            training=torch.onnx.TrainingMode.PRESERVE, dynamic_axes={"x": {0: "batch"}},
        )  # fmt: skip
    return file.getvalue()


# ---- networks


@pytest.mark.parametrize("network", [resnet_like, mobilenet_like, shufflenet_like])
def test_an_exported_network_has_the_convolutions_that_pytorch_runs(network, tmp_path):
    module, shape = network()
    path = tmp_path / "net.onnx"
    path.write_bytes(bytes_of(module, shape))
    of_onnx, of_torch = workload.load(str(path)), workload.from_torch(module, (1, *shape[1:]))
    counts = [Counter(), Counter()]
    for found, layers in zip(counts, (of_onnx.layers, of_torch.layers), strict=True):
        for layer in layers:
            found[layer.problem] += layer.count
    assert counts[0] == counts[1]
    assert len(counts[0]) >= 4
    assert of_onnx.distinct().macs == of_torch.macs
    assert (of_onnx.name, of_onnx.skipped) == ("net", ())
    assert of_onnx.source == f"{path}, whose open batch is 1 ('x')"


def test_a_network_written_by_hand_has_the_convolutions_of_its_twin():
    """A residual network in onnx.helper's words, and the same in PyTorch's: layer by layer, under the nodes' names."""
    weights, nodes = {}, []

    def layer(name, before, shape, bias=False, **attributes):
        weights[f"{name}.weight"] = shape
        if bias:
            weights[f"{name}.bias"] = shape[:1]
        more = (f"{name}.bias",) if bias else ()
        nodes.append(conv(before, f"{name}.weight", name, *more, name=name, **attributes))
        return name

    stem = layer("stem", "x", (8, 3, 7, 7), strides=[2, 2], pads=[3, 3, 3, 3])
    nodes.append(
        helper.make_node("MaxPool", [stem], ["pooled"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    )
    before = "pooled"
    for block, (c, k, u) in enumerate([(8, 8, 1), (8, 8, 1), (8, 16, 2)]):
        one = layer(f"{block}.conv1", before, (k, c, 3, 3), strides=[u, u], pads=[1, 1, 1, 1])
        nodes.append(helper.make_node("Relu", [one], [f"{block}.relu"]))
        two = layer(f"{block}.conv2", f"{block}.relu", (k, k, 3, 3), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        across = before if u == 1 else layer(f"{block}.down", before, (k, c, 1, 1), True, strides=[u, u])
        nodes.append(helper.make_node("Add", [two, across], [before := f"{block}.sum"]))
    nodes.append(helper.make_node("GlobalAveragePool", [before], ["y"]))
    found = workload.from_onnx(model_of(*nodes, x=("N", 3, 64, 64), weights=weights))
    module, shape = resnet_like()
    expected = [(layer.name, layer.problem) for layer in workload.from_torch(module, shape).layers]
    assert [(layer.name, layer.problem) for layer in found.layers] == expected
    merged = found.distinct()
    assert [(layer.name, layer.count) for layer in merged.layers][1] == ("0.conv1, 0.conv2, 1.conv1, 1.conv2", 4)
    assert merged.macs == found.macs == sum(problem.macs for _, problem in expected)


# ---- one node


@st.composite
def conv_nodes(draw):
    """A model of one Conv node that ONNX itself can run."""
    axes = draw(st.integers(1, 2))
    group, channels, filters = (draw(st.integers(1, 3)) for _ in range(3))
    taps = [draw(st.integers(1, 3)) for _ in range(axes)]
    attributes = {}
    if draw(st.booleans()):
        attributes["kernel_shape"] = taps
    if draw(st.booleans()):
        attributes["strides"] = [draw(st.integers(1, 3)) for _ in range(axes)]
    if draw(st.booleans()):
        attributes["dilations"] = [draw(st.integers(1, 3)) for _ in range(axes)]
    if group > 1 or draw(st.booleans()):
        attributes["group"] = group
    word = draw(st.sampled_from((None, "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")))
    if word:
        attributes["auto_pad"] = word
    if word in (None, "NOTSET") and draw(st.booleans()):
        attributes["pads"] = [draw(st.integers(0, 3)) for _ in range(2 * axes)]
    sizes = [draw(st.integers(7, 11)) for _ in range(axes)]  # a dilated filter of 3 taps spans 7
    bias = draw(st.booleans())
    shapes = {"w": (group * filters, channels, *taps)} | ({"b": (group * filters,)} if bias else {})
    node = conv("x", "w", "y", *(["b"] if bias else []), name="only", **attributes)
    return model_of(node, x=(draw(st.integers(1, 2)), group * channels, *sizes), weights=shapes)


@given(conv_nodes(), seeds)
def test_a_node_is_the_problem_that_onnx_computes(model, seed):
    """Integers, so that ONNX's float32 and our float64 are equal."""
    (layer,) = workload.from_onnx(model).layers
    problem = layer.problem
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim
    one_dimensional = len(inferred) == 3
    y_shape = tuple(size.dim_value for size in inferred)
    assert problem.y_shape == ((*y_shape[:2], 1, y_shape[2]) if one_dimensional else y_shape)
    generator = np.random.default_rng(seed)
    tensors = {
        name: generator.integers(-4, 5, shape).astype(np.float32)
        for name, shape in (("x", problem.x_shape), ("w", problem.w_shape), ("b", (problem.k,)))
        if name != "b" or problem.bias
    }
    flat = {name: array[:, :, 0] if one_dimensional and array.ndim == 4 else array for name, array in tensors.items()}
    for weight in model.graph.initializer:
        weight.CopyFrom(numpy_helper.from_array(flat[weight.name], weight.name))
    (expected,) = ReferenceEvaluator(model).run(None, {"x": flat["x"]})
    actual = reference.convolve(problem, tensors["x"], tensors["w"], tensors.get("b"))
    np.testing.assert_array_equal(actual.reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({}, "n1c3h8w8-k4r3s3"),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, "n1c3h8w8-k4r3s3-pad0.1x0.1-stride2"),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, "n1c3h8w8-k4r3s3-pad1.0x1.0-stride2"),
        ({"auto_pad": "SAME_LOWER", "dilations": [2, 3]}, "n1c3h8w8-k4r3s3-pad2x3-dil2x3"),
        ({"auto_pad": "VALID"}, "n1c3h8w8-k4r3s3"),
        ({"pads": [0, 1, 2, 3], "kernel_shape": [3, 3]}, "n1c3h8w8-k4r3s3-pad0.2x1.3"),
    ],
)  # fmt: skip
def test_attributes_mean_what_the_standard_says(attributes, text):
    assert texts_of(model_of(conv(**attributes), weights=W)) == [text]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.FLOAT, ""), (TensorProto.FLOAT16, "-float16"), (TensorProto.DOUBLE, "-float64"),
        (TensorProto.BFLOAT16, "-bfloat16"),
    ],
)  # fmt: skip
def test_the_dtype_is_that_of_the_tensors(kind, dtype):
    assert texts_of(model_of(conv(), weights=W, kind=kind)) == [f"n1c3h8w8-k4r3s3{dtype}"]


def test_a_third_input_is_a_bias_and_a_left_out_one_none():
    weights = {**W, "b": (4,)}
    assert texts_of(model_of(conv("x", "w", "y", "b"), weights=weights)) == ["n1c3h8w8-k4r3s3-bias"]
    assert texts_of(model_of(conv("x", "w", "y", ""), weights=weights)) == ["n1c3h8w8-k4r3s3"]


def test_one_dimension_is_a_height_of_one():
    node = conv(strides=[2], dilations=[3], pads=[1, 4], group=3)
    assert texts_of(model_of(node, x=(2, 3, 30), weights={"w": (6, 1, 5)})) == [
        "n2c3h1w30-k6r1s5-pad0x1.4-stride1x2-dil1x3-g3"
    ]


def test_weights_may_come_from_nodes_and_from_other_files():
    value = numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32))
    constant = helper.make_node("Constant", [], ["c"], value=value)
    identity = helper.make_node("Identity", ["c"], ["w"])
    assert texts_of(model_of(constant, identity, conv())) == ["n1c3h8w8-k4r3s3"]
    elsewhere = model_of(conv(), weights=W)
    (weight,) = elsewhere.graph.initializer
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    place = weight.external_data.add()
    place.key, place.value = "location", "../../never/read.bin"
    assert texts_of(elsewhere) == ["n1c3h8w8-k4r3s3"]


def test_large_weights_are_weights_still_where_they_are_inputs_too():
    """Before version 4 of the format every weight had to be one."""
    old = model_of(conv(), weights={"w": (64, 3, 7, 7)}, x=("N", 3, 8, 8), opset=8, w=(64, 3, 7, 7))
    old.ir_version = 3
    assert texts_of(old) == ["n1c3h8w8-k64r7s7"]


def test_a_model_is_left_as_it_is():
    model = model_of(conv(), x=("N", 3, 8, 8), weights={"w": (64, 3, 7, 7)})
    before = model.SerializeToString(deterministic=True)
    workload.from_onnx(model)
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("batch", ["N", None, 0, -1])
def test_an_open_batch_is_one_unless_another_is_asked_for(batch):
    model = model_of(helper.make_node("Relu", ["x"], ["r"]), conv("r"), x=(batch, 3, 8, 8), weights=W)
    found = workload.from_onnx(model)
    assert [str(layer.problem) for layer in found.layers] == ["n1c3h8w8-k4r3s3"]
    assert [str(layer.problem) for layer in found.with_batch(16).layers] == ["n16c3h8w8-k4r3s3"]
    assert texts_of(model_of(conv(), x=(5, 3, 8, 8), weights=W)) == ["n5c3h8w8-k4r3s3"]


def test_an_unnamed_node_is_called_by_its_output():
    names = [
        layer.name for layer in workload.from_onnx(model_of(conv(y="first"), conv(name="second"), weights=W)).layers
    ]
    assert names == ["first", "second"]
