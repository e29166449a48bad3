"""The result of a profile: counters by instruction, and their sums by line, array, unit and kernel."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from convbench.emulator.counting.chains import Chain
from convbench.emulator.counting.pipes import ALU, SUMS
from convbench.emulator.counting.tensor import factor_bits, multiply_adds
from convbench.emulator.profiler.counters import Counters
from convbench.emulator.source import Site

Key = TypeVar("Key", bound=Hashable)
CONFLICTED, UNCOALESCED = "bank conflict", "uncoalesced"
FULL = 0.5  # of the sectors moved must be excessive to mark an instruction as uncoalesced


@dataclass(frozen=True)
class Pattern:
    """The addresses of one request of a warp.

    Parameters
    ----------
    space : "shared", "global" or "local"
    lanes : for each lane the bytes from a multiple of 128 bytes; None for a lane that takes no part
    """

    space: str
    lanes: tuple[int | None, ...]


@dataclass(frozen=True)
class InstructionProfile:
    """One instruction of PTX and what was counted of it.

    Parameters
    ----------
    text : the instruction as PTX has it
    file, line : its place in the source; "" and 0 if the PTX has no lines
    pipe : the unit that executes it (`counting.pipes`)
    slots : the instructions of the machine that it becomes, about (`counting.pipes`)
    array : the array that it accesses; "" if it accesses none
    width : bytes that a lane accesses; 0 if it accesses none
    is_store : whether it writes
    pattern : the last of its requests; None if it accesses nothing
    reach : bytes from the lowest to the highest address that it accesses in all blocks that were counted
    """

    text: str
    opcode: str
    file: str
    line: int
    pipe: str
    slots: int
    array: str
    width: int
    is_store: bool
    counters: Counters
    pattern: Pattern | None = None
    reach: int = 0

    @property
    def is_integer_sum(self) -> bool:
        """Whether it adds integers, for which ptxas takes the ALU or the unit for products, where there is room."""
        return self.pipe == ALU and self.opcode.partition(".")[0] in SUMS

    @property
    def is_pair(self) -> bool:
        """Whether a lane computes two numbers of float32, as by `fma.rn.f32x2`."""
        return "f32x2" in self.opcode.split(".")

    @property
    def numbers(self) -> int:
        """The numbers that a lane computes, for which it occupies its unit one after another."""
        return 2 if self.is_pair else 1

    @property
    def multiply_adds(self) -> float:
        """The multiply-adds of a warp in the tensor cores."""
        return multiply_adds(self.opcode)

    @property
    def factor_bits(self) -> int:
        """The bits of an element of the factors in the tensor cores."""
        return factor_bits(self.opcode)

    @property
    def marks(self) -> list[str]:
        """What is wrong with its accesses: bank conflicts, or sectors that are mostly not used."""
        c, found = self.counters, []
        if c.excessive_wavefronts > 0:
            found.append(CONFLICTED)
        if c.excessive_sectors > FULL * c.sectors:
            found.append(UNCOALESCED)
        return found


@dataclass(frozen=True)
class Profile:
    """What a kernel's warps did.

    Parameters
    ----------
    kernel : its name
    grid, block, shared_bytes : of the launch; `shared_bytes` are dynamic
    counted_blocks : how many blocks ran and were counted; the counters are scaled to all blocks of the grid
    has_float64 : whether an argument is a float64, so that arithmetic in float64 is no surprise
    uncounted : instructions whose accesses are not counted
    array_bytes : bytes of each array that is an argument
    chain : what a warp does one after another, on average (`counting.chains`)
    slowest : how many times as long as `chain` is what the slowest warps do between barriers
    l2_bytes : of the L2 cache that was simulated; 0 if none was
    """

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    counted_blocks: int
    instructions: list[InstructionProfile]
    has_float64: bool = False
    uncounted: list[str] = field(default_factory=list)
    array_bytes: dict[str, int] = field(default_factory=dict)
    chain: Chain = field(default_factory=Chain)
    slowest: float = 1.0
    l2_bytes: int = 0

    @property
    def blocks(self) -> int:
        """Blocks of the grid."""
        return self.grid[0] * self.grid[1] * self.grid[2]

    @property
    def is_scaled(self) -> bool:
        """Whether the counters stand for more blocks than were counted."""
        return self.counted_blocks < self.blocks

    @property
    def sampled(self) -> str:
        """What was counted and what was scaled, in words."""
        if not self.is_scaled:
            return f"all {self.blocks:,} blocks were counted"
        return f"{self.counted_blocks:,} of {self.blocks:,} blocks were counted, and the counts scaled to all of them"

    @cached_property
    def total(self) -> Counters:
        """The sum over all instructions."""
        return sum((i.counters for i in self.instructions), Counters())

    @property
    def l1_hit_rate(self) -> float | None:
        """The share of the sectors of loads that the L1 cache had; None if there are none."""
        loads = [i.counters for i in self.instructions if not (i.is_store or i.counters.atomics)]
        asked = sum(c.sectors for c in loads)
        return sum(c.l1_hits for c in loads) / asked if asked else None

    @property
    def l2_hit_rate(self) -> float | None:
        """The share of the sectors that the L2 cache had; None if it was not simulated, or nothing went there."""
        asked = self.total.sectors - self.total.l1_hits
        return self.total.l2_hits / asked if self.l2_bytes and asked else None

    @cached_property
    def by_line(self) -> dict[tuple[str, int], Counters]:
        """Sums by file and line, in the order of the source."""
        return dict(sorted(self._sums(lambda i: (i.file, i.line)).items()))

    @cached_property
    def by_array(self) -> dict[str, Counters]:
        """Sums by array; instructions that access none are left out."""
        found = self._sums(lambda i: i.array)
        return {name: counters for name, counters in found.items() if name}

    @cached_property
    def by_pipe(self) -> dict[str, Counters]:
        """Sums by the unit that executes."""
        return self._sums(lambda i: i.pipe)

    @cached_property
    def float64_lines(self) -> list[tuple[str, int]]:
        """Lines with arithmetic in float64 that no argument asked for, for example of `total = 0.`."""
        if self.has_float64:
            return []
        lines = {(i.file, i.line): None for i in self.instructions if i.pipe == "fp64" and i.counters.instructions}
        return sorted(lines)

    def at_line(self, line: int) -> Counters:
        """The sum of all instructions of a line, in whichever file."""
        return sum((c for (_, number), c in self.by_line.items() if number == line), Counters())

    def _sums(self, key: Callable[[InstructionProfile], Key]) -> dict[Key, Counters]:
        found: dict[Key, Counters] = {}
        for i in self.instructions:
            found[key(i)] = found.get(key(i), Counters()) + i.counters
        return found


def source_line(file: str, line: int) -> str:
    """The text of a line; "" if it cannot be read."""
    return Site(file, line).text() if file else ""


def place_of(file: str, line: int) -> str:
    """A place in the source in short: the file's name and the line."""
    return f"{Path(file).name}:{line}" if file else "no line"
