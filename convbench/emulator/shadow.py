"""The shadow memory: whether an access is inside its array, aligned, after a write, and ordered with all others.

Every few bytes of an array have a cell of four words: who wrote last, who read last, which lanes of one warp have read,
and the epoch in which anybody may read without another look. "Who" is a stamp: the epoch (a number that grows with
every block and every barrier), the number of the last syncwarp that the lane took part in, and the thread. Two accesses
of different threads are ordered if a barrier lies between them (their epochs differ), or if they are of one warp and
the later lane knows of a syncwarp after the earlier access. Accesses of different blocks are never ordered. Two
accesses that are not ordered, one of them a write and not both atomic, are a race, whichever of them happened to run
first: what is found does not depend on the schedule.

After FastTrack (Flanagan & Freund, PLDI 2009): the last write and mostly the last read are enough.
"""

from numba import cfunc, njit, types

from convbench.emulator.raw import load, load_byte, store, store_byte
from convbench.emulator.state import RANGE, THREAD, WARP, WORKER, FaultKind, offset

READ, WRITE, ATOMIC = 0, 1, 2  # kinds of access
CELL_BYTES = 32
FREE = 24  # where in a cell the epoch is in which reads are free

_EPOCH, _SYNC = 36, 12  # where these fields of a stamp begin; below are two flags and the thread
_SYNC_MASK, _THREAD_MASK = (1 << 24) - 1, 1023
_WAS_ATOMIC = 1 << 10  # of a write
_LANES, _WARPS = 1 << 10, 1 << 11  # of a read: several lanes of one warp, or several warps have read

_BEGIN, _SIZE, _CELLS = offset(RANGE, "begin"), offset(RANGE, "size"), offset(RANGE, "cells")
_SHIFT, _WRITTEN, _SHARED = offset(RANGE, "shift"), offset(RANGE, "written"), offset(RANGE, "is_shared")
_INDEX, _SYNCED, _WORKER = offset(THREAD, "index"), offset(THREAD, "sync"), offset(THREAD, "worker")
_A, _B, _C = offset(THREAD, "fault_a"), offset(THREAD, "fault_b"), offset(THREAD, "fault_c")
_NOW, _BLOCK_EPOCH, _CLOCKS = offset(WORKER, "epoch"), offset(WORKER, "block_epoch"), offset(WORKER, "clocks")
_SYNCWARPS = offset(WORKER, "syncwarps")
_PENDING, _PENDING_SITE = offset(WORKER, "unwritten_by"), offset(WORKER, "unwritten_site")
_PENDING_ADDRESS = offset(WORKER, "unwritten_address")
_RANGES, _N_RANGES = offset(WORKER, "ranges"), offset(WORKER, "n_ranges")

_READ_OUTSIDE, _WRITE_OUTSIDE = int(FaultKind.READ_OUTSIDE), int(FaultKind.WRITE_OUTSIDE)
_MISALIGNED = int(FaultKind.MISALIGNED)
_RACE_READ, _RACE_WRITE = int(FaultKind.RACE_READ), int(FaultKind.RACE_WRITE)
_RACE_OVERWRITE = int(FaultKind.RACE_OVERWRITE)


def describe_access(access: int, size: int, alignment: int, site: int) -> int:
    """What `check` must know of an instruction, in one word."""
    return site << 40 | size << 16 | alignment << 8 | access


def thread_of(stamp: int) -> int:
    """The thread in a stamp."""
    return stamp & _THREAD_MASK


def epoch_of(stamp: int) -> int:
    """The epoch in a stamp."""
    return stamp >> _EPOCH


@njit(error_model="numpy", inline="always")
def _fault(thread, kind, a, b, c):
    """Note the details of a fault in the thread's row."""
    store(thread + _A, a)
    store(thread + _B, b)
    store(thread + _C, c)
    return kind


@njit(error_model="numpy", inline="always")
def _unordered(stamp, thread, index, worker):
    """Whether an access of this epoch, by the stamp's thread, is unordered with one that thread `index` does now."""
    other = stamp & _THREAD_MASK
    if other == index:
        return False
    if other // WARP != index // WARP:
        return True
    known = load(load(worker + _CLOCKS) + (index * WARP + other % WARP) * 8)
    return known <= (stamp >> _SYNC & _SYNC_MASK)


@njit(error_model="numpy")
def _readers_before(lanes, stamp, index, worker):
    """Those of the lanes that have read which thread `index` knows to have read before now."""
    clocks = load(worker + _CLOCKS) + index * WARP * 8
    sync = stamp >> _SYNC & _SYNC_MASK
    found = 0
    for lane in range(WARP):
        if lanes >> lane & 1 and load(clocks + lane * 8) > sync:
            found |= 1 << lane
    return found


@njit(error_model="numpy", inline="always")
def _note_read(cell, epoch, block_epoch, me, index, worker, free):
    """Remember that thread `index` reads; `free` is to be noted where every further read of this epoch is right."""
    read = load(cell + 8)
    read_epoch = read >> _EPOCH
    if read_epoch != epoch:
        if 0 < read_epoch < block_epoch:
            store(cell + FREE, free)  # another block has read: no write may follow, whoever else reads
        else:
            store(cell + 8, me)
        return
    if read == me:
        return
    other = read & _THREAD_MASK
    if read & _WARPS or (other // WARP) != (index // WARP) or not load(worker + _SYNCWARPS):
        # no thread at all may write before the next barrier
        if other != index or read & _WARPS:
            store(cell + 8, me | _WARPS)
            store(cell + FREE, free)
        return
    if other == index and not read & _LANES:
        store(cell + 8, me)
        return
    lanes = load(cell + 16) if read & _LANES else 1 << (other % WARP)
    lanes &= ~_readers_before(lanes, read, index, worker)
    lanes &= ~(1 << (index % WARP))
    if lanes:
        # the earlier number stands for all: a reader may seem to have been earlier than it was, never later
        sync = min(read >> _SYNC & _SYNC_MASK, me >> _SYNC & _SYNC_MASK)
        stamp = (me & ~(_SYNC_MASK << _SYNC)) | sync << _SYNC | _LANES
        store(cell + 8, stamp)
        store(cell + 16, lanes | 1 << (index % WARP))
    else:
        store(cell + 8, me)


@njit(error_model="numpy")
def _note_unwritten(worker, thread, site, address):
    """Remember the first read of what nobody has written.

    It becomes a fault at the next barrier: if another thread writes it before, the fault is a race, and the same
    whichever of the two threads ran first.
    """
    if not load(worker + _PENDING):
        store(worker + _PENDING, load(thread + _INDEX) + 1)
        store(worker + _PENDING_SITE, site)
        store(worker + _PENDING_ADDRESS, address)


@njit(error_model="numpy", inline="always")
def _read_cell(cell, epoch, block_epoch, me, index, worker, is_shared, thread, address, site):
    """A fault of a read, or 0."""
    written = load(cell)
    write_epoch = written >> _EPOCH
    if write_epoch == epoch:
        if _unordered(written, thread, index, worker):
            return _fault(thread, _RACE_READ, address, written, 0)
    elif write_epoch < block_epoch:
        if is_shared:
            _note_unwritten(worker, thread, site, address)
        elif write_epoch > 0:
            return _fault(thread, _RACE_READ, address, written, 0)
    # what was written in this epoch only some threads may read, and what nobody wrote nobody
    free = 0 if write_epoch == epoch or (is_shared and write_epoch < block_epoch) else epoch
    _note_read(cell, epoch, block_epoch, me, index, worker, free)
    return 0


@njit(error_model="numpy", inline="always")
def _write_cell(cell, epoch, block_epoch, me, index, worker, is_shared, thread, address, atomic):
    """A fault of a write, or 0."""
    written, read = load(cell), load(cell + 8)
    write_epoch, read_epoch = written >> _EPOCH, read >> _EPOCH
    if not (atomic and written & _WAS_ATOMIC):
        if write_epoch == epoch:
            if _unordered(written, thread, index, worker):
                return _fault(thread, _RACE_WRITE, address, written, 0)
        elif 0 < write_epoch < block_epoch and not is_shared:
            return _fault(thread, _RACE_WRITE, address, written, 0)
    if read_epoch == epoch:
        if read & _WARPS:
            return _fault(thread, _RACE_OVERWRITE, address, read, 0)
        if read & _LANES:
            lanes = load(cell + 16) & ~(1 << (index % WARP))
            foreign = (read & _THREAD_MASK) // WARP != index // WARP
            if foreign or lanes & ~_readers_before(lanes, read, index, worker):
                return _fault(thread, _RACE_OVERWRITE, address, read, 0)
        elif _unordered(read, thread, index, worker):
            return _fault(thread, _RACE_OVERWRITE, address, read, 0)
    elif 0 < read_epoch < block_epoch and not is_shared:
        return _fault(thread, _RACE_OVERWRITE, address, read, 0)
    store(cell, me | _WAS_ATOMIC if atomic else me)
    store(cell + FREE, 0)
    return 0


@njit(error_model="numpy", inline="always")
def _find(worker, address):
    """The range that holds an address, or 0."""
    row = load(worker + _RANGES)
    for _ in range(load(worker + _N_RANGES)):
        if 0 <= address - load(row + _BEGIN) < load(row + _SIZE):
            return row
        row += RANGE_BYTES
    return 0


RANGE_BYTES = RANGE.itemsize


@cfunc(types.int64(types.int64, types.int64, types.int64, types.int64), error_model="numpy")
def check(thread, address, what, row):
    """The fault of an access to global or shared memory, or 0.

    Parameters
    ----------
    thread : address of the thread's row
    address : of the first byte
    what : `describe_access` of it
    row : address of the RANGE that it should be in, or 0 if only its address tells
    """
    access, alignment, size, site = what & 255, what >> 8 & 255, what >> 16 & (1 << 24) - 1, what >> 40
    worker = load(thread + _WORKER)
    if row == 0:
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
            if access != WRITE:
                if not load_byte(written + byte):
                    _note_unwritten(worker, thread, site, address)
            else:
                store_byte(written + byte, 1)
    cells = load(row + _CELLS)
    if not cells:
        return 0
    shift = load(row + _SHIFT)
    epoch, block_epoch = load(worker + _NOW), load(worker + _BLOCK_EPOCH)
    index, is_shared = load(thread + _INDEX), load(row + _SHARED)
    me = epoch << _EPOCH | load(thread + _SYNCED) << _SYNC | index
    first, last = place >> shift, place + size - 1 >> shift
    for number in range(first, last + 1):
        cell = cells + number * CELL_BYTES
        if access == READ:
            fault = _read_cell(cell, epoch, block_epoch, me, index, worker, is_shared, thread, address, site)
        else:
            fault = _write_cell(
                cell, epoch, block_epoch, me, index, worker, is_shared, thread, address, access == ATOMIC
            )
        if fault:
            return fault
    return 0


@cfunc(types.int64(types.int64, types.int64), error_model="numpy")
def is_unwritten(written, size):
    """1 if one of the bytes of a map is 0."""
    for byte in range(size):
        if not load_byte(written + byte):
            return 1
    return 0
