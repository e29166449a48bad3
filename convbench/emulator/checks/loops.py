"""Number the turns of loops around barriers, so that threads that meet at a barrier are known to be in the same turn.

CUDA asks that all threads of a block reach a barrier under equal conditions. Threads that reach one barrier in
different turns of a loop break this rule, although the hardware, which only counts threads, may let them go on.

The counters are written into the kernel after everything is inlined and before LLVM changes its loops. Each marker of a
barrier gets the number of the turns of all loops around it.
"""

import re

from convbench.emulator.graphs import nearest_dominators, post_order

MARKER = "call void @emu.turns("
_FACTOR = 1_000_003  # of the number of an outer loop's turn in that of a barrier
_LABEL = re.compile(r'^(?P<label>"[^"]+"|[-\w.$]+):')
_COPY = re.compile(r"  (?:%\S+ = load|store) ")
_ITERATES = re.compile(r"store \{ .+, i1 \} zeroinitializer")
_TARGET = re.compile(r"label %(\"[^\"]+\"|[-\w.$]+)")


def number_turns(body: list[str]) -> list[str]:
    """The body of a kernel, which has one instruction on each line, with counters of the loops around barriers."""
    if not any(MARKER in line for line in body):
        return body
    graph = _Graph(body)
    loops: list[set[str]] = []
    phis: dict[str, list[str]] = {}
    steps: dict[str, list[str]] = {}
    for head, ends in graph.back_edges().items():
        around = {end: graph.between(head, end) for end in ends}
        inside = set().union(*around.values())
        if not inside & graph.marked:
            continue
        name = f"%emu.turn.{len(loops)}"
        values = {end: _end(graph, name, head, end, around[end], phis) for end in ends}
        if all(value == name for value in values.values()):
            continue
        listed = [
            f"[ {values.get(before, '0')}, %{before} ]"
            for before, branches in graph.before[head].items()
            for _ in range(branches)
        ]
        phis.setdefault(head, []).append(f"  {name} = phi i64 {', '.join(listed)}")
        steps.setdefault(head, []).append(f"  {name}.next = add i64 {name}, 1")
        loops.append(inside)
    return _written(body, loops, phis, steps)


def _end(graph: "_Graph", name: str, head: str, end: str, inside: set[str], phis: dict[str, list[str]]) -> str:
    """The number that the next turn has behind the end of this one: the next, or the same.

    A `while` that is the first statement of another may share its head. A branch to the head that closes a loop without
    a barrier is taken for a turn of the inner one. Numba gives all such branches one block, which is looked through.
    A `for` shares its head with nobody.
    """
    next_one = f"{name}.next"
    if graph.counts(head):
        return next_one
    if not graph.only_copies(end) or len(graph.before[end]) < 2:
        return next_one if inside & graph.marked else name
    values = {before: next_one if graph.between(head, before) & graph.marked else name for before in graph.before[end]}
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    own = f"{name}.at.{len(phis.get(end, ()))}"
    listed = [f"[ {values[b]}, %{b} ]" for b, branches in graph.before[end].items() for _ in range(branches)]
    phis.setdefault(end, []).append(f"  {own} = phi i64 {', '.join(listed)}")
    return own


def _written(
    body: list[str], loops: list[set[str]], phis: dict[str, list[str]], steps: dict[str, list[str]]
) -> list[str]:
    found: list[str] = []
    here, fresh = "", False
    for number, line in enumerate(body):
        if match := _LABEL.match(line):
            here, fresh = match["label"], True
            found += [line, *phis.get(here, ())]
            continue
        if fresh and " = phi " not in line:
            fresh = False
            found += steps.get(here, ())
        if MARKER in line:
            word = "0"
            around = sorted(((len(inside), turn) for turn, inside in enumerate(loops) if here in inside), reverse=True)
            for depth, (_, turn) in enumerate(around):
                name = f"%emu.turns.{number}.{depth}"
                found.append(f"  {name}.more = mul i64 {word}, {_FACTOR}")
                found.append(f"  {name} = add i64 {name}.more, %emu.turn.{turn}")
                word = name
            line = re.sub(re.escape(MARKER) + r"i64 [^)]*\)", f"{MARKER}i64 {word})", line)
        found.append(line)
    return found


class _Graph:
    """The blocks of a function and the branches between them."""

    def __init__(self, body: list[str]) -> None:
        self.after: dict[str, list[str]] = {}
        self.before: dict[str, dict[str, int]] = {}  # how many branches lead from which block
        self.marked: set[str] = set()
        self._lines: dict[str, list[str]] = {}
        here = ""
        for line in body:
            if match := _LABEL.match(line):
                here = match["label"]
                self.after.setdefault(here, [])
                self._lines[here] = []
                continue
            self._lines[here].append(line)
            if MARKER in line:
                self.marked.add(here)
            else:
                for label in _TARGET.findall(line):
                    self.after[here] += [label] * (label not in self.after[here])
                    branches = self.before.setdefault(label, {})
                    branches[here] = branches.get(here, 0) + 1
        self._order = self._reached()
        self._immediate: dict[str, str] = {}

    def counts(self, head: str) -> bool:
        """Whether a block asks an iterator of Numba for the next value, and whether there is one."""
        return any(_ITERATES.search(line) for line in self._lines[head])

    def only_copies(self, block: str) -> bool:
        """Whether a block has nothing but a branch and, before it, copies of variables."""
        *copies, last = [line for line in self._lines[block] if line.strip()]
        return last.startswith("  br label") and all(_COPY.match(line) for line in copies)

    def _reached(self) -> dict[str, int]:
        """The blocks in an order in which each comes before those that it leads to, but for loops."""
        order = reversed(post_order(next(iter(self.after)), self.after))
        return {block: number for number, block in enumerate(order)}

    def dominators(self, block: str) -> set[str]:
        """The blocks through which every way to a block leads, and the block itself."""
        if not self._immediate:
            self._immediate = nearest_dominators(next(iter(self.after)), self.after)
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
