"""Knows the operators that are convolutions with something more: fused, in another layout, or of integers."""

from collections.abc import Mapping
from typing import Any

from convbench.workload.layer import printable
from convbench.workload.onnx_model.vendor import FUSED

INTEGERS = ("UINT8", "INT8")  # the numbers that convolutions of integers take

_OF_INTEGERS = {"ConvInteger": (0, 1), "QLinearConv": (0, 3, 8)}  # the places of input, weight and bias
_ATTRIBUTES = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


def as_conv(node: Any) -> Any:
    """A Conv or ConvTranspose node with the input, weight and bias of a convolution of ONNX's own; else None."""
    import onnx  # an optional package

    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in ("Conv", "ConvTranspose"):
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
    if original is not None and original.op_type in FUSED:
        word = next((each.s.decode(errors="replace") for each in original.attribute if each.name == "activation"), "")
        fused = [word] if word else []
        fused += ["the addition of another tensor"] if len(original.input) > 3 and original.input[3] else []
        if fused:
            verb = "is" if len(fused) == 1 else "are"
            found.append(f"{printable(' and '.join(fused))} {verb} fused with it, and no part of the problem")
    conv = as_conv(node)
    if conv.op_type == "ConvTranspose" and len(conv.input) > 2 and conv.input[2]:
        found.append("its bias is added to the gradient by the data, and no part of the problem")
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
