"""Assertions on kernels."""

from collections.abc import Sequence
from typing import Any

from convbench.emulator import Emulator, KernelFault, Order, OrderDependenceError


def assert_kernel_clean(
    kernel: Any,
    grid: int | tuple[int, ...],
    block: int | tuple[int, ...],
    *args: Any,
    shared_bytes: int = 0,
    orders: Sequence[Order] | None = None,
    compute_capability: tuple[int, int] = (9, 0),
    strict_index: bool = False,
    strict_return: bool = False,
    strict_store: bool = False,
) -> None:
    """Run a kernel in checked mode, and fail if it has a fault or depends on the order of threads.

    The arrays hold the results afterwards, so that a test can go on to compare them.

    Parameters
    ----------
    kernel : the result of `numba.cuda.jit`
    grid, block : one to three dimensions
    args : NumPy arrays, which the kernel reads and writes in place; numbers; tuples and records of them
    shared_bytes : dynamic shared memory of a block
    orders : the orders of threads and blocks to try; by default forward, reverse and random
    compute_capability : the capability to compile for
    strict_index : whether a negative index is a fault
    strict_return : whether a thread that returns before a barrier is a fault
    strict_store : whether it is a race that threads of several warps or blocks store one value in one place

    Raises
    ------
    AssertionError
        the kernel has a fault, or its result depends on the order of threads; the message says where.
    CompilationError, UnsupportedError, LaunchError
        it is no kernel, or it could not be run.
    """
    __tracebackhide__ = True
    emulator = Emulator(
        checked=True,
        orders=orders,
        compute_capability=compute_capability,
        strict_index=strict_index,
        strict_return=strict_return,
        strict_store=strict_store,
    )
    try:
        emulator.launch(kernel, grid, block, *args, shared_bytes=shared_bytes)
    except (KernelFault, OrderDependenceError) as fault:
        raise AssertionError(str(fault)) from fault
