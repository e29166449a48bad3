"""Faults that are noted while a block runs on until all its threads wait, so that the earliest can be told.

Threads run one after another, so the first fault that is found may be a consequence, or belong to a later line than
another. So checks note a fault with its time: the number of writes that its thread had made. At the next barrier
`settle` chooses the earliest, and of two at one time the one that stands first in the code. A read of unwritten memory
is dropped if there is a race: then it is told as that.

With `keep_going`, the launch goes on, and the table has one row for each kind of fault at each line. Remarks, which are
no faults, are in the same table.
"""

from functools import cache

import numpy as np
from numba import cfunc, njit, types

from convbench.emulator import raw
from convbench.emulator.raw import load, store
from convbench.emulator.state import THREAD, WORKER, FaultKind, fingerprint, offset

NOTE = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("kind", "site", "thread", "a", "b", "c", "time", "epoch"),
            *("ctaid_x", "ctaid_y", "ctaid_z", "range_begin", "range_end"),  # of the block
        )
    ]
)
FEW, MANY = 32, 512  # rows of a table: of a launch that ends at the first fault, and of one that goes on

_KIND, _SITE, _THREAD = offset(NOTE, "kind"), offset(NOTE, "site"), offset(NOTE, "thread")
_A, _B, _C, _TIME, _WHEN = (offset(NOTE, name) for name in ("a", "b", "c", "time", "epoch"))
_BLOCK, _RANGE = offset(NOTE, "ctaid_x"), offset(NOTE, "range_begin")
_BYTES = NOTE.itemsize
_NOTES, _COUNT, _MOST = offset(WORKER, "notes"), offset(WORKER, "n_notes"), offset(WORKER, "most_notes")
_TOLD, _EPOCH, _CTAID = offset(WORKER, "told"), offset(WORKER, "epoch"), offset(WORKER, "ctaid_x")
_BEGIN, _END = offset(WORKER, "range_begin"), offset(WORKER, "range_end")
_WORKER, _INDEX, _WRITES = offset(THREAD, "worker"), offset(THREAD, "index"), offset(THREAD, "writes")
_UNWRITTEN = int(FaultKind.UNWRITTEN)
_RACE_READ, _RACE_OVERWRITE = int(FaultKind.RACE_READ), int(FaultKind.RACE_OVERWRITE)


# the remarks
_NEGATIVE, _RECHECKED, _SAME = (
    int(kind) for kind in (FaultKind.NEGATIVE_INDEX, FaultKind.RECHECKED_READ, FaultKind.SAME_VALUE)
)


@njit(error_model="numpy")
def _is_remark(kind):
    return kind in (_NEGATIVE, _RECHECKED, _SAME)


@njit(error_model="numpy")
def note(thread, kind, site, a, b, c):
    """Note a fault of a thread, or a remark, unless an earlier one of its kind and line is noted."""
    worker = load(thread + _WORKER)
    row, count, time = load(worker + _NOTES), load(worker + _COUNT), load(thread + _WRITES)
    if row == 0:
        return
    number = 0
    while number < count and not (load(row + _KIND) == kind and load(row + _SITE) == site):
        number += 1
        row += _BYTES
    if number < count:
        if number < load(worker + _TOLD) or time >= load(row + _TIME):
            return
    else:
        most = load(worker + _MOST)
        if count == most or (_is_remark(kind) and 2 * count >= most):
            return
        store(worker + _COUNT, count + 1)
    store(row + _KIND, kind)
    store(row + _SITE, site)
    store(row + _THREAD, load(thread + _INDEX))
    store(row + _A, a)
    store(row + _B, b)
    store(row + _C, c)
    store(row + _TIME, time)
    store(row + _WHEN, load(worker + _EPOCH))
    for word in range(0, 24, 8):
        store(row + _BLOCK + word, load(worker + _CTAID + word))
    store(row + _RANGE, load(worker + _BEGIN))
    store(row + _RANGE + 8, load(worker + _END))


@njit(nogil=True)
def _is_earlier(row, other):
    """Whether a note is earlier than another. Places in the source are numbered as they follow in the code."""
    if load(row + _TIME) != load(other + _TIME):
        return load(row + _TIME) < load(other + _TIME)
    return load(row + _SITE) < load(other + _SITE)


@njit(nogil=True)
def settle(threads, header, only_races):
    """Choose the earliest fault that was noted since the last call. Returns (fault, thread), or (0, 0).

    With `only_races`, reads of unwritten memory wait, because another thread may still turn them into races.
    """
    first, count = header.told, header.n_notes
    if first == count:
        return 0, 0
    races = False
    for number in range(first, count):
        races |= _RACE_READ <= load(header.notes + number * _BYTES + _KIND) <= _RACE_OVERWRITE
    if only_races and not races:
        return 0, 0
    best = 0
    for number in range(first, count):
        row = header.notes + number * _BYTES
        if races and load(row + _KIND) == _UNWRITTEN:
            store(row + _KIND, 0)
        kind = load(row + _KIND)
        if kind != 0 and not _is_remark(kind) and (best == 0 or _is_earlier(row, best)):
            best = row
    header.told = count
    if best == 0 or header.keep_going:
        return 0, 0
    thread = threads[load(best + _THREAD)]
    thread.fault, thread.fault_site = load(best + _KIND), load(best + _SITE)
    thread.fault_a, thread.fault_b, thread.fault_c = load(best + _A), load(best + _B), load(best + _C)
    return load(best + _KIND), load(best + _THREAD)


@cache
def address() -> int:
    """The address of `note` in machine code, which is compiled at the first call."""
    version = fingerprint(__file__, raw.__file__)

    @cfunc(types.void(*[types.int64] * 6), error_model="numpy", cache=True)
    def entry(thread, kind, site, a, b, c):
        if version:
            note(thread, kind, site, a, b, c)

    return int(entry.address)
