"""How a kernel's blocks follow each other: their order, loops, and which of them threads may reach at different times.

Blocks that end the kernel with a fault are left out: a thread that comes there ends all others, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from convbench.emulator.graphs import nearest_dominators, post_order
from convbench.emulator.wide.code import Block, NotWideError

EXIT = ""  # where the blocks lead that return


@dataclass
class Loop:
    """A loop: the block that it begins with, and all its blocks."""

    head: str
    blocks: set[str]


class Flow:
    """The graph of a kernel's blocks.

    Attributes
    ----------
    after, before : the blocks that may follow each block, and come before it
    order : the blocks, each behind those that come before it, and those of a loop together
    loops : the loops by their first block
    dominators, post_dominators : for each block, the blocks on all ways to it, and from it to the end, with itself
    """

    def __init__(self, blocks: Iterable[Block]) -> None:
        self.blocks = {block.label: block for block in blocks}
        self.first = next(iter(self.blocks))
        faults = {label for label, block in self.blocks.items() if block.is_fault}
        self.after = {
            label: list(dict.fromkeys(target for target in block.targets if target not in faults)) or [EXIT]
            for label, block in self.blocks.items()
            if label not in faults
        }
        reached = post_order(self.first, self.after)
        self.after = {label: self.after[label] for label in reached if label != EXIT}
        self.before: dict[str, list[str]] = {label: [] for label in (*self.after, EXIT)}
        for label, targets in self.after.items():
            for target in targets:
                self.before[target].append(label)
        if EXIT not in reached:
            raise NotWideError("a kernel that never returns")
        self.dominators = _chains(nearest_dominators(self.first, self.after))
        self._meetings = nearest_dominators(EXIT, self.before)
        if len(self._meetings) != len(reached):
            raise NotWideError("a loop that never ends")
        self.post_dominators = _chains(self._meetings)
        self.loops = self._find_loops()
        self.order = self._ordered(set(self.after), self.first)

    def loops_of(self, label: str) -> list[Loop]:
        """The loops around a block, the largest first."""
        found = [loop for loop in self.loops.values() if label in loop.blocks]
        return sorted(found, key=lambda loop: -len(loop.blocks))

    def meeting(self, label: str) -> str:
        """The first block at which all ways from a block meet again."""
        return self._meetings[label]

    def controls(self) -> dict[str, set[str]]:
        """For each block, those whose branches decide whether it is reached."""
        found: dict[str, set[str]] = {label: set() for label in (*self.after, EXIT)}
        for label, targets in self.after.items():
            if len(targets) > 1:
                for target in targets:
                    for block in self.post_dominators[target] - (self.post_dominators[label] - {label}):
                        found[block].add(label)
        return found

    def joins(self, starts: Iterable[str]) -> set[str]:
        """The blocks in which ways from several of some blocks meet first, without ways back in loops."""
        label = {start: start for start in starts}
        found = set()
        for block in (*self.order, EXIT):
            before = [one for one in self.before[block] if not self.is_back(one, block)]
            names = {label[one] for one in before if one in label} | ({block} if block in label else set())
            if len(names) > 1:
                found.add(block)
                label[block] = f"join {block}"
            elif names:
                label[block] = names.pop()
        for head in self.loops:
            if len({label[one] for one in self.before[head] if self.is_back(one, head) and one in label}) > 1:
                found.add(head)
        return found

    def exits(self, loop: Loop) -> list[tuple[str, str]]:
        """The ways out of a loop: a block of it, and the block behind it."""
        return [
            (label, target) for label in self.order if label in loop.blocks
            for target in self.after[label] if target not in loop.blocks
        ]  # fmt: skip

    def is_back(self, label: str, target: str) -> bool:
        """Whether a branch leads back to the beginning of its loop."""
        return target in self.loops and label in self.loops[target].blocks

    def _find_loops(self) -> dict[str, Loop]:
        loops: dict[str, Loop] = {}
        for label, targets in self.after.items():
            for head in targets:
                if head in self.dominators.get(label, ()):
                    loop = loops.setdefault(head, Loop(head, {head}))
                    waiting = [label]
                    while waiting:
                        block = waiting.pop()
                        if block not in loop.blocks:
                            loop.blocks.add(block)
                            waiting += self.before[block]
        return loops

    def _ordered(self, blocks: set[str], first: str) -> list[str]:
        """Blocks in an order in which each loop is together; loops inside are ordered by themselves."""
        inner: dict[str, str] = {}  # from a block to the head of the outermost loop around it, of those inside
        for head, loop in sorted(self.loops.items(), key=lambda item: -len(item[1].blocks)):
            if head != first and loop.blocks <= blocks:
                for block in loop.blocks:
                    inner.setdefault(block, head)
        edges: dict[str, list[str]] = {}
        for block in blocks:
            node = inner.get(block, block)
            for target in self.after[block]:
                if target in blocks and target != first and inner.get(target, target) != node:
                    edges.setdefault(node, []).append(inner.get(target, target))
        nodes = list(reversed(post_order(first, edges)))
        place = {node: number for number, node in enumerate(nodes)}
        if any(place[target] <= place[node] for node, targets in edges.items() for target in targets if node in place):
            raise NotWideError("a loop with two beginnings")
        found: list[str] = []
        for node in nodes:
            found += self._ordered(self.loops[node].blocks, node) if inner.get(node) == node else [node]
        return found


def _chains(nearest: dict[str, str]) -> dict[str, set[str]]:
    """For each block, the blocks on all ways to it, with itself."""
    found: dict[str, set[str]] = {}
    for label in nearest:
        chain = [label]
        while chain[-1] not in found and nearest[chain[-1]] != chain[-1]:
            chain.append(nearest[chain[-1]])
        for block in reversed(chain):
            found.setdefault(block, found.get(nearest[block], set()) | {block})
    return found
