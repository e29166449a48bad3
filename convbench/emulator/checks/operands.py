"""Operands of warpgroup products in shared memory, in checked mode: nobody may write them before the wait.

A worker has a table with a row for each warpgroup of its block. A row has a word for each 16 bytes of shared memory:
the group and the place in the source of the last product that reads these bytes. Groups of a thread count from 1.

A group has ended when the first thread of the warpgroup has waited for it, because its products are those of all 128
threads. After its own wait a thread may write the operands. Any other thread may do so behind a barrier that comes
after the first wait. In a kernel with fences and atomics, which order threads as barriers do, the first wait is enough.

Source: PTX ISA, "wgmma.mma_async", "wgmma.commit_group", "wgmma.wait_group".
"""

from functools import cache

from numba import cfunc, njit, types

from convbench.emulator import raw
from convbench.emulator.raw import load, store
from convbench.emulator.state import THREAD, WORKER, fingerprint, offset

WARPGROUP = 128  # threads
CHUNK = 16  # bytes that a word of the table stands for
NOBODY = -1
_ENDED, _EPOCHS, _KEPT = 0, 1, 64  # words of a row: the last group that has ended; the epochs in which the last 64 did
_CHUNKS = _EPOCHS + _KEPT
_SITE = 24  # bits of a place in the source; above them is the group
_TABLE, _WORDS, _ROWS = (offset(WORKER, name) for name in ("operands", "operand_words", "warpgroups"))
_SHARED, _EPOCH, _ORDER = offset(WORKER, "shared"), offset(WORKER, "epoch"), offset(WORKER, "order")
_WORKER, _INDEX = offset(THREAD, "worker"), offset(THREAD, "index")
_GROUPS, _GROUPS_ENDED = offset(THREAD, "groups"), offset(THREAD, "groups_ended")


def row_words(shared_bytes: int) -> int:
    """The words of a row of the table."""
    return _CHUNKS + -(-shared_bytes // CHUNK)


@njit(error_model="numpy")
def hold(thread, address, site, group):
    """Note that a product of the thread's warpgroup reads 16 bytes of shared memory until its group has ended."""
    worker = load(thread + _WORKER)
    words, chunk = load(worker + _WORDS), (address - load(worker + _SHARED)) // CHUNK
    if 0 <= chunk < words - _CHUNKS:  # in fast mode there is no table
        row = load(worker + _TABLE) + load(thread + _INDEX) // WARPGROUP * words * 8
        store(row + (_CHUNKS + chunk) * 8, group << _SITE | site)


@njit(error_model="numpy")
def commit(thread):
    """Close the group of the products that the thread has issued since the last one."""
    store(thread + _GROUPS, load(thread + _GROUPS) + 1)


@njit(error_model="numpy")
def wait(thread, pending):
    """End all committed groups of the thread but the last `pending` ones."""
    group = max(load(thread + _GROUPS) - pending, load(thread + _GROUPS_ENDED))
    store(thread + _GROUPS_ENDED, group)
    worker = load(thread + _WORKER)
    number = load(thread + _INDEX) // WARPGROUP
    if number >= load(worker + _ROWS):
        return
    row = load(worker + _TABLE) + number * load(worker + _WORDS) * 8
    ended = load(row + _ENDED * 8)
    for each in range(max(ended, group - _KEPT) + 1, group + 1):
        store(row + (_EPOCHS + each % _KEPT) * 8, load(worker + _EPOCH))
    store(row + _ENDED * 8, max(ended, group))


@njit(error_model="numpy")
def _has_ended(row, number, group, thread, worker):
    """Whether a thread may write what a group of warpgroup `number` reads."""
    ended = load(row + _ENDED * 8)
    if group > ended:
        return False
    if load(thread + _INDEX) // WARPGROUP == number and load(thread + _GROUPS_ENDED) >= group:
        return True
    is_old = group <= ended - _KEPT
    return is_old or load(worker + _ORDER) != 0 or load(row + (_EPOCHS + group % _KEPT) * 8) < load(worker + _EPOCH)


@njit(error_model="numpy")
def reader(thread, address, size):
    """The place in the source of a product that may still read bytes of shared memory, or NOBODY."""
    worker = load(thread + _WORKER)
    words, begin = load(worker + _WORDS), address - load(worker + _SHARED)
    for number in range(load(worker + _ROWS)):
        row = load(worker + _TABLE) + number * words * 8
        for chunk in range(begin // CHUNK, (begin + size - 1) // CHUNK + 1):
            word = load(row + (_CHUNKS + chunk) * 8)
            if word and not _has_ended(row, number, word >> _SITE, thread, worker):
                return word & ((1 << _SITE) - 1)
    return NOBODY


@njit(error_model="numpy")
def begin_operands(worker):
    """Clear the table for a new block."""
    table = load(worker + _TABLE)
    for word in range(load(worker + _ROWS) * load(worker + _WORDS)):
        store(table + word * 8, 0)


@cache
def addresses() -> tuple[int, int]:
    """The addresses of `commit` and `wait` in machine code. They are compiled at the first call."""
    version = fingerprint(__file__, raw.__file__)

    @cfunc(types.void(types.int64), error_model="numpy", cache=True)
    def enter_commit(thread):
        if version:
            commit(thread)

    @cfunc(types.void(types.int64, types.int64), error_model="numpy", cache=True)
    def enter_wait(thread, pending):
        if version:
            wait(thread, pending)

    return int(enter_commit.address), int(enter_wait.address)
