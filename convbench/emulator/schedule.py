"""Scheduling: run every thread of a block until it waits, answer those that wait together, until all have returned.

Warp collectives are answered as soon as all lanes that the mask names have arrived; a barrier once every thread of the
block has. What can never be answered is a fault: hardware would hang, or go on with whatever it has. Shuffle, vote and
match follow the PTX ISA ("shfl.sync", "vote.sync", "match.sync").
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from convbench.emulator.state import THREAD, WARP, FaultKind, Status

READY, DONE, FAULT = int(Status.READY), int(Status.DONE), int(Status.FAULT)
BARRIER, SYNCWARP, MATCH = int(Status.BARRIER), int(Status.SYNCWARP), int(Status.MATCH)
SHUFFLE, VOTE = int(Status.SHUFFLE), int(Status.VOTE)
DIVERGENT_BARRIER, EARLY_EXIT = int(FaultKind.DIVERGENT_BARRIER), int(FaultKind.EARLY_EXIT)
MASK_WITHOUT_SELF, MASK_NAMES_EXITED = int(FaultKind.MASK_WITHOUT_SELF), int(FaultKind.MASK_NAMES_EXITED)
MASK_NAMES_ABSENT, SOURCE_NOT_IN_MASK = int(FaultKind.MASK_NAMES_ABSENT), int(FaultKind.SOURCE_NOT_IN_MASK)
DIVERGENT_COLLECTIVE, INCOMPLETE = int(FaultKind.DIVERGENT_COLLECTIVE), int(FaultKind.INCOMPLETE_COLLECTIVE)
STOPPED, UNWRITTEN = int(FaultKind.STOPPED), int(FaultKind.UNWRITTEN)
RACE_READ, RACE_OVERWRITE = int(FaultKind.RACE_READ), int(FaultKind.RACE_OVERWRITE)
ROW_BYTES = THREAD.itemsize
UP, DOWN, BUTTERFLY = 1, 2, 3  # modes of shfl.sync in NVVM; 0 is idx
VOTE_ALL, VOTE_ANY, VOTE_UNIFORM = 0, 1, 2  # modes of vote.sync in NVVM; 3 is ballot
COUNT, ALL, ANY = 1, 2, 3  # of `collectives.REDUCTIONS`


@intrinsic
def _enter(typingctx: Any, function: Any, argument: Any) -> Any:
    """Call the compiled function at an address with one pointer."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer]).as_pointer()
        builder.call(builder.inttoptr(values[0], kind), [builder.inttoptr(values[1], pointer)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@njit(cache=True, nogil=True)
def run_blocks(start, resume, threads, rows, order, blocks, worker, shared, dirty, clocks):
    """Run the blocks numbered in `blocks`, each with its threads in `order`; (0, 0), or a fault and its thread.

    Parameters
    ----------
    start, resume : addresses of the kernel's `emu_start` and `emu_resume`
    threads, rows : the threads' rows and their address
    order : indices of all threads of a block, int64
    blocks : linear indices of the blocks, int64
    worker : the header, one element
    shared : the block's memory as bytes, of which the first `dirty` are filled with ones before each block
    clocks : what each lane knows of the syncwarps of the others, (threads, 32); empty where nobody asks
    """
    header = worker[0]
    for block in blocks:
        if header.stop:
            return STOPPED, 0
        header.ctaid_x = block % header.nctaid_x
        header.ctaid_y = block // header.nctaid_x % header.nctaid_y
        header.ctaid_z = block // (header.nctaid_x * header.nctaid_y)
        header.epoch += 1
        header.block_epoch = header.epoch
        shared[:dirty] = 0xFF
        fault, thread = _run_block(start, resume, threads, rows, order, header, clocks)
        if header.unwritten_by and not RACE_READ <= fault <= RACE_OVERWRITE:
            return _unwritten(threads, header)  # whatever happened after that is its consequence
        if fault:
            return fault, thread
    return 0, 0


@njit(cache=True, nogil=True)
def _unwritten(threads, header):
    """The fault of a read of what nobody wrote, which no later write made a race."""
    thread = threads[header.unwritten_by - 1]
    thread.fault, thread.fault_site = UNWRITTEN, header.unwritten_site
    thread.fault_a, thread.fault_b = header.unwritten_address, 0
    return UNWRITTEN, thread.index


@njit(cache=True, nogil=True)
def _run_block(start, resume, threads, rows, order, header, clocks):
    clocks[:] = 0
    waiting = False
    for i in order:
        thread = threads[i]
        thread.status = READY
        thread.sync = 0
        _enter(start, rows + i * ROW_BYTES)
        if thread.status != DONE:
            waiting = True
            if thread.status == FAULT:
                return thread.fault, i
    while waiting:
        fault, who, waiting = _answer(threads, order.size, header, clocks)
        if fault:
            return fault, who
        if not waiting:
            break
        if header.stop:
            return STOPPED, 0
        for i in order:
            thread = threads[i]
            if thread.status == READY:
                _enter(resume, rows + i * ROW_BYTES)
                if thread.status == FAULT:
                    return thread.fault, i
    return 0, 0


@njit(cache=True, nogil=True)
def _answer(threads, count, header, clocks):
    """Make all threads ready that can go on; (fault, thread, whether any thread is left)."""
    at_barrier, done, first_done = 0, 0, -1
    for i in range(count):
        status = threads[i].status
        if status == BARRIER:
            at_barrier += 1
        elif status == DONE:
            done += 1
            first_done = i
    if at_barrier == count:
        if header.unwritten_by:
            return UNWRITTEN, header.unwritten_by - 1, True
        return _release(threads, count, header, clocks)
    if done == count:
        return 0, 0, False
    answered = False
    stuck = -1
    if at_barrier + done < count:
        for warp in range(0, count, WARP):
            lanes = min(WARP, count - warp)
            for lane in range(lanes):
                status = threads[warp + lane].status
                if SYNCWARP <= status <= MATCH:
                    fault, complete = _answer_warp(threads, warp, lanes, lane, clocks)
                    if fault:
                        return fault, warp + lane, True
                    if complete:
                        answered = True
                    else:
                        stuck = warp + lane
    if answered:
        return 0, 0, True
    if stuck >= 0:
        return INCOMPLETE, stuck, True
    # nobody can go on: some threads have returned, and the others wait at a barrier for them
    return EARLY_EXIT, first_done, True


@njit(cache=True, nogil=True)
def _release(threads, count, header, clocks):
    """All threads are at a barrier: let them go, if it is the same one."""
    first = threads[0]
    total = 0
    for i in range(count):
        if threads[i].site != first.site or threads[i].option != first.option:
            return DIVERGENT_BARRIER, i, True
        total += threads[i].value != 0
    result = total
    if first.option == ALL:
        result = int(total == count)
    elif first.option == ANY:
        result = int(total > 0)
    header.epoch += 1
    if header.syncwarps:
        clocks[:] = 0
    for i in range(count):
        threads[i].result = result
        threads[i].status = READY
        threads[i].sync = 0
    return 0, 0, True


@njit(cache=True, nogil=True)
def _answer_warp(threads, warp, lanes, lane, clocks):
    """Answer the collective that `lane` waits in, if all lanes of its mask are there; (fault, whether answered)."""
    asker = threads[warp + lane]
    mask, status, site = asker.mask, asker.status, asker.site
    if not mask >> lane & 1:
        return MASK_WITHOUT_SELF, False
    if lanes < WARP and mask != 0xFFFFFFFF and mask >> lanes:
        return MASK_NAMES_ABSENT, False
    mask &= (1 << lanes) - 1  # a full mask stands for all there are, in the last warp of a block
    for other in range(lanes):
        if mask >> other & 1:
            thread = threads[warp + other]
            if thread.status == DONE:
                return MASK_NAMES_EXITED, False
            if thread.status == READY or thread.status == BARRIER:
                return 0, False
            if thread.status != status or thread.mask != asker.mask:
                return 0, False
            if thread.site != site:
                return DIVERGENT_COLLECTIVE, False
    ballot = 0
    for other in range(lanes):
        if mask >> other & 1 and threads[warp + other].value != 0:
            ballot |= 1 << other
    for other in range(lanes):
        if mask >> other & 1:
            thread = threads[warp + other]
            if status == SHUFFLE:
                source, inside = _source(other, thread.option, thread.extra)
                if source >= lanes or not mask >> source & 1:
                    return SOURCE_NOT_IN_MASK, False
                thread.result, thread.predicate = threads[warp + source].value, inside
            elif status == VOTE:
                thread.result, thread.predicate = ballot, _vote(thread.option, ballot, mask)
            elif status == MATCH:
                thread.result, thread.predicate = _match(threads, warp, lanes, mask, thread)
    if status == SYNCWARP and clocks.size:
        _learn(threads, warp, lanes, mask, clocks)
    for other in range(lanes):
        if mask >> other & 1:
            threads[warp + other].status = READY
    return 0, True


@njit(cache=True, nogil=True)
def _source(lane, mode, extra):
    """The lane that a shuffle reads, and whether it lies inside the segment; else it is the lane itself."""
    b, c = extra & 31, extra >> 32
    segment, clamp = c >> 8 & 31, c & 31
    highest = (lane & segment) | (clamp & ~segment & 31)
    if mode == UP:
        source = lane - b
        inside = source >= highest
    elif mode == DOWN:
        source = lane + b
        inside = source <= highest
    elif mode == BUTTERFLY:
        source = lane ^ b
        inside = source <= highest
    else:
        source = (lane & segment) | (b & ~segment & 31)
        inside = source <= highest
    return (source if inside else lane), int(inside)


@njit(cache=True, nogil=True)
def _vote(mode, ballot, mask):
    if mode == VOTE_ALL:
        return int(ballot == mask)
    if mode == VOTE_ANY:
        return int(ballot != 0)
    if mode == VOTE_UNIFORM:
        return int(ballot == 0 or ballot == mask)
    return 0


@njit(cache=True, nogil=True)
def _match(threads, warp, lanes, mask, thread):
    same = 0
    for other in range(lanes):
        if mask >> other & 1 and threads[warp + other].value == thread.value:
            same |= 1 << other
    everyone = int(same == mask)
    if thread.option == 1 and not everyone:  # match.all
        same = 0
    return same, everyone


@njit(cache=True, nogil=True)
def _learn(threads, warp, lanes, mask, clocks):
    """A syncwarp: every lane of the mask now knows all that any of them knew, and what they did until now.

    Syncwarps of a warp are numbered in the order in which they are answered. `thread.sync` is the number of the last
    that a lane took part in; `clocks[i, j]` is the last one of lane j that lane i knows of.
    """
    number = 0
    for other in range(lanes):
        number = max(number, threads[warp + other].sync)
    number += 1
    for known in range(lanes):
        if mask >> known & 1:
            latest = number
        else:
            latest = 0
            for other in range(lanes):
                if mask >> other & 1:
                    latest = max(latest, clocks[warp + other, known])
        for other in range(lanes):
            if mask >> other & 1:
                clocks[warp + other, known] = latest
    for other in range(lanes):
        if mask >> other & 1:
            threads[warp + other].sync = number


def no_clocks() -> "np.ndarray[Any, Any]":
    """For launches that do not watch the order of memory accesses."""
    return np.zeros((0, WARP), np.int64)
