"""Implements the devices `emulator`, `emulator-llvm` and `emulator-checked`, which compile kernels for the CPU.

It converts the emulator's errors to those of `convbench.errors`: KernelError if a kernel is wrong, ConfigError if
hardware would refuse the launch, and RefusedError if the kernel uses a feature that the emulator does not support.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from convbench.devices.compiling import compile_errors
from convbench.devices.device import POISON, Array, Device, Host, Kernel
from convbench.emulator import (
    CompilationError,
    Emulator,
    KernelFault,
    LaunchError,
    OrderDependenceError,
    UnsupportedError,
    VersionError,
    compilation,
    compiler_fault,
    front_end,
    state,
    types_of,
)
from convbench.errors import CompileError, ConfigError, DeviceError, KernelError, OutOfDeviceMemoryError, RefusedError
from convbench.problem import ConvProblem
from convbench.records import environment

# About 20 ns per multiply-accumulate and ten runs to verify and time: half a minute to a minute for each algorithm.
MAX_CHECKED_MACS = 120_000_000
SMALL_BYTES = 2**24  # up to this size, free memory is not checked


class EmulatorDevice(Device):
    """Runs CUDA kernels on the CPU, compiled to native code.

    With `checked`, every access and barrier is checked, and `workers` can only be 1. `code` is as for
    `convbench.emulator.Emulator`. By default fast mode runs the PTX that a GPU gets, and checked mode numba-cuda's code
    before NVVM. `compute_capability` is that of the GPU whose code and limits it has.

    Raises
    ------
    DeviceError
        the emulator does not work with the installed version of numba-cuda or NumPy, or NVIDIA's compiler is missing,
        which makes the PTX.
    """

    name: ClassVar[str] = "emulator"
    clock: ClassVar[str] = "CPU wall clock, emulated on CPU"
    is_gpu: ClassVar[bool] = False

    def __init__(
        self,
        *,
        checked: bool = False,
        workers: int | None = None,
        max_macs: int | None = None,
        code: Literal["llvm", "ptx"] | None = None,
        compute_capability: tuple[int, int] = (9, 0),
    ) -> None:
        super().__init__()
        self.max_macs = MAX_CHECKED_MACS if checked and max_macs is None else max_macs
        if checked:
            self.name = "emulator-checked"  # type: ignore[misc]
        elif code:
            self.name = f"emulator-{code}"  # type: ignore[misc]
        try:
            front_end.check_versions()
        except VersionError as error:
            raise DeviceError(f"device {self.name} cannot be used: {error}") from error
        if code == "ptx" and (fault := compiler_fault()):
            raise DeviceError(
                f"device {self.name} needs NVIDIA's compiler, which does not work: {fault}: "
                'pip install "convbench[cu13]" (or [cu12])'
            )
        workers = environment.cores() if workers is None and not checked else workers
        self._emulator = Emulator(checked=checked, workers=workers, code=code, compute_capability=compute_capability)
        self.compute_capability = self._emulator.limits.compute_capability

    # ---- memory

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        self.check_room(size)
        try:
            array = state.aligned_bytes(size)[:size].view(dtype).reshape(shape)
        except (MemoryError, ValueError) as error:  # ValueError: more bytes than an address has bits for
            raise OutOfDeviceMemoryError(f"the emulator cannot allocate {shape} of {dtype}: {error}") from error
        self._emulator.forget(array)
        return array

    def check_room(self, wanted: int) -> None:
        """Raise OutOfDeviceMemoryError if the system has less memory left.

        Linux grants more memory than it has, and later kills a process that uses all of it.
        """
        if wanted > SMALL_BYTES and (free := _free_bytes()) is not None and wanted > free:
            raise OutOfDeviceMemoryError(f"an array needs {wanted:,} bytes; {free:,} are free")

    def upload(self, host: Host) -> Array:
        array = self.empty(host.shape, host.dtype)
        self.write(array, host)
        return array

    def download(self, array: Array) -> Host:
        return np.array(array)

    def write(self, array: Array, host: Host) -> None:
        array[...] = host
        self._emulator.wrote(array)

    def poison(self, array: Array) -> None:
        array.fill(POISON)
        self._emulator.forget(array)

    # ---- work

    @property
    def max_shared_bytes(self) -> int:
        return self._emulator.limits.shared_bytes

    def _launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        args: tuple[Any, ...],
        shared_bytes: int,
    ) -> None:
        try:
            with compile_errors(kernel), _errors_of_the_suite(kernel):
                self._emulator.launch(
                    kernel, grid, block, *args, shared_bytes=shared_bytes, types=_types_on_a_gpu(kernel, args)
                )
        finally:
            self.compile_s = self._emulator.compile_s

    def synchronize(self) -> None:
        pass  # a launch returns when it is done

    def elapsed_us(self, work: Callable[[], None]) -> float:
        """Microseconds by the CPU's wall clock, without compilation, which happens in a kernel's first launch."""
        compiled, start = self.compile_s, time.perf_counter()
        work()
        return (time.perf_counter() - start - (self.compile_s - compiled)) * 1e6

    # ---- itself

    def refuses(self, problem: ConvProblem) -> str | None:
        if self.max_macs is not None and problem.macs > self.max_macs:
            return (
                f"{problem.macs:,} multiply-accumulates; device {self.name} takes at most {self.max_macs:,}, "
                "because its checks are slow; device emulator has no limit"
            )
        return super().refuses(problem)

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "clock": self.clock,
            "is_gpu": self.is_gpu,
            "processor": environment.processor(),
            "cores": environment.cores(),
            "workers": self._emulator.workers,
            "checked": self._emulator.checked,
            "code": self._emulator.code,
            "compute_capability": ".".join(map(str, self._emulator.limits.compute_capability)),
        }


@contextmanager
def _errors_of_the_suite(kernel: Kernel) -> Iterator[None]:
    try:
        yield
    except (KernelFault, OrderDependenceError) as error:
        raise KernelError(str(error)) from error
    except LaunchError as error:
        raise ConfigError(str(error)) from error
    except CompilationError as error:
        cause = error.__cause__ or error
        raise CompileError(f"does not compile: {compilation.why_not(kernel, cause)}") from error
    except UnsupportedError as error:
        raise RefusedError(str(error)) from error


def _types_on_a_gpu(kernel: Kernel, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The Numba types of arrays as numba-cuda finds them for arrays on a GPU.

    NumPy calls an array contiguous whatever the strides of its axes of size 1 are. numba-cuda looks at all strides of a
    device array. So a view has one type here, and one compiled kernel, whatever its sizes are.
    """
    if not hasattr(kernel, "py_func"):
        return None  # the launch says what is wrong
    found = []
    for kind, value in zip(types_of(kernel, args), args, strict=True):
        if isinstance(value, np.ndarray) and value.ndim and kind.layout != "A" and not _is_dense(value, kind.layout):
            kind = kind.copy(layout="A")
        found.append(kind)
    return tuple(found)


def _is_dense(array: Array, layout: str) -> bool:
    """Whether the strides of all axes are those of a contiguous array, also where an axis has size 1."""
    step = 1 if layout == "F" else -1
    stride = array.itemsize
    for size, own in zip(array.shape[::step], array.strides[::step], strict=True):
        if own != stride:
            return False
        stride *= size
    return True


def _free_bytes(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of memory that are available without swapping; None if the system does not tell."""
    lines = meminfo.read_text().splitlines() if meminfo.is_file() else []
    kib = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return kib[0] * 1024 if kib else None
