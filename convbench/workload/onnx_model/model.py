"""Reads the convolutions of an ONNX model: every Conv and ConvTranspose node with one or two spatial axes.

`shapes` finds the sizes of the tensors, and `problem` makes a problem of them; `others` lists convolutions that are no
layers; `inputs` reads the sizes that a user gives, and proposes some.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import Direction
from convbench.workload.layer import Layer
from convbench.workload.onnx_model import forms
from convbench.workload.onnx_model.flat import Flat, flat_of
from convbench.workload.onnx_model.inputs import as_text, checked, remedy
from convbench.workload.onnx_model.others import others
from convbench.workload.onnx_model.outline import MOST_ELEMENTS
from convbench.workload.onnx_model.problem import problem_of_node
from convbench.workload.onnx_model.shapes import Shapes, is_behind_an_open_input, origin, shapes_of
from convbench.workload.onnx_model.tensor import BATCH, Given, NoProblemError, UnknownSizeError
from convbench.workload.workload import Workload


def read(model: "str | os.PathLike[str] | Any", inputs: Mapping[str, Sequence[int]] | None = None) -> Workload:
    """The workload of a model, or of the file of one; raises ConvbenchError, with the file and the node.

    `inputs` has the sizes of the model's open inputs by name, and perhaps those of inner tensors. The empty name is
    that of the only input.
    """
    given = checked(inputs or {})
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
        flat = flat_of(model, MOST_ELEMENTS)
    except ConvbenchError as error:
        raise ConvbenchError(f"{source} is no ONNX model: {error}") from error
    shapes = shapes_of(flat, source, given)
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
        if (conv := forms.as_conv(node)) is None:
            continue
        original = node if place.original is None else place.original
        operator = original.op_type
        name_of_node = original.name or next(iter(original.output), "") or f"{operator} {number}"
        label = f"{operator} {name_of_node!r}{place.text}"
        if any(shapes.decided.get(name, value) != value for name, value in place.conditions):
            skipped.append(f"{label}: it never runs, because the condition is a constant")
            continue
        try:
            problem = problem_of_node(conv, shapes.tensors, integers=forms.is_of_integers(node))
        except NoProblemError as reason:
            skipped.append(f"{label}: {reason}")
        except UnknownSizeError as reason:
            text = f"{reason}{origin(flat, shapes.tensors, conv)}"
            if not unsized:  # the same sizes are often enough for the others
                text += _remedy(flat, source, given, shapes, node)
            unsized = True
            if is_behind_an_open_input(flat, shapes, conv):
                # a part of the layers would be mistaken for the whole network
                raise ConvbenchError(f"{source}, node {name_of_node!r}{place.text}: {text}") from reason
            skipped.append(f"{label}: {text}")
        except ConvbenchError as error:
            raise ConvbenchError(f"{source}, node {name_of_node!r}{place.text}: {error}") from error
        else:
            layout, filter_layout = place.layouts
            problem = replace(problem, layout=layout, filter_layout=filter_layout)
            direction: Direction = "backward_data" if conv.op_type == "ConvTranspose" else "forward"
            layers.append(Layer(name=f"{name_of_node}{place.text}", problem=problem, direction=direction))
            told += [(label, note) for note in forms.notes(node, place.original, kinds, dequantised)]
    skipped += others(flat)
    if not layers:
        lines = "".join(f"\n    {what}" for what in skipped)
        raise ConvbenchError(f"{source}: no convolution in it that can be computed{lines and f'; it has{lines}'}")
    facts = [f"given is {as_text(given)}"] if given else []
    if shapes.opened:
        facts.append(f"whose open batch is {BATCH} ({', '.join(map(repr, shapes.opened))})")
    if shapes.declared:
        facts.append(f"whose shapes of {', '.join(map(repr, shapes.declared))} are declared and cannot be inferred")
    return Workload(
        name=name, source=", ".join([source, *facts]), layers=tuple(layers), skipped=tuple(skipped),
        directed=any(layer.direction != "forward" for layer in layers),
        notes=(
            *(f"the shape of {one!r} is the one that the model declares; it cannot be inferred"
              for one in shapes.declared),
            *forms.folded(told),
        ),
    )  # fmt: skip


def _remedy(flat: Flat, source: str, given: Given, shapes: Shapes, node: Any) -> str:
    """The end of a message about an unknown size: the option that gives the node its sizes, ready to copy."""
    conv = forms.as_conv(node)
    everything = [(each, found) for each in flat.model.graph.node if (found := forms.as_conv(each)) is not None]

    def helps(proposed: Given) -> tuple[int, bool]:
        count, sized, helped = 0, 0, False
        try:
            tensors = shapes_of(flat, source, {**given, **proposed}).tensors
        except ConvbenchError:
            return 0, False
        for each, found in everything:
            try:
                problem_of_node(found, tensors, integers=forms.is_of_integers(each))
            except NoProblemError:
                sized += 1  # no sizes would make it a problem
            except ConvbenchError:
                continue
            else:
                count, sized, helped = count + 1, sized + 1, helped or each.output == node.output
        return (count, sized == len(everything)) if helped else (0, False)

    inputs = {name: sizes for name, sizes in shapes.inputs.items() if name not in given}
    return remedy(inputs, [(name, shapes.tensors.get(name)) for name in conv.input[:2]], helps)


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
