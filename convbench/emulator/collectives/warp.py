"""Warp collectives: compute the answers for the lanes of a mask once all of them are there.

Shuffle, vote and match follow the PTX ISA ("shfl.sync", "vote.sync", "match.sync"). The instructions of tensor cores
are in `tensor`; all 32 lanes must ask for them. For the other collectives, lanes of the mask that have returned need
not come (CUDA C++ Programming Guide, "Warp Vote Functions"). But then the result depends on which lanes have returned,
so the checked mode reports a fault, except for syncwarp, which has no result. Lanes may also reach one syncwarp at
different lines of the source, which is valid since compute capability 7.0.
"""

from numba import njit

from convbench.emulator.checks.taint import LANES
from convbench.emulator.collectives.tensor import answer_tensor
from convbench.emulator.state import WARP, FaultKind, Status

READY, DONE, BARRIER = int(Status.READY), int(Status.DONE), int(Status.BARRIER)
SYNCWARP, SHUFFLE = int(Status.SYNCWARP), int(Status.SHUFFLE)
VOTE, MATCH, TENSOR = int(Status.VOTE), int(Status.MATCH), int(Status.TENSOR)
REDUCE, ACTIVE = int(Status.REDUCE), int(Status.ACTIVE)
ADD, SMALLEST, LARGEST, LEAST, MOST, AND, OR, XOR = range(8)  # of REDUCE; the first two extrema are of signed numbers
MASK_WITHOUT_SELF, MASK_NAMES_EXITED = int(FaultKind.MASK_WITHOUT_SELF), int(FaultKind.MASK_NAMES_EXITED)
MASK_NAMES_ABSENT = int(FaultKind.MASK_NAMES_ABSENT)
DIVERGENT_COLLECTIVE = int(FaultKind.DIVERGENT_COLLECTIVE)
UP, DOWN, BUTTERFLY = 1, 2, 3  # modes of shfl.sync in NVVM; 0 is idx
VOTE_ALL, VOTE_ANY, VOTE_UNIFORM = 0, 1, 2  # modes of vote.sync in NVVM; 3 is ballot


@njit(nogil=True)
def answer_warp(threads, warp, lanes, lane, clocks, anywhere):
    """Answer the collective that `lane` waits in, if all lanes of its mask are there.

    With `anywhere`, the lanes may wait at different places. Returns (fault, whether it was answered).
    """
    strict = clocks.size > 0
    asker = threads[warp + lane]
    mask, status, site = asker.mask, asker.status, asker.site
    if status == ACTIVE:
        return 0, _tell_active(threads, warp, lanes, site)
    if not mask >> lane & 1:
        return MASK_WITHOUT_SELF, False
    if lanes < WARP and (mask != 0xFFFFFFFF or status == TENSOR) and mask >> lanes:
        return MASK_NAMES_ABSENT, False
    mask &= (1 << lanes) - 1  # in the last warp of a block, a full mask means all lanes that exist
    for other in range(lanes):
        if mask >> other & 1:
            thread = threads[warp + other]
            if thread.status == DONE:
                if status == TENSOR or (strict and status != SYNCWARP):
                    return MASK_NAMES_EXITED, False
                mask &= ~(1 << other)
                continue
            if thread.status == READY or thread.status == BARRIER:
                return 0, False
            if thread.status != status or thread.mask != asker.mask:
                return 0, False
            if thread.site != site and not anywhere and status != SYNCWARP:
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
                thread.predicate = inside
                if source >= lanes or not mask >> source & 1:
                    # the value is unspecified, which matters only where it is used (`taint`)
                    thread.result, thread.taken = thread.value, 1 + other + LANES * site
                else:
                    thread.result, thread.taken = threads[warp + source].value, threads[warp + source].given
            elif status == VOTE:
                thread.result, thread.predicate = ballot, _vote(thread.option, ballot, mask)
            elif status == MATCH:
                thread.result, thread.predicate = _match(threads, warp, lanes, mask, thread)
    if status == REDUCE:
        _reduce(threads, warp, lanes, mask, asker.option)
    elif status == TENSOR:
        answer_tensor(threads, warp, asker.option)
    elif status == SYNCWARP and strict:
        _learn(threads, warp, lanes, mask, clocks)
    for other in range(lanes):
        if mask >> other & 1:
            threads[warp + other].status = READY
    return 0, True


@njit(nogil=True)
def _source(lane, mode, extra):
    """The lane that a shuffle reads, and whether it lies inside the segment. If not, the lane reads itself."""
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


@njit(nogil=True)
def _vote(mode, ballot, mask):
    if mode == VOTE_ALL:
        return int(ballot == mask)
    if mode == VOTE_ANY:
        return int(ballot != 0)
    if mode == VOTE_UNIFORM:
        return int(ballot == 0 or ballot == mask)
    return 0


@njit(nogil=True)
def _match(threads, warp, lanes, mask, thread):
    same = 0
    for other in range(lanes):
        if mask >> other & 1 and threads[warp + other].value == thread.value:
            same |= 1 << other
    everyone = int(same == mask)
    if thread.option == 1 and not everyone:  # match.all
        same = 0
    return same, everyone


@njit(nogil=True)
def _tell_active(threads, warp, lanes, site):
    """Tell the lanes that ask at one place who they are: they run together."""
    active = 0
    for other in range(lanes):
        if threads[warp + other].status == ACTIVE and threads[warp + other].site == site:
            active |= 1 << other
    for other in range(lanes):
        if active >> other & 1:
            threads[warp + other].result = active
            threads[warp + other].status = READY
    return True


@njit(nogil=True)
def _reduce(threads, warp, lanes, mask, operation):
    """Combine the 32-bit values of the lanes of a mask (PTX ISA, "redux.sync")."""
    total, first = 0, True
    for other in range(lanes):
        if mask >> other & 1:
            value = threads[warp + other].value & 0xFFFFFFFF
            if operation in (SMALLEST, LARGEST):
                value = (value ^ 0x80000000) - 0x80000000
            if first:
                total = value
            elif operation == ADD:
                total += value
            elif operation in (SMALLEST, LEAST):
                total = min(total, value)
            elif operation in (LARGEST, MOST):
                total = max(total, value)
            elif operation == AND:
                total &= value
            elif operation == OR:
                total |= value
            else:
                total ^= value
            first = False
    for other in range(lanes):
        if mask >> other & 1:
            threads[warp + other].result = total & 0xFFFFFFFF


@njit(nogil=True)
def _learn(threads, warp, lanes, mask, clocks):
    """Record a syncwarp: now every lane of the mask knows all that any of them knew, and what they did until now.

    The syncwarps of a warp are numbered in the order in which they are answered. `thread.sync` is the number of the
    last one that a lane took part in. `clocks[i, j]` is the last one of lane j that lane i knows of.
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
