"""Asynchronous copies in checked mode: a copy lands when its thread waits for its group, and no earlier.

When a copy is issued, its destination counts as written by the thread, so that a thread that may still be reading it
races. At the same time the destination counts as unwritten, so that a read before the wait is a fault, and a write is
one too. When the copy lands, the bytes move, and the destination counts as written by the thread at that moment, so
that a read by another thread without a barrier after the wait races. While a copy is under way, nobody may write its
source. A write by the same thread is found at once in the same epoch; later, by other bytes when the copy lands. A
thread keeps its copies under way in a ring, which holds as many as shared memory has room for.

Source: PTX ISA, "cp.async", "cp.async.commit_group", "cp.async.wait_group".
"""

from functools import cache

from numba import cfunc, njit, types

from convbench.emulator import raw
from convbench.emulator.checks import happens, notes, operands, shadow
from convbench.emulator.checks.shadow import READ, WRITE, check, hide, hold, land, show
from convbench.emulator.raw import load, load_byte, store, store_byte
from convbench.emulator.state import BULK, COPY, KEPT_BYTES, MOST_BULK, THREAD, WORKER, FaultKind, fingerprint, offset

_FIRST, _NEXT, _GROUP = offset(THREAD, "copies_first"), offset(THREAD, "copies_next"), offset(THREAD, "copies_group")
_INDEX, _WORKER, _TABLE = offset(THREAD, "index"), offset(THREAD, "worker"), offset(WORKER, "copies")
_TO, _FROM, _WHAT, _OF = offset(COPY, "to"), offset(COPY, "from"), offset(COPY, "what"), offset(COPY, "group")
_BYTES, _KEPT, _MOST = COPY.itemsize, offset(COPY, "low"), offset(WORKER, "most_copies")
_FAULT_A, _FAULT_B = offset(THREAD, "fault_a"), offset(THREAD, "fault_b")
_BULK, _N_BULK, _EPOCH = offset(WORKER, "bulk"), offset(WORKER, "n_bulk"), offset(WORKER, "epoch")
_BULK_TO, _SIZE, _BARRIER, _THREAD = (offset(BULK, name) for name in ("to", "size", "barrier", "thread"))
_BULK_BYTES = BULK.itemsize
_COPY_SOURCE = int(FaultKind.COPY_SOURCE)
_NONE = int(FaultKind.NONE)


@njit(error_model="numpy")
def _row(thread, number):
    """The address of a copy in the thread's ring."""
    worker = load(thread + _WORKER)
    most = load(worker + _MOST)
    return load(worker + _TABLE) + (load(thread + _INDEX) * most + number % most) * _BYTES


@njit(error_model="numpy")
def _land(thread, number):
    """Move the bytes of a copy. Returns the fault of its write, or 0."""
    row = _row(thread, number)
    to, source, what = load(row + _TO), load(row + _FROM), load(row + _WHAT)
    show(thread, to, what)
    fault = check(thread, to, what | WRITE, 0, True)
    for byte in range(what >> 16 & (1 << 24) - 1):
        value = load_byte(source + byte) if source else 0
        store_byte(to + byte, value)
        if source and byte < KEPT_BYTES and value != load_byte(row + _KEPT + byte) and fault == _NONE:
            store(thread + _FAULT_A, source + byte)
            store(thread + _FAULT_B, what >> 40)
            fault = _COPY_SOURCE
    if source:
        hold(thread, source, what, False)
    return fault


@njit(error_model="numpy")
def issue(thread, to, source, what):
    """Begin a copy from `source`, or of zeros if `source` is 0. Returns a fault, or 0.

    `what` is `shadow.describe_access` of the copy, without the kind of access.
    """
    show(thread, to, what)  # a thread may copy twice to one place, as the halves of a copy that is partly zeros may
    fault = check(thread, to, what | WRITE, 0, True)
    if fault == _NONE and source:
        fault = check(thread, source, what | READ, 0, True)
    if fault != _NONE:
        return fault
    first, number = load(thread + _FIRST), load(thread + _NEXT)
    if number - first == load(load(thread + _WORKER) + _MOST):
        fault = _land(thread, first)
        store(thread + _FIRST, first + 1)
    hide(thread, to, what)
    row = _row(thread, number)
    store(row + _TO, to)
    store(row + _FROM, source)
    store(row + _WHAT, what)
    store(row + _OF, load(thread + _GROUP))
    if source:
        for byte in range(min(what >> 16 & (1 << 24) - 1, KEPT_BYTES)):
            store_byte(row + _KEPT + byte, load_byte(source + byte))
        hold(thread, source, what, True)
    store(thread + _NEXT, number + 1)
    return fault


@njit(error_model="numpy")
def wait(thread, pending):
    """Land all copies except those of the last `pending` committed groups and of the open one. Returns a fault or 0."""
    newest = load(thread + _GROUP) - pending
    first, end = load(thread + _FIRST), load(thread + _NEXT)
    while first < end and load(_row(thread, first) + _OF) < newest:
        fault = _land(thread, first)
        first += 1
        store(thread + _FIRST, first)
        if fault != _NONE:
            return fault
    return _NONE


@njit(error_model="numpy")
def commit(thread):
    """Close the group of the copies issued since the last one."""
    store(thread + _GROUP, load(thread + _GROUP) + 1)


@njit(error_model="numpy")
def begin_bulk(thread, to, size, barrier):
    """Begin a bulk copy, whose bytes have moved already. They count as unwritten until a thread waits for them."""
    worker = load(thread + _WORKER)
    number = load(worker + _N_BULK)
    if size == 0 or number == MOST_BULK:
        return
    hide(thread, to, size << 16)
    row = load(worker + _BULK) + number * _BULK_BYTES
    store(row + _BULK_TO, to)
    store(row + _SIZE, size)
    store(row + _BARRIER, barrier)
    store(row + _THREAD, load(thread + _INDEX))
    store(worker + _N_BULK, number + 1)


@njit(error_model="numpy")
def end_bulk(thread, barrier):
    """End the bulk copies that tell an mbarrier, for which a thread has waited.

    This orders the accesses of all threads, as the end of a phase of an mbarrier does.
    """
    worker = load(thread + _WORKER)
    number, count = 0, load(worker + _N_BULK)
    if count == 0:
        return
    while number < count:
        row = load(worker + _BULK) + number * _BULK_BYTES
        if load(row + _BARRIER) != barrier:
            number += 1
            continue
        land(worker, load(row + _THREAD), load(row + _BULK_TO), load(row + _SIZE))
        count -= 1
        last = load(worker + _BULK) + count * _BULK_BYTES
        for word in range(0, _BULK_BYTES, 8):
            store(row + word, load(last + word))
    if count != load(worker + _N_BULK):
        store(worker + _N_BULK, count)
        store(worker + _EPOCH, load(worker + _EPOCH) + 1)


@cache
def bulk_addresses() -> tuple[int, int]:
    """The addresses of `begin_bulk` and `end_bulk` in machine code."""
    version = fingerprint(__file__, raw.__file__, shadow.__file__, happens.__file__, notes.__file__, operands.__file__)

    @cfunc(types.void(*[types.int64] * 4), error_model="numpy", cache=True)
    def enter_begin(thread, to, size, barrier):
        if version:
            begin_bulk(thread, to, size, barrier)

    @cfunc(types.void(types.int64, types.int64), error_model="numpy", cache=True)
    def enter_end(thread, barrier):
        if version:
            end_bulk(thread, barrier)

    return int(enter_begin.address), int(enter_end.address)


@cache
def addresses() -> tuple[int, int, int]:
    """The addresses of `issue`, `commit` and `wait` in machine code. They are compiled at the first call."""
    version = fingerprint(__file__, raw.__file__, shadow.__file__, happens.__file__, notes.__file__, operands.__file__)

    @cfunc(types.int64(*[types.int64] * 4), error_model="numpy", cache=True)
    def enter_issue(thread, to, source, what):
        return issue(thread, to, source, what) if version else 0

    @cfunc(types.void(types.int64), error_model="numpy", cache=True)
    def enter_commit(thread):
        if version:
            commit(thread)

    @cfunc(types.int64(types.int64, types.int64), error_model="numpy", cache=True)
    def enter_wait(thread, pending):
        return wait(thread, pending) if version else 0

    return int(enter_issue.address), int(enter_commit.address), int(enter_wait.address)
