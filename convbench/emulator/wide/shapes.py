"""Which values are the same for all lanes, which blocks some lanes skip, and what is assumed of them.

Both depend on each other: a branch on a number that differs sends lanes different ways, and where the ways meet, values
differ that were the same before.
"""

from convbench.emulator.wide.code import Block, Line, typed
from convbench.emulator.wide.flow import EXIT, Flow, Loop
from convbench.emulator.wide.rules import UNIFORM, VARYING, Rules, Shape

_HINTS = ("llvm.lifetime.", "llvm.assume")  # functions that do nothing


class Shapes(Rules):
    """The shapes of a kernel's values, and which of its blocks some lanes may skip.

    Parameters
    ----------
    flow : its blocks
    lanes : how many threads are side by side
    block : the shape of a block of threads, which `lanes` divides
    assumes : whether to assume what is nearly always true, where it can be seen before the kernel has written anything:
        that lanes go the same way at a branch, that a division of their numbers gives one quotient, and that numbers
        which are tested for their sign are not negative

    Attributes
    ----------
    assumed : the results of divisions and of tests, and the blocks with branches, for which that was assumed
    of : the shape of each value
    partial : the blocks that some lanes of a group may not reach with the others
    uneven : the loops that lanes may leave at different times
    """

    def __init__(self, flow: Flow, lanes: int, block: tuple[int, int, int], *, assumes: bool) -> None:
        super().__init__(lanes, block, _without_effects(flow) if assumes else set())
        self.flow = flow
        self.partial: set[str] = set()
        self.uneven: list[Loop] = []
        self._joins: set[str] = set()
        self._forced: set[str] = set()
        users: dict[str, set[str]] = {}
        for label in flow.order:
            for line in flow.blocks[label].lines:
                for value in line.uses:
                    users.setdefault(value, set()).add(label)
        self.users = users
        controls = flow.controls()
        while True:
            self._settle()
            self._assume_branches()
            uneven = [label for label in flow.order if self.is_uneven(flow.blocks[label])]
            if not self._spread(uneven, controls):
                break

    def is_uneven(self, block: Block) -> bool:
        """Whether lanes may go different ways behind a block."""
        if len(self.flow.after[block.label]) < 2:
            return False
        is_assumed = block.label in self.assumed and block.label not in self.partial
        return not is_assumed and not self.has_even_number(block)

    def has_even_number(self, block: Block) -> bool:
        """Whether the number that decides where a block leads is the same for all lanes."""
        return self.shape(typed(block.end.operands[0])[1]).is_uniform

    def _settle(self) -> None:
        """Find shapes with what is known of the branches. A shape only ever becomes less regular."""
        self.of = {}
        changed = True
        while changed:
            changed = False
            for label in self.flow.order:
                for line in self.flow.blocks[label].lines:
                    if line.result is None:
                        continue
                    new = VARYING if line.result in self._forced else self._shape_in(line, label)
                    if line.op == "phi" and line.result in self.of:
                        new = new.joined(self.of[line.result])
                    if self.of.get(line.result) != new:
                        self.of[line.result], changed = new, True

    def _assume_branches(self) -> None:
        for label in self.early - self.partial:
            block = self.flow.blocks[label]
            is_branch = block.end.op == "br" and len(self.flow.after[label]) == len(block.targets) == 2
            if is_branch and not self.has_even_number(block) and not self.flow.loops_of(label):
                self.assumed.add(label)

    def _spread(self, uneven: list[str], controls: dict[str, set[str]]) -> bool:
        """Find what uneven branches do to blocks and values. Returns whether that is more than was known."""
        flow = self.flow
        known = len(self.partial), len(self._joins), len(self._forced)
        waiting = list(uneven)
        seen = set(waiting)
        while waiting:
            source = waiting.pop()
            for block, deciding in controls.items():
                if source in deciding and block not in self.partial and block != EXIT:
                    self.partial.add(block)
                if source in deciding and block not in seen and block != EXIT:
                    seen.add(block)
                    waiting.append(block)
        self.uneven = []
        for source in uneven:
            self._joins |= flow.joins(flow.after[source])
            meeting = flow.meeting(source)
            self.uneven += [loop for loop in flow.loops_of(source) if meeting not in loop.blocks]
        for loop in self.uneven:
            targets = [target for _, target in flow.exits(loop)]
            self._joins |= flow.joins(dict.fromkeys(targets))
            self._joins |= {target for target in targets if targets.count(target) > 1}
            self._forced |= {
                line.result for label in loop.blocks for line in flow.blocks[label].lines
                if line.result and self.users.get(line.result, set()) - loop.blocks
            }  # fmt: skip
        return (len(self.partial), len(self._joins), len(self._forced)) != known

    def _shape_in(self, line: Line, label: str) -> Shape:
        return self._of_phi(line, label) if line.op == "phi" else self.shape_of(line, label)

    def _of_phi(self, line: Line, label: str) -> Shape:
        known = [self.of[value] if value in self.of else self.shape(value) for value, _ in line.incoming
                 if value in self.of or not value.startswith("%")]  # fmt: skip
        if label in self._joins and len({value for value, _ in line.incoming}) > 1:
            return VARYING
        if not known:
            return UNIFORM
        found = known[0]
        for shape in known[1:]:
            found = found.joined(shape)
        return found


def _without_effects(flow: Flow) -> set[str]:
    """The blocks before whose end nothing was written, and no other thread was waited for.

    Local memory does not count: the code that begins anew has its own.
    """
    lines = [line for label in flow.order for line in flow.blocks[label].lines]
    own: set[str] = set()  # addresses of local memory
    for line in lines:
        if line.op == "alloca" or (line.op == "getelementptr" and typed(line.operands[1])[1] in own):
            own.add(str(line.result))

    def has_effect(line: Line) -> bool:
        if line.op != "call":
            return line.op == "store"
        if line.callee.startswith("llvm.memset."):
            return line.arguments[0][1] not in own
        return line.result is None and not line.callee.startswith(_HINTS)

    late = {label for label in flow.order if any(map(has_effect, flow.blocks[label].lines))}
    waiting = list(late)
    while waiting:
        for label in flow.after[waiting.pop()]:
            if label != EXIT and label not in late:
                late.add(label)
                waiting.append(label)
    return set(flow.order) - late
