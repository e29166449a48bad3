"""Reads the convolutions of an ONNX model: every Conv node with one or two spatial axes.

`onnx_shapes` finds the sizes of the tensors; `onnx_others` lists convolutions that are not such nodes; `onnx_inputs`
reads the sizes that a user gives, and proposes some. The attributes
of Conv: https://onnx.ai/onnx/operators/onnx__Conv.html. SAME_UPPER is TensorFlow's padding; SAME_LOWER is the same
with the odd element in front.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem, Dtype, problem_of
from convbench.workload import onnx_flat, onnx_forms, onnx_inputs, onnx_shapes
from convbench.workload.layer import Layer
from convbench.workload.onnx_others import others
from convbench.workload.onnx_shapes import BATCH, Given, Tensor, UnknownSizeError
from convbench.workload.workload import Workload

DTYPES: dict[str, Dtype] = {"FLOAT": "float32", "FLOAT16": "float16", "DOUBLE": "float64", "BFLOAT16": "bfloat16"}

# The names of the axes of Conv's tensors, by the number of axes, for messages.
_AXES = {
    "input": {3: ("batch", "channels", "width"), 4: ("batch", "channels", "height", "width")},
    "weight": {
        3: ("number of filters", "channels", "width"),
        4: ("number of filters", "channels", "height", "width"),
    },
}


class _NoProblemError(Exception):
    """A node is a convolution that a problem cannot describe; it is skipped."""


def read(model: "str | os.PathLike[str] | Any", inputs: Mapping[str, Sequence[int]] | None = None) -> Workload:
    """The workload of a model, or of the file of one; raises ConvbenchError, with the file and the node.

    `inputs` has the sizes of the model's open inputs by name, and perhaps those of inner tensors. The empty name is
    that of the only input.
    """
    given = onnx_inputs.checked(inputs or {})
    try:
        import onnx  # an optional package
    except ImportError as error:
        raise ConvbenchError(
            f"an ONNX model is read with the package onnx, which cannot be imported ({error}): "
            'pip install "convbench[onnx]"'
        ) from error
    if isinstance(model, onnx.ModelProto):
        name, source = "", "an ONNX model"
    elif isinstance(model, str | os.PathLike):
        path = Path(model)
        name, source, model = path.stem, str(path), _loaded(path)
    else:
        raise ConvbenchError(f"a model is a path or an onnx.ModelProto, and not a {type(model).__name__}")
    if (text := _no_text(model)) is not None:
        raise ConvbenchError(f"{source} is no ONNX model: its text {text[:40]!r} is not UTF-8")
    return _read(model, name or model.graph.name or "model", source, given)


def _read(model: Any, name: str, source: str, given: Given) -> Workload:
    if not model.graph.node:
        raise ConvbenchError(f"{source} is no ONNX model: it has no node")
    try:
        flat = onnx_flat.flat(model, onnx_shapes.MOST_ELEMENTS)
    except ConvbenchError as error:
        raise ConvbenchError(f"{source} is no ONNX model: {error}") from error
    shapes = onnx_shapes.shapes_of(flat, source, given)
    layers: list[Layer] = []
    skipped: list[str] = []
    unsized = False
    told: list[tuple[str, str]] = []
    kinds = {name: tensor.dtype for name, tensor in shapes.tensors.items()}
    dequantised = {
        node.output[0]: kinds.get(node.input[0], "integers")
        for node in flat.model.graph.node
        if node.op_type == "DequantizeLinear" and node.input and node.output
    }
    for number, (node, place) in enumerate(zip(flat.model.graph.node, flat.places, strict=True)):
        if (conv := onnx_forms.as_conv(node)) is None:
            continue
        original = node if place.original is None else place.original
        operator = original.op_type
        name_of_node = original.name or next(iter(original.output), "") or f"{operator} {number}"
        label = f"{operator} {name_of_node!r}{place.text}"
        if any(shapes.decided.get(name, value) != value for name, value in place.conditions):
            skipped.append(f"{label}: it never runs, because the condition is a constant")
            continue
        try:
            problem = _problem(conv, shapes.tensors, integers=onnx_forms.is_of_integers(node))
        except _NoProblemError as reason:
            skipped.append(f"{label}: {reason}")
        except UnknownSizeError as reason:
            text = f"{reason}{onnx_shapes.origin(flat, shapes.tensors, conv)}"
            if not unsized:  # the same sizes are often enough for the others
                text += _remedy(flat, source, given, shapes, node)
            unsized = True
            if onnx_shapes.is_behind_an_open_input(flat, shapes, conv):
                # a part of the layers would be mistaken for the whole network
                raise ConvbenchError(f"{source}, node {name_of_node!r}{place.text}: {text}") from reason
            skipped.append(f"{label}: {text}")
        except ConvbenchError as error:
            raise ConvbenchError(f"{source}, node {name_of_node!r}{place.text}: {error}") from error
        else:
            if operator.startswith("Nhwc"):
                krsc = any("(KCRS)" in name for name in node.input)  # the weight was transposed
                problem = replace(problem, layout="NHWC", filter_layout="KRSC" if krsc else "KCRS")
            layers.append(Layer(name=f"{name_of_node}{place.text}", problem=problem))
            told += [(label, note) for note in onnx_forms.notes(node, place.original, kinds, dequantised)]
    skipped += others(flat)
    if not layers:
        lines = "".join(f"\n    {what}" for what in skipped)
        raise ConvbenchError(f"{source}: no convolution in it that can be computed{lines and f'; it has{lines}'}")
    facts = [f"given is {onnx_inputs.text(given)}"] if given else []
    if shapes.opened:
        facts.append(f"whose open batch is {BATCH} ({', '.join(map(repr, shapes.opened))})")
    if shapes.declared:
        facts.append(f"whose shapes of {', '.join(map(repr, shapes.declared))} are declared and cannot be inferred")
    return Workload(
        name=name, source=", ".join([source, *facts]), layers=tuple(layers), skipped=tuple(skipped),
        notes=(
            *(f"the shape of {one!r} is the one that the model declares; it cannot be inferred"
              for one in shapes.declared),
            *onnx_forms.folded(told),
        ),
    )  # fmt: skip


def _remedy(flat: onnx_flat.Flat, source: str, given: Given, shapes: onnx_shapes.Shapes, node: Any) -> str:
    """The end of a message about an unknown size: the option that gives the node its sizes, ready to copy."""
    conv = onnx_forms.as_conv(node)

    def helps(proposed: Given) -> bool:
        try:
            found = onnx_shapes.shapes_of(flat, source, {**given, **proposed}).tensors
            _problem(conv, found, integers=onnx_forms.is_of_integers(node))
        except (ConvbenchError, _NoProblemError):
            return False
        return True

    inputs = {name: sizes for name, sizes in shapes.inputs.items() if name not in given}
    return onnx_inputs.remedy(inputs, [(name, shapes.tensors.get(name)) for name in conv.input[:2]], helps)


def _no_text(message: Any) -> bytes | None:
    """The first text field of a message that is not valid UTF-8; protobuf accepts it, and gives it as bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            texts = [value] if isinstance(value, str | bytes) else value
            found = next((text for text in texts if isinstance(text, bytes)), None)
        elif field.type == field.TYPE_MESSAGE:
            parts = [value] if hasattr(value, "ListFields") else value
            found = next((text for text in map(_no_text, parts) if text is not None), None)
        else:
            continue
        if found is not None:
            return found
    return None


def _loaded(path: Path) -> Any:
    # optional packages
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(path.read_bytes())  # does not read weights that are in other files
    except OSError as error:
        raise ConvbenchError(f"{path} cannot be read: {error}") from error
    except DecodeError as error:
        raise ConvbenchError(f"{path} is no ONNX model: {error}") from error


def _problem(node: Any, tensors: Mapping[str, Tensor], *, integers: bool = False) -> ConvProblem:
    """The problem of a Conv node, in float32 for one of integers; raises ConvbenchError and _NoProblemError."""
    inputs = list(node.input)
    if len(inputs) < 2 or not (inputs[0] and inputs[1]):
        raise ConvbenchError(f"it has the inputs {inputs}; Conv has an input, a weight and perhaps a bias")
    unknown = Tensor(None, "UNDEFINED")
    x, weight = tensors.get(inputs[0], unknown), tensors.get(inputs[1], unknown)
    dtype = next((tensor.dtype for tensor in (weight, x) if tensor.dtype != "UNDEFINED"), "UNDEFINED")
    for tensor in (weight, x):
        if tensor.sizes is not None and len(tensor.sizes) not in (3, 4):
            raise _NoProblemError(f"it has {len(tensor.sizes) - 2} spatial axes, and a problem one or two")
    if integers and dtype in onnx_forms.INTEGERS:
        dtype = "FLOAT"
    if dtype not in (*DTYPES, "UNDEFINED"):
        raise _NoProblemError(f"its numbers are {dtype}, and a problem's {', '.join(DTYPES)}")
    k, channels, *taps = _sizes("weight", inputs[1], weight)
    group = _number(node, "group", 1)
    n, c, *spatial = _sizes("input", inputs[0], x, {1: channels * group})
    if dtype == "UNDEFINED":
        raise ConvbenchError("the type of its numbers is unknown")
    axes = len(taps)
    kernel = _numbers(node, "kernel_shape", axes, taps)
    if list(kernel) != taps:
        raise ConvbenchError(f"kernel_shape is {list(kernel)}, and its weight has {taps}")
    pads = _numbers(node, "pads", 2 * axes, [0] * (2 * axes))
    word = _word(node, "auto_pad", "NOTSET")
    forms: dict[str, Any] = {
        "NOTSET": tuple(zip(pads[:axes], pads[axes:], strict=True)), "VALID": "valid", "SAME_UPPER": "same_tensorflow",
        "SAME_LOWER": "same_tensorflow",
    }  # fmt: skip
    if word not in forms:
        raise ConvbenchError(f"auto_pad is {word!r}; it must be one of {', '.join(forms)}")
    problem = problem_of(
        (n, c, *spatial), (k, channels, *taps), _bias(inputs[2:], tensors, k),
        stride=_numbers(node, "strides", axes, [1] * axes), dilation=_numbers(node, "dilations", axes, [1] * axes),
        padding=forms[word], groups=group, dtype=DTYPES[dtype],
    )  # fmt: skip
    if word == "SAME_LOWER":
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


def _attribute(node: Any, name: str, kind: str) -> Iterator[Any]:
    """The attribute of that name, if the node has it; raises ConvbenchError if it is of another kind."""
    import onnx  # an optional package

    for attribute in node.attribute:
        if attribute.name == name:
            if attribute.type != onnx.AttributeProto.AttributeType.Value(kind):
                raise ConvbenchError(f"its attribute {name} is not of type {kind}")
            yield attribute


def _number(node: Any, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in _attribute(node, name, "INT")), default)


def _word(node: Any, name: str, default: str) -> str:
    return next((attribute.s.decode(errors="replace") for attribute in _attribute(node, name, "STRING")), default)


def _numbers(node: Any, name: str, count: int, default: Sequence[int]) -> tuple[int, ...]:
    for attribute in _attribute(node, name, "INTS"):
        if len(attribute.ints) != count:
            raise ConvbenchError(f"{name} is {list(attribute.ints)}; it must be {count} numbers")
        return tuple(attribute.ints)
    return tuple(default)
