"""Implements the device `simulator`: kernels interpreted by Python, with the objects of Numba's own CUDA simulator.

Two things differ from `NUMBA_ENABLE_CUDASIM=1`:

- It needs no environment variable. The kernel's Python function is rebuilt with `cuda` bound to the simulator's module,
  so that one process can both simulate and compile.
- A CUDA thread is a greenlet instead of an operating-system thread. Threads run in the same order every time. LeNet-5's
  second layer takes an 8th of the time with `direct`, and a 20th with a kernel that has barriers.

A thread runs until its next barrier. A barrier that some threads of the block can no longer reach is an error.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from itertools import product
from types import CellType, CodeType, FunctionType
from typing import Any, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt
from greenlet import greenlet
from numba import cuda
from numba.cuda import types
from numba.cuda.np import numpy_support
from numba.cuda.simulator.kernelapi import Dim3, FakeCUDALocal, FakeCUDAModule, FakeCUDAShared

from convbench.devices.device import Array, Device, Host, Kernel
from convbench.errors import DeviceError, OutOfDeviceMemoryError
from convbench.intrinsics import WARPGROUP, Asked, twin_of
from convbench.problem import ConvProblem

# 1 to 10 µs per multiply-accumulate, depending on the algorithm, and ten runs to verify and time: up to minutes.
MAX_MACS = 2_000_000
LARGEST_SHARED_BYTES = 227 * 1024  # the most that a block has on any CUDA device so far (compute capability 9.0)

_Place = tuple[greenlet, Dim3]  # a thread, and its index in the block


class SimulatorDevice(Device):
    """Runs CUDA kernels in pure Python: correct and deterministic, but only for tiny problems."""

    name: ClassVar[str] = "simulator"
    clock: ClassVar[str] = "CPU wall clock, simulated"
    is_gpu: ClassVar[bool] = False

    def __init__(self, *, max_macs: int = MAX_MACS) -> None:
        super().__init__()
        self.max_macs = max_macs
        self._cuda = _SimulatedCuda()
        self._functions: dict[Any, Callable[..., None]] = {}

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        try:
            return np.empty(shape, dtype)
        except (MemoryError, ValueError) as error:  # ValueError: more bytes than an address has bits for
            raise OutOfDeviceMemoryError(
                f"the simulator cannot allocate {shape} of {np.dtype(dtype)}: {error}"
            ) from error

    def upload(self, host: Host) -> Array:
        return np.ascontiguousarray(host).copy()

    def download(self, array: Array) -> Host:
        return np.array(array)

    def write(self, array: Array, host: Host) -> None:
        array[...] = host

    @property
    def max_shared_bytes(self) -> int:
        return LARGEST_SHARED_BYTES

    def _launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        args: tuple[Any, ...],
        shared_bytes: int,
    ) -> None:
        function = self._functions.get(kernel)
        if function is None:
            function = self._functions[kernel] = _rebound(kernel.py_func, self._cuda)
        # as on a GPU, a kernel may compute with undefined values, as long as it does not store the results
        with self._cuda.launched(grid, block), np.errstate(all="ignore"):
            for z, y, x in product(range(grid[2]), range(grid[1]), range(grid[0])):
                self._cuda.run_block(function, args, Dim3(x, y, z), shared_bytes)

    def synchronize(self) -> None:
        pass  # a launch returns when it is done

    def elapsed_us(self, work: Callable[[], None]) -> float:
        start = time.perf_counter_ns()
        work()
        return (time.perf_counter_ns() - start) / 1000

    def refuses(self, problem: ConvProblem) -> str | None:
        if problem.macs > self.max_macs:
            return f"{problem.macs:,} multiply-accumulates; the simulator is slow and takes at most {self.max_macs:,}"
        return super().refuses(problem)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "clock": self.clock, "is_gpu": self.is_gpu}


class _SimulatedCuda(FakeCUDAModule):
    """The object to which the name `cuda` is bound inside a simulated kernel."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1), (1, 1, 1), 0)
        self._local = _Local()
        self._block_idx = self._thread_idx = Dim3(0, 0, 0)
        self._votes: dict[Dim3, bool] = {}

    @contextmanager
    def launched(self, grid: tuple[int, int, int], block: tuple[int, int, int]) -> Iterator[None]:
        self.gridDim, self.blockDim = Dim3(*grid), Dim3(*block)
        self._thread_indices = [Dim3(x, y, z) for z, y, x in product(range(block[2]), range(block[1]), range(block[0]))]
        yield

    def run_block(
        self, function: Callable[..., None], args: tuple[Any, ...], block_idx: Dim3, shared_bytes: int
    ) -> None:
        """Run the threads in order, each until its next barrier, again and again until all have returned."""
        self._block_idx, self._shared, self._votes = block_idx, _Shared(shared_bytes), {}
        threads = [(_thread(function), thread_idx) for thread_idx in self._thread_indices]
        arguments = args
        while threads:
            waiting = []
            for first in range(0, len(threads), WARPGROUP):
                waiting += self._run_warpgroup(threads[first : first + WARPGROUP], arguments)
            if waiting and len(waiting) != len(threads):
                returned = len(threads) - len(waiting)
                raise DeviceError(
                    f"{getattr(function, '__name__', 'kernel')}: {returned} of {len(threads)} threads of block "
                    f"{block_idx} returned before a barrier that the others wait at"
                )
            threads, arguments = waiting, ()

    def _run_warpgroup(self, threads: list[_Place], arguments: tuple[Any, ...]) -> list[_Place]:
        """Run up to four warps until their next barrier, and return the threads that wait there.

        On the way, answer the operations that all threads of the warpgroup do together.
        """
        given = [arguments] * len(threads)
        while True:
            waiting: list[_Place] = []
            asked: list[Asked] = []
            for first in range(0, len(threads), self.warpsize):
                lanes = slice(first, first + self.warpsize)
                found, wanted = self._run_warp(threads[lanes], given[lanes])
                waiting, asked = waiting + found, asked + wanted
            if not asked:
                return waiting
            given = _answers(asked, WARPGROUP, "threads of a warpgroup")

    def _run_warp(self, warp: list[_Place], given: list[tuple[Any, ...]]) -> tuple[list[_Place], list[Asked]]:
        """Run the threads of a warp until they wait; return those that wait, and what they ask of a warpgroup.

        Operations that all threads of the warp do together are answered here.
        """
        while True:
            waiting, asked = [], []
            for (thread, thread_idx), values in zip(warp, given, strict=True):
                self._thread_idx = thread_idx
                said = thread.switch(*values)
                if not thread.dead:
                    waiting.append((thread, thread_idx))
                    asked += [said] if isinstance(said, Asked) else []
            if not asked or asked[0].lanes > self.warpsize:
                return waiting, asked
            given = _answers(asked, self.warpsize, "lanes of a warp")

    def __getattr__(self, name: str) -> NoReturn:
        raise DeviceError(f"the simulator has no cuda.{name}")

    @property
    def threadIdx(self) -> Dim3:  # noqa: N802  (CUDA's name)
        return self._thread_idx

    @property
    def blockIdx(self) -> Dim3:  # noqa: N802  (CUDA's name)
        return self._block_idx

    @property
    def laneid(self) -> int:
        at, size = self._thread_idx, self.blockDim
        return int((at.x + size.x * (at.y + size.y * at.z)) % self.warpsize)

    def syncthreads(self) -> None:
        parent = greenlet.getcurrent().parent
        assert parent is not None
        parent.switch()

    def syncthreads_count(self, predicate: object) -> int:
        self._votes[self._thread_idx] = bool(predicate)
        self.syncthreads()
        count = sum(self._votes.values())
        self.syncthreads()
        return count

    def syncthreads_and(self, predicate: object) -> int:
        return int(self.syncthreads_count(predicate) == len(self._thread_indices))

    def syncthreads_or(self, predicate: object) -> int:
        return int(self.syncthreads_count(predicate) > 0)


def _answers(asked: list[Asked], wanted: int, who: str) -> list[tuple[Any, ...]]:
    if len(asked) != wanted or any(one.lanes != wanted for one in asked):
        raise DeviceError(f"{len(asked)} {who} ask for what all {wanted} must do together")
    return [(answer,) for answer in asked[0].together([one.value for one in asked])]


def _thread(function: Callable[..., None]) -> greenlet:
    """A CUDA thread as a greenlet, with a copy of the context: NumPy keeps its error state there."""
    thread = greenlet(function)
    thread.gr_context = copy_context()
    return thread


class _Shared(FakeCUDAShared):
    """Shared memory: one array for each place in the code that declares one. Its undefined contents are NaN."""

    def array(self, shape: int | tuple[int, ...], dtype: Any, alignment: int | None = None) -> Host:
        dtype = np.dtype(numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else dtype)
        if shape == 0:  # dynamic shared memory: all such arrays are views of one buffer
            count = self._dynshared_size // dtype.itemsize
            return np.frombuffer(self._dynshared.data, dtype, count)
        caller = sys._getframe(1)  # noqa: SLF001  (the inspect module would read source files)
        place = caller.f_code, caller.f_lasti
        if place not in self._allocations:
            self._allocations[place] = _garbage(shape, dtype)
        found: Host = self._allocations[place]
        return found


class _Local(FakeCUDALocal):
    def array(self, shape: int | tuple[int, ...], dtype: Any, alignment: int | None = None) -> Host:
        return _garbage(shape, np.dtype(numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else dtype))


def _garbage(shape: int | tuple[int, ...], dtype: np.dtype[Any]) -> Host:
    """An array with all bits set, which is NaN in every floating dtype."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[...] = 0xFF
    return array


def _rebound(function: FunctionType, simulated: _SimulatedCuda) -> Callable[..., Any]:
    """A copy of a function that runs in the simulator.

    In its globals and its closure, `cuda`, device functions and Numba's number types are replaced.
    """
    seen: dict[FunctionType, FunctionType] = {}

    def swap(value: Any) -> Any:
        if value is cuda:
            return simulated
        if isinstance(value, types.Number):  # numba.float32(x) is numpy.float32(x), ten times slower
            return numpy_support.as_dtype(value).type
        if (twin := twin_of(value)) is not None:
            return twin
        if isinstance(getattr(value, "py_func", None), FunctionType):
            return rebuild(value.py_func)
        return value

    def rebuild(old: FunctionType) -> FunctionType:
        if old not in seen:
            scope: dict[str, Any] = {"__builtins__": old.__globals__["__builtins__"]}
            cells = tuple(CellType() for _ in old.__closure__ or ())
            seen[old] = FunctionType(old.__code__, scope, old.__name__, old.__defaults__, cells)
            scope.update(
                {name: swap(old.__globals__[name]) for name in _names(old.__code__) if name in old.__globals__}
            )
            for cell, original in zip(cells, old.__closure__ or (), strict=True):
                cell.cell_contents = swap(original.cell_contents)
        return seen[old]

    return rebuild(function)


def _names(code: CodeType) -> set[str]:
    """Every global name that a function's code, or code nested in it, may look up."""
    nested = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, nested))
