"""Finds the shapes of an ONNX model's tensors with ONNX's own shape inference.

The inference gets an outline of the model. The outline has no weights, because only their shapes matter. It has a
batch of 1 where the model leaves the batch open; the batch is the first dimension of an input that is not a weight.
Documentation of the inference: https://onnx.ai/onnx/repo-docs/ShapeInference.html
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from convbench.errors import ConvbenchError

MOST_ELEMENTS = 1024  # of an initialiser whose values are kept, as the inference needs those that are shapes
BATCH = 1  # the size that replaces an open batch

Size = int | str  # a dimension, or the name of one that is open


@dataclass(frozen=True)
class Tensor:
    """The known facts about a tensor; its sizes are None if the number of its axes is unknown."""

    sizes: tuple[Size, ...] | None
    dtype: str  # as ONNX calls it


class UnknownSizeError(ConvbenchError):
    """The inference did not find a size."""


def outline(model: Any) -> tuple[Any, list[str]]:
    """A copy of the model without its weights and open batches, and the names of the inputs whose batch was open."""
    import onnx  # an optional package

    without, graph = onnx.ModelProto(), model.graph
    without.ir_version = max(4, model.ir_version)  # before version 4, each initialiser had to be an input too
    without.opset_import.extend(model.opset_import)
    without.functions.extend(model.functions)
    copy = without.graph
    copy.name = graph.name or "graph"
    for part in ("node", "input", "output", "value_info"):
        getattr(copy, part).extend(getattr(graph, part))
    declared = {value.name for value in graph.input}
    weights = {weight.name for weight in graph.initializer} | {w.values.name for w in graph.sparse_initializer}
    weights |= {name for node in graph.node if node.op_type == "Conv" for name in node.input[1:]}
    for weight in graph.initializer:
        if prod(weight.dims) <= MOST_ELEMENTS and not weight.external_data:
            copy.initializer.append(weight)
        elif weight.name not in declared:
            copy.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims))
    for sparse in graph.sparse_initializer:
        if sparse.values.name not in declared:
            kind = sparse.values.data_type
            copy.input.append(onnx.helper.make_tensor_value_info(sparse.values.name, kind, sparse.dims))
    opened, names = [], set()
    for value in copy.input:
        sizes = value.type.tensor_type.shape.dim
        if value.name not in weights and len(sizes) > 1 and not _size(sizes[0]):
            opened.append(value.name)
            names.add(sizes[0].dim_param)
            sizes[0].dim_value = BATCH
    for value in (*copy.input, *copy.output, *copy.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param and size.dim_param in names:
                size.dim_value = BATCH
    return without, opened


def inferred(model: Any, source: str) -> dict[str, Tensor]:
    """All tensors of the graph about which something is known, by name."""
    # optional packages
    import onnx
    from google.protobuf.message import Error

    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except (
        onnx.shape_inference.InferenceError,
        onnx.checker.ValidationError,
        Error,
        RuntimeError,
        ValueError,
    ) as error:
        raise ConvbenchError(f"{source}: the shapes of the model cannot be inferred: {error!r}") from error
    tensors = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        sizes = _sizes(kind.shape) if kind.HasField("shape") else None
        tensors[value.name] = Tensor(sizes, _dtype(kind.elem_type))
    for weight in graph.initializer:
        tensors[weight.name] = Tensor(tuple(weight.dims), _dtype(weight.data_type))
    return tensors


def _size(dimension: Any) -> int:
    """The size of a dimension; 0 if it is open, which some converters write as 0 or −1."""
    return max(0, int(dimension.dim_value))


def _dtype(number: int) -> str:
    import onnx  # an optional package

    names = onnx.TensorProto.DataType
    return str(names.Name(number)) if number in names.values() else "UNDEFINED"


def remedy(model: Any) -> str:
    """The end of a message about an unknown size: a remedy, and the inputs of the outline that have open sizes."""
    shapes = {value.name: _sizes(value.type.tensor_type.shape) for value in model.graph.input}
    opened = [
        f"{name!r} ({', '.join(map(str, sizes))})"
        for name, sizes in shapes.items()
        if not all(isinstance(size, int) for size in sizes)
    ]
    told = f"; open are {', '.join(opened)}" if opened else ""
    return f". onnx.tools.update_model_dims gives a model's inputs fixed sizes{told}"


def _sizes(shape: Any) -> tuple[Size, ...]:
    return tuple(_size(size) or size.dim_param or "?" for size in shape.dim)
