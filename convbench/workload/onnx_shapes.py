"""Finds the shapes of an ONNX model's tensors with ONNX's own shape inference.

The inference gets an outline of the model. The outline has no weights, because only their shapes matter, and none of
the shapes that the model declares for inner tensors and outputs, because they are often those of another input. It has
a batch of 1 where the model leaves the batch open; the batch is the first dimension of an input that is not a weight.
`onnx_folding` computes the tensors that depend on shapes alone, and the inference is repeated until nothing changes.
A declared shape is used only where the inference finds none.
Documentation of the inference: https://onnx.ai/onnx/repo-docs/ShapeInference.html
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from convbench.errors import ConvbenchError
from convbench.workload import onnx_folding
from convbench.workload.layer import printable

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


class UnknownSizeError(ConvbenchError):
    """The inference did not find a size."""


def shapes_of(model: Any, source: str, given: Given) -> Shapes:
    """The shapes of a model's tensors, with the sizes that the user gives. Raises ConvbenchError."""
    weights = _weights(model)
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    if "" in given:
        if len(inputs) != 1:
            told = ", ".join(map(repr, inputs))
            raise ConvbenchError(f"{source} has {len(inputs)} inputs: name the one that the sizes are for ({told})")
        given = {(inputs[0] if name == "" else name): sizes for name, sizes in given.items()}
    outline, opened = _outline(model, source, weights, given)
    inner = {name: sizes for name, sizes in given.items() if name not in {value.name for value in model.graph.input}}
    tensors = _inferred(outline, source)
    for name, sizes in inner.items():
        if name not in {output for node in outline.graph.node for output in node.output}:
            raise ConvbenchError(
                f"{source} has no tensor {name!r}, for which sizes are given; its inputs are "
                f"{', '.join(map(repr, inputs))}"
            )
        tensor = tensors.get(name, Tensor(None, "UNDEFINED"))
        _agrees(source, name, sizes, tensor.sizes)
        _pin(outline, name, sizes, tensor.dtype)
    if inner:
        tensors = _inferred(outline, source)
    declared: list[str] = []
    known = {value.name: Tensor(*_facts(value)) for value in (*model.graph.value_info, *model.graph.output)}
    while pins := _only_declared(outline, tensors, known):
        for name in pins:
            _pin(outline, name, known[name].sizes, known[name].dtype)
        declared += pins
        tensors = _inferred(outline, source)
    return Shapes(tensors, opened, {name: tensors[name].sizes for name in inputs if name in tensors}, declared)


def origin(model: Any, tensors: Mapping[str, Tensor], node: Any) -> str:
    """The end of a message about a node of unknown size: the node at which the inference stopped, if it was one."""
    producers = {output: each for each in model.graph.node for output in each.output if output}
    seen: set[str] = set()
    todo = list(node.input[:2])
    while todo:
        name = todo.pop()
        if name in seen or (name in tensors and tensors[name].known):
            continue
        seen.add(name)
        if (producer := producers.get(name)) is None:
            continue
        if all(one in tensors and tensors[one].known for one in producer.input if one):
            what = f"{producer.op_type} {(producer.name or name)!r}"
            if producer.op_type in _OF_DATA:
                return f", because the size of the result of {printable(what)} depends on its data"
            return f", because ONNX's inference does not find the shape of the result of {printable(what)}"
        todo += [one for one in producer.input if one]
    return ""


def _weights(model: Any) -> set[str]:
    """The names of initialisers, and of what a convolution takes as its weight or bias."""
    graph = model.graph
    weights = {weight.name for weight in graph.initializer} | {w.values.name for w in graph.sparse_initializer}
    return weights | {name for node in graph.node if node.op_type == "Conv" for name in node.input[1:]}


def _outline(model: Any, source: str, weights: set[str], given: Given) -> tuple[Any, list[str]]:
    """A copy of the model without weights and open batches, and the names of the inputs whose batch was open."""
    import onnx  # an optional package

    without, graph = onnx.ModelProto(), model.graph
    without.ir_version = max(4, model.ir_version)  # before version 4, each initialiser had to be an input too
    without.opset_import.extend(model.opset_import)
    without.functions.extend(model.functions)
    copy = without.graph
    copy.name = graph.name or "graph"
    copy.node.extend(graph.node)
    copy.input.extend(graph.input)
    for node in copy.node:
        _undeclare(node)
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


def _undeclare(node: Any) -> None:
    """Remove the declared shapes of inner tensors from the graphs inside a node."""
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            del graph.value_info[:]
            for output in graph.output:
                if output.type.HasField("tensor_type"):
                    output.type.tensor_type.ClearField("shape")
            for inner in graph.node:
                _undeclare(inner)


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


def _only_declared(outline: Any, tensors: Mapping[str, Tensor], known: Mapping[str, Tensor]) -> list[str]:
    """The tensors that the inference stops at although it knows what they are computed from, and that are declared.

    If there is none, the first tensor that is not inferred and is declared; not if it may depend on an open input.
    """

    def inferred(name: str) -> bool:
        return name in tensors and tensors[name].known

    lost = [
        (node, output)
        for node in outline.graph.node
        for output in node.output
        if output in known and known[output].known and not inferred(output)
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
