"""Launching: a kernel on arrays in host memory, its blocks spread over the cores of the machine."""

import itertools
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from convbench.emulator import faults, schedule
from convbench.emulator.arguments import Arguments, marshal, types_of
from convbench.emulator.build import Cache, Compiled, Linked, Machine, build, link
from convbench.emulator.errors import EmulatorError, LaunchError
from convbench.emulator.limits import Limits
from convbench.emulator.orders import Order, permutation, run_in_every_order
from convbench.emulator.places import Places
from convbench.emulator.ranges import Ranges, WrittenMemory
from convbench.emulator.state import THREAD, WARP, WORKER, FaultKind, aligned_bytes
from convbench.emulator.weave import FRAME_ALIGNMENT

Dimensions = int | tuple[int, ...]
STEPS = 100_000_000
PIECES_PER_WORKER = 8  # blocks are handed out in pieces, for some take longer than others


class Emulator:
    """Runs Numba CUDA kernels on the CPU.

    Parameters
    ----------
    order : in which order threads, and blocks, run between barriers; hardware promises none. In checked mode the
        other orders follow, and must give the same
    seed : of the order "random"
    workers : blocks that run at once; as many as there are cores by default
    compute_capability : whose limits of a launch hold, and for which the front end compiles
    checked : watch every access and every barrier; blocks then run one after another
    budget : in checked mode, the steps of loops that a thread may take between the start of its block and its end
    """

    def __init__(
        self,
        *,
        order: Order = "forward",
        seed: int = 0,
        workers: int | None = None,
        compute_capability: tuple[int, int] = (9, 0),
        checked: bool = False,
        budget: int = STEPS,
    ) -> None:
        self.order = order
        self.seed = seed
        self.checked = checked
        self.budget = budget
        self.workers = 1 if checked else workers or os.cpu_count() or 1
        self.memory = WrittenMemory()
        self.limits = Limits(compute_capability)
        self.compile_s = 0.0

    def launch(
        self,
        kernel: Any,
        grid: Dimensions,
        block: Dimensions,
        *args: Any,
        shared_bytes: int = 0,
        types: tuple[Any, ...] | None = None,
    ) -> None:
        """Run `kernel[grid, block, 0, shared_bytes](*args)` to its end.

        Parameters
        ----------
        kernel : what `numba.cuda.jit` made of a function
        grid, block : one to three dimensions
        args : NumPy arrays, which the kernel reads and writes in place; numbers; tuples and records of them
        shared_bytes : dynamic shared memory of a block
        types : Numba types to compile for; by default those that numba-cuda finds for `args`

        Raises
        ------
        UnsupportedError
            the kernel or an argument needs what the emulator does not have; nothing ran.
        LaunchError
            the hardware would refuse the launch; nothing ran.
        KernelFault
            the kernel did what it must not.
        OrderDependenceError
            in checked mode: another order of threads and blocks gave another result.
        """
        grid_3, block_3 = _three(grid), _three(block)
        name = kernel.py_func.__name__
        self.limits.check(name, grid_3, block_3, static=0, dynamic=shared_bytes, local=0)
        types = types_of(kernel, args) if types is None else types
        compiled = self._compiled(kernel, types, block_3)
        self.limits.check(name, grid_3, block_3, static=compiled.static_bytes, dynamic=shared_bytes, local=0)
        arguments = marshal(kernel, types, args)
        once = _Launch(self, compiled, arguments, grid_3, block_3, shared_bytes)
        if self.checked:
            run_in_every_order(name, once.run, [item.array for item in arguments.arrays], self.order)
        else:
            once.run(self.order)

    def forget(self, array: npt.NDArray[Any]) -> None:
        """Nobody has written the array: a checked kernel must not read it before it has."""
        if self.checked:
            self.memory.forget(array)

    def wrote(self, array: npt.NDArray[Any]) -> None:
        """The host has written the array, after it was forgotten."""
        if self.checked:
            self.memory.wrote(array)

    def _compiled(self, kernel: Any, types: tuple[Any, ...], block: tuple[int, int, int]) -> Compiled:
        start = time.perf_counter()
        capability = self.limits.compute_capability
        key = kernel, types, capability, self.checked

        def linked() -> Linked:
            return _LINKED.get(key, lambda: link(kernel, types, _machine(), capability, checked=self.checked))

        try:
            return _CACHE.get((*key, block), lambda: build(linked(), _machine(), block))
        finally:
            self.compile_s += time.perf_counter() - start


_CACHE: Cache[Compiled] = Cache()
_LINKED: Cache[Linked] = Cache()
_machine_lock = threading.Lock()
_machines: list[Machine] = []


def _machine() -> Machine:
    with _machine_lock:
        if not _machines:
            _machines.append(Machine())
        return _machines[0]


class _Worker:
    """The memory in which one block at a time runs."""

    def __init__(self, launch: "_Launch") -> None:
        count = launch.count
        self.header = np.zeros(1, WORKER)
        self.threads = np.zeros(count, THREAD)
        index = np.arange(count)
        x, y, _ = launch.block
        self.threads["worker"] = self.header.ctypes.data
        self.threads["index"], self.threads["lane"] = index, index % WARP
        self.threads["tid_x"], self.threads["tid_y"], self.threads["tid_z"] = (
            index % x,
            index // x % y,
            index // (x * y),
        )
        self.shared = aligned_bytes(launch.shared_end)
        for axis, blocks, threads in zip("xyz", launch.grid, launch.block, strict=True):
            self.header[f"nctaid_{axis}"], self.header[f"ntid_{axis}"] = blocks, threads
        self.header["shared"] = self.shared.ctypes.data
        self.header["dynamic_bytes"] = launch.dynamic_bytes
        self.header["arguments"] = launch.arguments.words.ctypes.data
        if launch.compiled.suspends:
            pitch = -(-launch.compiled.frame_bytes(self.threads) // FRAME_ALIGNMENT) * FRAME_ALIGNMENT
            self.frames = aligned_bytes(count * pitch, FRAME_ALIGNMENT)
            self.threads["frame"] = self.frames.ctypes.data + index * pitch
        self.clocks = np.zeros((count if launch.compiled.watch else 0, WARP), np.int64)
        self.header["clocks"] = self.clocks.ctypes.data
        if launch.compiled.watch:
            self.ranges = Ranges(
                launch.compiled, launch.arguments, launch.emulator.memory, self.shared, launch.dynamic_bytes
            )
            self.header["ranges"] = self.ranges.table.ctypes.data
            self.header["n_ranges"] = self.ranges.table.size
            self.header["syncwarps"] = launch.compiled.watch.syncwarps
            self.header["budget"] = launch.emulator.budget


class _Launch:
    def __init__(
        self,
        emulator: Emulator,
        compiled: Compiled,
        arguments: Arguments,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        dynamic_bytes: int,
    ) -> None:
        self.emulator, self.compiled, self.arguments = emulator, compiled, arguments
        self.grid, self.block, self.dynamic_bytes = grid, block, dynamic_bytes
        self.count = block[0] * block[1] * block[2]
        self.shared_end = compiled.shared_bytes + dynamic_bytes
        self.threads = np.arange(self.count)
        self.workers: list[_Worker] = []

    def run(self, order: Order) -> None:
        """Once, with threads and blocks in this order; raises KernelFault."""
        self.threads = permutation(self.count, order, self.emulator.seed)
        blocks = permutation(self.grid[0] * self.grid[1] * self.grid[2], order, self.emulator.seed)
        used = min(self.emulator.workers, blocks.size)
        pieces = np.array_split(blocks, min(blocks.size, used * PIECES_PER_WORKER)) if used > 1 else [blocks]
        self.workers = [_Worker(self) for _ in range(used)]
        turns = itertools.count()  # next() is atomic
        running = [_pool().submit(self._work, worker, pieces, turns) for worker in self.workers]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            self._stop()
            wait(running, timeout=GRACE_S)
        stops = [stop for future in running if (stop := _result(future))]
        if stops:
            raise faults.report(stops[0], self.compiled, Places(self.compiled, self.arguments, self.workers))

    def _work(
        self, worker: _Worker, pieces: Sequence[npt.NDArray[np.int64]], turns: "itertools.count[int]"
    ) -> faults.Stop | None:
        while (turn := next(turns)) < len(pieces):
            fault, who = schedule.run_blocks(
                self.compiled.start,
                self.compiled.resume,
                worker.threads,
                worker.threads.ctypes.data,
                self.threads,
                pieces[turn],
                worker.header,
                worker.shared,
                self.shared_end,
                worker.clocks,
            )
            if fault == FaultKind.STOPPED:
                return None
            if fault:
                self._stop()
                return faults.Stop(
                    FaultKind(fault), worker.threads[who].copy(), worker.threads.copy(), worker.header[0].copy()
                )
        return None

    def _stop(self) -> None:
        for worker in self.workers:
            worker.header["stop"] = 1


GRACE_S = 2.0  # for the blocks that run when a launch is interrupted
_pools: list[ThreadPoolExecutor] = []


def _pool() -> ThreadPoolExecutor:
    if not _pools:
        _pools.append(ThreadPoolExecutor(max_workers=64, thread_name_prefix="emulator"))
    return _pools[0]


def _result(future: "Future[faults.Stop | None]") -> faults.Stop | None:
    if not future.done():
        raise EmulatorError(f"a block did not stop within {GRACE_S} seconds")
    return future.result()


def _three(dimensions: Dimensions) -> tuple[int, int, int]:
    given = (dimensions,) if isinstance(dimensions, int) else tuple(map(int, dimensions))
    if not 1 <= len(given) <= 3:
        raise LaunchError(f"a grid or block has one to three dimensions, not {given}")
    x, y, z = (*given, 1, 1)[:3]
    return x, y, z
