"""Small ONNX models for tests."""

import numpy as np
from onnx import TensorProto, helper

ITEM_BYTES = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2, TensorProto.DOUBLE: 8, TensorProto.BFLOAT16: 2}
W = {"w": (4, 3, 3, 3)}


def model_of(
    *nodes, x=(1, 3, 8, 8), weights=None, opset=22, kind=TensorProto.FLOAT, domains=(), functions=(), **inputs
):
    """A model with these nodes, an input x and more inputs of given shapes, and weights of zeros of given shapes."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name, shape in {"x": x, **inputs}.items()]
    zeros = [
        helper.make_tensor(name, kind, shape, bytes(int(np.prod(shape)) * ITEM_BYTES[kind]), raw=True)
        for name, shape in (weights or {}).items()
    ]
    output = helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph(list(nodes), "net", given, [output], zeros)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions))


def conv(x="x", w="w", y="y", *more, name="", **attributes):
    """A Conv node."""
    return helper.make_node("Conv", [x, w, *more], [y], name=name, **attributes)
