"""Walks over graphs of blocks."""

from collections.abc import Hashable, Iterable, Mapping
from functools import reduce
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


def nearest_dominators(first: Node, edges: Mapping[Node, Iterable[Node]]) -> dict[Node, Node]:
    """For each node that can be reached, the nearest of the others that are on all ways to it; `first` has itself.

    After Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
    """
    order = list(reversed(post_order(first, edges)))
    rank = {node: number for number, node in enumerate(order)}
    before: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for target in edges.get(node, ()):
            before[target].append(node)
    nearest = {first: first}

    def meet(one: Node, other: Node) -> Node:
        while one != other:
            while rank[one] > rank[other]:
                one = nearest[one]
            while rank[other] > rank[one]:
                other = nearest[other]
        return one

    changed = True
    while changed:
        changed = False
        for node in order[1:]:
            found = reduce(meet, (one for one in before[node] if one in nearest))
            if nearest.get(node) != found:
                nearest[node], changed = found, True
    return nearest
