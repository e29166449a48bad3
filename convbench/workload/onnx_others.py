"""Lists the convolutions of an ONNX model that are not Conv nodes of its graph, each with the reason to skip it."""

import re
from collections.abc import Iterator
from typing import Any

_REASONS = {
    "ConvTranspose": "a transposed convolution; the direction backward_data of its convolution computes it",
    "ConvInteger": "a convolution of integers",
    "QLinearConv": "a convolution of integers",
    "DeformConv": "its filter's taps move with the data",
    "CausalConvWithState": "it keeps a state",
}
_FUNCTION = "onnx.inliner.inline_local_functions makes a function's nodes part of the graph"
_SUBGRAPH = "how often it runs is known only when it does"


def is_standard(node: Any) -> bool:
    """Whether a node's operator is defined by the ONNX standard."""
    return node.domain in ("", "ai.onnx")


def others(model: Any) -> list[str]:
    """One line for each such node: its operator, its name, its place if that is not the graph, and the reason."""
    found = list(_nodes(model.graph.node, "", ""))
    for function in model.functions:
        found += _nodes(function.node, f" in function {function.name!r}", _FUNCTION)
    return found


def _nodes(nodes: Any, place: str, reason: str) -> Iterator[str]:
    for node in nodes:
        if is_convolution(node) and (place or not (node.op_type == "Conv" and is_standard(node))):
            label = node.name or next(iter(node.output), "")
            yield f"{_operator(node)} {label!r}{place}: {_reason(node) or reason}"
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                inside = f" in {attribute.name!r} of {_operator(node)} {node.name!r}{place}"
                yield from _nodes(graph.node, inside, _SUBGRAPH)


def is_convolution(node: Any) -> bool:
    """Whether a node's operator is a convolution, judging by its name: vendors have operators of their own."""
    return bool(re.search("conv(?!er)", node.op_type, re.IGNORECASE))  # but not Convert


def _operator(node: Any) -> str:
    """An operator's name as a text that is safe to print."""
    name = node.op_type if is_standard(node) else f"{node.domain}.{node.op_type}"
    return name if name.isprintable() else repr(name)


def _reason(node: Any) -> str:
    if is_standard(node):
        return _REASONS.get(node.op_type, "")
    return "an operator that is not ONNX's own"
