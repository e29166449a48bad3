"""Run Numba CUDA kernels natively on the CPU: no GPU, no driver, no CUDA toolkit, no C compiler.

    from convbench.emulator import launch

    launch(kernel, grid, block, x, y)  # like kernel[grid, block](x, y), on NumPy arrays, every access checked

A kernel, the shape of a launch and NumPy arrays enter. The arrays leave with the kernel's results, or a `KernelFault`
leaves that names the line, block, thread and array. Nothing here knows about convolution.

`profile` counts what the warps of a kernel do. `counting` has the rules, and what runs beside the kernel; `profiler`
makes the report.

Importing this package lets `numba.cuda.jit` declare kernels with signatures where there is no driver (`declared`).

Modules that compile, in the order in which a kernel passes through them: `front_end` (with `checks.index_checks`) gets
the kernel's IR from numba-cuda. `retarget` rewrites it for the host, and `support` has what only a GPU has. `nvvm`
gives it the values of a GPU. `weave` turns it into a coroutine, and `watch` (with `analysis`) adds the checks, which
call `checks.shadow` and `checks.happens`; `checks.taint` follows values that shuffles should not have read,
`checks.loops` numbers the turns around barriers, and `checks.unset` finds variables that nobody has set. `powers` makes
constant powers without numba-cuda's loop. `build` compiles it, and `disk` keeps linked kernels by their `identity`.
`ptx` does all this for the code that a GPU gets.

Modules that run: `launch` checks the `limits` and converts the `arguments`. `one_launch` gives blocks to `workers`. A
launch that ran before is `ready` to run again with other arguments. `schedule` runs a block in one of the `orders` that
hardware may choose, answers threads that wait together (`collectives`), and tells the earliest of the faults in
`checks.notes`. Blocks that wait for each other run `side_by_side`. In checked mode `ranges` has the memory that a
launch may touch, and `checks.asynchronous` the copies under way, and `checks.operands` what products read. `faults`
reports an error, with names from `places` and lines from `source`. `state` has the records that all of these share,
`raw` their access to memory, and `errors` the exceptions.
"""

from importlib import import_module
from typing import Any

from convbench.emulator import declared
from convbench.emulator.arguments import types_of
from convbench.emulator.errors import (
    CompilationError,
    EmulatorError,
    KernelFault,
    LaunchError,
    OrderDependenceError,
    Remark,
    UnsupportedError,
    VersionError,
)
from convbench.emulator.launch import Emulator, launch
from convbench.emulator.loaded import LoadedKernel, LoadedModule, load_ptx
from convbench.emulator.orders import Order
from convbench.emulator.profiler import (
    CONFLICTED,
    UNCOALESCED,
    Counters,
    InstructionProfile,
    Profile,
    profile,
    source_line,
)
from convbench.emulator.ptx.numba_code import compiler_fault
from convbench.emulator.state import FaultKind

__all__ = [
    "CONFLICTED",
    "UNCOALESCED",
    "CompilationError",
    "Counters",
    "Emulator",
    "EmulatorError",
    "FaultKind",
    "InstructionProfile",
    "KernelFault",
    "LaunchError",
    "LoadedKernel",
    "LoadedModule",
    "Order",
    "OrderDependenceError",
    "Profile",
    "Remark",
    "UnsupportedError",
    "VersionError",
    "compiler_fault",
    "launch",
    "load_ptx",
    "profile",
    "source_line",
    "types_of",
]

declared.allow()


def __getattr__(name: str) -> Any:
    if name == "install":  # imported only when it is asked for, because its import installs the emulator
        return import_module("convbench.emulator.install")
    raise AttributeError(f"module 'convbench.emulator' has no attribute {name!r}")
