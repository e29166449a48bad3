"""What is known of a kernel before it runs: its blocks, where their lanes meet again, its accesses, its instructions.

A *block* is a piece of PTX without branches and labels. Blocks of all functions of a kernel are numbered together.
Lanes that leave a block for different blocks meet again at its nearest post-dominator, as compilers for Volta and
later place the barriers of convergence. At the end of a device function all of its lanes meet.
"""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from convbench.emulator.counting.chains import Chain
from convbench.emulator.graphs import nearest_dominators

EXIT = -1  # in the place of a block: the end of the kernel


class Space(IntEnum):
    """The memory of an access."""

    SHARED = 0
    GLOBAL = 1
    LOCAL = 2
    GENERIC = 3  # the address tells
    MATRIX = 4  # shared memory, by ldmatrix or stmatrix


@dataclass(frozen=True)
class Place:
    """An instruction of PTX in its source."""

    text: str
    opcode: str  # with all modifiers
    file: str
    line: int
    function: str
    pipe: str  # the unit that executes it
    slots: int = 0  # the instructions of the machine that it becomes, about


@dataclass(frozen=True)
class Access:
    """An access to memory of an instruction; some instructions make two, or one of several."""

    instruction: int  # its number in `Tables.places`
    space: Space
    width: int  # bytes of a lane
    is_store: bool
    is_atomic: bool
    is_async: bool
    array: tuple[str, str]  # the memory that the address leads into, as `ptx.flow` has it; ("", "") if it is not known


@dataclass
class Block:
    """A piece of PTX without branches."""

    first: int = 0  # the number of its first instruction
    end: int = 0  # and of the first behind it
    accesses: list[int] = field(default_factory=list)
    next: list[int] = field(default_factory=list)
    meets: int = EXIT  # the block where its lanes meet again
    chain: Chain = field(default_factory=Chain)  # what waits for each other in it
    is_met: bool = False  # whether it ends with a barrier of all threads


@dataclass
class Tables:
    """All blocks, accesses and instructions of a kernel."""

    blocks: list[Block] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    uncounted: set[str] = field(default_factory=set)  # opcodes whose accesses are not counted
    longest: int = 0  # words that a thread may note between two turns of loops

    def finish(self, blocks: range, end: int) -> None:
        """Find where lanes meet again in the blocks of one function. `end` is its last block, or EXIT."""
        for number, meets in _post_dominators({n: self.blocks[n].next for n in blocks}, end).items():
            self.blocks[number].meets = meets

    def block_rows(self) -> npt.NDArray[np.int64]:
        """For each block: its first access in `access_rows`, how many it has, where its lanes meet, the instructions of
        the machine that it has about, whether it ends with a barrier of all threads, and the length of its chain.
        """
        rows, first = [], 0
        for block in self.blocks:
            slots = sum(place.slots for place in self.places[block.first : block.end])
            rows.append((first, len(block.accesses), block.meets, slots, int(block.is_met), round(block.chain.length)))
            first += len(block.accesses)
        return np.array(rows, np.int64).reshape(-1, 6)

    def access_rows(self, pointers: dict[str, int]) -> npt.NDArray[np.int64]:
        """For each access in the order of blocks: its space, width, whether it is atomic, the row of its array, whether
        it is a load that the L1 cache may have, and whether it is a store.

        `pointers` has the rows of arrays by what `Access.array` calls them; -1 stands for an unknown one.
        """
        found = []
        for block in self.blocks:
            for number in block.accesses:
                a = self.accesses[number]
                row = pointers.get(a.array[1], -1) if a.array[0] == "parameter" else -1
                is_cached = not (a.is_atomic or a.is_store or a.is_async)
                found.append((int(a.space), a.width, int(a.is_atomic), row, int(is_cached), int(a.is_store)))
        return np.array(found, np.int64).reshape(-1, 6)

    def order(self) -> list[int]:
        """The numbers of the accesses in the order of `access_rows`."""
        return [number for block in self.blocks for number in block.accesses]


def _post_dominators(edges: dict[int, list[int]], end: int) -> dict[int, int]:
    """The nearest post-dominator of each block; EXIT where only the end is one."""
    nodes = set(edges) | {end}
    after = {node: list(edges.get(node, [])) or ([end] if node != end else []) for node in nodes}
    before: dict[int, list[int]] = {node: [] for node in nodes}
    for node, targets in after.items():
        for to in targets:
            before[to].append(node)
    nearest = nearest_dominators(end, before)
    return {node: nearest.get(node, EXIT) for node in edges if node != end}
