"""Makes the outline of an ONNX model, from which ONNX's own shape inference finds the sizes of its tensors.

The outline has no weights, because only their shapes matter, and none of the shapes that the model declares for inner
tensors and outputs, because they are often those of another input. It has a batch of 1 where the model leaves the batch
open; the batch is the first dimension of an input that is not a weight. `folding` computes the tensors that depend on
shapes alone, and the inference is repeated until nothing changes.
Documentation of the inference: https://onnx.ai/onnx/repo-docs/ShapeInference.html
"""

from collections import Counter
from math import prod
from typing import Any

from convbench.errors import ConvbenchError
from convbench.workload.onnx_model import folding
from convbench.workload.onnx_model.forms import as_conv
from convbench.workload.onnx_model.tensor import BATCH, Given, Size, Tensor, dtype_of, facts, size_of

MOST_ELEMENTS = 1024  # of an initialiser whose values are kept, as the inference needs those that are shapes
MOST_PASSES = 200  # of the inference; each resolves at least one tensor


def outline_of(model: Any, source: str, weights: set[str], given: Given) -> tuple[Any, list[str]]:
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
            agrees(source, value.name, given[value.name], facts(value)[0])
            del shape.dim[:]
            for size in given[value.name]:
                shape.dim.add().dim_value = size
        if value.name not in weights and len(shape.dim) > 1 and not size_of(shape.dim[0]):
            opened.append(value.name)
            shape.dim[0].dim_value = BATCH
        for size in shape.dim:
            # exporters give one name, such as "?", to dimensions that have nothing in common
            if size.dim_param and names[size.dim_param] > 1:
                size.ClearField("dim_param")
    return without, opened


def weights_of(model: Any) -> set[str]:
    """The names of initialisers, and of what a convolution takes as its weight or bias."""
    graph = model.graph
    weights = {weight.name for weight in graph.initializer} | {w.values.name for w in graph.sparse_initializer}
    return weights | {name for node in graph.node if (conv := as_conv(node)) for name in conv.input[1:]}


def agrees(source: str, name: str, sizes: tuple[int, ...], known: tuple[Size, ...] | None) -> None:
    """Raise ConvbenchError if given sizes contradict those of the model."""
    if known is None:
        return
    if len(sizes) != len(known) or any(isinstance(k, int) and k != size for k, size in zip(known, sizes, strict=True)):
        told = "x".join(map(str, sizes))
        raise ConvbenchError(
            f"{source}: the sizes {told} are given for {name!r}, but the model has ({', '.join(map(str, known))}): "
            "only open sizes can be chosen"
        )


def pin(outline: Any, name: str, sizes: tuple[Size, ...] | None, dtype: str) -> None:
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


def alias(outline: Any, name: str, other: str) -> None:
    """Give a tensor another name, before the first node that uses it; the inference reads the nodes in their order."""
    import onnx  # an optional package

    nodes = list(outline.graph.node)
    first = next((place for place, node in enumerate(nodes) if other in node.input), len(nodes))
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes[first:]]
    del outline.graph.node[first:]
    outline.graph.node.append(onnx.helper.make_node("Identity", [name], [other]))
    outline.graph.node.extend(copies)


def inferred(outline: Any, source: str) -> dict[str, Tensor]:
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
        tensors = {value.name: Tensor(*facts(value)) for value in (*graph.input, *graph.output, *graph.value_info)}
        for weight in graph.initializer:
            tensors[weight.name] = Tensor(tuple(weight.dims), dtype_of(weight.data_type))
        sizes = {name: tensor.sizes or () for name, tensor in tensors.items() if tensor.known}
        if not folding.fold(outline, sizes, MOST_ELEMENTS):
            break
    return tensors
