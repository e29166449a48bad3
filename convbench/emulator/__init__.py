"""Run Numba CUDA kernels natively on the CPU: no GPU, no driver, no CUDA toolkit, no C compiler.

    from convbench.emulator import launch

    launch(kernel, grid, block, x, y)  # like kernel[grid, block](x, y), on NumPy arrays, every access watched

Rooms, in the order in which a kernel passes through them: `front_end` (with `index_checks`) gets its IR from
numba-cuda, `retarget` makes it IR for the host, `support` has what only a GPU has, `weave` makes it a coroutine and
`watch` (with `analysis`) puts the checks in, which call `shadow`; `build` compiles it. `launch` gives its blocks to
`workers`, which run them by `schedule` and `warp`, in the `orders` that hardware may choose; `faults` reports what went
wrong, with names from `places`. Nothing here knows about convolution.
"""

from convbench.emulator.errors import (
    EmulatorError,
    KernelFault,
    LaunchError,
    OrderDependenceError,
    UnsupportedError,
    VersionError,
)
from convbench.emulator.launch import Emulator, launch
from convbench.emulator.orders import Order
from convbench.emulator.state import FaultKind

__all__ = [
    "Emulator",
    "EmulatorError",
    "FaultKind",
    "KernelFault",
    "LaunchError",
    "Order",
    "OrderDependenceError",
    "UnsupportedError",
    "VersionError",
    "launch",
]
