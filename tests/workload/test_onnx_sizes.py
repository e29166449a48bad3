"""Sizes of the layers of ONNX models come from the model's inputs, from the user, or are refused."""

import re
import shlex

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cases.onnx_models import W, conv, model_of
from convbench import workload
from convbench.errors import ConvbenchError
from support.command_line import assert_refused

PAD = [1, 1, 1, 1]


def texts_of(model, **inputs):
    return [str(layer.problem) for layer in workload.from_onnx(model, **inputs).layers]


def refusal(model, **inputs):
    with pytest.raises(ConvbenchError) as caught:
        workload.from_onnx(model, **inputs)
    return str(caught.value)


def proposed(message):
    """The sizes of the option that a message says to copy."""
    (options,) = re.findall(r"such as ((?:--input .*?)+), in Python", message)
    words = [word for word in shlex.split(options) if word != "--input"]
    return {word.rpartition("=")[0]: tuple(map(int, word.rpartition("=")[2].split("x"))) for word in words}


def info(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


# ---- what the model declares


def two_convolutions(**options):
    nodes = [conv(y="t", pads=PAD), conv("t", "w2", "y", pads=PAD)]
    return model_of(*nodes, weights={**W, "w2": (4, 4, 3, 3)}, **options)


@pytest.mark.parametrize("declared", [(1, 4, 64, 64), ("N", 4, "H", "W"), (1, 5, 64), None])
def test_a_shape_that_a_model_declares_for_an_inner_tensor_does_not_beat_its_inputs(declared):
    model = two_convolutions(x=(8, 3, 96, 96))
    model.graph.value_info.append(info("t", declared))
    model.graph.output[0].CopyFrom(info("y", (1, 4, 64, 64)))
    found = workload.from_onnx(model)
    assert [str(layer.problem) for layer in found.layers] == [
        "n8c3h96w96-k4r3s3-pad1",
        "n8c4h96w96-k4r3s3-pad1",
    ]
    assert found.notes == ()


def test_a_declared_shape_is_used_where_the_inference_has_none_and_the_user_is_told():
    nodes = [helper.make_node("Own", ["x"], ["r"], domain="own"), conv("r", y="t", pads=PAD)]
    nodes.append(conv("t", "w2", "y", pads=PAD))
    model = model_of(*nodes, x=(2, 3, 8, 8), weights={**W, "w2": (4, 4, 3, 3)}, domains=["own"])
    model.graph.value_info.extend([info("r", (2, 3, 16, 16)), info("t", (1, 4, 64, 64))])
    with pytest.warns(UserWarning, match="the shape of 'r' is the one that the model declares"):
        found = workload.from_onnx(model)
    assert [str(layer.problem) for layer in found.layers] == ["n2c3h16w16-k4r3s3-pad1", "n2c4h16w16-k4r3s3-pad1"]
    assert found.notes == ("the shape of 'r' is the one that the model declares; it cannot be inferred",)
    assert "whose shapes of 'r' are declared" in found.source


def test_a_declared_shape_is_not_used_behind_an_open_input():
    model = two_convolutions(x=(1, 3, "H", "W"))
    model.graph.value_info.append(info("t", (1, 4, 64, 64)))
    assert "the height of its input 'x' is unknown (H)" in refusal(model)
    with_sizes = {"inputs": {"x": (1, 3, 20, 30)}}
    assert texts_of(model, **with_sizes) == ["n1c3h20w30-k4r3s3-pad1", "n1c4h20w30-k4r3s3-pad1"]


# ---- open sizes


@pytest.mark.parametrize("name", ["?", "None", "", "N"])
def test_open_dimensions_that_share_a_name_are_not_equal(name):
    model = two_convolutions(x=(name, 3, name, name))
    message = refusal(model)
    assert "the height of its input 'x' is unknown (?)" in message
    assert "open are 'x' (1, 3, ?, ?)" in message
    assert proposed(message) == {"x": (1, 3, 224, 224)}
    assert texts_of(model, inputs=proposed(message)) == ["n1c3h224w224-k4r3s3-pad1", "n1c4h224w224-k4r3s3-pad1"]


def test_a_name_that_two_inputs_share_decides_nothing_about_the_other():
    nodes = [conv("u", y="y1", name="a"), conv("v", y="y", name="b")]
    model = model_of(*nodes, x=(1,), weights=W, u=("D", 3, 8, 8), v=(2, 3, "D", 9))
    message = refusal(model)  # of the whole model, because its other layers are not the network
    assert "node 'b': the height of its input 'v' is unknown (?)" in message
    assert proposed(message) == {"v": (2, 3, 224, 9)}
    assert texts_of(model, inputs=proposed(message)) == ["n1c3h8w8-k4r3s3", "n2c3h224w9-k4r3s3"]


def test_a_batch_that_only_the_data_know_is_refused_and_can_be_given():
    nodes = [
        helper.make_node("NonZero", ["m"], ["where"], name="find"),
        helper.make_node("Constant", [], ["axes"], value_ints=[0]),
        helper.make_node("Squeeze", ["where", "axes"], ["rows"]),
        helper.make_node("Gather", ["x", "rows"], ["some"]),
        conv("some", name="last"),
    ]
    model = model_of(*nodes, x=(9, 3, 8, 8), weights=W, m=(9,))
    message = refusal(model)
    assert "'last': the batch of its input 'some' is unknown (?), because the size of the result of NonZero" in message
    assert "NonZero 'find' depends on its data" in message
    assert proposed(message) == {"some": (1, 3, 8, 8)}
    assert texts_of(model, inputs={"some": (5, 3, 8, 8)}) == ["n5c3h8w8-k4r3s3"]
    assert "the sizes 5x3x8x9 are given for 'some', but the model has" in refusal(model, inputs={"some": (5, 3, 8, 9)})
    with_another = model_of(conv(y="z", name="first"), *nodes, x=(9, 3, 8, 8), weights=W, m=(9,))
    with pytest.warns(UserWarning, match="skipped Conv 'last': the batch"):
        assert texts_of(with_another) == ["n9c3h8w8-k4r3s3"]


def test_a_proposal_is_one_that_the_model_can_use():
    """A filter of 300 rows needs a larger image than the first proposal, and a filter of one channel another one."""
    message = refusal(model_of(conv(), x=(1, "C", "H", "W"), weights={"w": (4, 1, 3, 3)}))
    assert proposed(message) == {"x": (1, 1, 224, 224)}
    message = refusal(model_of(conv(), x=(1, 3, "H", "W"), weights={"w": (4, 3, 300, 3)}))
    assert proposed(message) == {"x": (1, 3, 512, 512)}


def test_a_proposal_knows_images_whose_channels_are_last():
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), conv("t")]
    message = refusal(model_of(*nodes, x=("N", None, None, 3), weights=W))
    assert "open are 'x' (1, ?, ?, 3)" in message
    assert proposed(message) == {"x": (1, 224, 224, 3)}


def test_a_proposal_is_one_that_gives_every_convolution_its_sizes():
    """The second convolution needs a height of 32, because its input has another part with 30 rows."""
    nodes = [conv(y="t", name="first"), helper.make_node("Concat", ["t", "z"], ["r"], axis=1), conv("r", "v", name="b")]
    model = model_of(*nodes, x=(1, 3, "H", 32), weights={**W, "v": (1, 8, 1, 1)}, z=(1, 4, 30, 30))
    message = refusal(model)
    assert "node 'first'" in message
    assert proposed(message) == {"x": (1, 3, 32, 32)}


def test_a_proposal_knows_the_state_of_a_recurrent_network():
    nodes = [helper.make_node("Gather", ["h", "first"], ["row"]), helper.make_node("Reshape", ["row", "to"], ["r"])]
    model = model_of(*nodes, conv("r"), x=("N", 9), h=(2, "N", 3), weights={"w": (4, 3, 1)})
    model.graph.initializer.append(numpy_helper.from_array(np.array(0), "first"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 3, 1]), "to"))
    message = refusal(model)
    assert "open are 'h' (2, ?, 3)" in message
    assert proposed(message) == {"h": (2, 1, 3)}


def test_reshapes_over_open_axes_need_sizes():
    nodes = [helper.make_node("Reshape", ["x", "to"], ["r"]), conv("r", name="last")]
    model = model_of(*nodes, x=(1, 3, "H", 8), weights=W)
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 3, 8, 8]), "to"))
    message = refusal(model)
    assert "the batch of its input 'r' is unknown" in message
    assert proposed(message) == {"x": (1, 3, 224, 8)}
    assert texts_of(model, inputs={"x": (1, 3, 16, 8)}) == ["n2c3h8w8-k4r3s3"]


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"z": (1, 3, 8, 8)}, "has no tensor 'z', for which sizes are given; its inputs are 'x'"),
        ({"x": (1, 3, 8)}, "1x3x8 are given for 'x', but the model has (N, 3, H, 8): only open sizes can be chosen"),
        ({"x": (1, 4, 8, 8)}, "1x4x8x8 are given for 'x', but the model has (N, 3, H, 8)"),
        ({"x": (1, 3, 0, 8)}, "the sizes of input 'x' are (1, 3, 0, 8); they must be whole numbers, at least 1"),
        ({"x": "1x3"}, "the sizes of input 'x' are '1x3'"),
        ({"x": (1, 3, 2**63, 8)}, "does not fit into 64 bits"),
        ((1, 3, 8, 8), "it must be sizes by name"),
    ],
)
def test_sizes_that_a_model_cannot_have_are_refused(inputs, told):
    assert told in refusal(model_of(conv(), x=("N", 3, "H", 8), weights=W), inputs=inputs)


# ---- tensors that are computed from shapes


def test_shapes_that_are_computed_are_folded():
    """The padding of F.pad as an older exporter writes it, and a reshape to the sizes of another tensor."""
    constants = {
        "amounts": np.array([1, 2, 3, 4]), "rest": np.array([4]), "pairs": np.array([-1, 2]), "flat": np.array([-1]),
        "first": np.array([-1]), "last": np.array([-(2**63) + 1]), "axis": np.array([0]), "back": np.array([-1]),
        "spatial": np.array([2, 3]), "lead": np.array([2, 3]),
    }  # fmt: skip
    nodes = [
        helper.make_node("ConstantOfShape", ["rest"], ["zeros"], value=helper.make_tensor("v", 7, [1], [0])),
        helper.make_node("Concat", ["amounts", "zeros"], ["eight"], axis=0),
        helper.make_node("Reshape", ["eight", "pairs"], ["two"]),
        helper.make_node("Slice", ["two", "first", "last", "axis", "back"], ["turned"]),
        helper.make_node("Transpose", ["turned"], ["columns"], perm=[1, 0]),
        helper.make_node("Reshape", ["columns", "flat"], ["row"]),
        helper.make_node("Cast", ["row"], ["pads"], to=TensorProto.INT64),
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        conv("padded", y="a"),
        helper.make_node("Shape", ["a"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "spatial"], ["hw"]),
        helper.make_node("Cast", ["hw"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Floor", ["real"], ["floor"]),
        helper.make_node("Cast", ["floor"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Concat", ["lead", "whole"], ["target"], axis=0),
        helper.make_node("Expand", ["one", "target"], ["wide"]),
        conv("wide", y="y"),
    ]
    model = model_of(*nodes, x=(2, 3, 10, 10), weights=W, one=(1, 1, 1, 1))
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    assert texts_of(model) == ["n2c3h17w13-k4r3s3", "n2c3h15w11-k4r3s3"]


# ---- the command line


@pytest.mark.parametrize("words", [("x=2x3x6x7",), ("2x3x6x7",)])
def test_sizes_are_given_on_the_command_line(convbench, here, words):
    (here / "open.onnx").write_bytes(model_of(conv(), x=("?", 3, "?", "?"), weights=W).SerializeToString())
    options = [word for text in words for word in ("--input", text)]
    status, out, err = convbench("verify", "--workload", "open.onnx", *options, "--algorithm", "direct")
    assert (status, err) == (0, "")
    assert "## n2c3h6w7-k4r3s3" in out


def test_the_refusal_on_the_command_line_has_the_option(convbench, here):
    model = model_of(conv("my input", name="c"), weights=W, **{"my input": ("?", 3, "?", "?")})
    del model.graph.input[0]
    (here / "open.onnx").write_bytes(model.SerializeToString())
    status, out, err = convbench("bench", "--workload", "open.onnx", "--algorithm", "direct")
    assert (status, out) == (2, "")
    assert "give its sizes, such as --input 'my input=1x3x224x224'" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--workload", "two.onnx", "--input", "1x3x8x8"), "has 2 inputs: name the one that the sizes are for"),
        (("--workload", "two.onnx", "--input", "x=1x3xHx8"), "--input 'x=1x3xHx8' is not NAME=SIZES"),
        (("--workload", "two.onnx", "--input", "x=0x3x8x8"), "at least 1"),
        (("--workload", "two.onnx", "--input", "x=1x3x8x8", "--input", "x=1x3x8x9"), "sizes of 'x' twice"),
        (("--workload", "lenet5", "--input", "x=1x3x8x8"), "for ONNX models (.onnx) only, and 'lenet5'"),
        (("n1c1h5w5-k1r3s3", "--input", "x=1x3x8x8"), "there is no --workload with a model"),
    ],
)
def test_sizes_that_cannot_be_used_are_refused(convbench, here, words, told):
    model = model_of(conv(), x=("N", 3, "H", 8), u=(1,), weights=W)
    (here / "two.onnx").write_bytes(model.SerializeToString())
    result = convbench("verify", *words, "--algorithm", "direct")
    assert_refused(result)
    assert told in result[2]


@pytest.mark.parametrize("command", ["verify", "bench", "tune", "gpu"])
def test_every_command_that_takes_a_model_takes_its_sizes(convbench, here, command):
    (here / "open.onnx").write_bytes(model_of(conv(), x=(1, 3, "H", 8), weights=W).SerializeToString())
    words = ("--workload", "open.onnx", "--where", "h == 9", "--algorithm", "direct")
    words += ("--out", "survey") if command == "gpu" else ()
    assert "--input x=1x3x224x8" in convbench(command, *words)[2]
    result = convbench(command, *words, "--input", "x=1x3x7x8")
    assert_refused(result)
    assert "leaves none of the 1 layers" in result[2]
    assert "h is 7" in result[2]
