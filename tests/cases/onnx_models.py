"""Small ONNX models for tests. TRANSPOSED and OTHERS have one for each kind of some convolutions, with its layers."""

from typing import NamedTuple

import numpy as np
from onnx import ModelProto, TensorProto, helper

ITEM_BYTES = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.DOUBLE: 8, TensorProto.BFLOAT16: 2}
W = {"w": (4, 3, 3, 3)}
MICROSOFT, NHWC = "com.microsoft", "com.ms.internal.nhwc"


def model_of(
    *nodes, x=(1, 3, 8, 8), weights=None, opset=22, kind=TensorProto.FLOAT, domains=(), functions=(), **inputs
):
    """A model with these nodes, an input x and more inputs of given shapes, and weights of zeros of given shapes."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name, shape in {"x": x, **inputs}.items()]
    zeros = [
        helper.make_tensor(name, kind, shape, bytes(int(np.prod(shape)) * ITEM_BYTES[kind]), raw=True)
        for name, shape in (weights or {}).items()
    ]
    output = helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph(list(nodes), "net", given, [output], zeros)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions))


def conv(x="x", w="w", y="y", *more, name="", **attributes):
    """A Conv node."""
    return helper.make_node("Conv", [x, w, *more], [y], name=name, **attributes)


class Kind(NamedTuple):
    """A model and its layers: the name, the problem and the direction of each."""

    model: ModelProto
    layers: tuple[tuple[str, str, str], ...]


def up(output: str = "y", *, x: str = "x", w: str = "w", bias: str | None = None, name: str = "up", **attributes):
    """A ConvTranspose node."""
    return helper.make_node("ConvTranspose", [x, w, *([bias] if bias else [])], [output], name=name, **attributes)


def transposed(*expected: str, x=(1, 2, 3, 3), w=(2, 1, 3, 3), after=(1, 1, 2, 2), **attributes) -> Kind:
    """A ConvTranspose, and a convolution of its result, so that the size of the result matters."""
    nodes = [up("t", **attributes), conv("t", "v", name="after")]
    layers = (("up", expected[0], "backward_data"), ("after", expected[1], "forward"))
    return Kind(model_of(*nodes, x=x, weights={"w": w, "v": after}), layers)


TRANSPOSED = {
    "plain": transposed("n1c1h7w7-k2r3s3-stride2", "n1c1h7w7-k1r2s2", strides=[2, 2]),
    "pads and output_padding": transposed(
        "n1c1h6w6-k2r3s3-pad1x0.2-stride2", "n1c1h6w6-k1r2s2",
        strides=[2, 2], pads=[1, 0, 1, 2], output_padding=[1, 1],
    ),
    "groups and dilation": transposed(
        "n2c6h9w8-k4r3s2-dil2x3-g2", "n2c6h9w8-k1r2s2",
        x=(2, 4, 5, 5), w=(4, 3, 3, 2), after=(1, 6, 2, 2), dilations=[2, 3], group=2,
    ),
    "one axis": transposed(
        "n1c1h1w10-k2r1s4-pad0x1-stride1x2", "n1c1h1w10-k1r1s3",
        x=(1, 2, 5), w=(2, 1, 4), after=(1, 1, 3), strides=[2], pads=[1, 1],
    ),
    "output_shape": transposed(
        "n1c1h6w6-k2r3s3-pad1.0x1.0-stride2", "n1c1h6w6-k1r2s2", strides=[2, 2], output_shape=[6, 6]
    ),
    "output_shape, SAME_LOWER": transposed(
        "n1c1h6w6-k2r3s3-pad1.0x1.0-stride2", "n1c1h6w6-k1r2s2",
        strides=[2, 2], output_shape=[6, 6], auto_pad="SAME_LOWER",
    ),
    "output_shape, SAME_UPPER": transposed(
        "n1c1h6w6-k2r3s3-pad0.1x0.1-stride2", "n1c1h6w6-k1r2s2",
        strides=[2, 2], output_shape=[6, 6], auto_pad="SAME_UPPER",
    ),
    "output_shape beyond the windows": transposed(
        "n1c1h8w7-k2r3s3-stride2", "n1c1h8w7-k1r2s2", strides=[2, 2], output_shape=[8, 7]
    ),
    "output_shape and pads": transposed(
        "n1c1h5w4-k2r3s3-pad1x2.1-stride2", "n1c1h5w4-k1r2s2", strides=[2, 2], output_shape=[5, 4], pads=[0, 0, 0, 0]
    ),
    "SAME_UPPER": transposed(
        "n1c1h6w6-k2r3s3-pad0.1x0.1-stride2", "n1c1h6w6-k1r2s2", strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "SAME_LOWER and output_padding": transposed(
        "n1c1h6w6-k2r3s3-pad1-stride2", "n1c1h6w6-k1r2s2",
        strides=[2, 2], auto_pad="SAME_LOWER", output_padding=[1, 1],
    ),
    "SAME_UPPER, shorter than the stride": transposed(
        "n1c1h11w10-k2r2s2-stride4", "n1c1h11w10-k1r2s2",
        w=(2, 1, 2, 2), strides=[4, 4], auto_pad="SAME_UPPER", output_padding=[1, 0],
    ),
    "VALID": transposed("n1c1h7w7-k2r3s3-stride2", "n1c1h7w7-k1r2s2", strides=[2, 2], auto_pad="VALID"),
}  # fmt: skip


def _quantised() -> ModelProto:
    """QLinearConv, the vendor's pools and a concatenation, the last convolution behind them."""
    scales = ["s", "o", "s", "o"]

    def convolution(x: str, w: str, y: str, name: str):
        return helper.make_node("QLinearConv", [x, "s", "o", w, "s", "p", "s", "o"], [y], name=name)

    def vendor(operator: str, inputs: list[str], y: str, **attributes):
        return helper.make_node(operator, inputs, [y], domain=MICROSOFT, **attributes)

    nodes = [
        convolution("x", "w", "a", "first"),
        vendor("QLinearAveragePool", ["a", *scales], "b", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        vendor("QLinearConcat", ["s", "o", "b", "s", "o", "b", "s", "o"], "c", axis=1),
        convolution("c", "v", "d", "second"),
        helper.make_node("Transpose", ["d"], ["e"], perm=[0, 2, 3, 1]),
        vendor("NhwcMaxPool", ["e"], "f", kernel_shape=[2, 1], strides=[1, 1]),
        vendor("QLinearConv", ["f", "s", "o", "u", "s", "p", "s", "o"], "g", name="third", channels_last=1),
        vendor("QLinearGlobalAveragePool", ["g", *scales], "h", channels_last=1),
        helper.make_node("Transpose", ["h"], ["i"], perm=[0, 3, 1, 2]),
        convolution("i", "t", "y", "last"),
    ]
    model = model_of(*nodes, weights={"s": ()}, domains=[MICROSOFT])
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("x", TensorProto.UINT8, (1, 3, 9, 9)))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.UINT8, None))
    for weight in model.graph.initializer:
        weight.CopyFrom(helper.make_tensor("s", TensorProto.FLOAT, (), [0.5]))
    shapes = {"w": (4, 3, 2, 2), "v": (5, 8, 1, 1), "u": (6, 5, 2, 2), "t": (7, 6, 1, 1)}
    for name, shape in shapes.items():
        count = shape[0] * shape[1] * shape[2] * shape[3]
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT8, shape, [1] * count))
    model.graph.initializer.append(helper.make_tensor("o", TensorProto.UINT8, (), [0]))
    model.graph.initializer.append(helper.make_tensor("p", TensorProto.INT8, (), [0]))
    return model


def _channels_last() -> ModelProto:
    """The domain of a saved optimised model, in which the channels are last."""

    def last(operator: str, inputs: list[str], y: str, **attributes):
        return helper.make_node(operator, inputs, [y], domain=NHWC, **attributes)

    nodes = [
        last("Conv", ["x", "w"], "a", name="first", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        last("MaxPool", ["a"], "b", kernel_shape=[2, 2], strides=[2, 2]),
        last("Conv", ["b", "v"], "c", name="second", kernel_shape=[1, 2], group=2),
        last("GlobalAveragePool", ["c"], "d"),
        last("Conv", ["d", "u"], "y", name="last", kernel_shape=[1, 1]),
    ]
    weights = {**W, "v": (6, 2, 1, 2), "u": (2, 6, 1, 1)}
    return model_of(*nodes, x=(2, 8, 10, 3), weights=weights, domains=[NHWC])


OTHERS = {
    "quantised, with the vendor's pools": Kind(
        _quantised(),
        (
            ("first", "n1c3h9w9-k4r2s2", "forward"), ("second", "n1c8h4w4-k5r1s1", "forward"),
            ("third", "n1c5h3w4-k6r2s2-NHWC-KCRS", "forward"), ("last", "n1c6h1w1-k7r1s1", "forward"),
        ),
    ),
    "channels last": Kind(
        _channels_last(),
        (
            ("first", "n2c3h8w10-k4r3s3-pad1-NHWC-KCRS", "forward"),
            ("second", "n2c4h4w5-k6r1s2-g2-NHWC-KCRS", "forward"),
            ("last", "n2c6h1w1-k2r1s1-NHWC-KCRS", "forward"),
        ),
    ),
}  # fmt: skip
