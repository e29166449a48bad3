"""Shadow memory: check that an access is inside its array, aligned, after a write, and ordered with all others.

Every few bytes of an array have a cell of four words: who wrote last, who has read (two words), and the epoch in which
everybody may read without another check. If the kernel has atomics, two more words in a separate table tell who has
done one. An atomic may race with plain reads and writes, as a read may race with a write. Atomics do not race among
themselves, and neither do reads.

"Who" is a stamp. It has the epoch (a number that grows with every block and every barrier), the number of the last
syncwarp that the lane took part in, and the thread. If several lanes of one warp have read, the second word has the
set of these lanes.

Two accesses of different threads are ordered if a barrier lies between them (their epochs differ), or if they are of
one warp and the later lane knows of a syncwarp after the earlier access. Otherwise, and between blocks, only fences and
atomics order them (`happens`). Two accesses are a race if they are not ordered, one of them is a write, and not both
are atomic. It does not matter which of them happened to run first, so the result does not depend on the schedule.

One thing is approximate. If several lanes have read since different syncwarps, the earliest number stands for all, so
that a write which is ordered with only some of them may seem ordered with all. This may hide a race. It never gives a
false alarm.

After FastTrack (Flanagan & Freund, PLDI 2009): the last write and mostly the last read are enough.
"""

from functools import cache

from numba import cfunc, njit, types

from convbench.emulator import raw
from convbench.emulator.checks import happens, notes, operands
from convbench.emulator.checks.happens import fence, is_ordered, synchronise
from convbench.emulator.checks.notes import note
from convbench.emulator.raw import load, load_byte, store, store_byte
from convbench.emulator.state import RANGE, THREAD, WARP, WORKER, FaultKind, fingerprint, offset

READ, WRITE, ATOMIC = 0, 1, 2  # kinds of access
STRONG = 4  # a flag: the access does not race with atomics
RECHECKED = 8  # a flag of a strong read: it is a plain one, whose value a compare-and-swap compares again
STRONG_READ = READ | STRONG
RECHECKED_READ = STRONG_READ | RECHECKED
STRONG_WRITE = ATOMIC | STRONG  # it reads nothing
CELL_BYTES = 32
_READERS = 8  # offset in a cell of who has read
FREE = 24  # offset in a cell of the epoch in which reads are free
ATOMIC_BYTES = 16  # of an entry that tells who has done atomics to a cell

_EPOCH, _SYNC = 36, 12  # lowest bits of these fields of a stamp; below them are two flags and the thread
_SYNC_MASK, _THREAD_MASK = (1 << 24) - 1, 1023
_LANES, _WARPS = 1 << 10, 1 << 11  # flags: several lanes of one warp, or several warps, have read or done atomics

_BEGIN, _SIZE, _CELLS = offset(RANGE, "begin"), offset(RANGE, "size"), offset(RANGE, "cells")
_ATOMICS = offset(RANGE, "atomics")
_SHIFT, _WRITTEN, _SHARED = offset(RANGE, "shift"), offset(RANGE, "written"), offset(RANGE, "is_shared")
_INDEX, _SYNCED, _WORKER = offset(THREAD, "index"), offset(THREAD, "sync"), offset(THREAD, "worker")
_A, _B, _C = offset(THREAD, "fault_a"), offset(THREAD, "fault_b"), offset(THREAD, "fault_c")
_NOW, _BLOCK_EPOCH, _CLOCKS = offset(WORKER, "epoch"), offset(WORKER, "block_epoch"), offset(WORKER, "clocks")
_SYNCWARPS, _SAME_VALUE = offset(WORKER, "syncwarps"), offset(WORKER, "same_value")
_HELD = -2  # beside the reader of the source of a copy that is under way
_UNDER_WAY = -(1 << 27)  # added to a block's epoch in the cells of the destination of a copy that is under way
_WRITES = offset(THREAD, "writes")
_ORDER, _GRID = offset(WORKER, "order"), offset(WORKER, "grid_epoch")
_RANGE_BEGIN, _RANGE_END = offset(WORKER, "range_begin"), offset(WORKER, "range_end")
_RANGES, _N_RANGES = offset(WORKER, "ranges"), offset(WORKER, "n_ranges")

_READ_OUTSIDE, _WRITE_OUTSIDE = int(FaultKind.READ_OUTSIDE), int(FaultKind.WRITE_OUTSIDE)
_MISALIGNED = int(FaultKind.MISALIGNED)
_COPY_TARGET = int(FaultKind.COPY_TARGET)
_RACE_READ, _RACE_WRITE = int(FaultKind.RACE_READ), int(FaultKind.RACE_WRITE)
_RECHECKED_READ, _SAME = int(FaultKind.RECHECKED_READ), int(FaultKind.SAME_VALUE)
_RACE_OVERWRITE, _UNWRITTEN = int(FaultKind.RACE_OVERWRITE), int(FaultKind.UNWRITTEN)
_OPERAND, _WARPGROUPS = int(FaultKind.OPERAND), offset(WORKER, "warpgroups")


def describe_access(access: int, size: int, alignment: int, site: int) -> int:
    """Pack the facts about an access that `check` needs into one word."""
    return site << 40 | size << 16 | alignment << 8 | access


def thread_of(stamp: int) -> int:
    """The thread in a stamp."""
    return stamp & _THREAD_MASK


def epoch_of(stamp: int) -> int:
    """The epoch in a stamp."""
    return stamp >> _EPOCH


def is_of_copy(reader: int, beside: int, thread: int) -> bool:
    """Whether the reader of a cell, and the word beside it, stand for a copy of this thread that is under way."""
    return beside == _HELD and bool(reader & _WARPS) and thread_of(reader) == thread


@njit(error_model="numpy", forceinline=True)
def _fault(thread, kind, a, b, c):
    """Note the details of a fault in the thread's row."""
    store(thread + _A, a)
    store(thread + _B, b)
    store(thread + _C, c)
    return kind


@njit(error_model="numpy", forceinline=True)
def _unordered(stamp, thread, index, worker):
    """Whether the access of a stamp of this epoch is unordered with one that thread `index` makes now."""
    other = stamp & _THREAD_MASK
    if other == index:
        return False
    if other // WARP != index // WARP:
        return True
    known = load(load(worker + _CLOCKS) + (index * WARP + other % WARP) * 8)
    return known <= (stamp >> _SYNC & _SYNC_MASK)


@njit(error_model="numpy", forceinline=True)
def _is_foreign(stamp_epoch, block_epoch, worker, ordered):
    """Whether the access of a stamp is another block's, and no grid synchronisation lies between."""
    if ordered:  # blocks may run side by side, each in epochs of its own
        own = load(worker + _RANGE_BEGIN) <= stamp_epoch <= load(worker + _RANGE_END)
        found = stamp_epoch > load(worker + _GRID) and not own
    else:
        found = 0 < stamp_epoch < block_epoch
    return found


@njit(error_model="numpy")
def _before(lanes, stamp, index, worker):
    """The lanes of a set whose accesses are ordered before an access that thread `index` makes now."""
    clocks = load(worker + _CLOCKS) + index * WARP * 8
    sync = stamp >> _SYNC & _SYNC_MASK
    found = 0
    for lane in range(WARP):
        if lanes >> lane & 1 and load(clocks + lane * 8) > sync:
            found |= 1 << lane
    return found


@njit(error_model="numpy", forceinline=True)
def _enter(at, epoch, block_epoch, me, thread, index, worker, is_shared, ordered):
    """Add thread `index` to the set at an address. Returns whether more threads of this epoch would change nothing."""
    stamp = load(at)
    if stamp >> _EPOCH != epoch:
        foreign = not is_shared and _is_foreign(stamp >> _EPOCH, block_epoch, worker, ordered)
        if foreign and not (ordered and is_ordered(stamp, thread, index, worker)):
            return True  # another block is in the set, so any conflicting access is a race, whoever else is in it
        store(at, me)
        return False
    if stamp == me:
        return False
    other = stamp & _THREAD_MASK
    if ordered and load(worker + _ORDER) and not stamp & (_WARPS | _LANES) and is_ordered(stamp, thread, index, worker):
        store(at, me)
        return False
    if stamp & _WARPS or (other // WARP) != (index // WARP) or not load(worker + _SYNCWARPS):
        # until the next barrier, no thread is ordered with all of them
        if other != index or stamp & _WARPS:
            store(at, me | _WARPS)
            return True
        return False
    if other == index and not stamp & _LANES:
        store(at, me)
        return False
    lanes = load(at + 8) if stamp & _LANES else 1 << (other % WARP)
    lanes &= ~_before(lanes, stamp, index, worker)
    lanes &= ~(1 << (index % WARP))
    if lanes:
        # the earliest number stands for all: an access may seem earlier than it was, but never later
        sync = min(stamp >> _SYNC & _SYNC_MASK, me >> _SYNC & _SYNC_MASK)
        store(at, (me & ~(_SYNC_MASK << _SYNC)) | sync << _SYNC | _LANES)
        store(at + 8, lanes | 1 << (index % WARP))
    else:
        store(at, me)
    return False


@njit(error_model="numpy", forceinline=True)
def _meets(at, epoch, block_epoch, thread, index, worker, is_shared, ordered):
    """Whether some thread of the set at an address is unordered with an access that thread `index` makes now."""
    stamp = load(at)
    stamp_epoch = stamp >> _EPOCH
    if stamp_epoch != epoch:
        foreign = not is_shared and _is_foreign(stamp_epoch, block_epoch, worker, ordered)
        return foreign and not (ordered and is_ordered(stamp, thread, index, worker))
    if stamp & _WARPS:
        return True
    if stamp & _LANES:
        lanes = load(at + 8) & ~(1 << (index % WARP))
        foreign = (stamp & _THREAD_MASK) // WARP != index // WARP
        return foreign or (lanes & ~_before(lanes, stamp, index, worker)) != 0
    unordered = _unordered(stamp, thread, index, worker)
    return unordered and not (ordered and is_ordered(stamp, thread, index, worker))


@njit(error_model="numpy")
def _touch_unwritten(access, write_epoch, block_epoch, thread, site, address):
    """The fault of an access to shared memory that no thread of the block has written yet, or 0.

    A read is only noted. If another thread writes the memory before the next barrier, the fault is a race instead. So
    the fault is the same whichever of the two threads ran first.
    """
    if access != READ and write_epoch < 0 and write_epoch - _UNDER_WAY >= block_epoch:
        return _fault(thread, _COPY_TARGET, address, 0, 0)
    if access != WRITE:
        note(thread, _UNWRITTEN, site, address, 0, 0)
    return 0


@njit(error_model="numpy", forceinline=True)
def _check_cell(
    access, strong, cell, atomics, epoch, block_epoch, me, index, worker, is_shared, thread, address, site, ordered
):
    """The fault of an access to one cell, or 0. `atomics` is the address of the cell's entry for atomics, or 0."""
    written = load(cell)
    write_epoch = written >> _EPOCH
    foreign = not is_shared and _is_foreign(write_epoch, block_epoch, worker, ordered)
    if write_epoch == epoch:
        unordered = _unordered(written, thread, index, worker)
        if unordered and not (ordered and is_ordered(written, thread, index, worker)):
            return _fault(thread, _RACE_READ if access == READ else _RACE_WRITE, address, written, 0)
    elif foreign and not (ordered and is_ordered(written, thread, index, worker)):
        return _fault(thread, _RACE_READ if access == READ else _RACE_WRITE, address, written, 0)
    atomic_epoch = 0
    if atomics:
        atomic_epoch = load(atomics) >> _EPOCH
        if (
            access != ATOMIC
            and not strong
            and _meets(atomics, epoch, block_epoch, thread, index, worker, is_shared, ordered)
        ):
            return _fault(thread, _RACE_READ if access == READ else _RACE_WRITE, address, load(atomics), 0)
    unwritten = is_shared and write_epoch < block_epoch and atomic_epoch < block_epoch
    if unwritten:
        kind = WRITE if strong and access == ATOMIC else access  # a strong write reads nothing
        fault = _touch_unwritten(kind, write_epoch, block_epoch, thread, site, address)
        if fault:
            return fault
    if strong and access == READ:
        meets = atomics and _meets(atomics, epoch, block_epoch, thread, index, worker, is_shared, ordered)
        if strong & RECHECKED and meets:
            return _fault(thread, _RECHECKED_READ, address, 0, 0)
        return 0  # a later write is no race with it if it is strong, too: another order shows the other case
    if access == READ:
        full = _enter(cell + _READERS, epoch, block_epoch, me, thread, index, worker, is_shared, ordered)
        # no read is free of memory that is unwritten, or that was written in this epoch: only some threads may read it
        if full and not (unwritten or foreign or write_epoch == epoch or atomic_epoch == epoch):
            store(cell + FREE, epoch)
        return 0
    if _meets(cell + _READERS, epoch, block_epoch, thread, index, worker, is_shared, ordered):
        return _fault(thread, _RACE_OVERWRITE, address, load(cell + _READERS), load(cell + _READERS + 8))
    if access == ATOMIC:
        if ordered and load(worker + _ORDER):
            store(atomics, me)  # it comes after all others at its address, so that the last one stands for all
        else:
            _enter(atomics, epoch, block_epoch, me, thread, index, worker, is_shared, ordered)
    else:
        store(cell, me)
    store(cell + FREE, 0)
    return 0


@njit(error_model="numpy", forceinline=True)
def _find(worker, address):
    """The range that holds an address, or 0."""
    row = load(worker + _RANGES)
    for _ in range(load(worker + _N_RANGES)):
        if 0 <= address - load(row + _BEGIN) < load(row + _SIZE):
            return row
        row += RANGE_BYTES
    return 0


RANGE_BYTES = RANGE.itemsize
MOST_BYTES = 16  # of a value that threads may store together


@njit(error_model="numpy", forceinline=True)
def check(thread, address, what, row, ordered):
    """As `check_value`, for an access whose value does not matter."""
    return check_value(thread, address, what, row, ordered, False, 0, 0)


@njit(error_model="numpy")
def _is_of_warp(thread, worker, stamp):
    """Whether a lane of the thread's warp has made an access in this epoch.

    Of lanes that store in one place together, one wins (CUDA C++ Programming Guide, "SIMT Architecture").
    """
    return stamp >> _EPOCH == load(worker + _NOW) and (stamp & _THREAD_MASK) // WARP == load(thread + _INDEX) // WARP


@njit(error_model="numpy")
def _has_value(address, size, low, high):
    """Whether the memory has the value already."""
    for byte in range(size):
        wanted = low >> 8 * byte if byte < 8 else high >> 8 * (byte - 8)
        if load_byte(address + byte) != wanted & 255:
            return False
    return True


@njit(error_model="numpy", forceinline=True)
def check_value(thread, address, what, row, ordered, has_value, low, high):
    """The fault of an access to global or shared memory, or 0. Races and reads of unwritten memory are only noted.

    Parameters
    ----------
    thread : address of the thread's row
    address : of the first byte
    what : `describe_access` of it
    row : address of the RANGE that the access should be in; 0 to find the range by the address of the access
    ordered : a constant: whether atomics or other blocks, which run side by side, may order accesses
    has_value : a constant: whether it is a store of the value `low` | `high` << 64
    """
    access, strong = what & 3, what & (STRONG | RECHECKED)
    alignment, size, site = what >> 8 & 255, what >> 16 & (1 << 24) - 1, what >> 40
    worker = load(thread + _WORKER)
    if access != READ:  # reads that are free do not come here, and must count as the others
        store(thread + _WRITES, load(thread + _WRITES) + 1)
    if row == 0 or load(row + _SIZE) == 0:  # it is not known into which array the pointer leads
        row = _find(worker, address)
        if row == 0:
            return _fault(thread, _READ_OUTSIDE if access == READ else _WRITE_OUTSIDE, address, size, 0)
    place = address - load(row + _BEGIN)
    if place < 0 or place + size > load(row + _SIZE):
        return _fault(thread, _READ_OUTSIDE if access == READ else _WRITE_OUTSIDE, address, size, row)
    if address & (alignment - 1):
        return _fault(thread, _MISALIGNED, address, alignment, row)
    written = load(row + _WRITTEN)
    if written:
        for byte in range(place, place + size):
            if access != WRITE and what & 7 != STRONG_WRITE and not load_byte(written + byte):
                note(thread, _UNWRITTEN, site, address, 0, 0)
            if access != READ:
                store_byte(written + byte, 1)
    cells = load(row + _CELLS)
    if not cells:
        return 0
    shift = load(row + _SHIFT)
    epoch, block_epoch = load(worker + _NOW), load(worker + _BLOCK_EPOCH)
    index, is_shared = load(thread + _INDEX), load(row + _SHARED)
    me = epoch << _EPOCH | load(thread + _SYNCED) << _SYNC | index
    first, last = place >> shift, place + size - 1 >> shift
    atomics, raced = load(row + _ATOMICS), False
    for number in range(first, last + 1):
        fault = _check_cell(
            access,
            strong,
            cells + number * CELL_BYTES,
            atomics + number * ATOMIC_BYTES if atomics else 0,
            epoch,
            block_epoch,
            me,
            index,
            worker,
            is_shared,
            thread,
            address,
            site,
            ordered,
        )
        if has_value and fault == _RACE_WRITE:
            stamp = load(cells + number * CELL_BYTES)
            if load(thread + _B) == stamp and _has_value(address, size, low, high):
                if _is_of_warp(thread, worker, stamp):
                    continue
                if load(worker + _SAME_VALUE):
                    fault = _SAME
        if _RACE_READ <= fault <= _RACE_OVERWRITE or fault in (_RECHECKED_READ, _SAME):
            note(thread, fault, site, address, load(thread + _B), load(thread + _C))
            raced |= fault != _SAME
            if access != READ:  # later accesses meet this one
                store(cells + number * CELL_BYTES, me)
                store(cells + number * CELL_BYTES + FREE, 0)
        elif fault:
            return fault
    if access != READ and is_shared and not raced and load(worker + _WARPGROUPS):
        product = operands.reader(thread, address, size)
        if product != operands.NOBODY:
            note(thread, _OPERAND, site, address, product, 0)
    return 0


@njit(error_model="numpy")
def hide(thread, address, what):
    """Mark bytes of shared memory as the destination of a copy of the thread that is under way.

    They count as unwritten. `check` has just found that they are inside their array.
    """
    worker = load(thread + _WORKER)
    row = _find(worker, address)
    place, shift = address - load(row + _BEGIN), load(row + _SHIFT)
    stamp = (_UNDER_WAY + load(worker + _BLOCK_EPOCH)) << _EPOCH | load(thread + _INDEX)
    for number in range(place >> shift, (place + (what >> 16 & (1 << 24) - 1) - 1 >> shift) + 1):
        cell = load(row + _CELLS) + number * CELL_BYTES
        store(cell, stamp)
        store(cell + FREE, 0)


@njit(error_model="numpy")
def show(thread, address, what):
    """End the copies of the thread to these bytes of shared memory."""
    worker = load(thread + _WORKER)
    row = _find(worker, address)
    if row == 0:
        return
    place, shift = address - load(row + _BEGIN), load(row + _SHIFT)
    stamp = (_UNDER_WAY + load(worker + _BLOCK_EPOCH)) << _EPOCH | load(thread + _INDEX)
    last = min(place + (what >> 16 & (1 << 24) - 1), load(row + _SIZE)) - 1
    for number in range(place >> shift, (last >> shift) + 1):
        cell = load(row + _CELLS) + number * CELL_BYTES
        if load(cell) == stamp:
            store(cell, 0)


@njit(error_model="numpy")
def land(worker, index, address, size):
    """End a bulk copy to these bytes of shared memory, which thread `index` issued: they are written now."""
    row = _find(worker, address)
    if row == 0:
        return
    place, shift = address - load(row + _BEGIN), load(row + _SHIFT)
    stamp = (_UNDER_WAY + load(worker + _BLOCK_EPOCH)) << _EPOCH | index
    for number in range(place >> shift, (place + size - 1 >> shift) + 1):
        cell = load(row + _CELLS) + number * CELL_BYTES
        if load(cell) == stamp:
            store(cell, load(worker + _NOW) << _EPOCH | index)
            store(cell + FREE, 0)


@njit(error_model="numpy")
def hold(thread, address, what, is_held):
    """Begin or end that no thread, not even this one, may write the source of a copy.

    In kernels in which threads are ordered without a barrier, this would be too strict.
    """
    worker = load(thread + _WORKER)
    row = _find(worker, address)
    if row == 0 or load(row + _CELLS) == 0 or load(worker + _SYNCWARPS) or load(worker + _ORDER):
        return
    place, shift = address - load(row + _BEGIN), load(row + _SHIFT)
    me = load(worker + _NOW) << _EPOCH | load(thread + _SYNCED) << _SYNC | load(thread + _INDEX)
    for number in range(place >> shift, (place + (what >> 16 & (1 << 24) - 1) - 1 >> shift) + 1):
        readers = load(row + _CELLS) + number * CELL_BYTES + _READERS
        if is_held and load(readers) == me:
            store(readers, me | _WARPS)
            store(readers + 8, _HELD)
        elif not is_held and load(readers) == me | _WARPS and load(readers + 8) == _HELD:
            store(readers, me)
            store(readers + 8, 0)


@njit(error_model="numpy", forceinline=True)
def is_unwritten(written, size):
    """1 if one of the bytes of a map is 0."""
    for byte in range(size):
        if not load_byte(written + byte):
            return 1
    return 0


@cache
def check_address(*, ordered: bool) -> int:
    """The address of `check` in machine code, which is compiled at the first call.

    Kernels with atomics, or whose blocks wait for each other, need the variant that is `ordered`; it is slower.
    """
    version = fingerprint(__file__, raw.__file__, happens.__file__, notes.__file__, operands.__file__)

    @cfunc(types.int64(*[types.int64] * 4), error_model="numpy", cache=True)
    def plain(thread, address, what, row):
        return check(thread, address, what, row, False) if version else 0

    @cfunc(types.int64(*[types.int64] * 4), error_model="numpy", cache=True)
    def with_order(thread, address, what, row):
        return check(thread, address, what, row, True) if version else 0

    return int((with_order if ordered else plain).address)


@cache
def check_store_address(*, ordered: bool) -> int:
    """The address of `check_value` for stores, in machine code, which is compiled at the first call."""
    version = fingerprint(__file__, raw.__file__, happens.__file__, notes.__file__, operands.__file__)

    @cfunc(types.int64(*[types.int64] * 6), error_model="numpy", cache=True)
    def plain_store(thread, address, what, row, low, high):
        return check_value(thread, address, what, row, False, True, low, high) if version else 0

    @cfunc(types.int64(*[types.int64] * 6), error_model="numpy", cache=True)
    def store_with_order(thread, address, what, row, low, high):
        return check_value(thread, address, what, row, True, True, low, high) if version else 0

    return int((store_with_order if ordered else plain_store).address)


@cache
def ordering_addresses() -> tuple[int, int]:
    """The addresses of `synchronise` and `fence` of `happens` in machine code, compiled at the first call."""
    version = fingerprint(__file__, raw.__file__, happens.__file__, notes.__file__, operands.__file__)

    @cfunc(types.void(types.int64, types.int64, types.int64), error_model="numpy", cache=True)
    def enter_atomic(thread, address, writes):
        if version and load(load(thread + _WORKER) + _ORDER):
            row = _find(load(thread + _WORKER), address)
            synchronise(thread, address, row != 0 and load(row + _SHARED), writes)

    @cfunc(types.void(types.int64, types.int64), error_model="numpy", cache=True)
    def enter_fence(thread, is_device):
        if version:
            fence(thread, is_device)

    return int(enter_atomic.address), int(enter_fence.address)


@cache
def is_unwritten_address() -> int:
    """The address of `is_unwritten` in machine code, which is compiled at the first call."""
    version = fingerprint(__file__, raw.__file__)

    @cfunc(types.int64(types.int64, types.int64), error_model="numpy", cache=True)
    def entry(written, size):
        return is_unwritten(written, size) if version else 0

    return int(entry.address)
