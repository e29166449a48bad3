"""The records that the scheduler, the kernels and the checks share: a row for each CUDA thread, a header for a worker.

Every field has 64 bits, so that Python, Numba and hand-written LLVM IR easily agree on the offsets. A worker is an
operating-system thread that runs blocks one after another. No state of a launch is global, so that many workers can run
the same compiled kernel at once.
"""

from enum import IntEnum
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

WARP = 32
MAX_THREADS = 1024
NEVER = 1 << 62  # a number of atomics that no block does
TURNS = 32  # of a loop, after which a thread that may be waiting for another lets others run


class Status(IntEnum):
    """The state of a CUDA thread that is not running: it can go on, has ended, or waits for others."""

    READY = 0
    DONE = 1
    FAULT = 2
    BARRIER = 3
    SYNCWARP = 4
    SHUFFLE = 5
    VOTE = 6
    MATCH = 7
    REDUCE = 8
    ACTIVE = 9  # it asks which lanes are at the same place
    TENSOR = 10  # the instructions are in `tensor`
    WARPGROUP = 11  # the instructions are in `warpgroup`
    NAMED = 12  # a barrier with a number or a count of threads
    ARRIVE = 13  # it arrives at such a barrier, and does not wait
    GRID = 14  # it waits for all threads of the grid


class FaultKind(IntEnum):
    """The errors that a kernel can make. `faults` has the words for them."""

    NONE = 0
    INDEX = 1
    READ_OUTSIDE = 2
    WRITE_OUTSIDE = 3
    MISALIGNED = 4
    UNWRITTEN = 5
    RACE_READ = 6
    RACE_WRITE = 7
    RACE_OVERWRITE = 8
    STEPS = 9
    DIVERGENT_BARRIER = 10
    EARLY_EXIT = 11
    MASK_WITHOUT_SELF = 12
    MASK_NAMES_EXITED = 13
    MASK_NAMES_ABSENT = 14
    SOURCE_NOT_IN_MASK = 15
    DIVERGENT_COLLECTIVE = 16
    INCOMPLETE_COLLECTIVE = 17
    STOPPED = 18
    UNFENCED = 19
    UNEVEN_OPERANDS = 20
    TRAP = 21
    INCOMPLETE_BARRIER = 22
    SPINNING = 23
    COPY_TARGET = 24
    COPY_SOURCE = 25
    UNSET = 26
    NEGATIVE_INDEX = 27  # a remark and no fault: Numba counts it from the end
    UNWAITED = 28
    PART_OF_WARPGROUP = 29
    RECHECKED_READ = 30  # a remark and no fault: a compare-and-swap compares the value again
    SAME_VALUE = 31  # a remark and no fault: a race of stores of one value, without `strict_store`
    OPERAND = 32


# kinds that are no faults
REMARKS = frozenset({FaultKind.NEGATIVE_INDEX, FaultKind.RECHECKED_READ, FaultKind.SAME_VALUE})

THREAD = np.dtype(
    [
        (name, np.int64)
        for name in (
            # the request of a suspended thread, and the answer
            *("status", "site", "mask", "option", "value", "extra", "result", "predicate"),
            # who it is
            *("worker", "tid_x", "tid_y", "tid_z", "lane", "index", "frame", "handle"),
            # its last syncwarp, and its fault
            *("sync", "fault", "fault_site", "fault_a", "fault_b", "fault_c"),
            # its asynchronous copies in checked mode: numbers of the first under way and of the next, groups so far
            *("copies_first", "copies_next", "copies_group"),
            # the times of its last fences, of the device and of any, and the last atomic that it saw (`happens`)
            *("fence", "fence_of_block", "acquired"),
            *("given", "taken"),  # of a shuffle: the words of `taint` of the value that it gives and takes
            "writes",  # how many it has made, in checked mode
            *("groups", "groups_ended"),  # of products of a warpgroup in checked mode: committed ones, those waited for
            "turns",  # of a barrier in checked mode: a number for the turns of the loops around it (`loops`)
            *("trace", "trace_end"),  # of a profile: where it notes the next block, and where its buffer counts as full
        )
    ]
)

WORKER = np.dtype(
    [
        (name, np.int64)
        for name in (
            # where the block that runs is, and how large everything is
            *("ctaid_x", "ctaid_y", "ctaid_z", "ntid_x", "ntid_y", "ntid_z", "nctaid_x", "nctaid_y", "nctaid_z"),
            # its memory
            *("shared", "shared_bytes", "dynamic_bytes", "arguments"),
            # the checks: logical time, the table of memory ranges, the clocks of lanes and whether
            # the kernel has syncwarps at all, the budget of a thread
            *("epoch", "block_epoch", "ranges", "n_ranges", "clocks", "syncwarps", "budget"),
            # the table of noted faults (`notes`), its rows, how many it may have, those that are settled, and whether
            # the launch goes on behind them
            *("notes", "n_notes", "most_notes", "told", "keep_going"),
            "rounds",  # how often in a row the threads of the block did nothing but spin
            "progress",  # whether a thread of the block has begun or ended to wait, or has returned
            # atomics that threads may do before they let others run; how often they did, and the state of a generator
            *("preempt", "preemptions", "random"),
            "anywhere",  # whether threads may wait for each other at different places of the code, as on a GPU
            "all_fenced",  # the time before which all threads of the block had fenced, at its last barrier
            "same_value",  # whether stores of one value in one place are no race
            "may_return",  # whether a barrier waits only for the threads that have not returned
            *("order", "acquired"),  # the log of atomics (`happens`) or 0, and the block's last acquisition in it
            # the epochs of the block, which no other block has, and the last one before a grid synchronisation
            *("range_begin", "range_end", "grid_epoch"),
            *("parked", "at_grid"),  # whether a block is begun and lets others run; whether it waits for the whole grid
            *("bulk", "n_bulk"),  # the table of bulk copies under way, and its rows
            *("copies", "most_copies"),  # the table of asynchronous copies under way, and its rows for each thread
            # the table of operands of products (`operands`), the words of a row, its rows; the tables of `warpgroup`
            *("operands", "operand_words", "warpgroups", "products"),
            # set by another thread to end a launch early
            "stop",
        )
    ]
)

# A range of memory that a kernel may touch: that of an argument or of a shared array.
RANGE = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("begin", "size"),  # address and bytes
            # address of the shadow cells; a cell stands for 2 ** shift bytes
            *("cells", "shift"),
            "atomics",  # address of the table of who has done atomics to each cell; 0 if the kernel has none
            "written",  # address of a map with one byte for each byte: whether it was written; 0 if all of them were
            "is_shared",
        )
    ]
)

# An asynchronous copy under way: its addresses (from = 0 for zeros), its `shadow.describe_access`, its group's number,
# and the first bytes of its source.
COPY = np.dtype([(name, np.int64) for name in ("to", "from", "what", "group", "low", "high")])
KEPT_BYTES = 16  # of the source
# A bulk copy under way: its destination, its size, its mbarrier, and the thread that issued it.
BULK = np.dtype([(name, np.int64) for name in ("to", "size", "barrier", "thread")])
MOST_BULK = 256  # bulk copies under way of a block; of more, it is not noticed that nobody waits for them
# most copies under way, of one thread and of a block; each has 4 bytes or more of at most 227 KiB of shared memory
COPIES, COPIES_OF_BLOCK, FEWEST_COPIES = 1 << 16, 1 << 21, 1 << 11


def copies_of_thread(threads: int) -> int:
    """Most copies under way for each thread of a block; pages that are not used take no memory."""
    return min(COPIES, max(FEWEST_COPIES, COPIES_OF_BLOCK // threads))


def fingerprint(*files: str) -> int:
    """A number, never 0, that changes with the text of this module or of the files.

    Numba's cache on disk recognises a compiled function by its own source file and its free variables. It does not
    notice changes of the functions that it calls, or of the constants that it reads. So compiled functions have this
    number as a free variable.
    """
    return 1 + crc32(b"".join(Path(file).read_bytes() for file in (__file__, *files)))


def offset(record: np.dtype[np.void], field: str) -> int:
    """The offset of a field in THREAD, WORKER, RANGE or COPY, in bytes."""
    fields = record.fields
    assert fields is not None
    return int(fields[field][1])


def aligned_bytes(size: int, alignment: int = 256) -> npt.NDArray[np.uint8]:
    """`size` bytes whose address is a multiple of `alignment`, as CUDA's allocator gives them."""
    raw = np.empty(size + alignment, np.uint8)
    first = -raw.ctypes.data % alignment
    return raw[first : first + size]
