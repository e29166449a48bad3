"""Defines `Device`, the interface through which algorithms allocate, copy, launch, synchronise and time.

A device takes kernels that `numba.cuda.jit` has made, and runs them in its own way. The type of its arrays is the
device's own (a Numba device array or a NumPy array). Algorithms pass arrays on and use only `.shape`, `.size`,
`.dtype`, `.reshape` and slices of the first axis.
"""

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar, Literal, get_args

import ml_dtypes  # noqa: F401  (makes NumPy know bfloat16)
import numpy as np
import numpy.typing as npt

from convbench.devices.stopwatch import Stopwatch
from convbench.errors import ConfigError, ContractError, shown
from convbench.problem import ConvProblem, Dtype
from convbench.records import Cache, Reading, environment

Array = Any
Kernel = Any
Host = npt.NDArray[Any]
Dimensions = int | tuple[int, ...]
Phase = Literal["pack", "transform", "multiply", "reduce", "unpack"]
PHASES: tuple[Phase, ...] = get_args(Phase)

# CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability": the same from 5.0 to 12.x.
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_BLOCK = (1024, 1024, 64)
MAX_THREADS_PER_BLOCK = 1024
MAX_SHARED_BYTES = 48 * 1024  # of a block that has not opted in to more

# CUDA C++ Programming Guide, tables "Arithmetic Instructions" and "Feature Support per Compute Capability"
LEAST_COMPUTE_CAPABILITY: dict[Dtype, tuple[int, int]] = {"float16": (5, 3), "bfloat16": (8, 0)}

POISON = 0xFF
FLUSHED = 2  # to empty a cache, this many times its size is written
PIECE_BYTES = 2**26


class Device(ABC):
    """A device that runs kernels: a GPU, the emulator or the simulator."""

    name: ClassVar[str]
    clock: ClassVar[str]  # the clock behind `elapsed_us`; the words after the last comma are printed beside each time
    is_gpu: ClassVar[bool]  # whether its times are those of a GPU
    compute_capability: tuple[int, int] | None = None  # of the GPU that it is or emulates; None if there is none

    def __init__(self) -> None:
        self.compile_s = 0.0  # spent compiling kernels since the device was made
        self._phases_us: dict[Phase, float] | None = None
        self._flushed: Array = None

    # ---- memory

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """A new array with undefined contents; raises OutOfDeviceMemoryError."""

    def check_room(self, wanted: int) -> None:  # noqa: B027  (a device need not know before it allocates)
        """Raise OutOfDeviceMemoryError if an array of so many bytes would not fit."""

    @abstractmethod
    def upload(self, host: Host) -> Array:
        """A copy of a host array on the device; raises OutOfDeviceMemoryError."""

    @abstractmethod
    def download(self, array: Array) -> Host:
        """A copy of a device array on the host; waits until all launches so far are done."""

    @abstractmethod
    def write(self, array: Array, host: Host) -> None:
        """Overwrite a device array, or a view of one, with a host array of the same shape and dtype."""

    def poison(self, array: Array) -> None:
        """Set every byte of an array of bytes to POISON, so that elements which nobody writes afterwards are found.

        A number whose bits are all ones is NaN in every floating dtype, and −1 in integers. The array is written piece
        by piece, because an array of a GPU may be larger than the host's memory.
        """
        pattern = np.full(min(PIECE_BYTES, array.size), POISON, np.uint8)
        for first in range(0, array.size, PIECE_BYTES):
            piece = array[first : first + PIECE_BYTES]
            self.write(piece, pattern[: piece.size])

    def transposed(self, array: Array, axes: tuple[int, ...]) -> Array:
        """A view of an array with its axes in another order; the array itself if the order is the same."""
        if axes == tuple(range(len(axes))):
            return array
        return self._transposed(array, axes)

    def _transposed(self, array: Array, axes: tuple[int, ...]) -> Array:
        return array.transpose(axes)

    @property
    def max_shared_bytes(self) -> int:
        """Bytes of shared memory that a block can have, including dynamic memory beyond 48 KiB."""
        return MAX_SHARED_BYTES

    # ---- work

    def launch(
        self, phase: Phase, kernel: Kernel, grid: Dimensions, block: Dimensions, *args: object, shared_bytes: int = 0
    ) -> None:
        """Queue `kernel[grid, block](*args)` with `shared_bytes` of dynamic shared memory.

        The phase is the part of the algorithm under which `phases_us` counts the launch. Raises ConfigError if the
        hardware would refuse the launch, also on devices that are not hardware, and ContractError if there is no such
        phase.
        """
        check_phase(phase)
        grid_3, block_3 = _three(grid), _three(block)
        check_launch(grid_3, block_3, shared_bytes, most_shared_bytes=self.max_shared_bytes)
        if self._phases_us is None:
            self._launch(kernel, grid_3, block_3, args, shared_bytes)
        else:
            self._phases_us[phase] += self.elapsed_us(lambda: self._launch(kernel, grid_3, block_3, args, shared_bytes))

    @abstractmethod
    def _launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        args: tuple[Any, ...],
        shared_bytes: int,
    ) -> None: ...

    @abstractmethod
    def synchronize(self) -> None:
        """Return when all launches so far are done; raises their errors."""

    def call(self, phase: Phase, work: Callable[[], None]) -> None:
        """Call `work`, a library on the host that uses arrays of this device, in order with the launches."""
        check_phase(phase)
        if self._phases_us is None:
            work()
        else:
            self._phases_us[phase] += self.elapsed_us(work)

    # ---- time

    @abstractmethod
    def elapsed_us(self, work: Callable[[], None]) -> float:
        """Microseconds that the launches in `work` took, by this device's clock; `work` must not wait for them."""

    def waited_us(self, work: Callable[[], None]) -> float:
        """Microseconds until `work` and all that it queued are done, by the host's clock, without compilation.

        Here `work` may itself wait for the device.
        """
        self.synchronize()
        compiled, start = self.compile_s, time.perf_counter()
        work()
        self.synchronize()
        return (time.perf_counter() - start - (self.compile_s - compiled)) * 1e6

    def stopwatch(self, work: Callable[[], None], cache: Cache) -> Stopwatch:
        """A stopwatch for `work`, which must have run before; raises DeviceError if it cannot set the cache so."""
        return Stopwatch(self, work, cache)

    @property
    def cache_bytes(self) -> int | None:
        """Bytes of the last-level cache; None if the system does not tell."""
        return environment.last_level_cache_bytes()

    @property
    def flush_bytes(self) -> int | None:
        """Bytes that must be written to evict everything else from the cache; None if its size is unknown."""
        return None if self.cache_bytes is None else FLUSHED * self.cache_bytes

    def flush(self) -> None:
        """Queue writes of `flush_bytes` bytes."""
        if self._flushed is None:
            self._flushed = self.empty((self.flush_bytes or 1,), np.uint8)
        self.poison(self._flushed)

    def reading(self) -> Reading | None:
        """The clocks at this moment; None if they cannot be read."""
        return None

    def phases_us(self, work: Callable[[], None]) -> dict[Phase, float]:
        """Microseconds of each phase of `work`; each launch is timed alone, so the sum is a bit over `elapsed_us`."""
        self._phases_us = defaultdict(float)
        try:
            work()
            return dict(self._phases_us)
        finally:
            self._phases_us = None

    # ---- itself

    def refuses(self, problem: ConvProblem) -> str | None:
        """The reason why this device does not compute the problem, or None."""
        least = LEAST_COMPUTE_CAPABILITY.get(problem.dtype)
        if least is not None and self.compute_capability is not None and self.compute_capability < least:
            needed, has = (".".join(map(str, version)) for version in (least, self.compute_capability))
            return f"dtype {problem.dtype} needs compute capability {needed}; device {self.name} has {has}"
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The description of the device for a record: `name`, `clock`, `is_gpu`, and the facts that identify it."""


def check_phase(phase: object) -> None:
    """Raise ContractError unless this is a phase, which a record can have."""
    if phase not in PHASES:
        raise ContractError(f"{shown(phase)} is no phase of a plan; there are {', '.join(PHASES)}")


def check_launch(
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    shared_bytes: int,
    *,
    most_shared_bytes: int = MAX_SHARED_BYTES,
) -> None:
    """Raise ConfigError for a launch that no CUDA device accepts, or one with more shared memory than is given."""
    threads = block[0] * block[1] * block[2]
    rules = (
        (min(grid) >= 1 and min(block) >= 1, "every dimension must be at least 1"),
        (all(a <= most for a, most in zip(grid, MAX_GRID, strict=True)), f"a grid holds at most {MAX_GRID} blocks"),
        (all(a <= most for a, most in zip(block, MAX_BLOCK, strict=True)), f"a block is at most {MAX_BLOCK}"),
        (
            threads <= MAX_THREADS_PER_BLOCK,
            f"a block holds at most {MAX_THREADS_PER_BLOCK} threads, this one {threads}",
        ),
        (
            shared_bytes <= most_shared_bytes,
            f"a block has {most_shared_bytes} bytes of shared memory, not {shared_bytes}",
        ),
    )
    for holds, rule in rules:
        if not holds:
            raise ConfigError(f"grid {grid} and block {block} cannot be launched: {rule}")


def _three(dimensions: Dimensions) -> tuple[int, int, int]:
    given = (dimensions,) if isinstance(dimensions, int) else tuple(map(int, dimensions))
    x, y, z = (*given, 1, 1)[:3]
    return x, y, z
