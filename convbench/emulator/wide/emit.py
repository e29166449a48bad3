"""Write the code of a kernel for several threads at once.

A block that all lanes reach together keeps its place in the flow. The blocks between two such blocks, which only some
lanes may reach, run one after another: each has a mask of the lanes that come to it, and is skipped if there is none. A
loop of such blocks runs again as long as a lane goes back to its beginning.
"""

from convbench.emulator.wide.branches import Branches
from convbench.emulator.wide.code import Block, read
from convbench.emulator.wide.flow import EXIT, Flow
from convbench.emulator.wide.shapes import Shapes


def widened(body: list[str], lanes: int, block: tuple[int, int, int]) -> tuple[list[str], set[str]]:
    """The code of a kernel for several consecutive threads of a block, and declarations of the functions that it calls.

    Parameters
    ----------
    body : the kernel's code for one thread, as `weave` takes it
    lanes : how many threads run at once; it divides the number of threads of a block

    Raises NotWideError if the kernel has something that cannot be run so.
    """
    flow = Flow(read(body))
    usual = Shapes(flow, lanes, block, assumes=True)
    if not usual.assumed:
        versions = [_Kernel(flow, usual, lanes, block, "wide.")]
    else:
        general = _Kernel(flow, Shapes(flow, lanes, block, assumes=False), lanes, block, "wide.")
        versions = [_Kernel(flow, usual, lanes, block, "usual.", otherwise=general.begin), general]
    lines = [line for version in versions for line in version.emit()]
    entry = [line for version in versions for line in version.entry]
    declared = {line for version in versions for line in version.declared}
    return ["wide.entry:", *entry, f"  br label %{versions[0].begin}", *lines], declared


class _Kernel(Branches):
    """Writes the code for one set of shapes."""

    @property
    def begin(self) -> str:
        """The label of the first block."""
        return self._at("block", self.flow.first)

    def emit(self) -> list[str]:
        """All blocks."""
        partial = self.shapes.partial
        for label in self.flow.order:
            if label not in partial:
                self._whole_block(self.flow.blocks[label])
        for after, labels in self._find_groups().items():
            self._group(after, labels)
        for head in self.flow.loops:
            if head not in partial:
                self.out.append(f"{self._at('back', head)}:")
                self._turn(head, None)
                self.out.append(f"  br label %{self._at('block', head)}")
        self.out.append(f"{self.prefix}exit:")
        self.out.append("  ret void")
        return self.out

    def _find_groups(self) -> dict[str, list[str]]:
        """The blocks that some lanes may skip, in their order, by the block behind them that all lanes reach."""
        groups: dict[str, list[str]] = {}
        for label in self.flow.order:
            if label in self.shapes.partial:
                behind = self.flow.post_dominators[label] - self.shapes.partial
                after = max(behind, key=lambda other: len(self.flow.post_dominators[other]))
                groups.setdefault(after, []).append(label)
        return groups

    def _whole_block(self, block: Block) -> None:
        self.out.append(f"{self._at('block', block.label)}:")
        self._begin(block, None)
        self._body(block)
        self._end_of_whole(block)

    def _group(self, after: str, labels: list[str]) -> None:
        """Blocks one after another, each for the lanes that come to it; then go on with `after`."""
        last = {head: [label for label in labels if label in loop.blocks][-1]
                for head, loop in self.flow.loops.items() if head in labels}  # fmt: skip
        end = self._place_behind(after, labels)
        nexts = [*(self._at("guard", label) for label in labels[1:]), end]
        for label, behind in zip(labels, nexts, strict=True):
            heads = [head for head, tail in last.items() if tail == label]
            heads.sort(key=lambda head: len(self.flow.loops[head].blocks))
            bottoms = [self._at("bottom", head) for head in heads]
            self.out.append(f"{self._at('guard', label)}:")
            mask, some = self._some(self._slot_of_mask("m", label))
            follows = bottoms[0] if bottoms else behind
            self.put(f"br i1 {some}, label %{self._at('block', label)}, label %{follows}")
            self.out.append(f"{self._at('block', label)}:")
            self.put(f"store {self.masks} zeroinitializer, ptr {self._slot_of_mask('m', label)}")
            block = self.flow.blocks[label]
            self._begin(block, mask)
            self._body(block)
            self._end_of_partial(block, follows)
            for head, next_one in zip(heads, [*bottoms[1:], behind], strict=False):
                self.out.append(f"{self._at('bottom', head)}:")
                back, any_back = self._some(self._slot_of_mask("b", head))
                self.put(f"br i1 {any_back}, label %{self._at('again', head)}, label %{next_one}")
                self.out.append(f"{self._at('again', head)}:")
                self.put(f"store {self.masks} {back}, ptr {self._slot_of_mask('m', head)}")
                self.put(f"store {self.masks} zeroinitializer, ptr {self._slot_of_mask('b', head)}")
                self._turn(head, back)
                self.put(f"br label %{self._at('guard', head)}")

    def _place_behind(self, after: str, labels: list[str]) -> str:
        if after == EXIT:
            return f"{self.prefix}exit"
        return self._at("back" if any(self.flow.is_back(label, after) for label in labels) else "block", after)
