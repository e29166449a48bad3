"""Finds the shapes of an ONNX model's tensors, with `outline`.

An inner tensor gets the shape that the inference finds, or that of a `Join`. A declared shape is used only where the
inference finds none.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from convbench.errors import ConvbenchError
from convbench.workload.layer import printable
from convbench.workload.onnx_model.flat import Flat, Join
from convbench.workload.onnx_model.forms import as_conv
from convbench.workload.onnx_model.outline import agrees, alias, inferred, outline_of, pin, weights_of
from convbench.workload.onnx_model.tensor import Given, Size, Tensor, facts

_OF_DATA = ("NonZero", "NonMaxSuppression", "Unique", "Compress")  # the values of their inputs decide their sizes


@dataclass(frozen=True)
class Shapes:
    """The tensors of a model by name, and where their shapes are from."""

    tensors: Mapping[str, Tensor]
    opened: list[str]  # inputs whose open batch is BATCH
    inputs: Mapping[str, tuple[Size, ...] | None]  # the model's inputs that are not weights, with the sizes in use
    declared: list[str] = field(default_factory=list)  # tensors whose shape is only declared, and was not inferred
    decided: Mapping[str, bool] = field(default_factory=dict)  # conditions of If nodes that are constants


def shapes_of(flat: Flat, source: str, given: Given) -> Shapes:
    """The shapes of a model's tensors, with the sizes that the user gives. Raises ConvbenchError."""
    carried: dict[str, tuple[Size, ...] | None] = {}
    while True:
        found, changed = _shapes(flat, source, given, carried)
        if not changed:
            return found
        carried |= changed


def _shapes(
    flat: Flat, source: str, given: Given, carried: Mapping[str, tuple[Size, ...] | None]
) -> tuple[Shapes, dict[str, tuple[Size, ...] | None]]:
    """The shapes, and the carried tensors of loops that have another shape after an iteration, with what stays."""
    model = flat.model
    weights = weights_of(model)
    bodies = {join.output for join in flat.joins}
    inputs = [value.name for value in model.graph.input if value.name not in weights | flat.inner]
    if "" in given:
        if len(inputs) != 1:
            told = ", ".join(map(repr, inputs))
            raise ConvbenchError(f"{source} has {len(inputs)} inputs: name the one that the sizes are for ({told})")
        given = {(inputs[0] if name == "" else name): sizes for name, sizes in given.items()}
    outline, opened = outline_of(model, source, weights, given)
    inner = {name: sizes for name, sizes in given.items() if name not in {value.name for value in model.graph.input}}
    outputs = {output for node in outline.graph.node for output in node.output} | bodies
    for name in inner:
        if name not in outputs:
            raise ConvbenchError(
                f"{source} has no tensor {name!r}, for which sizes are given; its inputs are "
                f"{', '.join(map(repr, inputs))}"
            )
    tensors = inferred(outline, source)
    for name, sizes in inner.items():
        tensor = tensors.get(name, Tensor(None, "UNDEFINED"))
        agrees(source, name, sizes, tensor.sizes)
        pin(outline, name, sizes, tensor.dtype)
    if inner:
        tensors = inferred(outline, source)
    declared: list[str] = []
    known = {value.name: Tensor(*facts(value)) for value in (*model.graph.value_info, *model.graph.output)}
    operands = [name for node in model.graph.node if (conv := as_conv(node)) for name in conv.input[:2]]
    pending = [join for join in flat.joins if join.output not in inner]
    pinned: dict[str, tuple[Size, ...]] = {}
    while True:
        joined = _joined(outline, tensors, pending, carried)
        if joined:
            pending = [join for join in pending if join.output not in joined]
            pinned |= joined
        elif pins := _only_declared(outline, tensors, known, {name for name, _ in _unknown(flat, tensors, operands)}):
            for name in pins:
                pin(outline, name, known[name].sizes, known[name].dtype)
            declared += pins
        else:
            break
        tensors = inferred(outline, source)
    changed = {}
    for join in flat.joins:
        if join.returned is not None and join.output in pinned:
            back = tensors.get(join.returned, Tensor(None, "UNDEFINED")).sizes
            if (both := _common([pinned[join.output], back])) != pinned[join.output]:
                changed[join.output] = None if join.output in carried else both
    decided = _constants(outline, {name for place in flat.places for name, _ in place.conditions})
    of_inputs = {name: tensors[name].sizes for name in inputs if name in tensors}
    return Shapes(tensors, opened, of_inputs, declared, decided), changed


def _joined(
    outline: Any, tensors: Mapping[str, Tensor], pending: list[Join], carried: Mapping[str, tuple[Size, ...] | None]
) -> dict[str, tuple[Size, ...]]:
    """Add the tensors of joins whose sources are known, or else of those whose sources have open sizes."""
    decided = _constants(outline, {join.condition for join in pending if join.condition})
    for complete in (True, False):
        found: dict[str, tuple[Size, ...]] = {}
        for join in pending:
            if join.condition in decided:
                chosen = join.sources[0 if decided[join.condition] else 1]
                alias(outline, chosen, join.output)
                found[join.output] = ()
                continue
            sources = [tensors.get(name, Tensor(None, "UNDEFINED")) for name in join.sources]
            if complete and not all(source.known for source in sources):
                continue
            sizes = _common([source.sizes for source in sources])
            if sizes is not None and join.dropped_axis is not None:
                axis = join.dropped_axis % max(1, len(sizes))
                sizes = sizes[:axis] + sizes[axis + 1 :]
            if join.output in carried:
                sizes = _common([sizes, carried[join.output]])
            if sizes is not None:
                pin(outline, join.output, sizes, sources[0].dtype)
                found[join.output] = sizes
        if found:
            return found
    return {}


def _common(shapes: list[tuple[Size, ...] | None]) -> tuple[Size, ...] | None:
    """The sizes that several shapes have in common, "?" elsewhere; None if their numbers of axes differ."""
    first, *others = shapes
    for other in others:
        if first is None or other is None or len(first) != len(other):
            return None
        first = tuple(a if a == b and isinstance(a, int) else "?" for a, b in zip(first, other, strict=True))
    return first


def _constants(outline: Any, names: set[str]) -> dict[str, bool]:
    """The values of those of the tensors that are constants of one element."""
    import onnx  # an optional package

    found = {}
    for weight in outline.graph.initializer:
        if weight.name in names and prod(weight.dims) == 1:
            with contextlib.suppress(Exception):  # the values of a damaged model
                found[weight.name] = bool(onnx.numpy_helper.to_array(weight).reshape(-1)[0])
    return found


def origin(flat: Flat, tensors: Mapping[str, Tensor], node: Any) -> str:
    """The end of a message about a node of unknown size: the node at which the inference stopped, if it was one."""
    for name, producer in _unknown(flat, tensors, node.input[:2]):
        if producer is not None and all(one in tensors and tensors[one].known for one in producer.input if one):
            what = f"{printable(producer.op_type)} {(producer.name or name)!r}"
            if producer.op_type in _OF_DATA:
                return f", because the size of the result of {what} depends on its data"
            return f", because ONNX's inference does not find the shape of the result of {what}"
    return ""


def is_behind_an_open_input(flat: Flat, shapes: Shapes, node: Any) -> bool:
    """Whether a node's unknown sizes are, at least in part, those of an input of the model."""
    return any(name in shapes.inputs for name, _ in _unknown(flat, shapes.tensors, node.input[:2]))


def _unknown(flat: Flat, tensors: Mapping[str, Tensor], names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Tensors of unknown size among these and all that they are computed from, each with its node or None."""
    producers = {output: each for each in flat.model.graph.node for output in each.output if output}
    sources = {join.output: join.sources for join in flat.joins}
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if not name or name in seen or (name in tensors and tensors[name].known):
            continue
        seen.add(name)
        producer = producers.get(name)
        yield name, producer
        todo += [*sources.get(name, ()), *(() if producer is None else producer.input)]


def _only_declared(
    outline: Any, tensors: Mapping[str, Tensor], known: Mapping[str, Tensor], needed: set[str]
) -> list[str]:
    """The tensors that the inference stops at although it knows what they are computed from, and that are declared.

    Only those that a convolution needs.

    If there is none, the first tensor that is not inferred and is declared; not if it may depend on an open input.
    """

    def inferred(name: str) -> bool:
        return name in tensors and tensors[name].known

    lost = [
        (node, output)
        for node in outline.graph.node
        for output in node.output
        if output in needed and output in known and known[output].known and not inferred(output)
    ]
    if found := [output for node, output in lost if all(inferred(name) for name in node.input if name)]:
        return found
    if lost and all(inferred(value.name) for value in outline.graph.input):
        return [lost[0][1]]
    return []
