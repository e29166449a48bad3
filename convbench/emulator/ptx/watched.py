"""Checked mode: the code that shows each access of a kernel to the shadow (`emulator.shadow`) before it is made.

The lowering knows more of an access than the LLVM code that it writes: its width and alignment by the PTX ISA, whether
it is weak, strong or atomic, the array that the flow of values leads to, and its line. So the checks are written here,
with the access, and not found again in the code. They are calls, which LLVM neither merges nor moves.

Memory of a thread alone is checked on the spot: behind the local memory of all functions lies a map that tells which of
its bytes have been written.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from convbench.emulator.checks import asynchronous, operands, shadow
from convbench.emulator.ptx.emitter import LIKELY, Emitter
from convbench.emulator.ptx.flow import Root, sources_of
from convbench.emulator.ptx.kinds import STRONG, kinds_of
from convbench.emulator.ptx.memory import Memory, Places, space_of
from convbench.emulator.ptx.syntax import Address, Function, Instruction, Label, bytes_of
from convbench.emulator.state import RANGE, THREAD, WORKER, FaultKind, offset

PREFIX = "emu_shadow_"  # of the functions that checked code calls
LARGEST_CELL = 8
MBARRIER_BYTES = 8


def address(name: str) -> int:
    """The address of a function that checked code calls; 0 if there is none of this name."""
    name = name.removeprefix(PREFIX)
    if name in ("check", "check_ordered"):
        return shadow.check_address(ordered=name == "check_ordered")
    if name in ("check_store", "check_store_ordered"):
        return shadow.check_store_address(ordered=name == "check_store_ordered")
    if name in ("atomic", "fence"):
        return shadow.ordering_addresses()[name == "fence"]
    if name in ("begin_bulk", "end_bulk"):
        return asynchronous.bulk_addresses()[name == "end_bulk"]
    if name in ("commit_products", "wait_products"):
        return operands.addresses()[name == "wait_products"]
    return dict(zip(("issue", "commit", "wait"), asynchronous.addresses(), strict=True)).get(name, 0)


@dataclass
class Watching:
    """What the checks of one kernel share.

    Parameters
    ----------
    rows : the ranges of memory, in the order of their table
    shift : a cell of the shadow stands for 2 ** shift bytes
    local : names of the functions' local memories
    ordered, preempts : whether the kernel has atomics or strong accesses; whether it has several
    atomics, copies, fences : whether it has atomics or strong writes, asynchronous copies, and fences
    """

    rows: list[Root]
    shift: int = 0
    local: list[str] = field(default_factory=list)
    ordered: bool = False
    preempts: bool = False
    atomics: bool = False
    copies: bool = False
    fences: bool = False


def cell_shift(functions: Iterable[Function]) -> int:
    """The size of a shadow cell, as a power of two: that of the smallest access to shared data, at most 8 bytes."""
    smallest = LARGEST_CELL
    for function in functions:
        for i in function.body:
            if isinstance(i, Instruction) and i.opcode in ("ld", "ldu", "st", "atom", "red"):
                if space_of(i) not in ("param", "local"):
                    smallest = min(smallest, bytes_of(kinds_of(i.modifiers)[-1]) * _elements(i))
            elif isinstance(i, Instruction) and i.opcode == "cp" and len(i.operands) > 1:
                smallest = min(smallest, 4)
            elif isinstance(i, Instruction) and i.opcode == "wmma" and "mma" not in i.modifiers:
                smallest = 1
    return smallest.bit_length() - 1


def count_atomics(functions: Iterable[Function]) -> int:
    """How many atomics, and strong accesses, functions have. These may order other accesses."""
    bodies = (i for function in functions for i in function.body if isinstance(i, Instruction))
    return sum(i.opcode in ("atom", "red") or bool(STRONG & set(i.modifiers)) for i in bodies)


def find_turns(function: Function) -> set[int]:
    """The branches backwards, by their place. Every loop takes one of them in each turn."""
    labels: set[str] = set()
    found = set()
    for place, i in enumerate(function.body):
        if isinstance(i, Label):
            labels.add(i.name)
        elif (i.opcode == "bra" and str(i.operands[0]) in labels) or (
            i.opcode == "brx" and labels & set(function.tables.get(str(i.operands[1]), ()))
        ):
            found.add(place)
    return found


def count_turn(e: Emitter) -> None:
    """Count a turn of a loop, and end the kernel when the budget is spent."""
    counter = e.place("turns of loops", "u64")  # no register has a name with spaces
    turns = e.op(f"add i64 {e.op(f'load i64, ptr {counter}')}, 1")
    e.put(f"store i64 {turns}, ptr {counter}")
    budget = e.field("worker", "budget")
    e.unless(e.op(f"icmp ule i64 {turns}, {budget}"), FaultKind.STEPS, budget)


def _elements(i: Instruction) -> int:
    return next((int(word[1:]) for word in i.modifiers if word in ("v2", "v4", "v8")), 1)


class WatchedMemory(Memory):
    """The memory that one function sees, where every access is checked."""

    def __init__(
        self, places: Places, function: Function, roots: dict[str, frozenset[Root]], watching: Watching
    ) -> None:
        super().__init__(places, function, roots)
        self.watching = watching
        self.number = len(watching.local)  # of this function's local memory, for reports
        watching.local.append(" and ".join(self.local) or "memory")
        swaps = [i for i in function.body if isinstance(i, Instruction) and "cas" in i.modifiers]
        self._stored: tuple[str, str] | None = None  # two words of the value of the store that is lowered
        self._swapped = {i.operands[1] for i in swaps}  # the addresses of compare-and-swaps
        self._compared = sources_of(function, {str(i.operands[2]) for i in swaps})

    # ---- accesses

    def pointer_of_store(self, e: Emitter, operand: Address, space: str, value: str, kind: str, width: int) -> str:
        """As `pointer`, for a store: lanes of a warp may store one value in one place together."""
        if width <= shadow.MOST_BYTES and space not in ("local", "param"):
            word = e.op(f"bitcast {kind} {value} to i{8 * width}")
            whole = e.op(f"zext i{8 * width} {word} to i256")
            low, high = (e.op(f"trunc i256 {e.op(f'lshr i256 {whole}, {far}')} to i64") for far in (0, 64))
            self._stored = low, high
        found = self.pointer(e, operand, space, width, FaultKind.WRITE_OUTSIDE)
        self._stored = None
        return found

    def inside(self, e: Emitter, address: str, root: Root | None, space: str, width: int, fault: FaultKind) -> str:
        """The pointer of an access that has been checked; otherwise the kernel ends here."""
        if space == "local" or (root and root[0] == "variable" and root[1] in self.local):
            place = address if space == "local" else self.window(e, address, "local")
            self._show_own(e, place, width, fault)
            return e.op(f"getelementptr i8, ptr {self.base(e, 'local')}, i64 {place}")
        if space == "shared":
            if root is None or root[1] not in self.places.shared:
                root = None
                self._bound(e, address, width, fault)
            address = self.generic(e, address, "shared")
        if self.places.parameter_bytes and root is None and not space and fault == FaultKind.READ_OUTSIDE:
            is_parameter = self.in_parameters(e, address, width)
            e.either(is_parameter, lambda: None, lambda: self._show_any(e, address, root, space, width, fault))
        else:
            self._show_any(e, address, root, space, width, fault)
        return e.op(f"inttoptr i64 {address} to ptr")

    def _show_any(self, e: Emitter, address: str, root: Root | None, space: str, width: int, fault: FaultKind) -> None:
        """Add the check of an access to memory that may be the thread's own, if nobody knows its array."""
        if root is None and not space and self.local_bytes:
            place = self.window(e, address, "local")
            is_own = e.op(f"icmp ult i64 {place}, {self.local_bytes}")
            e.either(
                is_own,
                lambda: self._show_own(e, place, width, fault),
                lambda: self._show(e, address, None, width, fault),
            )
        else:
            self._show(e, address, root, width, fault)

    def _access(self, i: Instruction, width: int, fault: FaultKind) -> int:
        """The kind of access that an instruction makes; `fault` is the one that it would be outside its array."""
        if i.opcode in ("atom", "red") or (i.opcode == "mbarrier" and "init" not in i.modifiers):
            return shadow.ATOMIC
        if i.opcode == "cp" and width == MBARRIER_BYTES:  # copies have 16 bytes: it is their mbarrier
            return shadow.ATOMIC
        is_strong = bool(STRONG & set(i.modifiers))
        if fault == FaultKind.WRITE_OUTSIDE:
            return shadow.STRONG_WRITE if is_strong else shadow.WRITE
        if is_strong:  # a loop around a compare-and-swap begins with such a read, and is one atomic access
            return shadow.ATOMIC if i.operands[1] in self._swapped else shadow.STRONG_READ
        if i.opcode == "ld" and i.operands[1] in self._swapped and i.operands[0] in self._compared:
            return shadow.RECHECKED_READ  # a compare-and-swap compares it again: an old value does no harm
        return shadow.READ

    def _bound(self, e: Emitter, place: str, width: int, fault: FaultKind) -> None:
        """End the kernel unless an offset is in the block's shared memory, whichever array it leads to."""
        size = e.field("worker", "shared_bytes")
        count = e.hoist(f"shared.{width}", lambda op: op(f"call i64 @llvm.usub.sat.i64(i64 {size}, i64 {width - 1})"))
        e.unless(e.op(f"icmp ult i64 {place}, {count}"), fault, self.generic(e, place, "shared"), str(width))

    def _row(self, e: Emitter, root: Root | None) -> tuple[int | None, str]:
        """The number and the address of the range that an address leads into; None and "0" if that is not known."""
        if root is None:
            return None, "0"
        kind, name = root
        if kind == "parameter":
            number = int(name)
        else:
            number = self.watching.rows.index(("shared" if name in self.places.shared else "memory", name))
        begin = e.field("worker", "ranges")
        return number, e.hoist(f"row.{number}", lambda op: op(f"add i64 {begin}, {number * RANGE.itemsize}"))

    def _show(self, e: Emitter, address: str, root: Root | None, width: int, fault: FaultKind) -> None:
        """Add the check of an access to memory that other threads see."""
        access = self._access(e.instruction, width, fault)
        self.watching.atomics |= bool(access & shadow.ATOMIC)
        number, row = self._row(e, root)
        align = max(width, e.instruction.align)
        what = str(shadow.describe_access(access, width, align, e.site))
        thread = self._thread(e)
        if self.watching.preempts and access in (shadow.ATOMIC, shadow.STRONG_READ, shadow.RECHECKED_READ):
            self._preempt(e)
        order = "_ordered" if self.watching.ordered else ""
        name = f"{PREFIX}check{order}"
        given = [f"i64 {thread}", f"i64 {address}", f"i64 {what}", f"i64 {row}"]
        if self._stored and access == shadow.WRITE:
            name, given = f"{PREFIX}check_store{order}", [*given, *(f"i64 {word}" for word in self._stored)]

        def check() -> None:
            self._end_if(e, e.call("i64", name, *given))

        if access == shadow.READ and number is not None and width == align == 1 << self.watching.shift:
            e.either(self._is_new(e, address, number, width), check)
        else:
            check()
        if access in (shadow.ATOMIC, shadow.STRONG_READ, shadow.RECHECKED_READ):
            if {"release", "acq_rel"} & set(e.instruction.modifiers):
                self.fence(e, is_device="cta" not in e.instruction.modifiers)
            if "cas" not in e.instruction.modifiers:
                self._note(e, address, str(int(e.instruction.opcode in ("atom", "red", "st"))))

    def _note(self, e: Emitter, address: str, writes: str) -> None:
        """Note an atomic, and whether it writes."""
        e.call("void", f"{PREFIX}atomic", f"i64 {self._thread(e)}", f"i64 {address}", f"i64 {writes}")

    def swapped(self, e: Emitter, pointer: str, done: str) -> None:
        """Note a compare-and-swap, and whether it was done."""
        self._note(e, e.op(f"ptrtoint ptr {pointer} to i64"), e.op(f"zext i1 {done} to i64"))

    def _preempt(self, e: Emitter) -> None:
        """Let other threads run before an atomic, if the scheduler has chosen this one."""
        worker = e.hoist("worker", lambda op: op("call ptr @emu.worker()"))
        at = e.op(f"getelementptr i8, ptr {worker}, i64 {offset(WORKER, 'preempt')}")
        left = e.op(f"sub i64 {e.op(f'load i64, ptr {at}')}, 1")
        e.put(f"store i64 {left}, ptr {at}")
        e.either(e.op(f"icmp sle i64 {left}, 0"), lambda: e.put(f"call void @emu.ptx.yield(i64 {e.site})"))

    def fence(self, e: Emitter, *, is_device: bool) -> None:
        """Note a fence, of the device or of the block: with an atomic it orders the accesses before it."""
        if not self.watching.ordered:
            return
        self.watching.fences = True
        e.call("void", f"{PREFIX}fence", f"i64 {self._thread(e)}", f"i64 {int(is_device)}")

    def _is_new(self, e: Emitter, address: str, number: int, width: int) -> str:
        """Whether a read is not free in this epoch. Most are: of memory that many threads read and nobody writes."""
        begin, size, cells = (self._of_range(e, number, name, "i64") for name in ("begin", "size", "cells"))
        place = e.op(f"sub i64 {address}, {begin}")
        inside = e.op(f"icmp ult i64 {place}, {size}")
        far = e.op(f"shl i64 {e.op(f'lshr i64 {place}, {self.watching.shift}')}, {shadow.CELL_BYTES.bit_length() - 1}")
        cell = e.op(f"add i64 {e.op(f'add i64 {cells}, {far}')}, {shadow.FREE}")
        worker = e.hoist("worker", lambda op: op("call ptr @emu.worker()"))
        safe = e.op(f"select i1 {inside}, ptr {e.op(f'inttoptr i64 {cell} to ptr')}, ptr {worker}")
        free = e.op(f"load i64, ptr {safe}")
        at = e.op(f"getelementptr i8, ptr {worker}, i64 {offset(WORKER, 'epoch')}")
        differs = e.op(f"xor i64 {free}, {e.op(f'load i64, ptr {at}')}")
        both = e.op(f"or i64 {address}, {place}")
        odd = e.op(f"or i64 {differs}, {e.op(f'and i64 {both}, {width - 1}')}")
        outside = e.op(f"xor i1 {inside}, true")
        return e.op(f"or i1 {outside}, {e.op(f'icmp ne i64 {odd}, 0')}")

    def _thread(self, e: Emitter) -> str:
        """The address of the thread's row."""
        pointer = e.hoist("thread", lambda op: op("call ptr @emu.thread()"))
        return e.hoist("thread.address", lambda op: op(f"ptrtoint ptr {pointer} to i64"))

    def _end_if(self, e: Emitter, fault: str) -> None:
        """End the kernel if a check has found a fault, whose details are in the thread's row."""
        name = e.new()[1:]
        good = e.op(f"icmp eq i64 {fault}, 0")
        e.end(f"br i1 {good}, label %in.{name}, label %out.{name}, {LIKELY}")
        thread = e.hoist("thread", lambda op: op("call ptr @emu.thread()"))
        e.cold.append(f"out.{name}:")
        for letter in "abc":
            e.cold.append(
                f"  %{letter}.at.{name} = getelementptr i8, ptr {thread}, i64 {offset(THREAD, f'fault_{letter}')}\n"
                f"  %{letter}.{name} = load i64, ptr %{letter}.at.{name}"
            )
        details = ", ".join(f"i64 %{letter}.{name}" for letter in "abc")
        e.cold.append(f"  call void @emu.fault(i64 {fault}, i64 {e.site}, {details})\n  unreachable")
        e.go_on(f"in.{name}")

    # ---- local memory

    def _show_own(self, e: Emitter, place: str, width: int, fault: FaultKind) -> None:
        """Add the check of an access to local memory, by its offset in that of the thread."""
        which = str(-1 - self.number)
        count = max(self.local_bytes - width + 1, 0)
        e.unless(e.op(f"icmp ult i64 {place}, {count}"), fault, place, str(width), which)
        align = max(width, e.instruction.align)
        rest = e.op(f"and i64 {place}, {align - 1}")
        e.unless(e.op(f"icmp eq i64 {rest}, 0"), FaultKind.MISALIGNED, place, str(align), which)
        written = e.op(f"getelementptr i8, ptr {self._map(e)}, i64 {place}")
        if fault == FaultKind.WRITE_OUTSIDE:
            e.put(f"store i{8 * width} {int.from_bytes(bytes([1] * width))}, ptr {written}, align 1")
        else:
            elements = _elements(e.instruction)
            size = width // elements
            for number in range(elements):
                at = e.op(f"getelementptr i8, ptr {written}, i64 {number * size}")
                found = e.op(f"load i{8 * size}, ptr {at}, align 1")
                # some bytes are enough: compilers copy structures with the gaps between their fields
                e.unless(e.op(f"icmp ne i{8 * size} {found}, 0"), FaultKind.UNWRITTEN, "0", which)

    def _depot_bytes(self) -> int:
        return 2 * super()._depot_bytes()

    def _map(self, e: Emitter) -> str:
        """The map behind the local memory of all functions, with one byte for each of its bytes."""
        size = max(self.local_bytes, 1)
        begin = self.base(e, "local")

        return e.hoist("map of local memory", lambda op: op(f"getelementptr i8, ptr {begin}, i64 {size}"))

    # ---- asynchronous copies: they land when the thread waits for them

    def issue(self, e: Emitter, to: Address, source: Address | None, size: int, used: str | None = None) -> None:
        """Begin a copy of `size` bytes, or of the first `used` and zeros; of zeros alone without a source."""
        target = self.generic(e, self.value(e, to), "shared")
        begin = self.value(e, source) if source else "0"
        self.watching.copies = True
        if used is None:
            self._issue(e, target, begin, str(shadow.describe_access(0, size, size, e.site)))
            return
        for place, first, count, align in (
            (target, begin, used, size),
            (e.op(f"add i64 {target}, {used}"), "0", e.op(f"sub i64 {size}, {used}"), 1),
        ):
            wide = e.op(f"shl i64 {count}, 16")
            self._issue(e, place, first, e.op(f"or i64 {wide}, {shadow.describe_access(0, 0, align, e.site)}"))

    def _issue(self, e: Emitter, to: str, source: str, what: str) -> None:
        thread = self._thread(e)
        self._end_if(e, e.call("i64", f"{PREFIX}issue", f"i64 {thread}", f"i64 {to}", f"i64 {source}", f"i64 {what}"))

    def commit(self, e: Emitter) -> None:
        """Close the group of the copies issued since the last one."""
        e.call("void", f"{PREFIX}commit", f"i64 {self._thread(e)}")

    def wait(self, e: Emitter, pending: str) -> None:
        """Wait for all copies but those of the last groups."""
        self.watching.copies = True
        self._end_if(e, e.call("i64", f"{PREFIX}wait", f"i64 {self._thread(e)}", f"i64 {pending}"))

    # ---- products of warpgroups

    def commit_products(self, e: Emitter) -> None:
        """Close the group of the products issued since the last one."""
        e.call("void", f"{PREFIX}commit_products", f"i64 {self._thread(e)}")

    def wait_for_products(self, e: Emitter, pending: str) -> None:
        """Wait for all groups of products but the last `pending` ones."""
        e.call("void", f"{PREFIX}wait_products", f"i64 {self._thread(e)}", f"i64 {pending}")

    def begin_bulk(self, e: Emitter, to: str, size: str, barrier: str) -> None:
        """Begin a bulk copy to shared memory that tells the mbarrier at a pointer."""
        self.watching.copies = True
        word = e.op(f"ptrtoint ptr {barrier} to i64")
        e.call("void", f"{PREFIX}begin_bulk", f"i64 {self._thread(e)}", f"i64 {to}", f"i64 {size}", f"i64 {word}")

    def end_bulk(self, e: Emitter, barrier: str) -> None:
        """End the bulk copies that tell the mbarrier at a pointer, for which the thread has waited."""
        word = e.op(f"ptrtoint ptr {barrier} to i64")
        e.call("void", f"{PREFIX}end_bulk", f"i64 {self._thread(e)}", f"i64 {word}")
