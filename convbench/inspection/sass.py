"""Read machine code as the disassembler prints it: the instructions of a kernel, its loops, and its hot loop.

Addresses are in bytes from the kernel's start. A loop is the code from the target of a backward branch to the branch.
The hot loop is the loop with the most multiply-adds, or a loop inside it that has more than half of them. If no loop
multiplies or adds, the whole kernel stands for it, without the subroutines after its last exit, such as that of a
division. A rare block is a part of the hot loop that a forward branch may skip and that has no arithmetic, no access to
memory and no barrier. Such blocks update the counters of nested loops that are written as one.

Source of the instructions' names: CUDA Binary Utilities, "Instruction Set Reference"; checked against the
disassembler's output.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from convbench.errors import KernelError

_FUNCTION = re.compile(r"^\s*Function : (\S+)\s*$", re.MULTILINE)
_INSTRUCTION = re.compile(
    r"^\s*/\*([0-9a-f]{4,})\*/\s+\{?\s*(?:(@!?\w+)\s+)?([A-Z][A-Za-z0-9_.]*)\s*([^;]*?)\s*;", re.MULTILINE
)
_TARGET = re.compile(r"0x([0-9a-f]+)\s*$")

_SHAPE = re.compile(r"\.(\d+)x(\d+)x(\d+)\b")  # HGMMA.64x128x8
_TILES = {
    "1684": 512,
    "1688": 1024,
    "16816": 2048,
    "16832": 4096,
    "884": 256,
}  # HMMA.16816: m, n and k without × between them
_FMA_OF = {
    "FFMA": 1, "FFMA2": 2, "FADD": 1, "FADD2": 2, "FMUL": 1, "FMUL2": 2, "DFMA": 1, "DADD": 1, "DMUL": 1, "HFMA2": 2,
    "HADD2": 2, "HMUL2": 2, "FFMA32I": 1, "FADD32I": 1, "FMUL32I": 1,
}  # fmt: skip
_TENSOR = re.compile(r"^[HIDQB]G?MMA$")
_WARPS_OF_A_GROUP = 4
_LANES = 32


@dataclass(frozen=True)
class Instruction:
    """One instruction of a warp."""

    address: int
    predicate: str  # @P0, @!UP1, or empty
    opcode: str  # with its suffixes, as LDG.E.128.CONSTANT
    operands: str

    @property
    def base(self) -> str:
        return self.opcode.partition(".")[0]

    @property
    def target(self) -> int | None:
        """The address that a branch leads to; None for other instructions."""
        return self._address_of("BRA", "JMP")

    @property
    def callee(self) -> int | None:
        """The address of the subroutine that a call leads to; None for other instructions."""
        return self._address_of("CALL")

    def _address_of(self, *bases: str) -> int | None:
        found = _TARGET.search(self.operands) if self.base in bases else None
        return None if found is None else int(found[1], 16)

    @property
    def is_conditional(self) -> bool:
        return bool(self.predicate) or self.operands.count(",") > 0  # as in BRA.U UP0, 0x100

    @property
    def is_tensor(self) -> bool:
        return _TENSOR.match(self.base) is not None

    @property
    def multiply_adds(self) -> float:
        """Multiply-adds of one thread. An addition or a product alone counts as one."""
        if not self.is_tensor:
            return 0 if self.is_move else _FMA_OF.get(self.base, 0)
        if shape := _SHAPE.search(self.opcode):
            m, n, k = map(int, shape.groups())
            return m * n * k / (_WARPS_OF_A_GROUP * _LANES)
        for part in self.opcode.split(".")[1:]:
            if part in _TILES:
                return _TILES[part] / _LANES
        raise KernelError(f"the shape of the tensor core's instruction {self.opcode} is not known")

    @property
    def products(self) -> float:
        """Products of one thread that the same instruction adds to a sum."""
        return self.multiply_adds if self.is_tensor or "FMA" in self.base else 0

    @property
    def is_move(self) -> bool:
        """Whether it only copies a register or a constant. HFMA2 with zero factors makes a constant in another pipe."""
        if self.base == "HFMA2":
            return _ZERO_FACTOR.search(self.operands) is not None
        return self.base in _MOVES or self.opcode.startswith(_MOVES_OF_OTHERS)

    @property
    def bytes(self) -> int:
        """Bytes that one thread moves; 0 if the instruction does not access memory."""
        if not _MEMORY.match(self.base):
            return 0
        parts = self.opcode.split(".")
        if self.base == "LDSM":
            return 4 * int(parts[-1]) if parts[-1] in ("1", "2", "4") else 4  # LDSM.16.M88.4 loads 4 matrices
        widths = [_WIDTHS[part] for part in parts if part in _WIDTHS]
        return widths[-1] if widths else 4


_MOVES = frozenset(("MOV", "UMOV", "CS2R", "S2R", "S2UR", "R2UR", "P2R", "R2P", "UP2UR", "UR2UP"))
_MOVES_OF_OTHERS = ("IMAD.MOV", "UIMAD.MOV")
_ZERO_FACTOR = re.compile(r"^\w+, -?RZ(?:\.\w+)?, -?RZ(?:\.\w+)?,")
_MEMORY = re.compile(r"^(LD|ST|LDG|STG|LDS|STS|LDL|STL|LDGSTS|LDSM|STSM|ATOM|ATOMG|ATOMS|RED|REDG)$")
_WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16, "256": 32}


@dataclass(frozen=True)
class Loop:
    """The code from the target of a backward branch to the branch, both included."""

    first: int
    last: int

    def holds(self, address: int) -> bool:
        return self.first <= address <= self.last

    def inside(self, other: "Loop") -> bool:
        return self != other and other.first <= self.first and self.last <= other.last


@dataclass(frozen=True)
class Code:
    """The instructions of a kernel, without NOPs."""

    instructions: tuple[Instruction, ...]

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """All loops, ordered by their first instruction. Several branches back to one place are one loop."""
        ends: dict[int, int] = {}
        for each in self.instructions:
            if each.target is not None and each.target < each.address:
                ends[each.target] = max(each.address, ends.get(each.target, 0))
        return tuple(Loop(first, last) for first, last in sorted(ends.items()))

    def within(self, loop: Loop) -> tuple[Instruction, ...]:
        return tuple(each for each in self.instructions if loop.holds(each.address))

    @cached_property
    def hot_loop(self) -> Loop | None:
        """The hot loop; None if no loop multiplies or adds."""
        math = {loop: multiply_adds(self.within(loop)) for loop in self.loops}
        chosen = max(math, key=lambda loop: (math[loop], -loop.last), default=None)
        if chosen is None or not math[chosen]:
            return None
        while inner := [loop for loop in self.loops if loop.inside(chosen) and 2 * math[loop] > math[chosen]]:
            chosen = max(inner, key=lambda loop: math[loop])
        return chosen

    @cached_property
    def body(self) -> tuple[Instruction, ...]:
        """The instructions without those of subroutines, which follow the last exit."""
        last = max((each.address for each in self.instructions if each.base == "EXIT"), default=0)
        called = [each.callee for each in self.instructions if each.callee is not None and each.callee > last]
        end = min(called, default=self.instructions[-1].address + 1 if self.instructions else 0)
        return tuple(each for each in self.instructions if each.address < end)

    @cached_property
    def _region(self) -> tuple[Instruction, ...]:
        return self.body if self.hot_loop is None else self.within(self.hot_loop)

    @cached_property
    def hot(self) -> tuple[Instruction, ...]:
        """The instructions of the hot loop, or of the whole kernel, without those of rare blocks."""
        rare = rare_addresses(self._region)
        return tuple(each for each in self._region if each.address not in rare)

    @cached_property
    def rare(self) -> int:
        """Number of instructions of the hot loop in rare blocks."""
        return len(self._region) - len(self.hot)


def read(text: str, entry: str) -> Code:
    """Read the kernel `entry` from the disassembler's output. Raises KernelError if it is not there."""
    starts = list(_FUNCTION.finditer(text))
    for index, start in enumerate(starts):
        if start[1] == entry:
            end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
            found = _INSTRUCTION.findall(text, start.end(), end)
            return Code(
                tuple(Instruction(int(at, 16), guard, word, rest) for at, guard, word, rest in found if word != "NOP")
            )
    raise KernelError(f"the disassembly has no function {entry}; it has {', '.join(each[1] for each in starts)}")


def multiply_adds(instructions: Iterable[Instruction]) -> float:
    """Multiply-adds of one thread that executes each instruction once."""
    return sum(each.multiply_adds for each in instructions)


def rare_addresses(region: Sequence[Instruction]) -> set[int]:
    """The addresses of rare blocks: code that a forward branch within a region may skip, and that does no work."""
    last = region[-1].address if region else 0
    rare: set[int] = set()
    for branch in region:
        if branch.target is not None and branch.is_conditional and branch.address < branch.target <= last:
            skipped = [each for each in region if branch.address < each.address < branch.target]
            if not any(map(_is_work, skipped)) and not (skipped and _leaves(skipped[-1])):
                rare.update(each.address for each in skipped)
    return rare


def _is_work(instruction: Instruction) -> bool:
    """Whether an instruction computes, accesses memory, synchronises or exits, or belongs to a division."""
    return bool(instruction.multiply_adds or instruction.bytes) or instruction.base in ("BAR", "EXIT", "MUFU", "CALL")


def _leaves(instruction: Instruction) -> bool:
    """Whether an instruction ends the first of two branches of the code, one of which is always taken."""
    return instruction.target is not None and not instruction.is_conditional
