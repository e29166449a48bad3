"""Walks over graphs of blocks."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def post_order(first: Node, edges: Mapping[Node, Iterable[Node]]) -> list[Node]:
    """The nodes that can be reached, each behind all that it leads to, but for the edges back in circles."""
    order: list[Node] = []
    seen = {first}
    waiting = [(first, iter(edges.get(first, ())))]
    while waiting:
        node, others = waiting[-1]
        following = next((other for other in others if other not in seen), None)
        if following is None:
            order.append(node)
            waiting.pop()
        else:
            seen.add(following)
            waiting.append((following, iter(edges.get(following, ()))))
    return order
