"""Run a kernel for a profile."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from convbench.emulator.arguments import Arguments, Passed
from convbench.emulator.counting import accesses as counting
from convbench.emulator.counting.caches import flush
from convbench.emulator.counting.chains import Chain
from convbench.emulator.counting.replay import end_meetings
from convbench.emulator.counting.rules import BANKS, WORD_BYTES
from convbench.emulator.counting.tables import Access, Space, Tables
from convbench.emulator.counting.tensor import WARPGROUP, matrix_bytes
from convbench.emulator.counting.traces import BLOCK_CACHE_BYTES, Caches, Traces
from convbench.emulator.errors import LaunchError
from convbench.emulator.launch import Dimensions, Emulator
from convbench.emulator.loaded import LoadedKernel
from convbench.emulator.profiler.counters import SECTOR_BYTES, Counters
from convbench.emulator.profiler.result import InstructionProfile, Pattern, Profile
from convbench.emulator.profiler.sampling import DEFAULT_BLOCKS, Stratum, strata
from convbench.emulator.state import WARP

BANK_BYTES = BANKS * WORD_BYTES  # of a wavefront
Counts = npt.NDArray[np.int64]


class _Run:
    """A run of one stratum: the `Tally` of its launch."""

    def __init__(self, stratum: Stratum, caches: Caches) -> None:
        self.stratum, self.caches = stratum, caches
        self.waits = False
        self.tables: Tables | None = None
        self.arguments: Arguments | None = None
        self.grid = (0, 0, 0)
        self.blocks = self.accesses = np.zeros((0, 0), np.int64)
        self.patterns: list[Counts] = []
        self.longest = 0

    def choose(self, blocks: Counts, grid: tuple[int, int, int], *, waits: bool) -> Counts:
        """The blocks of the stratum; all, if blocks may wait for each other."""
        self.waits, self.grid = waits, grid
        return blocks if waits else self.stratum.chosen

    def add(self, tables: Tables | None, traces: list[Traces | None], arguments: Arguments) -> None:
        """Sum what the workers have counted."""
        counted = [trace for trace in traces if trace is not None]
        self.tables, self.arguments = tables, arguments
        for trace in counted:
            end_meetings(trace.arguments)
            flush(trace.l2, trace.access_counts[:, counting.A_DRAM_WRITES])
        self.longest = sum(int(trace.longest[0]) for trace in counted)
        self.blocks = np.sum([trace.block_counts for trace in counted], axis=0)
        self.accesses = _joined([trace.access_counts for trace in counted])
        self.patterns = [trace.kept for trace in counted]  # the last request of each access, by worker


def _joined(counts: list[Counts]) -> Counts:
    """The counts of all workers: sums, and extrema where they are extrema."""
    found: Counts = np.sum(counts, axis=0)
    stacked = np.stack(counts)
    found[:, counting.A_WAY] = stacked[:, :, counting.A_WAY].max(axis=0)
    found[:, counting.A_HIGHEST] = stacked[:, :, counting.A_HIGHEST].max(axis=0)
    executed = stacked[:, :, counting.A_EXECUTED] > 0
    found[:, counting.A_LOWEST] = np.where(executed, stacked[:, :, counting.A_LOWEST], counting.NEVER).min(axis=0)
    return found


def profile(
    kernel: Any,
    grid: Dimensions,
    block: Dimensions,
    *args: Any,
    shared_bytes: int = 0,
    blocks: int | Literal["all"] = DEFAULT_BLOCKS,
    seed: int = 0,
    compute_capability: tuple[int, int] = (9, 0),
    types: tuple[Any, ...] | None = None,
    memory: Sequence[npt.NDArray[Any]] = (),
    workers: int | None = None,
    l1_bytes: int = BLOCK_CACHE_BYTES,
    l2_bytes: int = 0,
) -> Profile:
    """Count what the warps of `kernel[grid, block, 0, shared_bytes](*args)` do, on the PTX that a GPU gets.

    Only the chosen blocks run, so the arrays do not have the kernel's whole result afterwards.

    Parameters
    ----------
    kernel : the result of `numba.cuda.jit`, or a kernel of `load_ptx`
    grid, block : one to three dimensions
    args : as for a launch
    shared_bytes : dynamic shared memory of a block
    blocks : about how many blocks are counted, or "all"; they are chosen from corners, edges and middle of the grid
    seed : of the choice; there is none with "all"
    compute_capability : the capability to compile for
    types : Numba types to compile for; by default those that numba-cuda finds for `args`
    memory : arrays that the kernel reaches through pointers alone
    workers : blocks that run at once; by default the number of cores. With an L2 cache it is always 1
    l1_bytes : of the L1 cache, as one block among several has it; it is empty when a block begins
    l2_bytes : of the L2 cache, which all blocks fill one after another; 0 to leave it out. A sample cannot tell what
        other blocks leave there, so it takes `blocks="all"`.

    Raises
    ------
    CompilationError, UnsupportedError, LaunchError
        the kernel could not run; or an option has a value that it cannot have, or that has no effect beside the others.
    KernelFault
        the kernel made an error in one of the blocks that ran.
    """
    if blocks != "all" and (isinstance(blocks, bool) or not isinstance(blocks, int) or blocks < 1):
        raise LaunchError(f"a profile counts a positive number of blocks, or 'all', and not {blocks!r}")
    if l2_bytes < 0 or l1_bytes < 0:
        raise LaunchError(f"a cache has no negative size: {min(l1_bytes, l2_bytes)} bytes")
    if l2_bytes and blocks != "all":
        raise LaunchError(
            f"the L2 cache is simulated for all blocks, not for {blocks}: pass blocks='all' or no l2_bytes"
        )
    if blocks == "all" and seed:
        raise LaunchError(f"seed={seed} chooses blocks, and blocks='all' leaves no choice: leave one out")
    if l2_bytes and workers not in (None, 1):
        raise LaunchError(f"workers={workers}: with l2_bytes, blocks run one after another: leave one out")
    if isinstance(kernel, LoadedKernel):
        kernel = kernel.ptx
    emulator = Emulator(code="ptx", compute_capability=compute_capability, workers=workers)
    runs: list[_Run] = []
    shape = _three(grid)
    for stratum in strata(shape, None if blocks == "all" else blocks, seed):
        run = _Run(stratum, Caches(l1_bytes, l2_bytes))
        emulator.tally = run
        emulator.launch(kernel, grid, block, *args, shared_bytes=shared_bytes, types=types, memory=memory)
        runs.append(run)
        if run.waits:  # all blocks have run
            run.stratum = Stratum(shape[0] * shape[1] * shape[2], np.arange(shape[0] * shape[1] * shape[2]))
            runs = [run]
            break
    tables, arguments = runs[0].tables, runs[0].arguments
    assert tables is not None
    assert arguments is not None
    return Profile(
        getattr(kernel, "name", None) or kernel.py_func.__name__,
        shape,
        _three(block),
        shared_bytes,
        sum(run.stratum.chosen.size for run in runs),
        _instructions(tables, runs, arguments),
        _has_float64(arguments, args),
        sorted(tables.uncounted),
        {item.name: item.array.nbytes for item in arguments.arrays},
        _chain(tables, runs, _three(block)),
        _slowest(tables, runs, _three(block)),
        l2_bytes,
    )


def _three(dimensions: Dimensions) -> tuple[int, int, int]:
    given = (dimensions,) if isinstance(dimensions, int) else tuple(map(int, dimensions))
    x, y, z = (*given, 1, 1)[:3] if given else (0, 0, 0)
    if min(x, y, z) < 1:
        raise LaunchError(f"a grid or block has one to three positive dimensions, not {given}")
    return x, y, z


def _chain(tables: Tables, runs: list[_Run], block: tuple[int, int, int]) -> Chain:
    """The chain of a warp on average: what waits for each other in each of the blocks of PTX that it executes."""
    warps = -(-block[0] * block[1] * block[2] // WARP)
    whole = sum(run.stratum.blocks for run in runs)
    found = Chain()
    for run in runs:
        share = run.stratum.blocks / (run.stratum.chosen.size * warps * whole)
        for number, each in enumerate(tables.blocks):
            found += each.chain.times(float(run.blocks[number][0]) * share)
    return found


def _slowest(tables: Tables, runs: list[_Run], block: tuple[int, int, int]) -> float:
    """How many times as long as that of a warp on average the chain of a block is, whose warps wait at barriers."""
    warps = -(-block[0] * block[1] * block[2] // WARP)
    longest = mean = 0.0
    for run in runs:
        share = run.stratum.blocks / run.stratum.chosen.size
        longest += run.longest * share
        lengths = (round(each.chain.length) * float(run.blocks[number][0]) for number, each in enumerate(tables.blocks))
        mean += sum(lengths) / warps * share
    return max(longest / mean, 1.0) if mean else 1.0


def _has_float64(arguments: Arguments, args: tuple[Any, ...]) -> bool:
    wide = [item.array.dtype in (np.float64, np.complex128) for item in arguments.arrays]
    return any(wide) or any(isinstance(value, float | complex | np.float64 | np.complex128) for value in args)


def _instructions(tables: Tables, runs: list[_Run], arguments: Arguments) -> list[InstructionProfile]:
    """The counters of all instructions that were executed, scaled to the whole grid."""
    passed = sorted(arguments.arrays, key=lambda item: item.word < 0)
    by_instruction: dict[int, list[int]] = {}  # rows of the counts of its accesses
    for row, number in enumerate(tables.order()):
        by_instruction.setdefault(tables.accesses[number].instruction, []).append(row)
    order = tables.order()
    found = []
    for number, block in enumerate(tables.blocks):
        for at in range(block.first, block.end):
            place = tables.places[at]
            if not place.opcode:
                continue
            rows = by_instruction.get(at, [])
            counters, is_last = Counters(), not any(later.opcode for later in tables.places[at + 1 : block.end])
            for run in runs:
                one = _counters(run, number, rows, order, tables.accesses, is_last=is_last)
                counters += one.scaled(run.stratum.blocks, run.stratum.chosen.size)
            if not counters.instructions:
                continue
            counters += _of_matrices(place.text, place.opcode, counters.instructions)
            accesses = [tables.accesses[order[row]] for row in rows]
            names = dict.fromkeys(_array(tables, runs, row, order, passed) for row in rows)
            found.append(
                InstructionProfile(
                    place.text,
                    place.opcode,
                    place.file,
                    place.line,
                    place.pipe,
                    place.slots,
                    ", ".join(name for name in names if name),
                    max((access.width for access in accesses), default=0),
                    any(access.is_store for access in accesses),
                    counters,
                    _pattern(runs, rows),
                    max((_reach(runs, row) for row in rows), default=0),
                )
            )
    return found


def _pattern(runs: list[_Run], rows: list[int]) -> Pattern | None:
    """The last request of an instruction, in the run of the most blocks that has one."""
    for run in sorted(runs, key=lambda one: -one.stratum.blocks):
        for kept in run.patterns:
            for row in rows:
                place = int(kept[row][WARP])
                if place >= 0:
                    space = {int(Space.GLOBAL): "global", int(Space.LOCAL): "local"}.get(place >> 8, "shared")
                    distances = [None if d == counting.NEVER else int(d) for d in kept[row][:WARP]]
                    least = min(d for d in distances if d is not None) + (place & 127)
                    begin = (place & 127) - least // 128 * 128
                    return Pattern(space, tuple(None if d is None else d + begin for d in distances))
    return None


def _counters(
    run: _Run, block: int, rows: list[int], order: list[int], accesses: list[Access], *, is_last: bool
) -> Counters:
    """The counters of one instruction in one run."""
    executed, lanes, splits, waited = (int(n) for n in run.blocks[block])
    if len(rows) == 1:
        lanes = int(run.accesses[rows[0]][counting.A_LANES])
    found = Counters(
        instructions=executed,
        lanes=lanes,
        splits=splits if is_last else 0,
        barrier_waits=waited if is_last else 0,
    )
    for row in rows:
        c, access = [int(n) for n in run.accesses[row]], accesses[order[row]]
        is_local = c[counting.A_LOCAL] > 0 and not c[counting.A_GLOBAL]
        sectors = (
            {"local_sectors": c[counting.A_SECTORS]}
            if is_local
            else {
                "sectors": c[counting.A_SECTORS],
                "ideal_sectors": c[counting.A_IDEAL_SECTORS],
                "lines": c[counting.A_LINES],
                "tag_passes": c[counting.A_TAGS],
                "l1_hits": c[counting.A_L1_HITS],
                "l2_hits": c[counting.A_L2_HITS],
                "dram_reads": c[counting.A_DRAM_READS],
                "dram_writes": c[counting.A_DRAM_WRITES],
                "used_bytes": c[counting.A_USED],
            }
        )
        found += Counters(
            shared_requests=c[counting.A_SHARED],
            wavefronts=c[counting.A_WAVEFRONTS],
            ideal_wavefronts=c[counting.A_IDEAL],
            conflict=c[counting.A_WAY],
            global_requests=c[counting.A_GLOBAL],
            local_requests=c[counting.A_LOCAL],
            atomics=c[counting.A_EXECUTED] if access.is_atomic else 0,
            contention=c[counting.A_CONTENTION],
            **sectors,
        )
    return found


def _of_matrices(text: str, opcode: str, executed: float) -> Counters:
    """What tensor cores' instructions move, if the space of it is known."""
    size = matrix_bytes(text) * executed
    if size and (opcode.startswith("wgmma") or ".shared" in opcode):
        requests = executed / WARPGROUP if opcode.startswith("wgmma") else executed
        return Counters(shared_requests=requests, wavefronts=size / BANK_BYTES, ideal_wavefronts=size / BANK_BYTES)
    if size and ".global" in opcode:
        sectors = size / SECTOR_BYTES
        return Counters(global_requests=executed, sectors=sectors, ideal_sectors=sectors, used_bytes=size)
    return Counters()


def _extent(runs: list[_Run], row: int) -> tuple[int, int]:
    """The lowest address of an access in all blocks that were counted, and the first behind the highest."""
    counts = [run.accesses[row] for run in runs if run.accesses[row][counting.A_EXECUTED]]
    low = min((int(c[counting.A_LOWEST]) for c in counts), default=0)
    return low, max((int(c[counting.A_HIGHEST]) for c in counts), default=0)


def _reach(runs: list[_Run], row: int) -> int:
    low, high = _extent(runs, row)
    return high - low


def _array(tables: Tables, runs: list[_Run], row: int, order: list[int], passed: list[Passed]) -> str:
    """The name of the array that an access leads into."""
    access = tables.accesses[order[row]]
    kind, name = access.array
    if kind == "parameter":
        return passed[int(name)].name
    if kind == "variable":
        return name
    counts = [run.accesses[row] for run in runs if run.accesses[row][counting.A_EXECUTED]]
    if not counts:
        return ""
    if access.space in (Space.SHARED, Space.MATRIX) or all(c[counting.A_SHARED] for c in counts):
        return "shared memory"
    if access.space == Space.LOCAL or all(c[counting.A_LOCAL] for c in counts):
        return "local memory"
    low, high = _extent(runs, row)
    for item in passed:
        begin, end = np.lib.array_utils.byte_bounds(item.array)
        if begin <= low and high <= end:
            return item.name
    return "several arrays"
