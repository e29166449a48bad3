"""A kernel on its way to machine code: linked, and compiled for one shape of block."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from convbench.emulator.analysis import Root
from convbench.emulator.arguments import Passed
from convbench.emulator.counting.tables import Tables
from convbench.emulator.ptx.storage import Storage
from convbench.emulator.ptx.syntax import Variable
from convbench.emulator.retarget import Array, Retargeted
from convbench.emulator.source import Sites
from convbench.emulator.weave import Layout


@dataclass(frozen=True)
class Watch:
    """The facts about a checked kernel from which a launch prepares its checks."""

    rows: list[Root]  # the ranges of memory, in the order of their table
    shift: int  # a cell of the shadow stands for 2 ** shift bytes
    local: list[Array]
    variables: dict[str, tuple[int, int]]  # bytes of an element, and elements, of a module's variables
    syncwarps: bool  # whether the kernel has syncwarps, which order lanes of a warp without a barrier
    atomics: bool  # whether it has atomics
    copies: bool  # whether it has asynchronous copies
    fences: bool  # whether it has fences, which order accesses around atomics
    preempts: bool  # whether it has several atomics, before which threads may let others run


@dataclass
class Compiled:
    """Machine code of one kernel for one signature and one shape of block."""

    name: str
    engine: Any
    start: int
    resume: int
    suspends: bool
    layout: Layout
    shared: dict[str, Array]
    static_bytes: int  # of shared memory, as hardware would count them
    shared_bytes: int  # where dynamic shared memory begins, behind the static arrays and their gaps
    local_bytes: int  # of all local arrays of a thread
    sites: Sites
    warpgroups: bool = False  # whether it has wgmma, for which threads need tables
    spins: bool = False  # whether it has loops in which a thread may wait for others, of other blocks too
    grid: bool = False  # whether it synchronises the whole grid
    is_brief: bool = False  # whether each thread surely ends soon: it has no loop, and calls nothing of Python
    watch: "Watch | None" = None
    pointers: tuple[int, ...] | None = None  # words of the arguments whose bounds the code asks for; None: it does not
    build_s: float = 0.0  # how long the machine code took
    scalars: tuple[int, ...] | None = None  # the words of the arguments whose integers are part of the code
    lanes: int = 1  # threads that run side by side, for which there is one row
    ran_s: dict[tuple[int, ...], float] = field(default_factory=dict)  # how long it has run with which of them
    variables: list[Passed] = field(default_factory=list)  # the variables of its module, if it is watched
    memory: Storage | None = None  # of PTX: that of all the module's variables
    raises: Callable[[Storage], None] | None = None  # see `Linked`
    tables: Tables | None = None  # of a profile
    _frame_bytes: int = -1

    def frame_bytes(self, threads: npt.NDArray[Any]) -> int:
        """Bytes of a thread's coroutine frame, which keeps its values while it waits. The compiled code tells them."""
        if self._frame_bytes < 0:
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.start)(threads.ctypes.data)
            self._frame_bytes = int(threads[0]["handle"])
        return self._frame_bytes


@dataclass
class Linked:
    """A kernel and everything that it calls, as the text of one optimised module that still has its markers."""

    name: str
    text: str
    entry: str
    retargeted: Retargeted
    checked: bool
    symbols: tuple[str, ...]  # functions of the C library, which a process must bind before it builds
    pointers: tuple[int, ...] | None = None  # see `Compiled`
    local_bytes: int = 0  # of local memory that `retargeted.local` does not list
    watch: Watch | None = None  # of checked PTX, whose checks the lowering has written
    variables: dict[str, Variable] = field(default_factory=dict)  # of PTX, in the memory of the module
    storage: Storage | None = None  # that memory, once there is some
    raises: Callable[[Storage], None] | None = None  # raises the exception that a run of the kernel noted, if any
    tables: Tables | None = None  # of a profile

    def memory(self) -> Storage:
        """The memory of the module's variables."""
        if self.storage is None:
            self.storage = Storage(self.variables)
        return self.storage


# a constant array of a kernel, in numba-cuda's IR for NVVM
