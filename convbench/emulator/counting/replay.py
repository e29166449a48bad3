"""Put the threads of a warp together again, from the blocks that each has noted, and count what the warp does.

A thread notes a number for each block that it enters, and behind it the addresses of the block's accesses. A block is
complete when the thread has entered another, or has returned. A *group* is a set of lanes that are in the same block.
When its lanes go on to different blocks, it splits, and its parts meet again where the block's row says. Until then the
group waits as their parent. The order in which groups are taken does not change any count.

Threads note into a buffer each. A thread whose buffer is full lets others run, and goes on when its blocks have been
counted. If its group waits for a lane that cannot go on, the warp falls apart into single lanes (`_fall_apart`).
"""

import numpy as np
from numba import njit

from convbench.emulator.counting.accesses import count_access
from convbench.emulator.counting.rules import INACTIVE, LANES
from convbench.emulator.counting.tables import EXIT
from convbench.emulator.raw import load
from convbench.emulator.state import WARP, Status

DONE = int(Status.DONE)
WORD = 8

# a group's row
LANES_IN, MEETS, PARENT, ARRIVED, PENDING, IN_USE = range(6)
GROUP_FIELDS = 6
GROUPS = 160  # of a warp at most: 32 with lanes that run, as many that wait, and room
NO_PARENT = -1
TOP = GROUPS  # a row behind the groups, whose first field is the number behind the last group that was ever in use

# what is counted of a block
EXECUTED, LANES_OF, SPLITS, WAITED = range(4)
BLOCK_FIELDS = 4

# of a barrier in the order of a block's barriers: the most instructions of a warp since the one before, their sum over
# the warps that have arrived, how many have, which piece of the program ends with it, and the longest chain of a warp
MOST, SUM, WARPS_HERE, PIECE, LONGEST = range(5)
MEETING_FIELDS = 5
# of a warp: instructions since its last barrier, barriers, and the length of its chain since its last barrier
SINCE, MET, CHAIN = range(3)
WARP_FIELDS = 3
MEETINGS = 4096  # barriers of a block that are followed; further ones have no waits


@njit(error_model="numpy")
def begin_traces(threads, count, traces):
    """Forget what was noted: a block begins."""
    end_meetings(traces)
    heads, groups, base, capacity = traces[0], traces[1], traces[6][0], traces[6][1]
    groups[:, :, :] = 0
    traces[10][:, :, :] = -1
    for index in range(count):
        heads[index] = 0
        threads[index].trace = base + index * capacity * WORD
        threads[index].trace_end = threads[index].trace + traces[6][2] * WORD
    for warp in range(-(-count // WARP)):
        lanes = min(WARP, count - warp * WARP)
        groups[warp, 0, LANES_IN] = (1 << lanes) - 1
        groups[warp, 0, MEETS] = EXIT
        groups[warp, 0, PARENT] = NO_PARENT
        groups[warp, 0, IN_USE] = groups[warp, TOP, 0] = 1


@njit(error_model="numpy")
def end_meetings(traces):
    """Count the waits at barriers that some warps never reached, because they had returned, and end the block."""
    since, meetings = traces[13], traces[14]
    for number in range(min(since[:, MET].max(), MEETINGS)):
        _end_meeting(meetings[number], traces)
    traces[15][0] += since[:, CHAIN].max()
    since[:, :] = 0


@njit(error_model="numpy")
def _end_meeting(meeting, traces):
    traces[4][meeting[PIECE], WAITED] += meeting[WARPS_HERE] * meeting[MOST] - meeting[SUM]
    traces[15][0] += meeting[LONGEST]
    meeting[:] = 0


@njit(error_model="numpy")
def _arrive(warp, piece, traces):
    """A warp arrives at a barrier of all threads. It waits until the slowest one has executed its instructions."""
    since, meetings = traces[13], traces[14]
    number = since[warp, MET]
    if number < MEETINGS:
        meeting = meetings[number]
        meeting[MOST] = max(meeting[MOST], since[warp, SINCE])
        meeting[SUM] += since[warp, SINCE]
        meeting[LONGEST] = max(meeting[LONGEST], since[warp, CHAIN])
        meeting[WARPS_HERE] += 1
        meeting[PIECE] = piece
        if meeting[WARPS_HERE] == since.shape[0]:
            _end_meeting(meeting, traces)
    since[warp, SINCE] = since[warp, CHAIN] = 0
    since[warp, MET] += 1


@njit(error_model="numpy", forceinline=True)
def _noted(threads, index, base, capacity):
    """The words that a thread has noted and not moved."""
    return (threads[index].trace - base) // WORD - index * capacity


@njit(error_model="numpy")
def _next_block(threads, index, traces):
    """The block that a thread enters behind the one at its head: its number, EXIT, or -2 if that is not known yet."""
    heads, blocks = traces[0], traces[2]
    base, capacity = traces[6][0], traces[6][1]
    noted = _noted(threads, index, base, capacity)
    if heads[index] >= noted:
        return EXIT - 1
    at = base + (index * capacity + heads[index]) * WORD
    behind = heads[index] + 1 + blocks[load(at), 1]
    if behind < noted:
        return load(base + (index * capacity + behind) * WORD)
    return EXIT if threads[index].status == DONE else EXIT - 1


@njit(error_model="numpy")
def _free_group(groups):
    for number in range(GROUPS):
        if not groups[number, IN_USE]:
            groups[TOP, 0] = max(groups[TOP, 0], number + 1)
            return number
    return -1


@njit(error_model="numpy")
def _leave(groups, number, arrived):
    """End a part of a group. The lanes of `arrived` have reached the place where the parts meet."""
    parent = groups[number, PARENT]
    groups[number, IN_USE] = 0
    while parent != NO_PARENT:
        groups[parent, ARRIVED] |= arrived
        groups[parent, PENDING] -= 1
        if groups[parent, PENDING] > 0:
            return
        if groups[parent, ARRIVED]:
            groups[parent, LANES_IN] = groups[parent, ARRIVED]
            groups[parent, ARRIVED] = 0
            return
        groups[parent, IN_USE] = 0
        arrived = 0
        parent = groups[parent, PARENT]


@njit(error_model="numpy")
def _step(threads, warp, number, traces, header, addresses, following):
    """Count the block at the head of a group, and send its lanes on. Returns whether it could be done."""
    heads, all_groups, blocks, accesses, block_counts = traces[0], traces[1], traces[2], traces[3], traces[4]
    base, capacity = traces[6][0], traces[6][1]
    groups = all_groups[warp]
    mask = groups[number, LANES_IN]
    begin = warp * WARP
    some = -1
    for lane in range(LANES):
        if mask >> lane & 1:
            following[lane] = _next_block(threads, begin + lane, traces)
            if following[lane] < EXIT:
                return False
            some = lane
    block = load(base + ((begin + some) * capacity + heads[begin + some]) * WORD)
    lanes = 0
    is_even = True
    for lane in range(LANES):
        if mask >> lane & 1:
            lanes += 1
            is_even = is_even and following[lane] == following[some]
    block_counts[block, EXECUTED] += 1
    block_counts[block, LANES_OF] += lanes
    traces[13][warp, SINCE] += blocks[block, 3]
    traces[13][warp, CHAIN] += blocks[block, 5]
    if blocks[block, 4]:
        _arrive(warp, block, traces)
    first = blocks[block, 0]
    for slot in range(blocks[block, 1]):
        for lane in range(LANES):
            addresses[lane] = INACTIVE
            if mask >> lane & 1:
                index = begin + lane
                addresses[lane] = load(base + (index * capacity + heads[index] + 1 + slot) * WORD)
        count_access(addresses, accesses[first + slot], first + slot, traces, header)
    for lane in range(LANES):
        if mask >> lane & 1:
            heads[begin + lane] += 1 + blocks[block, 1]
    if is_even:
        if following[some] == EXIT:
            _leave(groups, number, 0)
        elif following[some] == groups[number, MEETS] and groups[number, PARENT] != NO_PARENT:
            _leave(groups, number, mask)
        return True
    block_counts[block, SPLITS] += 1
    _split(groups, number, mask, blocks[block, 2], following)
    return True


@njit(error_model="numpy")
def _split(groups, number, mask, meets, following):
    """Split a group by the blocks that its lanes go on to."""
    parent = number
    if meets == EXIT or (meets == groups[number, MEETS] and groups[number, PARENT] != NO_PARENT):
        parent, meets = groups[number, PARENT], groups[number, MEETS]
        groups[number, IN_USE] = 0
        if parent != NO_PARENT:
            groups[parent, PENDING] -= 1
    else:
        groups[number, LANES_IN] = 0
        groups[number, ARRIVED] = 0
        groups[number, PENDING] = 0
    rest = mask
    while rest:
        lane = 0
        while not rest >> lane & 1:
            lane += 1
        part = 0
        for other in range(lane, LANES):
            if rest >> other & 1 and following[other] == following[lane]:
                part |= 1 << other
        rest &= ~part
        if following[lane] == EXIT:
            continue
        if following[lane] == meets and parent != NO_PARENT:
            groups[parent, ARRIVED] |= part
            continue
        new = _free_group(groups)
        if new < 0:  # no room, which a kernel without jumps into the middle of loops never needs
            continue
        groups[new, LANES_IN], groups[new, MEETS], groups[new, PARENT] = part, meets, parent
        groups[new, ARRIVED], groups[new, PENDING], groups[new, IN_USE] = 0, 0, 1
        if parent != NO_PARENT:
            groups[parent, PENDING] += 1
    if parent != NO_PARENT and groups[parent, PENDING] == 0:
        # all have arrived or returned: let the last part, which is empty, leave
        new = _free_group(groups)
        groups[new, PARENT], groups[new, IN_USE] = parent, 1
        groups[parent, PENDING] = 1
        _leave(groups, new, 0)


@njit(error_model="numpy")
def _fall_apart(threads, warp, count, traces):
    """Make a group of each lane of a warp: a lane is full, and waits for one that cannot go on."""
    heads, groups = traces[0], traces[1][warp]
    base, capacity = traces[6][0], traces[6][1]
    groups[:GROUPS, IN_USE] = 0
    groups[TOP, 0] = LANES
    for lane in range(min(WARP, count - warp * WARP)):
        index = warp * WARP + lane
        if heads[index] < _noted(threads, index, base, capacity) or threads[index].status != DONE:
            groups[lane, LANES_IN], groups[lane, MEETS], groups[lane, PARENT] = 1 << lane, EXIT, NO_PARENT
            groups[lane, IN_USE], groups[lane, PENDING], groups[lane, ARRIVED] = 1, 0, 0


@njit(error_model="numpy")
def _count_warp(threads, warp, traces, header, addresses, following):
    """Count one block of each group of a warp. Returns whether any was complete."""
    groups = traces[1][warp]
    progress = False
    for number in range(groups[TOP, 0]):
        if groups[number, IN_USE] and groups[number, LANES_IN]:
            progress = _step(threads, warp, number, traces, header, addresses, following) or progress
    return progress


@njit(error_model="numpy")
def _make_room(threads, warp, count, traces):
    """Move what is not counted to the beginning of the buffers. Returns whether a thread stays full."""
    heads = traces[0]
    base, capacity, full = traces[6][0], traces[6][1], traces[6][2]
    buffer = traces[9]
    is_full = False
    for index in range(warp * WARP, min(warp * WARP + WARP, count)):
        noted = _noted(threads, index, base, capacity)
        rest = noted - heads[index]
        if rest == 0 or noted >= full:
            for place in range(rest):
                buffer[index, place] = buffer[index, heads[index] + place]
            heads[index] = 0
            threads[index].trace = base + (index * capacity + rest) * WORD
        if rest >= full:
            is_full = True
    return is_full


@njit(error_model="numpy")
def replay(threads, count, header, traces):
    """Count what the threads of a block have noted so far."""
    addresses, following = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    base, capacity, full = traces[6][0], traces[6][1], traces[6][2]
    for index in range(count):
        if _noted(threads, index, base, capacity) >= full:
            header.rounds = 0  # it did not spin
    progress = True
    while progress:  # warps take turns, as they do on a GPU, so that they share what the cache has
        progress = False
        for warp in range(-(-count // WARP)):
            progress = _count_warp(threads, warp, traces, header, addresses, following) or progress
    for warp in range(-(-count // WARP)):
        while _make_room(threads, warp, count, traces):
            _fall_apart(threads, warp, count, traces)
            while _count_warp(threads, warp, traces, header, addresses, following):
                pass
