"""Find the longest chain of instructions in a block of PTX, through its registers."""

from collections.abc import Iterator, Sequence

from convbench.emulator.counting.chains import Chain
from convbench.emulator.counting.pipes import FP64, MEMORY, MOVE, SFU, TENSOR, pipe_of
from convbench.emulator.ptx.flow import names_in
from convbench.emulator.ptx.kinds import kinds_of
from convbench.emulator.ptx.memory import space_of
from convbench.emulator.ptx.syntax import Instruction, Label

_WITHOUT_RESULT = ("st", "red", "bra", "bar", "barrier", "ret", "exit", "membar", "fence", "prefetch", "cp", "brx")
_BARRIERS = ("bar", "barrier")


def longest_chain(block: Sequence[Instruction | Label]) -> Chain:
    """The longest chain. Barriers and waits for copies come after everything before them."""
    ready: dict[str, Chain] = {}  # when a register has its value
    longest = base = Chain()
    for i in block:
        if isinstance(i, Label):
            continue
        begin = max((ready.get(name, base) for name in _read(i)), key=lambda chain: chain.length, default=base)
        end = begin + _step(i)
        if end.length > longest.length:
            longest = end
        if (i.opcode in _BARRIERS and "warp" not in i.modifiers) or (i.opcode == "cp" and "wait_group" in i.modifiers):
            base = longest = longest + Chain(barriers=1)
            ready.clear()
        elif i.operands and i.opcode not in _WITHOUT_RESULT:
            for name in names_in(i.operands[0]):
                ready[name] = end
    return longest


def _read(i: Instruction) -> Iterator[str]:
    if i.predicate:
        yield i.predicate
    first = 0 if i.opcode in _WITHOUT_RESULT else 1
    for operand in i.operands[first:]:
        for name in names_in(operand):
            yield name.lstrip("!-")


def _step(i: Instruction) -> Chain:
    """What an instruction adds to a chain that goes through it."""
    pipe = pipe_of(i.opcode, kinds_of(i.modifiers), i.modifiers)
    if i.opcode == "st" and space_of(i) == "shared":
        return Chain(shared=1)  # a barrier waits for it
    if pipe == MOVE or i.opcode in _WITHOUT_RESULT:
        return Chain()
    if space_of(i) == "const":
        return Chain(arithmetic=1)  # an operand from the cache of constants
    if pipe == MEMORY:
        if i.opcode in ("ldmatrix", "shfl") or space_of(i) == "shared":
            return Chain(shared=1)
        return Chain(memory=1) if i.opcode in ("ld", "ldu", "atom", "wmma") else Chain()
    if pipe == TENSOR:
        return Chain(tensor=1)
    if pipe == SFU:
        return Chain(functions=1)
    return Chain(float64=1) if pipe == FP64 else Chain(arithmetic=1)
