"""Number the turns of loops around barriers, so that threads that meet at a barrier are known to be in the same turn.

CUDA asks that all threads of a block reach a barrier under equal conditions. Threads that reach one barrier in
different turns of a loop break this rule, although the hardware, which only counts threads, may let them go on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

MARKER = "@emu.turns("
_FACTOR = 1_000_003  # of the number of an outer loop's turn in that of a barrier
_LABEL = re.compile(r'^(?P<label>"[^"]+"|[-\w.$]+):')
_TARGET = re.compile(r"label %(\"[^\"]+\"|[-\w.$]+)")


@dataclass
class Turns:
    """The loops of a kernel that have a barrier inside.

    Parameters
    ----------
    phis : lines for the beginning of a loop's first block, by its label: the number of the turn
    steps : lines behind the phis of that block: the number of the next turn
    around : for each block with a barrier, the numbers of the loops around it, the outermost first
    """

    phis: dict[str, str] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)
    around: dict[str, list[str]] = field(default_factory=dict)

    def number(self, block: str, name: str, place: int) -> tuple[str, list[str]]:
        """The number of the turns of all loops around a barrier, and the lines that compute it.

        `name` begins the names of new values. `place` tells barriers apart that have one line of the source.
        """
        word, lines = str(place), []
        for depth, turn in enumerate(self.around.get(block, ())):
            lines.append(f"  %{name}.more.{depth} = mul i64 {word}, {_FACTOR}")
            lines.append(f"  %{name}.turns.{depth} = add i64 %{name}.more.{depth}, {turn}")
            word = f"%{name}.turns.{depth}"
        return word, lines


def find_turns(body: Iterable[str]) -> Turns:
    """Find the loops around barriers in the body of a kernel, which has one instruction on each line."""
    graph = _Graph(list(body))
    found = Turns()
    if not graph.marked:
        return found
    loops: list[tuple[str, set[str]]] = []
    for head, ends in graph.back_edges().items():
        counted = {end: inside for end in ends if (inside := graph.between(head, end)) & graph.marked}
        if counted:
            _count(graph, found, len(loops), head, set(counted))
            loops.append((head, set().union(*counted.values())))
    for block in graph.marked:
        mine = [(len(inside), number) for number, (_, inside) in enumerate(loops) if block in inside]
        found.around[block] = [_name(number) for _, number in sorted(mine, reverse=True)]
    return found


def _name(number: int) -> str:
    return f"%emu.turn.{number}"


def _count(graph: "_Graph", found: Turns, number: int, head: str, counted: set[str]) -> None:
    """Write the counter of a loop. The other branches to its head end a loop inside it that has no barrier."""
    name = _name(number)
    values = []
    for before in graph.before[head]:
        value = f"{name}.next" if before in counted else name if head in graph.dominators(before) else "0"
        values.append(f"[ {value}, %{before} ]")
    found.phis[head] = f"  {name} = phi i64 {', '.join(values)}"
    found.steps[head] = f"  {name}.next = add i64 {name}, 1"


class _Graph:
    """The blocks of a function and the branches between them."""

    def __init__(self, body: list[str]) -> None:
        self.after: dict[str, list[str]] = {}
        self.before: dict[str, list[str]] = {}
        self.marked: set[str] = set()
        here = ""
        for line in body:
            if match := _LABEL.match(line):
                here = match["label"]
                self.after.setdefault(here, [])
            elif MARKER in line:
                self.marked.add(here)
            else:
                self.after[here] += [label for label in _TARGET.findall(line) if label not in self.after[here]]
        for block, targets in self.after.items():
            for target in targets:
                self.before.setdefault(target, []).append(block)
        self._order = self._reached()
        self._immediate: dict[str, str] = {}

    def _reached(self) -> dict[str, int]:
        """The blocks in an order in which each comes before those that it leads to, but for loops."""
        first = next(iter(self.after))
        finished: list[str] = []
        seen, waiting = {first}, [(first, iter(self.after[first]))]
        while waiting:
            block, targets = waiting[-1]
            for target in targets:
                if target not in seen:
                    seen.add(target)
                    waiting.append((target, iter(self.after[target])))
                    break
            else:
                finished.append(block)
                waiting.pop()
        return {block: number for number, block in enumerate(reversed(finished))}

    def _find_dominators(self) -> None:
        """After Cooper, Harvey & Kennedy, "A Simple, Fast Dominance Algorithm" (2001)."""
        first = next(iter(self._order))
        found = {first: first}
        changed = True
        while changed:
            changed = False
            for block in list(self._order)[1:]:
                ready = [before for before in self.before[block] if before in found]
                new = ready[0]
                for other in ready[1:]:
                    new = self._meet(found, new, other)
                changed |= found.get(block) != new
                found[block] = new
        self._immediate = found

    def _meet(self, found: dict[str, str], one: str, other: str) -> str:
        while one != other:
            while self._order[one] > self._order[other]:
                one = found[one]
            while self._order[other] > self._order[one]:
                other = found[other]
        return one

    def dominators(self, block: str) -> set[str]:
        """The blocks through which every way to a block leads, and the block itself."""
        if not self._immediate:
            self._find_dominators()
        found = {block}
        while block in self._immediate and self._immediate[block] != block:
            block = self._immediate[block]
            found.add(block)
        return found

    def back_edges(self) -> dict[str, list[str]]:
        """The first block of each loop, with the blocks that branch back to it."""
        found: dict[str, list[str]] = {}
        for block in self._order:
            for target in self.after[block]:
                if self._order[target] <= self._order[block] and target in self.dominators(block):
                    found.setdefault(target, []).append(block)
        return found

    def between(self, head: str, end: str) -> set[str]:
        """The blocks of the loop that a branch from `end` to `head` closes."""
        found, waiting = {head, end}, [end]
        while waiting:
            block = waiting.pop()
            if block == head:
                continue
            for before in self.before.get(block, ()):
                if before not in found and before in self._order:
                    found.add(before)
                    waiting.append(before)
        return found
