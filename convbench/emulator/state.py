"""What the scheduler, the woven kernels and the checks share: one row per CUDA thread, one header per worker.

Every word has 64 bits, so that Python, Numba and hand-written LLVM IR agree on the offsets without thinking. A worker
is an operating-system thread that runs blocks one after another; nothing in the emulator is global, so that many
workers run the same compiled kernel at once.
"""

from enum import IntEnum
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

WARP = 32
MAX_THREADS = 1024


class Status(IntEnum):
    """What a CUDA thread is doing when it is not running."""

    READY = 0
    DONE = 1
    FAULT = 2
    BARRIER = 3
    SYNCWARP = 4
    SHUFFLE = 5
    VOTE = 6
    MATCH = 7
    TENSOR = 8  # `tensor` has the instructions
    WARPGROUP = 9  # `warpgroup` has them


class FaultKind(IntEnum):
    """What a kernel did that it must not; `faults` has the words for it."""

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


THREAD = np.dtype(
    [
        (name, np.int64)
        for name in (
            # what a suspended thread asks for, and what it gets
            *("status", "site", "mask", "option", "value", "extra", "result", "predicate"),
            # who it is
            *("worker", "tid_x", "tid_y", "tid_z", "lane", "index", "frame", "handle"),
            # what the checks know of it
            *("sync", "fault", "fault_site", "fault_a", "fault_b", "fault_c"),
            # its asynchronous copies in checked mode: numbers of the first under way and of the next, groups so far
            *("copies_first", "copies_next", "copies_group"),
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
            # a read of what nobody wrote: the thread's index + 1, the place in the source, the address
            *("unwritten_by", "unwritten_site", "unwritten_address"),
            "copies",  # the table of what asynchronous copies are under way, COPIES rows for each thread
            # set by another thread to end a launch early
            "stop",
        )
    ]
)

# A range of memory that a kernel may touch: an argument's, a shared array's, a constant's.
RANGE = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("begin", "size"),  # address and bytes
            *(
                "cells",
                "shift",
            ),  # the shadow of its first bytes, and how many bytes (as a power of two) a cell stands for
            "atomics",  # who has done atomics to each cell; 0 where the kernel has none
            "written",  # one byte for each of its own: whether anybody wrote it; 0 where that is no question
            "is_shared",
        )
    ]
)

# An asynchronous copy under way: its addresses (from 0: zeros), `shadow.describe_access` of it, its group's number.
COPY = np.dtype([(name, np.int64) for name in ("to", "from", "what", "group")])
COPIES = 256  # under way for one thread; pipelines of any size have fewer


def fingerprint(*files: str) -> int:
    """A number, never 0, that changes with the text of this module or of the files.

    Numba's cache on disk tells compiled functions apart by their own source file and their free variables, not by what
    they call or what constants they read: so these numbers are free variables of them.
    """
    return 1 + crc32(b"".join(Path(file).read_bytes() for file in (__file__, *files)))


def offset(record: np.dtype[np.void], field: str) -> int:
    """Where a field of THREAD or WORKER lies, in bytes."""
    fields = record.fields
    assert fields is not None
    return int(fields[field][1])


def aligned_bytes(size: int, alignment: int = 256) -> npt.NDArray[np.uint8]:
    """`size` bytes whose address is a multiple of `alignment`, as CUDA's allocator gives them."""
    raw = np.empty(size + alignment, np.uint8)
    first = -raw.ctypes.data % alignment
    return raw[first : first + size]
