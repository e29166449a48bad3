"""Random programs for the race detector, and the races in them, found by vector clocks (Lamport 1978).

A program is one list of events, in an order that hardware may take; thread by thread it is what a kernel interprets.
CUDA orders two accesses of different threads by a barrier of their block, or by a `syncwarp` that both lanes take part
in, and by what follows from these; nothing orders threads of different blocks. Two accesses to one cell that are not
ordered are a race if one of them writes and they are not both atomic. A read, and an atomic is one, of memory in which
no write comes before it finds garbage.
"""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numba import cuda, int32

NOTHING, READ, WRITE, ATOMIC, BARRIER, SYNCWARP = range(6)
SHARED, GLOBAL, FRESH = range(3)  # FRESH is global memory that the host has not written
CELLS = 3
WARP = 32
SPACES = st.sampled_from([SHARED, SHARED, GLOBAL, FRESH])


@dataclass(frozen=True)
class Access:
    thread: int  # its number in the grid
    kind: int
    space: int
    cell: int


@dataclass(frozen=True)
class Barrier:
    block: int


@dataclass(frozen=True)
class Syncwarp:
    block: int
    warp: int
    mask: int


@dataclass(frozen=True)
class Program:
    blocks: int
    threads: int  # in a block
    events: tuple[Access | Barrier | Syncwarp, ...]

    def takes_part(self, event: Access | Barrier | Syncwarp) -> list[int]:
        """Numbers in the grid of the threads that take part in an event."""
        if isinstance(event, Access):
            return [event.thread]
        first = event.block * self.threads
        if isinstance(event, Barrier):
            return list(range(first, first + self.threads))
        lanes = range(min(WARP, self.threads - event.warp * WARP))
        return [first + event.warp * WARP + lane for lane in lanes if event.mask >> lane & 1]

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Operation, cell and mask of every step of every thread, for `interpret`."""
        steps: list[list[tuple[int, int, int]]] = [[] for _ in range(self.blocks * self.threads)]
        for event in self.events:
            if isinstance(event, Access):
                step = event.kind + 10 * event.space, event.cell, 0
            else:
                step = (BARRIER, 0, 0) if isinstance(event, Barrier) else (SYNCWARP, 0, event.mask)
            members = self.takes_part(event)
            longest = max(len(steps[thread]) for thread in members)
            for thread in members:
                if isinstance(event, Barrier):  # which all threads must reach in the same turn of the loop
                    steps[thread] += [(NOTHING, 0, 0)] * (longest - len(steps[thread]))
                steps[thread].append(step)
        table = np.zeros((3, len(steps), max(map(len, steps)) + 1), np.int64)
        for thread, taken in enumerate(steps):
            for number, step in enumerate(taken):
                table[:, thread, number] = step
        return table[0], table[1], table[2]


@cuda.jit
def interpret(operations, cells, masks, memory, fresh, out):
    tile = cuda.shared.array(CELLS, int32)
    i = cuda.grid(1)
    total = 0
    for step in range(operations.shape[1]):
        operation, cell = operations[i, step], cells[i, step]
        if operation == READ:
            total += tile[cell]
        elif operation == WRITE:
            tile[cell] = 1
        elif operation == ATOMIC:
            cuda.atomic.add(tile, cell, 1)
        elif operation == READ + 10:
            total += memory[cell]
        elif operation == WRITE + 10:
            memory[cell] = 1
        elif operation == ATOMIC + 10:
            cuda.atomic.add(memory, cell, 1)
        elif operation == READ + 20:
            total += fresh[cell]
        elif operation == WRITE + 20:
            fresh[cell] = 1
        elif operation == ATOMIC + 20:
            cuda.atomic.add(fresh, cell, 1)
        elif operation == BARRIER:
            cuda.syncthreads()
        elif operation == SYNCWARP:
            cuda.syncwarp(masks[i, step])
    out[i] = total


def has_race_and_garbage(program: Program) -> tuple[bool, bool]:
    """Whether two accesses race, and whether a read finds memory that no earlier write has set."""
    count = program.blocks * program.threads
    clocks = np.zeros((count, count), np.int64)  # row: the events of each thread that one thread knows of
    seen: list[tuple[Access, int, np.ndarray]] = []
    race = garbage = False
    for event in program.events:
        members = program.takes_part(event)
        if not isinstance(event, Access):
            clocks[members] = clocks[members].max(axis=0)
            clocks[members, members] += 1
            continue
        me = event.thread
        clocks[me, me] += 1
        same = [before for before in seen if _same_cell(program, before[0], event)]
        written = event.space == GLOBAL
        for before, time, _ in same:
            ordered = before.thread == me or clocks[me, before.thread] >= time
            if ordered:
                written |= before.kind != READ
            elif READ not in (before.kind, event.kind) or before.kind != event.kind:
                race |= not before.kind == event.kind == ATOMIC
        garbage |= event.kind != WRITE and not written
        seen.append((event, int(clocks[me, me]), clocks[me]))
    return race, garbage


def _same_cell(program: Program, one: Access, other: Access) -> bool:
    if (one.space, one.cell) != (other.space, other.cell):
        return False
    return one.space != SHARED or one.thread // program.threads == other.thread // program.threads


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Random programs with few cells and few threads, so that correct and faulty ones are both frequent."""
    threads = draw(st.sampled_from([2, 33, 64]))
    blocks = draw(st.integers(1, 3))
    active = draw(st.lists(st.integers(0, blocks * threads - 1), min_size=1, max_size=4, unique=True))
    lanes = {thread % threads % WARP for thread in active}
    masks = st.sampled_from([0xFFFFFFFF, *[sum(1 << lane for lane in lanes) & ~(1 << lane) for lane in lanes]])
    places = draw(st.lists(st.tuples(SPACES, st.integers(0, CELLS - 1)), min_size=1, max_size=2, unique=True))
    access = st.builds(
        lambda thread, kind, place: Access(thread, kind, *place),
        st.sampled_from(active),
        st.sampled_from([READ, WRITE, ATOMIC]),
        st.sampled_from(places),
    )
    barrier = st.builds(Barrier, st.integers(0, blocks - 1))
    syncwarp = st.builds(Syncwarp, st.integers(0, blocks - 1), st.integers(0, (threads - 1) // WARP), masks)
    events = draw(st.lists(st.one_of(access, access, barrier, syncwarp), max_size=12))
    loaded = draw(st.sampled_from([0, CELLS, CELLS, CELLS]))
    first = [Access(block * threads, WRITE, SHARED, cell) for block in range(blocks) for cell in range(loaded)]
    first += [Barrier(block) for block in range(blocks)]
    return Program(blocks, threads, (*first, *map(_present(threads), events)))


def _present(threads: int):
    """Masks name no lane that the block does not have."""

    def present(event):
        if not isinstance(event, Syncwarp):
            return event
        mask = event.mask & ((1 << min(WARP, threads - event.warp * WARP)) - 1)
        return Syncwarp(event.block, event.warp, mask or 1)

    return present
