"""Computes the tensors of an ONNX model that depend on constants and on known shapes alone.

ONNX's shape inference follows such values through a few operators only. Exporters also write others, for example for
`F.pad`, for a resize to the size of another tensor and for a reshape to computed sizes. `onnx.reference` computes them.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

# Operators of arithmetic on shapes, whose result is not larger than the inference says.
_OPERATORS = (
    "Abs", "Add", "And", "Cast", "Ceil", "Compress", "Concat", "Constant", "ConstantOfShape", "CumSum", "Div",
    "Equal", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual",
    "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "Or", "Pow", "Range",
    "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Round", "ScatterElements", "ScatterND", "Shape",
    "Sign", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where", "Xor",
)  # fmt: skip
_OF_SHAPE = ("Shape", "Size")  # need the shape of their input, and not its values
_SMALL = ("NonZero", "Compress")  # the size of their output depends on values, and is at most that of the input


def fold(model: Any, sizes: Mapping[str, tuple[Any, ...]], most_elements: int) -> bool:
    """Replace nodes of a model by initialisers with their results; whether there was one.

    Parameters
    ----------
    sizes : of the tensors whose shapes are known
    most_elements : of a tensor that is computed or that another one is computed from
    """
    constants = {weight.name: weight for weight in model.graph.initializer}
    kept, found = [], False
    for node in model.graph.node:
        results = _results(model, node, constants, sizes, most_elements)
        if results is None:
            kept.append(node)
            continue
        found = True
        for name, tensor in results.items():
            tensor.name = name
            constants[name] = tensor
            model.graph.initializer.append(tensor)
    if found:
        nodes = [type(node).FromString(node.SerializeToString()) for node in kept]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return found


def _results(
    model: Any, node: Any, constants: Mapping[str, Any], sizes: Mapping[str, tuple[Any, ...]], most_elements: int
) -> dict[str, Any] | None:
    """The outputs of a node as tensors, by name; None if they are not constants, or large."""
    import numpy as np  # the command line does not wait for it where no model is read
    import onnx  # an optional package
    from onnx.reference import ReferenceEvaluator

    if node.op_type not in _OPERATORS or node.domain not in ("", "ai.onnx") or not any(node.output):
        return None
    inputs, outputs = [name for name in node.input if name], [name for name in node.output if name]
    of_shape = node.op_type in _OF_SHAPE and all(name in sizes for name in inputs)
    if not of_shape and not all(name in constants and prod(constants[name].dims) <= most_elements for name in inputs):
        return None
    if node.op_type not in _SMALL and not all(name in sizes and prod(sizes[name]) <= most_elements for name in outputs):
        return None
    graph = onnx.helper.make_graph(
        [node], "folded",
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in dict.fromkeys(inputs)],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in outputs],
    )  # fmt: skip
    alone = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    try:
        values = {
            # an array of that shape that takes no memory, or the values
            name: np.broadcast_to(np.float32(0), sizes[name])
            if of_shape
            else onnx.numpy_helper.to_array(constants[name])
            for name in inputs
        }
        arrays = ReferenceEvaluator(alone).run(None, values)
        return {
            name: onnx.numpy_helper.from_array(np.asarray(array)) for name, array in zip(outputs, arrays, strict=True)
        }
    except Exception:  # noqa: BLE001  # a wrong node, or one that onnx does not run, is not folded
        return None
