"""Knows the operators that are convolutions with something more: fused, in another layout, or of integers.

`standard` replaces onnxruntime's own operators by those of ONNX that compute the same, so that shapes can be inferred:
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. Their domain is com.microsoft.
"""

from collections.abc import Mapping
from typing import Any

from convbench.workload.layer import printable

VENDOR = "com.microsoft"
INTEGERS = ("UINT8", "INT8")  # the numbers that convolutions of integers take

_FUSED = ("FusedConv", "NhwcFusedConv", "NhwcConv")
# Operators of the vendor whose result has the shape of one of ONNX's, with the places of the operands that decide it.
# Sum and Relu are not folded, so that no value is computed with the wrong operator.
_OF_SHAPE = {
    "QLinearAdd": ("Sum", (0, 3)), "QLinearMul": ("Sum", (0, 3)), "QLinearSigmoid": ("Relu", (0,)),
    "QLinearLeakyRelu": ("Relu", (0,)), "QLinearSoftmax": ("Relu", (0,)), "Gelu": ("Relu", (0,)),
    "FastGelu": ("Relu", (0,)), "QuickGelu": ("Relu", (0,)), "BiasGelu": ("Relu", (0,)),
}  # fmt: skip
_SAME = ("QuantizeLinear", "DequantizeLinear")  # ONNX's own and the vendor's give the same shapes and dtypes
_OF_INTEGERS = {"ConvInteger": (0, 1), "QLinearConv": (0, 3, 8)}  # the places of input, weight and bias
_ATTRIBUTES = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


def is_fused(node: Any) -> bool:
    """Whether a node is a convolution of onnxruntime's own that `standard` replaces."""
    return node.domain == VENDOR and node.op_type in _FUSED


def standard(node: Any, dims: Mapping[str, tuple[int, ...]]) -> list[Any]:
    """Nodes of ONNX that compute the convolution of such a node; `dims` has the sizes of the weights, by name."""
    import onnx  # an optional package

    conv = onnx.helper.make_node("Conv", node.input[:3], node.output[:1], name=node.name)
    conv.attribute.extend(each for each in node.attribute if each.name in _ATTRIBUTES)
    if node.op_type == "FusedConv" or len(node.input) < 2 or not node.output:
        return [conv]
    x, w, y = node.input[0], node.input[1], node.output[0]
    conv.input[0], conv.output[0] = f"{x} for {y} (NCHW)", f"{y} (NCHW)"
    before = [onnx.helper.make_node("Transpose", [x], [conv.input[0]], perm=[0, 3, 1, 2])]
    if node.op_type == "NhwcConv" or _ends_with_channels(node, dims.get(w)):
        conv.input[1] = f"{w} for {y} (KCRS)"
        before.append(onnx.helper.make_node("Transpose", [w], [conv.input[1]], perm=[0, 3, 1, 2]))
    return [*before, conv, onnx.helper.make_node("Transpose", [conv.output[0]], [y], perm=[0, 2, 3, 1])]


def _ends_with_channels(node: Any, dims: tuple[int, ...] | None) -> bool:
    """Whether a weight is K R S C by its kernel_shape, and not K C R S."""
    taps = next((tuple(each.ints) for each in node.attribute if each.name == "kernel_shape"), None)
    return dims is not None and taps is not None and dims[1:-1] == taps and dims[2:] != taps


def like(node: Any) -> Any:
    """A node of ONNX's own whose result has the same shape; the node itself if none is known."""
    import onnx  # an optional package

    if node.domain != VENDOR:
        return node
    if node.op_type in _SAME:
        node.domain = ""
    elif node.op_type in _OF_SHAPE:
        operator, places = _OF_SHAPE[node.op_type]
        inputs = [node.input[place] for place in places if place < len(node.input)]
        return onnx.helper.make_node(operator, inputs, node.output[:1], name=node.name)
    return node


def as_conv(node: Any) -> Any:
    """A Conv node with the input, weight and bias of a convolution of ONNX's own; None for other nodes."""
    import onnx  # an optional package

    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Conv":
        return node
    if node.op_type not in _OF_INTEGERS:
        return None
    inputs = [node.input[place] for place in _OF_INTEGERS[node.op_type] if place < len(node.input)]
    conv = onnx.helper.make_node("Conv", inputs, node.output[:1], name=node.name)
    conv.attribute.extend(each for each in node.attribute if each.name in _ATTRIBUTES)
    return conv


def is_of_integers(node: Any) -> bool:
    """Whether a node is a convolution of integers of ONNX's own."""
    return node.op_type in _OF_INTEGERS


def notes(node: Any, original: Any, kinds: Mapping[str, str], dequantised: Mapping[str, str]) -> list[str]:
    """What a convolution does beside the problem, or with other numbers.

    Parameters
    ----------
    node : the node of ONNX's own
    original : the node of the model, if it is another
    kinds : the dtype of each tensor
    dequantised : the dtype of the integers from which DequantizeLinear computes a tensor
    """
    found = []
    if original is not None:
        word = next((each.s.decode(errors="replace") for each in original.attribute if each.name == "activation"), "")
        fused = [word] if word else []
        fused += ["the addition of another tensor"] if len(original.input) > 3 and original.input[3] else []
        if fused:
            verb = "is" if len(fused) == 1 else "are"
            found.append(f"{printable(' and '.join(fused))} {verb} fused with it, and no part of the problem")
    conv = as_conv(node)
    if is_of_integers(node):
        numbers = " and ".join(dict.fromkeys(kinds.get(name, "integers") for name in conv.input[:2]))
        found.append(f"its numbers are {numbers}, and the problem's are float32")
    elif origins := [dequantised[name] for name in conv.input[:2] if name in dequantised]:
        found.append(
            f"its numbers are quantised as {' and '.join(dict.fromkeys(origins))}, and the problem has those of the "
            "dequantised tensors"
        )
    return found


def folded(notes_of: list[tuple[str, str]]) -> list[str]:
    """One sentence for each note, with the first node that it is about and how many others."""
    labels: dict[str, list[str]] = {}
    for label, note in notes_of:
        labels.setdefault(note, []).append(label)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {note}" for note, names in labels.items()
    ]
