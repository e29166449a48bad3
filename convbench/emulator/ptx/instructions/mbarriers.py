"""mbarrier: barriers in shared memory that count arrivals and bytes, and bulk copies, which tell them their bytes.

An mbarrier is a word of 64 bits: from the lowest bit on, the pending arrivals (20 bits), the expected arrivals (20),
the bytes under way (22, plus `_NONE`), and the number of the phase modulo 2 (the highest bit). Programs may not look at
it.

A bulk copy is made where it is issued. In checked mode its destination counts as unwritten until a thread has waited at
its mbarrier. `schedule` runs the threads of a block one at a time, so nothing here is atomic.

Source: PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier", "Data Movement and Conversion
Instructions: cp.async.bulk".
"""

from convbench.emulator.ptx.body import Body
from convbench.emulator.ptx.instructions.table import lowers
from convbench.emulator.ptx.memory import space_of
from convbench.emulator.ptx.syntax import Address, Instruction, Operand
from convbench.emulator.ptx.watched import MBARRIER_BYTES, WatchedMemory
from convbench.emulator.state import WORKER, FaultKind, offset

_SECTION = "Parallel Synchronization and Communication Instructions: mbarrier"
_STEP = 16  # bytes that a bulk copy moves at once
_EXPECTED, _UNDER_WAY = 20, 40  # lowest bits of fields
_MOST = (1 << 20) - 1
_NONE = 1 << 21  # the field of bytes under way when there are none


def _pointer(e: Body, i: Instruction, place: Operand, space: str | None = None) -> str:
    if not isinstance(place, Address):
        raise e.refuse(f"{place} is no address")
    space = space_of(i) if space is None else space
    return e.memory.pointer(e, place, space, MBARRIER_BYTES, FaultKind.WRITE_OUTSIDE)


@lowers("mbarrier", section=_SECTION)
def mbarrier(e: Body, i: Instruction) -> None:
    """Begin, arrive at, expect bytes of, or wait for an mbarrier."""
    action, words, operands = i.modifiers[0], i.modifiers, i.operands
    if action == "init":
        _begin(e, _pointer(e, i, operands[0]), e.get(operands[1], "u32"))
    elif action in ("arrive", "arrive_drop"):
        _arrive(e, i)
    elif action in ("expect_tx", "complete_tx"):
        size = e.op(f"zext i32 {e.get(operands[1], 'u32')} to i64")
        update(e, _pointer(e, i, operands[0]), size=size if action == "expect_tx" else e.op(f"sub i64 0, {size}"))
    elif action in ("test_wait", "try_wait"):
        pointer = _pointer(e, i, operands[1])
        if action == "try_wait":  # it may wait: let the threads run that it waits for
            over = _is_over(e, i, pointer, parity="parity" in words)
            e.either(e.op(f"xor i1 {over}, true"), lambda: e.put(f"call void @emu.ptx.yield(i64 {e.site})"))
        over = _is_over(e, i, pointer, parity="parity" in words)
        e.set(operands[0], "pred", over)
        memory = e.memory
        if isinstance(memory, WatchedMemory):
            e.either(over, lambda: memory.end_bulk(e, pointer))
    elif action == "pending_count":
        pending = e.op(f"and i64 {e.get(operands[1], 'b64')}, {_MOST}")
        e.set(operands[0], "u32", e.op(f"trunc i64 {pending} to i32"))
    elif action != "inval":
        raise e.refuse("it has no counterpart on the CPU")


def _begin(e: Body, pointer: str, count: str) -> None:
    in_range = e.op(f"icmp ult i32 {e.op(f'sub i32 {count}, 1')}, {_MOST}")
    e.unless(in_range, FaultKind.TRAP)
    wide = e.op(f"zext i32 {count} to i64")
    both = e.op(f"mul i64 {wide}, {1 + (1 << _EXPECTED)}")
    e.put(f"store i64 {e.op(f'or i64 {both}, {_NONE << _UNDER_WAY}')}, ptr {pointer}, align 1")


def _arrive(e: Body, i: Instruction) -> None:
    """Arrive once, or as often as the last operand says; first expect bytes, if the instruction says so."""
    at = next((n for n, operand in enumerate(i.operands) if isinstance(operand, Address)), 0)
    more = i.operands[at + 1 :]
    size, count = "0", "1"
    if "expect_tx" in i.modifiers:
        size = e.op(f"zext i32 {e.get(more[0], 'u32')} to i64")
    elif more:
        count = e.op(f"zext i32 {e.get(more[0], 'u32')} to i64")
    pointer = _pointer(e, i, i.operands[at])
    before = update(e, pointer, count=count, size=size, drops=i.modifiers[0] == "arrive_drop")
    if at:
        e.set(i.operands[0], "b64", before)


def _is_over(e: Body, i: Instruction, pointer: str, *, parity: bool) -> str:
    """Whether the phase that an operand names is over: by its parity, or by the word that `arrive` gave."""
    word = e.op(f"load volatile i64, ptr {pointer}, align 1")
    if parity:
        wide = e.op(f"zext i32 {e.get(i.operands[2], 'u32')} to i64")
        named = e.op(f"shl i64 {wide}, 63")
    else:
        named = e.get(i.operands[2], "b64")
    return e.op(f"icmp slt i64 {e.op(f'xor i64 {word}, {named}')}, 0")


def update(e: Body, pointer: str, *, count: str = "0", size: str = "0", drops: bool = False) -> str:
    """Take arrivals away, add bytes under way, and end the phase if nothing is left. Returns the word before."""
    before = e.op(f"load volatile i64, ptr {pointer}, align 1")
    if count != "0":
        pending = e.op(f"and i64 {before}, {_MOST}")
        e.unless(e.op(f"icmp ule i64 {count}, {pending}"), FaultKind.TRAP)
    word = e.op(f"add i64 {before}, {e.op(f'shl i64 {size}, {_UNDER_WAY}')}")
    word = e.op(f"sub i64 {word}, {e.op(f'mul i64 {count}, {1 + (1 << _EXPECTED)}') if drops else count}")
    left = e.op(f"and i64 {word}, {_MOST | ((_NONE << 1) - 1) << _UNDER_WAY}")
    ends = e.op(f"icmp eq i64 {left}, {_NONE << _UNDER_WAY}")
    expected = e.op(f"and i64 {e.op(f'lshr i64 {word}, {_EXPECTED}')}, {_MOST}")
    begun = e.op(f"xor i64 {e.op(f'or i64 {word}, {expected}')}, {-(1 << 63)}")
    e.put(f"store volatile i64 {e.op(f'select i1 {ends}, i64 {begun}, i64 {word}')}, ptr {pointer}, align 1")
    if isinstance(e.memory, WatchedMemory):
        # no access before it races with one after it, not even of a thread that took no part
        worker = e.hoist("worker", lambda op: op("call ptr @emu.worker()"))
        at = e.op(f"getelementptr i8, ptr {worker}, i64 {offset(WORKER, 'epoch')}")
        epoch = e.op(f"load i64, ptr {at}")
        more = e.op(f"zext i1 {ends} to i64")
        e.put(f"store i64 {e.op(f'add i64 {more}, {epoch}')}, ptr {at}")
    return before


def arrive_behind_copies(e: Body, i: Instruction) -> None:
    """cp.async.mbarrier.arrive: arrive when this thread's copies have landed, which they do here at the latest.

    Without `.noinc`, one more arrival is expected first, so that nothing changes in the end.
    """
    pointer = _pointer(e, i, i.operands[0])
    if "noinc" in i.modifiers:
        update(e, pointer, count="1")


def copy_in_bulk(e: Body, i: Instruction) -> None:
    """cp.async.bulk: copy 16 bytes again and again, and tell the mbarrier."""
    words = i.modifiers
    if "commit_group" in words or "wait_group" in words or "prefetch" in words:
        return
    for word in ("tensor", "multicast::cluster", "cp_mask", "ignore_oob"):
        if word in words:
            raise e.refuse("only bulk copies without tensors, clusters and masks are")
    target, source, size = i.operands[:3]
    if not isinstance(target, Address) or not isinstance(source, Address):
        raise e.refuse("it has no addresses")
    spaces = [word.partition("::")[0] for word in words if word.partition("::")[0] in ("shared", "global")]
    count = e.op(f"zext i32 {e.get(size, 'u32')} to i64")
    e.unless(e.op(f"icmp eq i64 {e.op(f'and i64 {count}, {_STEP - 1}')}, 0"), FaultKind.TRAP)
    memory, name = e.memory, e.new()[1:]
    counter = e.place("bytes of a bulk copy", "u64")  # no register has a name with spaces
    to, begin = memory.value(e, target), memory.value(e, source)
    e.put(f"store i64 0, ptr {counter}")
    e.label(f"copy.{name}")
    done = e.op(f"load i64, ptr {counter}")
    e.end(f"br i1 {e.op(f'icmp ult i64 {done}, {count}')}, label %more.{name}, label %copied.{name}")
    e.label(f"more.{name}")
    place = e.op(f"add i64 {begin}, {done}")
    read = memory.inside(e, place, memory.root(source), spaces[1], _STEP, FaultKind.READ_OUTSIDE)
    value = e.op(f"load <4 x i32>, ptr {read}, align 1")
    place = e.op(f"add i64 {to}, {done}")
    write = memory.inside(e, place, memory.root(target), spaces[0], _STEP, FaultKind.WRITE_OUTSIDE)
    e.put(f"store <4 x i32> {value}, ptr {write}, align 1")
    e.put(f"store i64 {e.op(f'add i64 {done}, {_STEP}')}, ptr {counter}")
    e.end(f"br label %copy.{name}")
    e.label(f"copied.{name}")
    if "mbarrier::complete_tx::bytes" in words:
        pointer = _pointer(e, i, i.operands[3], "shared")
        update(e, pointer, size=e.op(f"sub i64 0, {count}"))
        if isinstance(memory, WatchedMemory):
            memory.begin_bulk(e, memory.generic(e, to, "shared"), count, pointer)
