"""Run Numba CUDA kernels natively on the CPU: no GPU, no driver, no CUDA toolkit, no C compiler.

    from convbench.emulator import launch

    launch(kernel, grid, block, x, y)  # like kernel[grid, block](x, y), on NumPy arrays, every access watched

Rooms, in the order in which a kernel passes through them: `front_end` (with `index_checks`) gets its IR from
numba-cuda, `retarget` makes it IR for the host, `support` has what only a GPU has, `weave` makes it a coroutine and
`watch` (with `analysis`) puts the checks in, which call `shadow`; `build` compiles it. `launch` gives its blocks to
`workers`, which run them by `schedule` and `warp`, in the `orders` that hardware may choose; `faults` reports what went
wrong, with names from `places`. Nothing here knows about convolution.
"""

from typing import Any

from convbench.emulator.errors import (
    EmulatorError,
    KernelFault,
    LaunchError,
    OrderDependenceError,
    UnsupportedError,
    VersionError,
)
from convbench.emulator.launch import Dimensions, Emulator
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


def launch(
    kernel: Any, grid: Dimensions, block: Dimensions, *args: Any, shared_bytes: int = 0, checked: bool = True
) -> None:
    """Run `kernel[grid, block, 0, shared_bytes](*args)` on the CPU, watched; `Emulator` has more to set.

    Parameters
    ----------
    kernel : what `numba.cuda.jit` made of a function
    grid, block : one to three dimensions
    args : NumPy arrays, which the kernel reads and writes in place; numbers; tuples and records of them
    shared_bytes : dynamic shared memory of a block
    checked : watch every access and barrier, and try every order of threads; without, run fast

    Raises
    ------
    UnsupportedError, LaunchError
        the emulator, or the hardware, could not run it; nothing ran.
    KernelFault, OrderDependenceError
        the kernel did what it must not, or its result depends on the order of threads.
    """
    Emulator(checked=checked).launch(kernel, grid, block, *args, shared_bytes=shared_bytes)
