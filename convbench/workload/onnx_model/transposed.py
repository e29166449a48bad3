"""Reads ConvTranspose nodes: each is the direction backward_data of a convolution from its output to its input.

The input of the node is dy of that convolution, and its output is dx. The weight is the same array, with the shape
(K, C/groups, R, S).

    out   = stride · (in − 1) + output_padding + dilation · (taps − 1) + 1 − pads
    pads  are those of `pads`. With auto_pad SAME_UPPER or SAME_LOWER they are what leaves in · stride of the output, or
          none if the output is shorter. With output_shape they are what leaves that size. SAME_UPPER crops half at the
          beginning, rounded down, and the rest at the end. SAME_LOWER, and NOTSET or VALID with an output_shape, crop
          the larger half at the beginning.

This is what onnxruntime 1.32 computes. https://onnx.ai/onnx/operators/onnx__ConvTranspose.html leaves out in which half
the odd element is if auto_pad is NOTSET, and its own shape inference adds output_padding to the size of SAME_UPPER.
"""

from collections.abc import Mapping
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem, Dtype, problem_of
from convbench.workload.onnx_model.attributes import number, numbers, word
from convbench.workload.onnx_model.tensor import NoProblemError

OPERATOR = "ConvTranspose"
_SAME = ("SAME_UPPER", "SAME_LOWER")
_WORDS = ("NOTSET", "VALID", *_SAME)


def with_explicit_pads(node: Any, dims: Mapping[str, tuple[int, ...]]) -> Any:
    """The same ConvTranspose node with pads instead of SAME_UPPER or SAME_LOWER; they do not depend on its input.

    The node itself if it has an output_shape, if its weight is unknown, or if it is wrong. `dims` has the sizes of
    the weights, by name.
    """
    import onnx  # an optional package

    kernel = next((tuple(each.ints) for each in node.attribute if each.name == "kernel_shape"), ())
    taps = kernel or (dims.get(node.input[1], ())[2:] if len(node.input) > 1 else ())
    names = {each.name for each in node.attribute}
    try:
        pad = word(node, "auto_pad", "NOTSET")
        if pad not in _SAME or "output_shape" in names or not taps:
            return node
        stride, spans = _spans(node, taps)
    except ConvbenchError:
        return node
    sides = [_halves(max(0, span - step), pad) for span, step in zip(spans, stride, strict=True)]
    explicit = onnx.helper.make_node(OPERATOR, node.input, node.output, name=node.name)
    explicit.attribute.extend(each for each in node.attribute if each.name not in ("auto_pad", "pads"))
    pads = [before for before, _ in sides] + [after for _, after in sides]
    explicit.attribute.append(onnx.helper.make_attribute("pads", pads))
    return explicit


def problem_of_node(node: Any, x: tuple[int, ...], weight: tuple[int, ...], dtype: Dtype) -> ConvProblem:
    """The problem whose gradient by the data a ConvTranspose node computes, from the shapes of its operands.

    Raises ConvbenchError and NoProblemError.
    """
    n, channels, *spatial = x
    k, per_group, *taps = weight
    axes, group = len(taps), number(node, "group", 1)
    if len(spatial) != axes or channels != k:
        raise ConvbenchError(f"its input is {x}, and its weight {weight}: it must have {k} channels and {axes} axes")
    pad = word(node, "auto_pad", "NOTSET")
    if pad not in _WORDS:
        raise ConvbenchError(f"auto_pad is {pad!r}; it must be one of {', '.join(_WORDS)}")
    stride, spans = _spans(node, tuple(taps))
    whole = [step * (size - 1) + span for step, size, span in zip(stride, spatial, spans, strict=True)]
    wanted = numbers(node, "output_shape", axes, ())
    if wanted:
        sides = [_halves(max(0, size - out), pad) for size, out in zip(whole, wanted, strict=True)]
        outputs = list(wanted)
    else:
        if pad in _SAME:
            sides = [_halves(max(0, span - step), pad) for span, step in zip(spans, stride, strict=True)]
        else:
            given = numbers(node, "pads", 2 * axes, [0] * (2 * axes))
            sides = list(zip(given[:axes], given[axes:], strict=True))
        outputs = [size - sum(side) for size, side in zip(whole, sides, strict=True)]
    problem = problem_of(
        (n, per_group * group, *outputs), (k, per_group, *taps), stride=stride, padding=tuple(sides), groups=group,
        dilation=numbers(node, "dilations", axes, [1] * axes), dtype=dtype,
    )  # fmt: skip
    found = [problem.p, problem.q][-axes:]
    if found != spatial:
        sizes = (" x ".join(map(str, each)) for each in (outputs, found, spatial))
        raise NoProblemError(
            "no window of its convolution writes the end of its output, which is {}: there are {} windows, and its "
            "input is {}".format(*sizes)
        )
    return problem


def _spans(node: Any, taps: tuple[int, ...]) -> tuple[tuple[int, ...], list[int]]:
    """The stride, and what one element of the input gives along each axis of the output, with output_padding."""
    axes = len(taps)
    stride, dilation = (numbers(node, name, axes, [1] * axes) for name in ("strides", "dilations"))
    added = numbers(node, "output_padding", axes, [0] * axes)
    return stride, [d * (t - 1) + 1 + more for d, t, more in zip(dilation, taps, added, strict=True)]


def _halves(total: int, pad: str) -> tuple[int, int]:
    """The elements that are cropped at the beginning and at the end."""
    less, more = total // 2, total - total // 2
    return (less, more) if pad == "SAME_UPPER" else (more, less)
