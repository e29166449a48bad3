"""Lists the convolutions of an ONNX model that are no layers, each with the reason to skip it."""

import re
from collections.abc import Iterator
from typing import Any

from convbench.workload.layer import printable
from convbench.workload.onnx_model.flat import Flat
from convbench.workload.onnx_model.forms import as_conv
from convbench.workload.onnx_model.vendor import VENDOR

_REASONS = {
    "DeformConv": "its filter's taps move with the data",
    "CausalConvWithState": "it keeps a state",
    "VarlenCausalConvWithState": "it keeps a state",
}
_SUBGRAPH = "how often it runs is known only when it does"


def is_standard(node: Any) -> bool:
    """Whether a node's operator is defined by the ONNX standard."""
    return node.domain in ("", "ai.onnx")


def others(flat: Flat) -> list[str]:
    """One line for each such node: its operator, its name, its place if that is not the graph, and the reason."""
    found: list[str] = []
    for node, place in zip(flat.model.graph.node, flat.places, strict=True):
        found += _nodes([node], place.text, "")
    return found


def _nodes(nodes: Any, place: str, reason: str) -> Iterator[str]:
    for node in nodes:
        if is_convolution(node) and (reason or as_conv(node) is None):
            yield f"{_operator(node)} {label(node)!r}{place}: {_reason(node) or reason}"
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                inside = f" in {printable(attribute.name)!r} of {_operator(node)} {node.name!r}{place}"
                yield from _nodes(graph.node, inside, _SUBGRAPH)


def label(node: Any) -> str:
    """The name of a node, or that of its output."""
    return str(node.name or next(iter(node.output), ""))


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
    if node.domain == VENDOR and node.op_type in _REASONS:
        return _REASONS[node.op_type]
    return "an operator that is not ONNX's own"
