"""The device `cuda`: an NVIDIA GPU, through numba-cuda, timed by CUDA events."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numba import cuda
from numba.cuda.core import config
from numba.cuda.cudadrv.driver import CudaAPIError

from convbench.devices.device import Array, Device, Host, Kernel
from convbench.errors import DeviceError, OutOfDeviceMemoryError

HOLD_NS = 500_000  # longer than it takes Python to queue ten launches


@cuda.jit
def hold(nanoseconds: int) -> None:
    """One thread that sleeps for about so long."""
    cuda.nanosleep(nanoseconds)


class CudaDevice(Device):
    """The current CUDA device; `convbench.devices.select` makes it, once it knows that there is one."""

    name: ClassVar[str] = "cuda"
    clock: ClassVar[str] = "CUDA events"
    is_gpu: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # small grids are what edge cases have
        try:
            cuda.current_context()
        except Exception as error:
            raise DeviceError(f"the GPU is there, but no work can be started on it: {_one_line(error)}") from error
        self.compute_capability = tuple(cuda.get_current_device().compute_capability)

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        self.check_room(int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize)
        with _out_of_memory():
            return cuda.device_array(shape, dtype)

    def upload(self, host: Host) -> Array:
        self.check_room(host.nbytes)
        with _out_of_memory():
            return cuda.to_device(np.ascontiguousarray(host))

    def check_room(self, wanted: int) -> None:
        context = cuda.current_context()
        if wanted > context.get_memory_info().free:
            context.deallocations.clear()  # Numba frees late
        free = context.get_memory_info().free
        if wanted > free:
            raise OutOfDeviceMemoryError(f"an array needs {wanted:,} bytes; {free:,} are free")

    def download(self, array: Array) -> Host:
        host: Host = array.copy_to_host()
        return host

    def _transposed(self, array: Array, axes: tuple[int, ...]) -> Array:
        shape, strides = ([sizes[axis] for axis in axes] for sizes in (array.shape, array.strides))
        # Numba's own transpose of more than two axes is none
        return cuda.devicearray.DeviceNDArray(tuple(shape), tuple(strides), array.dtype, gpu_data=array.gpu_data)

    def write(self, array: Array, host: Host) -> None:
        array.copy_to_device(np.ascontiguousarray(host))

    def _launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        args: tuple[Any, ...],
        shared_bytes: int,
    ) -> None:
        known, start = len(kernel.overloads), time.perf_counter()
        kernel[grid, block, 0, shared_bytes](*args)
        if len(kernel.overloads) > known:  # launches are asynchronous: what the host waited for is the compiler
            self.compile_s += time.perf_counter() - start

    def synchronize(self) -> None:
        cuda.synchronize()

    def elapsed_us(self, work: Callable[[], None]) -> float:
        start, stop = cuda.event(), cuda.event()
        self._hold()
        start.record()
        work()
        stop.record()
        stop.synchronize()
        return float(start.elapsed_time(stop)) * 1000  # CUDA gives milliseconds

    def _hold(self) -> None:
        """Keep the GPU busy while the host queues what is timed, so that no gap between launches is timed with it."""
        hold[1, 1](HOLD_NS)

    def describe(self) -> dict[str, Any]:
        gpu = cuda.get_current_device()
        name = gpu.name.decode() if isinstance(gpu.name, bytes) else str(gpu.name)
        return {
            "name": name,
            "clock": self.clock,
            "is_gpu": self.is_gpu,
            "compute_capability": ".".join(map(str, gpu.compute_capability)),
            "multiprocessors": gpu.MULTIPROCESSOR_COUNT,
            "sm_clock_mhz": gpu.CLOCK_RATE / 1000,  # the highest; CUDA gives kHz
            "memory_clock_mhz": gpu.MEMORY_CLOCK_RATE / 1000,
            "l2_bytes": gpu.L2_CACHE_SIZE,
            "memory_bytes": cuda.current_context().get_memory_info().total,
            "cuda_driver": ".".join(map(str, _driver_version())),
        }


@contextmanager
def _out_of_memory() -> Iterator[None]:
    """The driver's own word for it, as ours."""
    try:
        yield
    except CudaAPIError as error:
        if "OUT_OF_MEMORY" in str(error):
            raise OutOfDeviceMemoryError(_one_line(error)) from error
        raise


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _driver_version() -> tuple[int, int]:
    """The newest CUDA version that the installed driver serves."""
    from numba.cuda.cudadrv.driver import driver

    major, minor = driver.get_version()
    return int(major), int(minor)
