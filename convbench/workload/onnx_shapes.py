"""The shapes of an ONNX model's tensors, as ONNX's own inference finds them.

It is given the model without its weights, of which only the shapes matter, and with a batch of 1 where the model leaves
that open: the first dimension of an input that is no weight. The inference: https://onnx.ai/onnx/repo-docs/
ShapeInference.html
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from convbench.errors import ConvbenchError

MOST_ELEMENTS = 1024  # of an initialiser whose values are kept: those that are shapes have fewer
BATCH = 1  # what an open one is

Size = int | str  # a dimension, or the name of one that is open


@dataclass(frozen=True)
class Tensor:
    """What is known of a tensor; of an unknown rank, its sizes are None."""

    sizes: tuple[Size, ...] | None
    dtype: str  # as ONNX calls it


class UnknownSizeError(ConvbenchError):
    """A size that the inference did not find."""


def outline(model: Any) -> tuple[Any, list[str]]:
    """The model without its weights and with open batches closed, and the inputs whose batch was open."""
    import onnx

    without, graph = onnx.ModelProto(), model.graph
    without.ir_version = max(4, model.ir_version)  # from which on an initialiser need not be an input as well
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
    """Every tensor of the graph about which something is known, by its name."""
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
    """A known size; 0 for an open one, which some converters write as 0 or −1."""
    return max(0, int(dimension.dim_value))


def _dtype(number: int) -> str:
    import onnx

    names = onnx.TensorProto.DataType
    return str(names.Name(number)) if number in names.values() else "UNDEFINED"


def remedy(model: Any) -> str:
    """What to do about a size that is not known: the inputs of an outline that have open sizes."""
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
