"""Schedule the threads of a block: run each until it waits, answer threads that wait together, until all have returned.

A warp collective (`warp`) is answered as soon as all lanes that its mask names have arrived, a barrier once every
thread of the block has arrived. A request that can never be answered is a fault. Hardware would hang there, or go on
with wrong values.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from convbench.emulator import raw
from convbench.emulator.checks import happens, notes, operands, shadow, taint
from convbench.emulator.checks.notes import note, settle
from convbench.emulator.checks.taint import LANES
from convbench.emulator.collectives import products, tensor, warp, warpgroup, warpgroup_products
from convbench.emulator.collectives.warp import answer_warp
from convbench.emulator.collectives.warpgroup import answer_warpgroup, begin_block
from convbench.emulator.counting import accesses, replay, rules
from convbench.emulator.counting import tables as counting_tables
from convbench.emulator.state import THREAD, WARP, FaultKind, Status, fingerprint

READY, DONE, FAULT = int(Status.READY), int(Status.DONE), int(Status.FAULT)
BARRIER, SYNCWARP, TENSOR = int(Status.BARRIER), int(Status.SYNCWARP), int(Status.TENSOR)
IN_WARPGROUP, WARPGROUP = int(Status.WARPGROUP), operands.WARPGROUP
NAMED, ARRIVE, BARRIERS, GRID = int(Status.NAMED), int(Status.ARRIVE), 16, int(Status.GRID)
DIVERGENT_BARRIER, EARLY_EXIT = int(FaultKind.DIVERGENT_BARRIER), int(FaultKind.EARLY_EXIT)
INCOMPLETE, INCOMPLETE_BARRIER = int(FaultKind.INCOMPLETE_COLLECTIVE), int(FaultKind.INCOMPLETE_BARRIER)
PART_OF_WARPGROUP = int(FaultKind.PART_OF_WARPGROUP)
STOPPED, SOURCE_NOT_IN_MASK = int(FaultKind.STOPPED), int(FaultKind.SOURCE_NOT_IN_MASK)
ROW_BYTES = THREAD.itemsize
PARKED = -1  # not a fault: the block waits for other blocks
BROKEN = -2  # a thread of the block has ended with a fault, which is noted
PARK = 16  # rounds in which all threads of a block spin, after which other blocks run
LOCKSTEP = 32  # atomics at each of which a block lets others run, in random order
EVER = 1 << 40  # an epoch that no block reaches
ALL, ANY = 2, 3  # as in `collectives.REDUCTIONS`; 1 is popc, 0 is a plain barrier


@intrinsic
def _enter(typingctx: Any, function: Any, argument: Any) -> Any:
    """Call the compiled function at an address with one pointer."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer]).as_pointer()
        builder.call(builder.inttoptr(values[0], kind), [builder.inttoptr(values[1], pointer)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _make_run_blocks(version: int) -> Any:
    @njit(cache=True, nogil=True)
    def run_blocks(start, resume, threads, rows, order, blocks, worker, shared, dirty, clocks, tables, arrived, traces):
        """Run some blocks, each with its threads in `order`. Returns (0, 0), or a fault and its thread.

        A parked block goes on first. Returns (PARKED, its place in `blocks`) for a block that waits for other blocks.

        Parameters
        ----------
        start, resume : addresses of the kernel's `emu_start` and `emu_resume`
        threads, rows : the threads' rows and their address
        order : indices of all threads of a block, int64
        blocks : linear indices of the blocks, int64
        worker : the header, one element
        shared : the block's memory as bytes
        dirty : how many of the first bytes of `shared` are set to 0xFF before each block
        clocks : what each lane knows of the syncwarps of the others, (threads, 32); empty in fast mode
        tables : the products that each thread has under way, (threads, words); None if the kernel has no wgmma, so that
            `warpgroup` need not be compiled
        arrived : threads that arrived at each named barrier and do not wait
        traces : the buffers and counts of `counting.replay`; None without a profile, so that it need not be compiled
        """
        header = worker[0]
        if header.parked:
            fault, thread = _go_on(resume, threads, rows, order, header, clocks, tables, arrived, traces)
            earlier, who = settle(threads, header, fault == PARKED)
            if fault == PARKED and not earlier:
                return PARKED, 0
            header.parked = 0
            if traces is not None:
                replay.replay(threads, order.size, header, traces)
            if earlier:
                return earlier, who
            if fault and fault != BROKEN:
                return fault, thread
        for number in range(blocks.size):
            block = blocks[number]
            if header.stop or not version:
                return STOPPED, 0
            header.ctaid_x = block % header.nctaid_x
            header.ctaid_y = block // header.nctaid_x % header.nctaid_y
            header.ctaid_z = block // (header.nctaid_x * header.nctaid_y)
            header.epoch += 1
            header.block_epoch = header.epoch
            header.acquired = 0
            header.range_begin, header.range_end = header.epoch, EVER
            shared[:dirty] = 0xFF
            fault, thread, waiting = _begin(start, threads, rows, order, header, clocks, tables, arrived, traces)
            if waiting and not fault:
                fault, thread = _go_on(resume, threads, rows, order, header, clocks, tables, arrived, traces)
            if traces is not None and fault != PARKED:
                replay.replay(threads, order.size, header, traces)
            earlier, who = settle(threads, header, fault == PARKED)
            if earlier:
                return earlier, who
            if fault == PARKED:
                header.parked = 1
                return PARKED, number
            if fault and fault != BROKEN:
                return fault, thread
        return 0, 0

    return run_blocks


@njit(nogil=True)
def _begin(start, threads, rows, order, header, clocks, tables, arrived, traces):
    """Run each thread of a block until it waits. Returns (fault, thread, whether any waits)."""
    clocks[:] = 0
    arrived[:] = 0
    header.rounds = header.at_grid = header.n_bulk = 0
    if tables is not None:
        begin_block(tables)
        operands.begin_operands(threads[0].worker)
    if traces is not None:
        replay.begin_traces(threads, order.size, traces)
    waiting = broken = False
    for i in order:
        thread = threads[i]
        thread.status = READY
        thread.sync = thread.acquired = thread.writes = thread.groups = thread.groups_ended = 0
        thread.copies_first = thread.copies_next  # forget copies that the last block did not wait for
        _enter(start, rows + i * ROW_BYTES)
        if thread.status != DONE:
            waiting = True
            if thread.status == FAULT:
                if not header.notes:
                    return thread.fault, i, True
                _note_end(thread, rows + i * ROW_BYTES)
                broken = True
    return BROKEN if broken else 0, 0, waiting


@njit(nogil=True)
def _note_end(thread, row):
    """Note the fault that has ended a thread. The other threads run until they wait: theirs may be earlier."""
    site = thread.fault_site
    if thread.fault == SOURCE_NOT_IN_MASK:
        site = (thread.fault_a - 1) // LANES
    note(row, thread.fault, site, thread.fault_a, thread.fault_b, thread.fault_c)


@njit(nogil=True)
def _go_on(resume, threads, rows, order, header, clocks, tables, arrived, traces):
    """Run a block until all threads have returned, or until it waits for other blocks. Returns (fault, thread)."""
    while True:
        if traces is not None:
            replay.replay(threads, order.size, header, traces)
        fault, who, waiting = _answer(threads, rows, order.size, header, clocks, tables, arrived)
        if fault:
            return fault, who
        if not waiting:
            break
        if header.stop:
            return STOPPED, 0
        broken = False
        for i in order:
            thread = threads[i]
            if thread.status == READY:
                _enter(resume, rows + i * ROW_BYTES)
                if thread.status != READY:
                    header.progress = 1
                if thread.status == FAULT:
                    if not header.notes:
                        return thread.fault, i
                    _note_end(thread, rows + i * ROW_BYTES)
                    broken = True
        if broken:
            return BROKEN, 0
    return 0, 0


@njit(nogil=True)
def _answer(threads, rows, count, header, clocks, tables, arrived):
    """Make all threads ready that can go on. Returns (fault, thread, whether any thread is left)."""
    at_barrier, done, first_done, named, spinning, at_grid = 0, 0, -1, -1, -1, 0
    for i in range(count):
        status = threads[i].status
        if status == BARRIER:
            at_barrier += 1
        elif status == DONE:
            done += 1
            if first_done < 0:
                first_done = i
        elif status == GRID:
            at_grid += 1
        elif status >= NAMED:
            named = i
        elif status == READY:
            spinning = i  # it let others run (`support.ptx`)
    exited = done if header.may_return else 0
    if (at_barrier > 0 and at_barrier + exited == count) or (at_grid > 0 and at_grid + exited == count):
        fault, who = settle(threads, header, False)
        if fault:
            return fault, who, True
        if at_grid:
            header.at_grid = 1
            return PARKED, 0, True
        header.progress = 1
        return _release(threads, count, header, clocks)
    if done == count:
        return 0, 0, False
    answered = False
    stuck = -1
    if named >= 0 and _release_named(threads, count, header, arrived):
        return 0, 0, True
    if at_barrier + done + at_grid < count:
        for warp in range(0, count, WARP):
            lanes = min(WARP, count - warp)
            for lane in range(lanes):
                status = threads[warp + lane].status
                if SYNCWARP <= status <= TENSOR:
                    fault, complete = answer_warp(threads, warp, lanes, lane, clocks, header.anywhere)
                    if fault:
                        return fault, warp + lane, True
                    if complete:
                        answered = True
                    else:
                        stuck = warp + lane
        if tables is not None:
            for first in range(0, count, WARPGROUP):
                asker = first
                while asker < min(first + WARPGROUP, count) and threads[asker].status != IN_WARPGROUP:
                    asker += 1
                if asker == min(first + WARPGROUP, count):
                    continue
                fault, who, complete = answer_warpgroup(threads, rows, first, count, tables, header)
                if fault:
                    return fault, who, True
                if complete:
                    answered = True
                else:
                    stuck = asker
    if answered:
        header.rounds = 0
        header.progress = 1
        return 0, 0, True
    if spinning >= 0 and header.preempt <= 0:
        _preempt_later(header)
        header.progress = 1
        return PARKED, spinning, True
    if spinning >= 0:
        header.rounds += 1
        if header.rounds < PARK:
            return 0, 0, True
        header.rounds = 0
        return PARKED, spinning, True
    if stuck >= 0:
        return PART_OF_WARPGROUP if threads[stuck].status == IN_WARPGROUP else INCOMPLETE, stuck, True
    if named >= 0:
        return INCOMPLETE_BARRIER, named, True
    if at_grid and at_barrier:
        return DIVERGENT_BARRIER, threads.size - 1, True
    # nobody can go on: some threads have returned, and the others wait at a barrier for them
    return EARLY_EXIT, first_done, True


@njit(nogil=True)
def _preempt_later(header):
    """Choose the atomic at which the block lets others run again: the next at first, later ones at random."""
    header.preemptions += 1
    header.random = header.random * 6364136223846793005 + 1442695040888963407
    header.preempt = 1
    if header.preemptions > LOCKSTEP:
        header.preempt += (header.random >> 40) & ((8 << min(header.preemptions // LOCKSTEP, 16)) - 1)


@njit(nogil=True)
def _release(threads, count, header, clocks):
    """Release all threads, which are at a barrier or have returned; it is a fault if not all are at the same one."""
    begin = 0
    while threads[begin].status == DONE:
        begin += 1
    first = threads[begin]
    total = waiting = 0
    for i in range(begin, count):
        if threads[i].status == DONE:
            continue
        elsewhere = threads[i].site != first.site or threads[i].turns != first.turns
        if threads[i].option != first.option or (elsewhere and not header.anywhere):
            return DIVERGENT_BARRIER, i, True
        waiting += 1
        total += threads[i].value != 0
    result = total
    if first.option == ALL:
        result = int(total == waiting)
    elif first.option == ANY:
        result = int(total > 0)
    if header.order:
        fenced = first.fence
        for i in range(begin, count):
            if threads[i].status != DONE:
                fenced = min(fenced, threads[i].fence)
        header.all_fenced = fenced
    header.epoch += 1
    if header.syncwarps:
        clocks[:] = 0
    for i in range(begin, count):
        if threads[i].status != DONE:
            threads[i].result = result
            threads[i].status = READY
            threads[i].sync = 0
    return 0, 0, True


@njit(nogil=True)
def _release_named(threads, count, header, arrived):
    """Release the barriers that enough threads have reached (PTX ISA, "bar"). Returns whether anybody goes on.

    A barrier's number is in `mask`, its count of threads in `extra`; a count of 0 means all threads of the block.
    """
    answered = False
    for i in range(count):
        if threads[i].status == ARRIVE:
            arrived[threads[i].mask] += 1
            threads[i].status = READY
            answered = True
    for number in range(BARRIERS):
        waiting, wanted, total, option = 0, count, 0, 0
        for i in range(count):
            if threads[i].status == NAMED and threads[i].mask == number:
                waiting += 1
                total += threads[i].value != 0
                option = threads[i].option
                if threads[i].extra:
                    wanted = threads[i].extra
        if waiting == 0 or waiting + arrived[number] < wanted:
            continue
        result = int(total == waiting) if option == ALL else int(total > 0) if option == ANY else total
        for i in range(count):
            if threads[i].status == NAMED and threads[i].mask == number:
                threads[i].result = result
                threads[i].status = READY
        arrived[number] = 0
        # no access before it races with one after it, not even of a thread that took no part
        header.epoch += 1
        answered = True
    return answered


_MODULES = (
    raw, happens, notes, operands, shadow, taint, tensor, warp, warpgroup, products, warpgroup_products, accesses,
    replay, rules, counting_tables,
)  # fmt: skip
run_blocks = _make_run_blocks(fingerprint(__file__, *(str(module.__file__) for module in _MODULES)))
