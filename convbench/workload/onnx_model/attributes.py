"""Reads the attributes of a node of an ONNX model."""

from collections.abc import Iterator, Sequence
from typing import Any

from convbench.errors import ConvbenchError


def _attribute(node: Any, name: str, kind: str) -> Iterator[Any]:
    """The attribute of that name, if the node has it; raises ConvbenchError if it is of another kind."""
    import onnx  # an optional package

    for attribute in node.attribute:
        if attribute.name == name:
            if attribute.type != onnx.AttributeProto.AttributeType.Value(kind):
                raise ConvbenchError(f"its attribute {name} is not of type {kind}")
            yield attribute


def number(node: Any, name: str, default: int) -> int:
    """The whole number of that name. Raises ConvbenchError."""
    return next((int(attribute.i) for attribute in _attribute(node, name, "INT")), default)


def word(node: Any, name: str, default: str) -> str:
    """The text of that name. Raises ConvbenchError."""
    return next((attribute.s.decode(errors="replace") for attribute in _attribute(node, name, "STRING")), default)


def numbers(node: Any, name: str, count: int, default: Sequence[int]) -> tuple[int, ...]:
    """The whole numbers of that name. Raises ConvbenchError if their count is another."""
    for attribute in _attribute(node, name, "INTS"):
        if len(attribute.ints) != count:
            raise ConvbenchError(f"{name} is {list(attribute.ints)}; it must be {count} numbers")
        return tuple(attribute.ints)
    return tuple(default)
