"""Release and acquire in checked mode: which accesses are ordered by a fence and an atomic that another thread saw.

An atomic releases what its thread did, and knew, before its last fence. The next atomics at the same address, by any
thread, acquire this. Every atomic is noted as an event, with the one before at its address; and every atomic that found
an earlier one is noted as an acquisition. Whether an access is ordered is asked only when it would be a race: then the
events are searched backwards. A fence of the block orders for the same block only.

If all threads of a block fence and then meet at a barrier, an atomic behind it releases what all of them did before.

A time is an epoch and, below it, the number of a thread's last syncwarp or fence, as in the stamps of `shadow`.

Source: PTX ISA, "Memory Consistency Model": release and acquire patterns. Here an acquisition
needs no fence of its own.
"""

from numba import njit

from convbench.emulator.raw import load, store
from convbench.emulator.state import THREAD, WARP, WORKER, offset

EVENTS, PLACES = 1 << 17, 1 << 18  # most events of a launch, and slots of the table of addresses
_EVENT, _ACQUIRED, _SLOT = 328, 32, 16  # bytes of an event, of an acquisition, of a slot
_COUNT, _ACQUISITIONS, _QUERIES, _HEADER = 0, 8, 16, 64
# bytes of an event; block: its first epoch; device, block_wide: time of the last fence; lanes: what they knew
_BLOCK, _THREAD, _NOW, _DEVICE, _CTA, _BEFORE, _SEEN, _HEAD, _LANES = 0, 8, 16, 24, 32, 40, 48, 56, 64
_ALL = 320  # the time before which all threads of the block had fenced, at its last barrier
_TIME, _WHO, _OF, _NEXT = 0, 8, 16, 24  # of an acquisition
_TABLE = _HEADER
_LOG = _TABLE + PLACES * _SLOT
_LIST = _LOG + (EVENTS + 1) * _EVENT
_STACK = _LIST + (EVENTS + 1) * _ACQUIRED
LOG_BYTES = _STACK + (EVENTS + 1) * 16

FOUND = -1
_TIME_SHIFT, _EPOCH_SHIFT, _SYNC = 12, 24, (1 << 24) - 1  # of a stamp, of a time
_ORDER, _ACQUIRED_BY_BLOCK = offset(WORKER, "order"), offset(WORKER, "acquired")
_ALL_FENCED = offset(WORKER, "all_fenced")
_EPOCH, _RANGE_BEGIN = offset(WORKER, "epoch"), offset(WORKER, "range_begin")
_CLOCKS, _SYNCWARPS = offset(WORKER, "clocks"), offset(WORKER, "syncwarps")
_WORKER, _INDEX, _SYNCED = offset(THREAD, "worker"), offset(THREAD, "index"), offset(THREAD, "sync")
_FENCE, _FENCE_OF_BLOCK = offset(THREAD, "fence"), offset(THREAD, "fence_of_block")
_LAST = offset(THREAD, "acquired")


@njit(error_model="numpy")
def fence(thread, is_device):
    """Note a fence of a thread, of the device or of its block only."""
    worker = load(thread + _WORKER)
    sync = min(load(thread + _SYNCED) + 1, _SYNC)
    store(thread + _SYNCED, sync)
    time = load(worker + _EPOCH) << _EPOCH_SHIFT | sync
    store(thread + _FENCE_OF_BLOCK, time)
    if is_device:
        store(thread + _FENCE, time)


@njit(error_model="numpy")
def _slot(log, address, block):
    """The slot of an address; `block` keeps shared memory of blocks apart. 0 if the table is full."""
    key = address ^ block << 48
    place = ((key >> 2) * 0x9E3779B97F4A7C15 >> 40) & (PLACES - 1)
    for _ in range(64):
        slot = log + _TABLE + place * _SLOT
        found = load(slot)
        if found == key or found == 0:
            store(slot, key)
            return slot
        place = (place + 1) & (PLACES - 1)
    return 0


@njit(error_model="numpy")
def synchronise(thread, address, is_shared, writes):
    """Note an atomic: it acquires what those before it at its address released. If it writes, it releases."""
    worker = load(thread + _WORKER)
    log, block = load(worker + _ORDER), load(worker + _RANGE_BEGIN)
    number, acquisition = load(log + _COUNT) + 1, load(log + _ACQUISITIONS) + 1
    slot = _slot(log, address, block if is_shared else 0)
    if slot == 0 or number >= EVENTS or acquisition >= EVENTS:
        return
    now = load(worker + _EPOCH) << _EPOCH_SHIFT | load(thread + _SYNCED)
    before = load(slot + 8)
    head = log + _LOG + before * _EVENT
    if before and load(head + _BLOCK) == block and load(head + _THREAD) == load(thread + _INDEX):
        fences = load(head + _DEVICE) == load(thread + _FENCE) and load(head + _CTA) == load(thread + _FENCE_OF_BLOCK)
        if fences and load(head + _NOW) == now and load(head + _HEAD) == load(worker + _ACQUIRED_BY_BLOCK):
            return  # it spins, and nothing has changed
    if before and before != load(thread + _LAST):
        store(thread + _LAST, before)
        node = log + _LIST + acquisition * _ACQUIRED
        store(node + _TIME, now)
        store(node + _WHO, load(thread + _INDEX))
        store(node + _OF, before)
        store(node + _NEXT, load(worker + _ACQUIRED_BY_BLOCK))
        store(worker + _ACQUIRED_BY_BLOCK, acquisition)
        store(log + _ACQUISITIONS, acquisition)
    if not writes:
        return
    event = log + _LOG + number * _EVENT
    store(event + _BLOCK, block)
    store(event + _THREAD, load(thread + _INDEX))
    store(event + _NOW, now)
    store(event + _DEVICE, load(thread + _FENCE))
    store(event + _CTA, load(thread + _FENCE_OF_BLOCK))
    store(event + _ALL, load(worker + _ALL_FENCED))
    store(event + _BEFORE, before)
    store(event + _SEEN, 0)
    store(event + _HEAD, load(worker + _ACQUIRED_BY_BLOCK))
    if load(worker + _SYNCWARPS):
        clocks = load(worker + _CLOCKS) + load(thread + _INDEX) * WARP * 8
        for lane in range(WARP):
            store(event + _LANES + lane * 8, load(clocks + lane * 8))
    store(slot + 8, number)
    store(log + _COUNT, number)


@njit(error_model="numpy")
def _covers(event, time, who, fenced, syncwarps):
    """Whether an event releases what a thread of its block did at a time."""
    if time < load(event + _ALL):
        return True
    if fenced >> _EPOCH_SHIFT < load(event + _BLOCK):
        return False  # no fence in this block
    if time >> _EPOCH_SHIFT < fenced >> _EPOCH_SHIFT:
        return True  # a barrier lies between
    author = load(event + _THREAD)
    if who == author:
        return time < fenced
    if not syncwarps or who // WARP != author // WARP or load(event + _NOW) >> _EPOCH_SHIFT != time >> _EPOCH_SHIFT:
        return False
    known = load(event + _LANES + who % WARP * 8)
    return (time & _SYNC) < known <= (fenced & _SYNC)


@njit(error_model="numpy")
def _releases(event, acquirer, time, who, syncwarps):
    """Whether an event releases, for a thread of the acquirer's block, what a thread did at a time."""
    begin = load(event + _BLOCK)
    if not begin <= time >> _EPOCH_SHIFT <= load(event + _NOW) >> _EPOCH_SHIFT:
        return False
    fenced = load(event + _CTA) if begin == acquirer else load(event + _DEVICE)
    return _covers(event, time, who, fenced, syncwarps)


@njit(error_model="numpy")
def _push(log, number, depth, query, acquirer, time, who, syncwarps):
    """Add an event and those before it at its address to the events to look at.

    Returns how many there are, or FOUND if one of them releases what a thread did at a time.
    """
    while number:
        event = log + _LOG + number * _EVENT
        if load(event + _SEEN) == query:
            break
        store(event + _SEEN, query)
        if _releases(event, acquirer, time, who, syncwarps):
            return FOUND
        store(log + _STACK + depth * 16, number)
        store(log + _STACK + depth * 16 + 8, acquirer)
        depth += 1
        number = load(event + _BEFORE)
    return depth


@njit(error_model="numpy")
def is_ordered(stamp, thread, index, worker):
    """Whether fences and atomics order the access of a stamp before an access that the thread makes now."""
    log = load(worker + _ORDER)
    if log == 0:
        return False
    if load(log + _COUNT) + 1 >= EVENTS or load(log + _ACQUISITIONS) + 1 >= EVENTS:
        return True  # too many atomics to remember them all
    time, who = stamp >> _TIME_SHIFT, stamp & 1023
    epoch, block = load(worker + _EPOCH), load(worker + _RANGE_BEGIN)
    query = load(log + _QUERIES) + 1
    store(log + _QUERIES, query)
    syncwarps = load(worker + _SYNCWARPS)
    depth = 0
    number = load(worker + _ACQUIRED_BY_BLOCK)
    while number:
        node = log + _LIST + number * _ACQUIRED
        author, when = load(node + _WHO), load(node + _TIME)
        known = author == index or when >> _EPOCH_SHIFT < epoch
        if not known and syncwarps and author // WARP == index // WARP:
            clock = load(load(worker + _CLOCKS) + (index * WARP + author % WARP) * 8)
            known = clock > (when & _SYNC)
        if known:
            depth = _push(log, load(node + _OF), depth, query, block, time, who, syncwarps)
            if depth == FOUND:
                return True
        number = load(node + _NEXT)
    while depth:
        depth -= 1
        event = log + _LOG + load(log + _STACK + depth * 16) * _EVENT
        begin = load(event + _BLOCK)
        fenced = load(event + _CTA) if begin == load(log + _STACK + depth * 16 + 8) else load(event + _DEVICE)
        number = load(event + _HEAD)
        while number:
            node = log + _LIST + number * _ACQUIRED
            if _covers(event, load(node + _TIME), load(node + _WHO), fenced, syncwarps):
                depth = _push(log, load(node + _OF), depth, query, begin, time, who, syncwarps)
                if depth == FOUND:
                    return True
            number = load(node + _NEXT)
    return False
