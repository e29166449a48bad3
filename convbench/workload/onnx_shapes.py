"""Finds the shapes of an ONNX model's tensors with ONNX's own shape inference.

The inference gets an outline of the model. The outline has no weights, because only their shapes matter, and none of
the shapes that the model declares for inner tensors and outputs, because they are often those of another input. It has
a batch of 1 where the model leaves the batch open; the batch is the first dimension of an input that is not a weight.
`onnx_folding` computes the tensors that depend on shapes alone, and the inference is repeated until nothing changes.
A declared shape is used only where the inference finds none.
Documentation of the inference: https://onnx.ai/onnx/repo-docs/ShapeInference.html
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from convbench.errors import ConvbenchError
from convbench.workload import onnx_folding
from convbench.workload.layer import printable
from convbench.workload.onnx_flat import Flat, Join
from convbench.workload.onnx_forms import as_conv

MOST_ELEMENTS = 1024  # of an initialiser whose values are kept, as the inference needs those that are shapes
MOST_PASSES = 200  # of the inference; each resolves at least one tensor
BATCH = 1  # the size that replaces an open batch
_OF_DATA = ("NonZero", "NonMaxSuppression", "Unique", "Compress")  # the values of their inputs decide their sizes

Size = int | str  # a dimension, or the name of one that is open
Given = Mapping[str, tuple[int, ...]]  # sizes of tensors that the user gives, by name


@dataclass(frozen=True)
class Tensor:
    """The known facts about a tensor; its sizes are None if the number of its axes is unknown."""

    sizes: tuple[Size, ...] | None
    dtype: str  # as ONNX calls it

    @property
    def known(self) -> bool:
        """Whether each size is known."""
        return self.sizes is not None and all(isinstance(size, int) for size in self.sizes)


@dataclass(frozen=True)
class Shapes:
    """The tensors of a model by name, and where their shapes are from."""

    tensors: Mapping[str, Tensor]
    opened: list[str]  # inputs whose open batch is BATCH
    inputs: Mapping[str, tuple[Size, ...] | None]  # the model's inputs that are not weights, with the sizes in use
    declared: list[str] = field(default_factory=list)  # tensors whose shape is only declared, and was not inferred
    decided: Mapping[str, bool] = field(default_factory=dict)  # conditions of If nodes that are constants


class UnknownSizeError(ConvbenchError):
    """The inference did not find a size."""


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
    weights = _weights(model)
    bodies = {join.output for join in flat.joins}
    inputs = [value.name for value in model.graph.input if value.name not in weights | flat.inner]
    if "" in given:
        if len(inputs) != 1:
            told = ", ".join(map(repr, inputs))
            raise ConvbenchError(f"{source} has {len(inputs)} inputs: name the one that the sizes are for ({told})")
        given = {(inputs[0] if name == "" else name): sizes for name, sizes in given.items()}
    outline, opened = _outline(model, source, weights, given)
    inner = {name: sizes for name, sizes in given.items() if name not in {value.name for value in model.graph.input}}
    outputs = {output for node in outline.graph.node for output in node.output} | bodies
    for name in inner:
        if name not in outputs:
            raise ConvbenchError(
                f"{source} has no tensor {name!r}, for which sizes are given; its inputs are "
                f"{', '.join(map(repr, inputs))}"
            )
    tensors = _inferred(outline, source)
    for name, sizes in inner.items():
        tensor = tensors.get(name, Tensor(None, "UNDEFINED"))
        _agrees(source, name, sizes, tensor.sizes)
        _pin(outline, name, sizes, tensor.dtype)
    if inner:
        tensors = _inferred(outline, source)
    declared: list[str] = []
    known = {value.name: Tensor(*_facts(value)) for value in (*model.graph.value_info, *model.graph.output)}
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
                _pin(outline, name, known[name].sizes, known[name].dtype)
            declared += pins
        else:
            break
        tensors = _inferred(outline, source)
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
                _alias(outline, chosen, join.output)
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
                _pin(outline, join.output, sizes, sources[0].dtype)
                found[join.output] = sizes
        if found:
            return found
    return {}


def _alias(outline: Any, name: str, other: str) -> None:
    """Give a tensor another name, before the first node that uses it; the inference reads the nodes in their order."""
    import onnx  # an optional package

    nodes = list(outline.graph.node)
    first = next((place for place, node in enumerate(nodes) if other in node.input), len(nodes))
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes[first:]]
    del outline.graph.node[first:]
    outline.graph.node.append(onnx.helper.make_node("Identity", [name], [other]))
    outline.graph.node.extend(copies)


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


def _weights(model: Any) -> set[str]:
    """The names of initialisers, and of what a convolution takes as its weight or bias."""
    graph = model.graph
    weights = {weight.name for weight in graph.initializer} | {w.values.name for w in graph.sparse_initializer}
    return weights | {name for node in graph.node if (conv := as_conv(node)) for name in conv.input[1:]}


def _outline(model: Any, source: str, weights: set[str], given: Given) -> tuple[Any, list[str]]:
    """A copy of the model without weights and open batches, and the names of the inputs whose batch was open."""
    import onnx  # an optional package

    without, graph = onnx.ModelProto(), model.graph
    without.ir_version = model.ir_version
    without.opset_import.extend(model.opset_import)
    copy = without.graph
    copy.name = graph.name
    copy.node.extend(graph.node)
    copy.input.extend(graph.input)
    for output in graph.output:
        copy.output.add().name = output.name
        copy.output[-1].type.CopyFrom(output.type)
        if output.type.HasField("tensor_type"):
            copy.output[-1].type.tensor_type.ClearField("shape")
    declared = {value.name for value in graph.input}
    for weight in graph.initializer:
        if prod(weight.dims) <= MOST_ELEMENTS and not weight.external_data:
            copy.initializer.append(weight)
        elif weight.name not in declared:
            copy.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims))
    for sparse in graph.sparse_initializer:
        if sparse.values.name not in declared:
            kind = sparse.values.data_type
            copy.input.append(onnx.helper.make_tensor_value_info(sparse.values.name, kind, sparse.dims))
    opened = []
    names = Counter(size.dim_param for value in copy.input for size in value.type.tensor_type.shape.dim)
    for value in copy.input:
        shape = value.type.tensor_type.shape
        if value.name in given:
            _agrees(source, value.name, given[value.name], _facts(value)[0])
            del shape.dim[:]
            for size in given[value.name]:
                shape.dim.add().dim_value = size
        if value.name not in weights and len(shape.dim) > 1 and not _size(shape.dim[0]):
            opened.append(value.name)
            shape.dim[0].dim_value = BATCH
        for size in shape.dim:
            # exporters give one name, such as "?", to dimensions that have nothing in common
            if size.dim_param and names[size.dim_param] > 1:
                size.ClearField("dim_param")
    return without, opened


def _agrees(source: str, name: str, sizes: tuple[int, ...], known: tuple[Size, ...] | None) -> None:
    """Raise ConvbenchError if given sizes contradict those of the model."""
    if known is None:
        return
    if len(sizes) != len(known) or any(isinstance(k, int) and k != size for k, size in zip(known, sizes, strict=True)):
        told = "x".join(map(str, sizes))
        raise ConvbenchError(
            f"{source}: the sizes {told} are given for {name!r}, but the model has ({', '.join(map(str, known))}): "
            "only open sizes can be chosen"
        )


def _pin(outline: Any, name: str, sizes: tuple[Size, ...] | None, dtype: str) -> None:
    """Make a tensor an input of the outline, with these sizes; the node that computes it gets another output."""
    import onnx  # an optional package

    for node in outline.graph.node:
        for place, output in enumerate(node.output):
            if output == name:
                node.output[place] = f"{name} (computed)"
    kept = [value for value in outline.graph.output if value.name != name]
    del outline.graph.output[:]
    outline.graph.output.extend(kept)
    kind = onnx.TensorProto.FLOAT if dtype == "UNDEFINED" else onnx.TensorProto.DataType.Value(dtype)
    outline.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, sizes))


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


def _inferred(outline: Any, source: str) -> dict[str, Tensor]:
    """All tensors of the graph about which something is known, by name; what can be folded becomes an initialiser."""
    # optional packages
    import onnx
    from google.protobuf.message import Error

    for _ in range(MOST_PASSES):
        try:
            graph = onnx.shape_inference.infer_shapes(outline, data_prop=True).graph
        except (
            onnx.shape_inference.InferenceError,
            onnx.checker.ValidationError,
            Error,
            RuntimeError,
            ValueError,
        ) as error:
            raise ConvbenchError(f"{source}: the shapes of the model cannot be inferred: {error!r}") from error
        tensors = {value.name: Tensor(*_facts(value)) for value in (*graph.input, *graph.output, *graph.value_info)}
        for weight in graph.initializer:
            tensors[weight.name] = Tensor(tuple(weight.dims), _dtype(weight.data_type))
        sizes = {name: tensor.sizes or () for name, tensor in tensors.items() if tensor.known}
        if not onnx_folding.fold(outline, sizes, MOST_ELEMENTS):
            break
    return tensors


def _facts(value: Any) -> tuple[tuple[Size, ...] | None, str]:
    """The sizes of a ValueInfoProto, and its dtype."""
    kind = value.type.tensor_type
    return _sizes(kind.shape) if kind.HasField("shape") else None, _dtype(kind.elem_type)


def _size(dimension: Any) -> int:
    """The size of a dimension; 0 if it is open, which some converters write as 0 or −1."""
    return max(0, int(dimension.dim_value))


def _dtype(number: int) -> str:
    import onnx  # an optional package

    names = onnx.TensorProto.DataType
    return str(names.Name(number)) if number in names.values() else "UNDEFINED"


def _sizes(shape: Any) -> tuple[Size, ...]:
    return tuple(_size(size) or _shown(size.dim_param) for size in shape.dim)


def _shown(name: str) -> str:
    """The name of an open dimension; "?" for one that the inference has made up."""
    return "?" if not name or name.startswith("unk__") else printable(name)
