"""Instructions that move data: mov, ld, st, cvta, atom, red, cp.async, prefetch and their kind.

Source: PTX ISA, "Data Movement and Conversion Instructions", "Parallel Synchronization and Communication Instructions".
"""

from collections.abc import Callable, Iterator

from convbench.emulator.ptx.body import Body
from convbench.emulator.ptx.instructions.mbarriers import arrive_behind_copies, copy_in_bulk
from convbench.emulator.ptx.instructions.table import lowers
from convbench.emulator.ptx.kinds import STRONG, bits, is_signed, kinds_of, llvm
from convbench.emulator.ptx.memory import space_of
from convbench.emulator.ptx.special import is_special, read_special
from convbench.emulator.ptx.syntax import Address, Instruction, Operand, Vector, bytes_of
from convbench.emulator.ptx.watched import WatchedMemory
from convbench.emulator.state import FaultKind

_MOVES = "Data Movement and Conversion Instructions"
_SYNC = "Parallel Synchronization and Communication Instructions"


@lowers("mov", section=f"{_MOVES}: mov")
def move(e: Body, i: Instruction) -> None:
    """Set d = a: a register, a constant, an address, a special register, or a vector packed or unpacked."""
    kind = kinds_of(i.modifiers)[-1]
    to, source = i.operands
    if isinstance(source, Vector):
        _pack(e, to, kind, source)
    elif isinstance(to, Vector):
        _unpack(e, to, kind, source)
    elif isinstance(source, str) and is_special(source):
        e.set(to, kind, read_special(e, source, kind))
    elif isinstance(to, str) and to in e.canonical:
        e.set(to, kind, e.get(source, kind))
    else:
        e.set(to, kind, e.bits(source, kind))


def _pack(e: Body, to: Operand, kind: str, source: Vector) -> None:
    """The first element goes to the lowest bits."""
    own, part = f"i{bits(kind)}", bits(kind) // len(source.items)
    total = "0"
    for number, item in enumerate(source.items):
        wide = e.op(f"zext i{part} {e.bits(item, f'b{part}')} to {own}")
        total = e.op(f"or {own} {total}, {e.op(f'shl {own} {wide}, {number * part}')}")
    e.set(to, f"b{bits(kind)}", total)


def _unpack(e: Body, to: Vector, kind: str, source: Operand) -> None:
    own, part = f"i{bits(kind)}", bits(kind) // len(to.items)
    value = e.bits(source, f"b{bits(kind)}")
    for number, item in enumerate(to.items):
        shifted = e.op(f"lshr {own} {value}, {number * part}")
        e.set(item, f"b{part}", e.op(f"trunc {own} {shifted} to i{part}"))


@lowers("cvta", section=f"{_MOVES}: cvta")
def convert_address(e: Body, i: Instruction) -> None:
    """Set d = the generic address of an address in a space, or with `.to` the other way round."""
    memory = e.memory
    space = space_of(i)
    source = i.operands[1]
    value = e.get(source, "u64")
    e.set(i.operands[0], "u64", (memory.window if "to" in i.modifiers else memory.generic)(e, value, space))


@lowers("isspacep", section=f"{_MOVES}: isspacep")
def is_in_space(e: Body, i: Instruction) -> None:
    """Set p = whether a generic address lies in a space."""
    memory, space = e.memory, space_of(i)
    value = e.get(i.operands[1], "u64")
    spaces = ("shared", "local") if space == "global" else (space,)
    inside = []
    for one in spaces:
        begin = memory.base_address(e, one)
        size = e.field("worker", "shared_bytes") if one == "shared" else str(memory.local_bytes)
        inside.append(e.op(f"icmp ult i64 {e.op(f'sub i64 {value}, {begin}')}, {size}"))
    if space == "global":
        either = e.op(f"or i1 {inside[0]}, {inside[1]}")
        e.set(i.operands[0], "pred", e.op(f"xor i1 {either}, true"))
    else:
        e.set(i.operands[0], "pred", inside[0])


def _address(e: Body, operand: Operand) -> Address:
    if not isinstance(operand, Address):
        raise e.refuse(f"{operand} is no address")
    return operand


@lowers("ld", "ldu", section=f"{_MOVES}: ld, ld.global.nc, ldu")
def load(e: Body, i: Instruction) -> None:
    """Set d = [a]: one to eight elements; a narrower element is extended to the register."""
    kind = kinds_of(i.modifiers)[-1]
    address = _address(e, i.operands[1])
    targets = e.items(i.operands[0])
    if space_of(i) == "param":
        e.parameters.load(targets, kind, address)
        return
    size = bytes_of(kind)
    pointer = e.memory.pointer(e, address, space_of(i), size * len(targets), FaultKind.READ_OUTSIDE)
    own = llvm(kind)
    strong = "volatile " if STRONG & set(i.modifiers) else ""
    if len(targets) == 1:
        value = e.op(f"load {strong}{own}, ptr {pointer}, align 1")
        e.set(targets[0], kind, value, signed=is_signed(kind))
        return
    vector = e.op(f"load {strong}<{len(targets)} x {own}>, ptr {pointer}, align 1")
    for number, target in enumerate(targets):
        value = e.op(f"extractelement <{len(targets)} x {own}> {vector}, i32 {number}")
        e.set(target, kind, value, signed=is_signed(kind))


@lowers("st", section=f"{_MOVES}: st")
def store(e: Body, i: Instruction) -> None:
    """[a] = b: one to eight elements; a wider register is cut."""
    kind = kinds_of(i.modifiers)[-1]
    address = _address(e, i.operands[0])
    sources = e.items(i.operands[1])
    if space_of(i) == "param":
        e.parameters.store(sources, kind, address)
        return
    size = bytes_of(kind)
    own = llvm(kind)
    strong = "volatile " if STRONG & set(i.modifiers) else ""
    values = [e.bits(source, kind) for source in sources]
    stored = values[0]
    if len(values) > 1:
        stored = "poison"
        for number, value in enumerate(values):
            stored = e.op(f"insertelement <{len(values)} x {own}> {stored}, {own} {value}, i32 {number}")
        own = f"<{len(values)} x {own}>"
    width = size * len(sources)
    if isinstance(e.memory, WatchedMemory):
        pointer = e.memory.pointer_of_store(e, address, space_of(i), stored, own, width)
    else:
        pointer = e.memory.pointer(e, address, space_of(i), width, FaultKind.WRITE_OUTSIDE)
    e.put(f"store {strong}{own} {stored}, ptr {pointer}, align 1")


# ---- atomics

_INTEGER = {
    "add": "add",
    "and": "and",
    "or": "or",
    "xor": "xor",
    "exch": "xchg",
    "inc": "uinc_wrap",
    "dec": "udec_wrap",
}


@lowers("atom", section=f"{_SYNC}: atom")
def atomic(e: Body, i: Instruction) -> None:
    """Set d = [a]; [a] = d op b, at once. Of a vector, each element is updated at once."""
    if isinstance(i.operands[0], Vector):
        elements = _elements(e, i, i.operands[1], i.operands[2])
        for to, (place, value) in zip(i.operands[0].items, elements, strict=True):
            found, kind = _updated(e, i, place, (value,))
            e.set(to, kind, found)
        return
    found, kind = _updated(e, i, i.operands[1], i.operands[2:])
    e.set(i.operands[0], kind, found)


@lowers("red", section=f"{_SYNC}: red")
def reduction(e: Body, i: Instruction) -> None:
    """[a] = [a] op b, at once."""
    if "async" in i.modifiers:
        raise e.refuse("red.async needs a cluster of blocks")
    if isinstance(i.operands[1], Vector):
        for place, value in _elements(e, i, i.operands[0], i.operands[1]):
            _updated(e, i, place, (value,))
        return
    _updated(e, i, i.operands[0], i.operands[1:])


def _elements(e: Body, i: Instruction, place: Operand, values: Operand) -> Iterator[tuple[Address, Operand]]:
    """The address and the value of each element of an atomic instruction on vectors."""
    first, size = _address(e, place), bytes_of(kinds_of(i.modifiers)[-1])
    for number, value in enumerate(e.items(values)):
        yield Address(first.base, first.offset + number * size), value


def _updated(e: Body, i: Instruction, place: Operand, operands: tuple[Operand, ...]) -> tuple[str, str]:
    """The value before the update, and its PTX type."""
    kind = kinds_of(i.modifiers)[-1]
    space = space_of(i)
    size = bytes_of(kind)
    pointer = e.memory.pointer(e, _address(e, place), space, size, FaultKind.WRITE_OUTSIDE)
    operation = next(word for word in i.modifiers if word in (*_INTEGER, "cas", "min", "max"))
    own = llvm(kind)
    e.unless(_is_aligned(e, pointer, size), FaultKind.MISALIGNED, e.op(f"ptrtoint ptr {pointer} to i64"), str(size))
    first = e.bits(operands[0], kind)
    if operation == "cas":
        word = f"i{bits(kind)}"
        expected, new = e.bits(operands[0], f"b{bits(kind)}"), e.bits(operands[1], f"b{bits(kind)}")
        pair = e.op(f"cmpxchg ptr {pointer}, {word} {expected}, {word} {new} seq_cst seq_cst, align {size}")
        if isinstance(e.memory, WatchedMemory):
            e.memory.swapped(e, pointer, e.op(f"extractvalue {{{word}, i1}} {pair}, 1"))
        return e.op(f"extractvalue {{{word}, i1}} {pair}, 0"), f"b{bits(kind)}"
    if kind in ("f32", "f64") and operation == "add":
        if kind == "f32" and space != "shared":
            # atomic addition of float32 in global memory flushes subnormals (PTX ISA, "atom")
            word = e.cast(first, own, "b32")
            return e.cast(e.call("i32", "emu.ptx.atomic.add.ftz", f"ptr {pointer}", f"i32 {word}"), "i32", kind), kind
        return e.op(f"atomicrmw fadd ptr {pointer}, {own} {first} seq_cst, align {size}"), kind
    if kind in ("f16", "bf16", "f16x2", "bf16x2"):
        name = f"emu.ptx.atomic.{operation}.{kind}"
        if operation != "add":
            raise e.refuse("only addition of halves is atomic here")
        return e.call(own, name, f"ptr {pointer}", f"{own} {first}"), kind
    if operation in ("min", "max"):
        operation = operation if is_signed(kind) else f"u{operation}"
    else:
        operation = _INTEGER[operation]
    return e.op(f"atomicrmw {operation} ptr {pointer}, {own} {first} seq_cst, align {size}"), kind


def _is_aligned(e: Body, pointer: str, size: int) -> str:
    rest = e.op(f"and i64 {e.op(f'ptrtoint ptr {pointer} to i64')}, {size - 1}")
    return e.op(f"icmp eq i64 {rest}, 0")


# ---- asynchronous copies, and hints


@lowers("cp", section=f"{_MOVES}: cp.async")
def copy(e: Body, i: Instruction) -> None:
    """Copy 4, 8 or 16 bytes from global to shared memory. It lands at once here, and at the wait in checked mode."""
    words = i.modifiers
    if words[:1] != ("async",):
        raise e.refuse("only cp.async and cp.async.bulk are")
    if "bulk" in words:
        copy_in_bulk(e, i)
    elif "mbarrier" in words:
        if isinstance(e.memory, WatchedMemory):  # the copies land
            _commit(e)
            _wait(e, "0")
        arrive_behind_copies(e, i)
    elif "commit_group" in words:
        _commit(e)
    elif "wait_all" in words:
        _commit(e)
        _wait(e, "0")
    elif "wait_group" in words:
        _wait(e, e.get(i.operands[0], "u64"))
    else:
        _issue(e, i)


def _commit(e: Body) -> None:
    if isinstance(e.memory, WatchedMemory):
        e.memory.commit(e)
    else:
        e.call("void", "emu.copy.commit")


def _wait(e: Body, pending: str) -> None:
    if isinstance(e.memory, WatchedMemory):
        e.memory.wait(e, pending)
    else:
        e.call("void", "emu.copy.wait", f"i64 {pending}")


def _issue(e: Body, i: Instruction) -> None:
    """Begin a copy: of all bytes, of none, or of some; zeros fill the rest."""
    size = int(e.get(i.operands[2], "u32"))
    rest = i.operands[3:-1] if any("cache_hint" in word for word in i.modifiers) else i.operands[3:]
    to, source = _address(e, i.operands[0]), _address(e, i.operands[1])
    is_number = bool(rest) and e.kind_of(str(rest[0]).lstrip("!")) != "pred"
    used = e.get(rest[0], "u32") if is_number else str(size)
    if isinstance(e.memory, WatchedMemory):
        issue, clear, part = _later(e, e.memory, to, source, size, used)
    else:
        issue, clear, part = _at_once(e, to, source, size, used)
    if not rest:
        issue()
    elif not is_number:  # the predicate says: ignore the source
        e.either(e.get(rest[0], "pred"), clear, issue)
    else:
        whole = e.op(f"icmp uge i32 {used}, {size}")
        none = e.op(f"icmp eq i32 {used}, 0")
        e.either(whole, issue, lambda: e.either(none, clear, part))


Copies = tuple[Callable[[], None], Callable[[], None], Callable[[], None]]  # of all bytes, of none, of some


def _later(e: Body, memory: WatchedMemory, to: Address, source: Address, size: int, used: str) -> Copies:
    """Copies that land when the thread waits for them."""

    def part() -> None:
        memory.issue(e, to, source, size, e.op(f"zext i32 {used} to i64"))

    return lambda: memory.issue(e, to, source, size), lambda: memory.issue(e, to, None, size), part


def _at_once(e: Body, target: Address, source: Address, size: int, used: str) -> Copies:
    """Copies that land at once."""
    memory = e.memory
    to = memory.pointer(e, target, "shared", size, FaultKind.WRITE_OUTSIDE)

    def issue() -> None:
        begin = memory.pointer(e, source, "global", size, FaultKind.READ_OUTSIDE)
        e.call("void", f"emu.copy.issue.{size}", f"ptr {to}", f"ptr {begin}", "i32 1")

    def clear() -> None:
        e.call("void", f"emu.copy.issue.{size}", f"ptr {to}", f"ptr {to}", "i32 0")

    def part() -> None:
        address, root = memory.value(e, source), memory.root(source)
        begin = memory.inside(e, address, root, "global", 1, FaultKind.READ_OUTSIDE)
        wide = e.op(f"zext i32 {used} to i64")
        last = e.op(f"sub i64 {e.op(f'add i64 {address}, {wide}')}, 1")
        memory.inside(e, last, root, "global", 1, FaultKind.READ_OUTSIDE)
        e.put(f"call void @llvm.memset.p0.i64(ptr {to}, i8 0, i64 {size}, i1 false)")
        e.put(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {begin}, i64 {wide}, i1 false)")

    return issue, clear, part


@lowers("prefetch", "prefetchu", "applypriority", "discard", section=f"{_MOVES}: prefetch, applypriority, discard")
def hint(e: Body, i: Instruction) -> None:
    """A hint to the caches, which has no effect on a value."""


@lowers("createpolicy", section=f"{_MOVES}: createpolicy")
def make_policy(e: Body, i: Instruction) -> None:
    """Set d = a policy of the caches, which is never looked at."""
    e.set(i.operands[0], "b64", "0")
