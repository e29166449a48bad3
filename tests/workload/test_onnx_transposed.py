"""ConvTranspose is read as the gradient by the data, and shapes are known behind onnxruntime's own operators."""

import warnings

import numpy as np
import pytest

from cases.onnx_models import OTHERS, TRANSPOSED, conv, model_of, up
from convbench import workload
from convbench.errors import ConvbenchError
from convbench.reference import compute

KINDS = {**TRANSPOSED, **OTHERS}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_has_its_layers(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is quantised is told
        found = workload.from_onnx(KINDS[name].model)
    assert tuple((layer.name, str(layer.problem), layer.direction) for layer in found.layers) == KINDS[name].layers
    assert found.skipped == ()
    assert found.directed == (name in TRANSPOSED)


def test_the_gradient_is_what_the_transposed_convolution_computes():
    """Each element of the input adds the filter to the output, from its place times the stride on; the ends go."""
    model = model_of(up(strides=[2, 2], output_shape=[6, 5]), x=(1, 2, 3, 3), weights={"w": (2, 1, 3, 3)})
    (layer,) = workload.from_onnx(model).layers
    x, w = np.arange(18.0).reshape(1, 2, 3, 3), np.arange(18.0).reshape(2, 1, 3, 3) + 1
    whole = np.zeros((7, 7))
    for channel in range(2):
        for row in range(3):
            for column in range(3):
                whole[2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += x[0, channel, row, column] * w[channel, 0]
    assert layer.direction == "backward_data"
    np.testing.assert_array_equal(compute(*layer.work, {"dy": x, "w": w})["dx"][0, 0], whole[1:, 1:6])


def test_the_bias_of_a_transposed_convolution_is_told():
    model = model_of(up(bias="b"), x=(1, 2, 3, 3), weights={"w": (2, 4, 3, 3), "b": (4,)})
    with pytest.warns(UserWarning, match="'up': its bias is added to the gradient by the data"):
        (layer,) = workload.from_onnx(model).layers
    assert str(layer.problem) == "n1c4h5w5-k2r3s3"


def test_a_direction_is_in_use_from_the_command_line(convbench, here):
    nodes = [conv(y="t", name="down"), up(x="t", w="v")]
    model = model_of(*nodes, x=(1, 2, 5, 5), weights={"w": (2, 2, 3, 3), "v": (2, 2, 3, 3)})
    (here / "two.onnx").write_bytes(model.SerializeToString())
    command = ("verify", "--workload", "two.onnx", "--algorithm", "direct")
    status, out, err = convbench(*command)
    assert (status, err) == (0, "")
    assert "## n1c2h5w5-k2r3s3\n" in out
    assert "## n1c2h5w5-k2r3s3 backward_data\n" in out
    _, out, err = convbench(*command, "--direction", "forward")
    assert "backward_data\n" not in out
    assert err == "convbench: two names backward_data (1); forward is computed, as --direction says\n"


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (
            {"output_shape": [10, 7], "strides": [2, 2]},
            "which is 10 x 7: there are 4 x 3 windows, and its input is 3 x",
        ),
        ({"output_padding": [2, 2], "dilations": [3, 3]}, "which is 11 x 11: there are 5 x 5 windows"),
    ],
)
def test_an_output_whose_end_no_window_writes_is_skipped_with_the_reason(attributes, told):
    model = model_of(conv("x", "v", "z", name="other"), up(**attributes), x=(1, 2, 3, 3), weights=two_weights())
    with pytest.warns(UserWarning, match="no window of its convolution writes the end of its output"):
        found = workload.from_onnx(model)
    assert [layer.name for layer in found.layers] == ["other"]
    assert told in found.skipped[0]


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"auto_pad": "SAME"}, "auto_pad is 'SAME'; it must be one of NOTSET, VALID, SAME_UPPER, SAME_LOWER"),
        ({"output_shape": [1, 1, 6, 6]}, "output_shape is [1, 1, 6, 6]; it must be 2 numbers"),
        ({"pads": [9, 0, 0, 0]}, "'up'"),
        ({"group": 3}, "groups is 3; it must divide"),
        ({"kernel_shape": [2, 2]}, "kernel_shape is [2, 2], and its weight has [3, 3]"),
    ],
)
def test_a_wrong_transposed_convolution_is_refused(attributes, told):
    with pytest.raises(ConvbenchError) as caught:
        workload.from_onnx(model_of(up(**attributes), x=(1, 2, 3, 3), weights=two_weights()))
    assert told in str(caught.value)


def test_the_channels_of_a_transposed_convolution_must_be_those_of_its_weight():
    with pytest.raises(ConvbenchError, match="it must have 2 channels"):
        workload.from_onnx(model_of(up(), x=(1, 3, 3, 3), weights=two_weights()))


def two_weights():
    return {"w": (2, 1, 3, 3), "v": (1, 2, 1, 1)}
