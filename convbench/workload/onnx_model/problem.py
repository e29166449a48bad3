"""Reads the problem of a Conv or ConvTranspose node.

The attributes of Conv: https://onnx.ai/onnx/operators/onnx__Conv.html. SAME_UPPER is TensorFlow's padding; SAME_LOWER
is the same with the odd element in front.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem, Dtype, problem_of
from convbench.workload.onnx_model import transposed
from convbench.workload.onnx_model.attributes import number, numbers, word
from convbench.workload.onnx_model.forms import INTEGERS
from convbench.workload.onnx_model.tensor import NoProblemError, Tensor, UnknownSizeError

DTYPES: dict[str, Dtype] = {"FLOAT": "float32", "FLOAT16": "float16", "DOUBLE": "float64", "BFLOAT16": "bfloat16"}

# The names of the axes of Conv's tensors, by the number of axes, for messages.
_AXES = {
    "input": {3: ("batch", "channels", "width"), 4: ("batch", "channels", "height", "width")},
    "weight": {
        3: ("number of filters", "channels", "width"),
        4: ("number of filters", "channels", "height", "width"),
    },
}


def problem_of_node(node: Any, tensors: Mapping[str, Tensor], *, integers: bool = False) -> ConvProblem:
    """The problem of a Conv or ConvTranspose node, in float32 for one of integers.

    Raises ConvbenchError and NoProblemError.
    """
    inputs = list(node.input)
    if len(inputs) < 2 or not (inputs[0] and inputs[1]):
        raise ConvbenchError(f"it has the inputs {inputs}; {node.op_type} has an input, a weight and perhaps a bias")
    unknown = Tensor(None, "UNDEFINED")
    x, weight = tensors.get(inputs[0], unknown), tensors.get(inputs[1], unknown)
    dtype = next((tensor.dtype for tensor in (weight, x) if tensor.dtype != "UNDEFINED"), "UNDEFINED")
    for tensor in (weight, x):
        if tensor.sizes is not None and len(tensor.sizes) not in (3, 4):
            raise NoProblemError(f"it has {len(tensor.sizes) - 2} spatial axes, and a problem one or two")
    if integers and dtype in INTEGERS:
        dtype = "FLOAT"
    if dtype not in (*DTYPES, "UNDEFINED"):
        raise NoProblemError(f"its numbers are {dtype}, and a problem's {', '.join(DTYPES)}")
    k, channels, *taps = _sizes("weight", inputs[1], weight)
    is_transposed = node.op_type == transposed.OPERATOR
    group = number(node, "group", 1)
    n, c, *spatial = _sizes("input", inputs[0], x, {1: k if is_transposed else channels * group})
    if dtype == "UNDEFINED":
        raise ConvbenchError("the type of its numbers is unknown")
    axes = len(taps)
    kernel = numbers(node, "kernel_shape", axes, taps)
    if list(kernel) != taps:
        raise ConvbenchError(f"kernel_shape is {list(kernel)}, and its weight has {taps}")
    if is_transposed:
        return transposed.problem_of_node(node, (n, c, *spatial), (k, channels, *taps), DTYPES[dtype])
    pads = numbers(node, "pads", 2 * axes, [0] * (2 * axes))
    pad = word(node, "auto_pad", "NOTSET")
    paddings: dict[str, Any] = {
        "NOTSET": tuple(zip(pads[:axes], pads[axes:], strict=True)), "VALID": "valid", "SAME_UPPER": "same_tensorflow",
        "SAME_LOWER": "same_tensorflow",
    }  # fmt: skip
    if pad not in paddings:
        raise ConvbenchError(f"auto_pad is {pad!r}; it must be one of {', '.join(paddings)}")
    problem = problem_of(
        (n, c, *spatial), (k, channels, *taps), _bias(inputs[2:], tensors, k),
        stride=numbers(node, "strides", axes, [1] * axes), dilation=numbers(node, "dilations", axes, [1] * axes),
        padding=paddings[pad], groups=group, dtype=DTYPES[dtype],
    )  # fmt: skip
    if pad == "SAME_LOWER":
        (top, bottom), (left, right) = problem.padding
        problem = replace(problem, padding=((bottom, top), (right, left)))
    return problem


def _bias(inputs: list[str], tensors: Mapping[str, Tensor], k: int) -> tuple[int, ...] | None:
    """The shape of the third input, None if it is left out; a size that is unknown is taken to be K."""
    if not inputs or not inputs[0]:
        return None
    sizes = tensors[inputs[0]].sizes if inputs[0] in tensors else None
    return (k,) if sizes is None else tuple(size if isinstance(size, int) else k for size in sizes)


def _sizes(role: str, name: str, tensor: Tensor, otherwise: Mapping[int, int] | None = None) -> list[int]:
    """The sizes of a tensor; an open size is taken from `otherwise`, by its axis. Raises UnknownSizeError."""
    if tensor.sizes is None:
        raise UnknownSizeError(f"the shape of its {role} {name!r} is unknown")
    found = []
    for axis, size in enumerate(tensor.sizes):
        known = size if isinstance(size, int) else (otherwise or {}).get(axis)
        if known is None:
            axis_name = _AXES[role][len(tensor.sizes)][axis]
            raise UnknownSizeError(f"the {axis_name} of its {role} {name!r} is unknown ({size})")
        found.append(known)
    return found
