"""Replaces onnxruntime's own operators by those of ONNX that give the same shapes.

`standard` is called for each node of a model before its shapes are inferred. The operators are described in
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. Their domain is com.microsoft. Those of the
domain com.ms.internal.nhwc are ONNX's with the channels last in the first input and in the output; the weight of a
convolution has its usual layout there. A saved optimised model has them.
"""

from collections.abc import Mapping
from typing import Any

from convbench.problem import FilterLayout, Layout

VENDOR, NHWC = "com.microsoft", "com.ms.internal.nhwc"

FUSED = ("FusedConv", "NhwcFusedConv", "NhwcConv")
# Operators whose result has the shape of one of ONNX's, with the places of the operands that decide it. Sum and Relu
# are not folded, so that no value is computed with the wrong operator.
_OF_SHAPE = {
    "QLinearAdd": ("Sum", (0, 3)), "QLinearMul": ("Sum", (0, 3)), "QLinearSigmoid": ("Relu", (0,)),
    "QLinearLeakyRelu": ("Relu", (0,)), "QLinearSoftmax": ("Relu", (0,)), "Gelu": ("Relu", (0,)),
    "FastGelu": ("Relu", (0,)), "QuickGelu": ("Relu", (0,)), "BiasGelu": ("Relu", (0,)),
}  # fmt: skip
_SAME = ("QuantizeLinear", "DequantizeLinear")  # ONNX's own and the vendor's give the same shapes and dtypes
_POOLS = {
    "QLinearAveragePool": "AveragePool", "QLinearGlobalAveragePool": "GlobalAveragePool", "NhwcMaxPool": "MaxPool",
}  # fmt: skip
_OF_POOLS = ("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")
_OF_CONVOLUTIONS = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_WITH_CHANNELS_LAST = (
    "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "MaxPool", "AveragePool", "LpPool", "GlobalMaxPool",
    "GlobalAveragePool", "GlobalLpPool", "BatchNormalization", "InstanceNormalization", "LRN", "DepthToSpace",
    "SpaceToDepth",
)  # fmt: skip


def standard(node: Any, dims: Mapping[str, tuple[int, ...]]) -> list[Any]:
    """Nodes of ONNX whose last one has the output of a node, in its shape; the node itself if none are known.

    `dims` has the sizes of the weights, by name.
    """
    import onnx  # an optional package

    if node.domain not in (VENDOR, NHWC) or not node.input or not node.output:
        return [node]
    make, operator = onnx.helper.make_node, node.op_type
    if node.domain == NHWC:
        if operator in _WITH_CHANNELS_LAST:
            return _with_channels_last(node, operator, list(node.attribute))
        if operator in _POOLS:
            kept = [each for each in node.attribute if each.name in _OF_POOLS]
            return _with_channels_last(node, _POOLS[operator], kept, inputs=1)
        return [node]
    if operator in _SAME:
        node.domain = ""
    elif operator in _OF_SHAPE:
        like, places = _OF_SHAPE[operator]
        inputs = [node.input[place] for place in places if place < len(node.input)]
        return [make(like, inputs, node.output[:1], name=node.name)]
    elif operator == "QLinearConcat":  # two of its own operands, then a tensor, its scale and its zero point, and so on
        whole = f"{node.output[0]} (concatenated)"
        concat = make("Concat", node.input[2::3], [whole], name=node.name)
        concat.attribute.extend(each for each in node.attribute if each.name == "axis")
        return [concat, make("Relu", [whole], node.output[:1])]  # see _OF_SHAPE
    elif operator in _POOLS:
        kept = [each for each in node.attribute if each.name in _OF_POOLS]
        if operator == "NhwcMaxPool" or _is_set(node, "channels_last"):
            return _with_channels_last(node, _POOLS[operator], kept, inputs=1)
        pool = make(_POOLS[operator], node.input[:1], node.output[:1], name=node.name)
        pool.attribute.extend(kept)
        return [pool]
    elif operator == "QLinearConv":
        kept = [each for each in node.attribute if each.name in _OF_CONVOLUTIONS]
        if _is_set(node, "channels_last"):
            return _with_channels_last(node, operator, kept)
        node.domain = ""
    elif operator in FUSED:
        kept = [each for each in node.attribute if each.name in _OF_CONVOLUTIONS]
        if operator != "FusedConv" and len(node.input) > 1:
            turned = operator == "NhwcConv" or _ends_with_channels(node, dims.get(node.input[1]))
            return _with_channels_last(node, "Conv", kept, inputs=3, weight=turned)
        conv = make("Conv", node.input[:3], node.output[:1], name=node.name)
        conv.attribute.extend(kept)
        return [conv]
    return [node]


def layouts(parts: list[Any]) -> tuple[Layout, FilterLayout]:
    """The layouts of the input and of the weight of the convolution that `standard` made these nodes of."""
    turned = [node for node in parts if node.op_type == "Transpose"]
    if not turned:
        return "NCHW", "KCRS"
    return "NHWC", "KRSC" if len(turned) > 2 else "KCRS"


def _with_channels_last(
    node: Any, operator: str, attributes: list[Any], *, inputs: int | None = None, weight: bool = False
) -> list[Any]:
    """The operator between two transpositions; `weight` says whether the second input has its channels last, too."""
    import onnx  # an optional package

    # the number of axes is not known yet; the sizes of the weight or kernel_shape have it
    x, y = node.input[0], node.output[0]
    taps = next((len(each.ints) for each in node.attribute if each.name == "kernel_shape"), 2)
    last, first = (0, taps + 1, *range(1, taps + 1)), (0, *range(2, taps + 2), 1)
    given = [f"{x} for {y} (NCHW)", *node.input[1:inputs]]
    found = [onnx.helper.make_node("Transpose", [x], given[:1], perm=last)]
    if weight:
        given[1] = f"{node.input[1]} for {y} (KCRS)"
        found.append(onnx.helper.make_node("Transpose", [node.input[1]], given[1:2], perm=last))
    inner = onnx.helper.make_node(operator, given, [f"{y} (NCHW)"], name=node.name)
    inner.attribute.extend(each for each in attributes if each.name != "channels_last")
    return [*found, inner, onnx.helper.make_node("Transpose", [f"{y} (NCHW)"], [y], perm=first)]


def _is_set(node: Any, name: str) -> bool:
    return any(each.name == name and each.i for each in node.attribute)


def _ends_with_channels(node: Any, dims: tuple[int, ...] | None) -> bool:
    """Whether a weight is K R S C by its kernel_shape, and not K C R S."""
    taps = next((tuple(each.ints) for each in node.attribute if each.name == "kernel_shape"), None)
    return dims is not None and taps is not None and dims[1:-1] == taps and dims[2:] != taps
