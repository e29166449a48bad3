"""Schedule the threads of a block: run each until it waits, answer threads that wait together, until all have returned.

A warp collective (`warp`) is answered as soon as all lanes that its mask names have arrived, a barrier once every
thread of the block has arrived. A request that can never be answered is a fault. Hardware would hang there, or go on
with wrong values.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from convbench.emulator import happens, products, raw, shadow, taint, tensor, warp, warpgroup, warpgroup_products
from convbench.emulator.counting import accesses, replay, rules
from convbench.emulator.counting import tables as counting_tables
from convbench.emulator.state import THREAD, WARP, FaultKind, Status, fingerprint
from convbench.emulator.warp import answer_warp
from convbench.emulator.warpgroup import answer_warpgroup, begin_block

READY, DONE, FAULT = int(Status.READY), int(Status.DONE), int(Status.FAULT)
BARRIER, SYNCWARP, TENSOR = int(Status.BARRIER), int(Status.SYNCWARP), int(Status.TENSOR)
IN_WARPGROUP, WARPGROUP = int(Status.WARPGROUP), warpgroup.WARPGROUP
NAMED, ARRIVE, BARRIERS, GRID = int(Status.NAMED), int(Status.ARRIVE), 16, int(Status.GRID)
DIVERGENT_BARRIER, EARLY_EXIT = int(FaultKind.DIVERGENT_BARRIER), int(FaultKind.EARLY_EXIT)
INCOMPLETE, INCOMPLETE_BARRIER = int(FaultKind.INCOMPLETE_COLLECTIVE), int(FaultKind.INCOMPLETE_BARRIER)
STOPPED, UNWRITTEN = int(FaultKind.STOPPED), int(FaultKind.UNWRITTEN)
RACE_READ, RACE_OVERWRITE = int(FaultKind.RACE_READ), int(FaultKind.RACE_OVERWRITE)
ROW_BYTES = THREAD.itemsize
PARKED = -1  # not a fault: the block waits for other blocks
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
            if fault == PARKED:
                return PARKED, 0
            header.parked = 0
            if traces is not None:
                replay.replay(threads, order.size, header, traces)
            if header.unwritten_by and not RACE_READ <= fault <= RACE_OVERWRITE:
                return _unwritten(threads, header)
            if fault:
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
            if fault == PARKED:
                header.parked = 1
                return PARKED, number
            if header.unwritten_by and not RACE_READ <= fault <= RACE_OVERWRITE:
                return _unwritten(threads, header)  # whatever happened later is its consequence
            if fault:
                return fault, thread
        return 0, 0

    return run_blocks


@njit(nogil=True)
def _unwritten(threads, header):
    """The fault of the noted read of unwritten memory, which no later write has turned into a race."""
    thread = threads[header.unwritten_by - 1]
    thread.fault, thread.fault_site = UNWRITTEN, header.unwritten_site
    thread.fault_a, thread.fault_b = header.unwritten_address, 0
    return UNWRITTEN, thread.index


@njit(nogil=True)
def _begin(start, threads, rows, order, header, clocks, tables, arrived, traces):
    """Run each thread of a block until it waits. Returns (fault, thread, whether any waits)."""
    clocks[:] = 0
    arrived[:] = 0
    header.rounds = header.at_grid = 0
    if tables is not None:
        begin_block(tables)
    if traces is not None:
        replay.begin_traces(threads, order.size, traces)
    waiting = False
    for i in order:
        thread = threads[i]
        thread.status = READY
        thread.sync = thread.acquired = 0
        thread.copies_first = thread.copies_next  # forget copies that the last block did not wait for
        _enter(start, rows + i * ROW_BYTES)
        if thread.status != DONE:
            waiting = True
            if thread.status == FAULT:
                return thread.fault, i, True
    return 0, 0, waiting


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
        for i in order:
            thread = threads[i]
            if thread.status == READY:
                _enter(resume, rows + i * ROW_BYTES)
                if thread.status != READY:
                    header.progress = 1
                if thread.status == FAULT:
                    return thread.fault, i
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
    if at_barrier == count or at_grid == count:
        if header.unwritten_by:
            return UNWRITTEN, header.unwritten_by - 1, True
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
        return INCOMPLETE, stuck, True
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
    """Release all threads, which are at a barrier; it is a fault if they are not at the same one."""
    first = threads[0]
    total = 0
    for i in range(count):
        if threads[i].option != first.option or (threads[i].site != first.site and not header.anywhere):
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
    raw, happens, shadow, taint, tensor, warp, warpgroup, products, warpgroup_products, accesses, replay,
    rules, counting_tables,
)  # fmt: skip
run_blocks = _make_run_blocks(fingerprint(__file__, *(str(module.__file__) for module in _MODULES)))
