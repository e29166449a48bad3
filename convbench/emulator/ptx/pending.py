"""Checked mode: registers that a product of a warpgroup still writes, until the thread waits for its group.

Products are computed where they are issued, so a program that reads their sums too early would get them. Beside each
register that may hold such a sum is the number of its group, from 1, which copies take along. A thread knows how many
groups it has committed, and how many have ended. Products may add to sums that are under way. Everything else must
wait.

Source: PTX ISA, "wgmma.mma_async", "wgmma.commit_group", "wgmma.wait_group".
"""

from collections.abc import Callable

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.flow import names_in
from convbench.emulator.ptx.syntax import Function, Instruction
from convbench.emulator.state import THREAD, FaultKind, offset

_PRODUCT = "mma_async"


def _is_product(i: Instruction) -> bool:
    return i.opcode == "wgmma" and i.modifiers[0] == _PRODUCT


class Pending:
    """The sums of one function."""

    def __init__(self, function: Function) -> None:
        body = [i for i in function.body if isinstance(i, Instruction) and i.operands]
        self.registers = {name for i in body if _is_product(i) for name in names_in(i.operands[0])}
        copies = [(str(i.operands[0]), str(i.operands[1])) for i in body if i.opcode == "mov"]
        before = -1
        while before != len(self.registers):
            before = len(self.registers)
            self.registers |= {to for to, source in copies if source in self.registers}
        self._is_open = True  # whether reads are checked

    def check(self, e: Emitter, register: str) -> None:
        """End the kernel if a product still writes a register that is read."""
        if self._is_open:
            ended = e.op(f"load i64, ptr {self._count(e, 'groups_ended')}")
            e.unless(e.op(f"icmp ule i64 {self._group(e, register)}, {ended}"), FaultKind.UNWAITED)

    def around(self, e: Emitter, i: Instruction, lower: Callable[[], None]) -> None:
        """Lower an instruction, and note which group its results belong to."""
        if i.opcode == "wgmma" and i.modifiers[0] in ("commit_group", "wait_group"):
            self._count_groups(e, i)
        source = str(i.operands[1]) if i.opcode == "mov" and i.operands else ""
        copies = source in self.registers
        group = self._group(e, source) if copies else "0"
        self._is_open = not copies
        lower()
        self._is_open = True
        if _is_product(i):
            committed = e.op(f"load i64, ptr {self._count(e, 'groups')}")
            group = e.op(f"add i64 {committed}, 1")
        for name in names_in(i.operands[0]) if i.operands and i.opcode not in ("st", "bra", "wgmma", "red") else ():
            if name in self.registers:
                e.put(f"store i64 {group}, ptr {self._place(e, name)}")
        for name in names_in(i.operands[0]) if _is_product(i) else ():
            e.put(f"store i64 {group}, ptr {self._place(e, name)}")

    def quietly(self, read: Callable[[], object]) -> None:
        """Read sums that a product adds to."""
        self._is_open = False
        read()
        self._is_open = True

    def _count_groups(self, e: Emitter, i: Instruction) -> None:
        committed = e.op(f"load i64, ptr {self._count(e, 'groups')}")
        if i.modifiers[0] == "commit_group":
            e.put(f"store i64 {e.op(f'add i64 {committed}, 1')}, ptr {self._count(e, 'groups')}")
        else:
            ended = e.op(f"sub i64 {committed}, {i.operands[0]}")
            most = e.op(f"load i64, ptr {self._count(e, 'groups_ended')}")
            ended = e.op(f"call i64 @llvm.smax.i64(i64 {ended}, i64 {most})")
            e.put(f"store i64 {ended}, ptr {self._count(e, 'groups_ended')}")

    def _count(self, e: Emitter, name: str) -> str:
        thread = e.hoist("thread", lambda op: op("call ptr @emu.thread()"))
        return e.hoist(f"thread.{name}", lambda op: op(f"getelementptr i8, ptr {thread}, i64 {offset(THREAD, name)}"))

    def _place(self, e: Emitter, register: str) -> str:
        return e.place(f"group of {register}", "u64")  # no register has a name with spaces

    def _group(self, e: Emitter, register: str) -> str:
        return e.op(f"load i64, ptr {self._place(e, register)}")
