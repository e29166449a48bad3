"""Checked mode: registers that a product of a warpgroup still uses, until the thread waits for its group.

Products are computed where they are issued, so a program that reads their sums too early would get them. Beside each
register that may hold such a sum is the number of its group, from 1, which copies take along. A thread knows how many
groups it has committed, and how many have ended (`checks.operands`). Products may add to sums that are under way.
Everything else must wait.

Until the wait, nobody may write the registers of the product either: its sums, and A. Beside each of these are the
group and the place in the source of its last product. A sum under way may be copied back into its register.

Source: PTX ISA, "wgmma.mma_async", "wgmma.commit_group", "wgmma.wait_group".
"""

from collections.abc import Callable

from convbench.emulator.ptx.emitter import Emitter
from convbench.emulator.ptx.flow import NO_RESULT, names_in
from convbench.emulator.ptx.syntax import Function, Instruction, Vector
from convbench.emulator.state import THREAD, FaultKind, offset

_PRODUCT = "mma_async"
_SITE = 24  # bits of a place in the source; above them is the group


def _is_product(i: Instruction) -> bool:
    return i.opcode == "wgmma" and i.modifiers[0] == _PRODUCT


def _operands(i: Instruction) -> list[str]:
    """The registers that a product uses until the wait: its sums, and those of A."""
    return [name for operand in i.operands[:2] if isinstance(operand, Vector) for name in names_in(operand)]


class Pending:
    """The sums and the operands of the products of one function."""

    def __init__(self, function: Function) -> None:
        body = [i for i in function.body if isinstance(i, Instruction) and i.operands]
        products = [i for i in body if _is_product(i)]
        self._operands = {name for i in products for name in _operands(i)}
        self.registers = {name for i in products for name in names_in(i.operands[0])}
        copies = [(str(i.operands[0]), str(i.operands[1])) for i in body if i.opcode == "mov"]
        before = -1
        while before != len(self.registers):
            before = len(self.registers)
            self.registers |= {to for to, source in copies if source in self.registers}
        self._is_open = True  # whether reads are checked

    def check(self, e: Emitter, register: str) -> None:
        """End the kernel if a product still writes a register that is read."""
        if self._is_open:
            e.unless(self._has_ended(e, self._group(e, register)), FaultKind.UNWAITED)

    def around(self, e: Emitter, i: Instruction, lower: Callable[[], None]) -> None:
        """Lower an instruction, and note which group its results belong to."""
        source = str(i.operands[1]) if i.opcode == "mov" and i.operands else ""
        copies = source in self.registers
        group = self._group(e, source) if copies else "0"
        targets = [*names_in(i.operands[0])] if i.operands and i.opcode not in NO_RESULT else []
        for name in targets:
            if name in self._operands:
                self._check_write(e, name, group if copies else "")
        self._is_open = not copies
        lower()
        self._is_open = True
        if _is_product(i):
            committed = e.op(f"load i64, ptr {self._count(e, 'groups')}")
            group = e.op(f"add i64 {committed}, 1")
            product = e.op(f"or i64 {e.op(f'shl i64 {group}, {_SITE}')}, {e.site}")
            targets = [*names_in(i.operands[0])]
            for name in _operands(i):
                e.put(f"store i64 {product}, ptr {self._product(e, name)}")
        for name in targets:
            if name in self.registers:
                e.put(f"store i64 {group}, ptr {self._place(e, name)}")

    def quietly(self, read: Callable[[], object]) -> None:
        """Read sums that a product adds to."""
        self._is_open = False
        read()
        self._is_open = True

    def _check_write(self, e: Emitter, register: str, copied: str) -> None:
        """End the kernel if a product still uses a register that is written. `copied` is the group of a copied sum."""
        product = e.op(f"load i64, ptr {self._product(e, register)}")
        good = self._has_ended(e, e.op(f"lshr i64 {product}, {_SITE}"))
        if copied:
            good = e.op(f"or i1 {good}, {e.op(f'xor i1 {self._has_ended(e, copied)}, true')}")
        e.unless(good, FaultKind.OPERAND, "0", e.op(f"and i64 {product}, {(1 << _SITE) - 1}"))

    def _has_ended(self, e: Emitter, group: str) -> str:
        ended = e.op(f"load i64, ptr {self._count(e, 'groups_ended')}")
        return e.op(f"icmp ule i64 {group}, {ended}")

    def _count(self, e: Emitter, name: str) -> str:
        thread = e.hoist("thread", lambda op: op("call ptr @emu.thread()"))
        return e.hoist(f"thread.{name}", lambda op: op(f"getelementptr i8, ptr {thread}, i64 {offset(THREAD, name)}"))

    def _place(self, e: Emitter, register: str) -> str:
        return e.place(f"group of {register}", "u64")  # no register has a name with spaces

    def _product(self, e: Emitter, register: str) -> str:
        return e.place(f"product of {register}", "u64")

    def _group(self, e: Emitter, register: str) -> str:
        return e.op(f"load i64, ptr {self._place(e, register)}")
