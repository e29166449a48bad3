"""Implements the device `cuda`: an NVIDIA GPU, used through numba-cuda and timed by CUDA events."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from cuda.core import Device as CoreDevice
from numba import cuda
from numba.cuda.core import config
from numba.cuda.cudadrv.driver import CudaAPIError

from convbench.devices.compiling import compile_errors
from convbench.devices.cuda_stopwatch import FLUSH_THREADS, CudaStopwatch, Gate, write_all
from convbench.devices.device import MAX_SHARED_BYTES, Array, Device, Host, Kernel, Phase
from convbench.devices.nvml import Nvml
from convbench.devices.stopwatch import Stopwatch
from convbench.errors import ConfigError, DeviceError, OutOfDeviceMemoryError
from convbench.records import Cache, Reading


class CudaDevice(Device):
    """The current CUDA device. `convbench.devices.select` makes it, after checking that CUDA can be used."""

    name: ClassVar[str] = "cuda"
    clock: ClassVar[str] = "CUDA events"
    is_gpu: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # tests of edge cases launch small grids on purpose
        try:
            cuda.current_context()
        except Exception as error:
            raise DeviceError(f"the GPU is there, but no work can be started on it: {_one_line(error)}") from error
        self.compute_capability = tuple(cuda.get_current_device().compute_capability)
        self.gate = Gate()
        self.host_calls = 0  # number of calls of `call`, which runs libraries on the host
        self._stream: Any = 0  # the stream or graph builder on which launches are queued
        # Bytes of dynamic shared memory that a kernel has opted in to, by kernel and types of its arguments.
        self._allowed_bytes = WeakKeyDictionary[Kernel, dict[tuple[Any, ...], int]]()
        self._nvml, self._no_clocks = _nvml_of(cuda.get_current_device())

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
            context.deallocations.clear()  # Numba delays deallocations; this does those that are pending
        free = context.get_memory_info().free
        if wanted > free:
            raise OutOfDeviceMemoryError(f"an array needs {wanted:,} bytes; {free:,} are free")

    def download(self, array: Array) -> Host:
        host: Host = array.copy_to_host()
        return host

    def _transposed(self, array: Array, axes: tuple[int, ...]) -> Array:
        shape, strides = ([sizes[axis] for axis in axes] for sizes in (array.shape, array.strides))
        # Numba's own transpose does not support more than two axes
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
        with self._compiling(kernel):
            if shared_bytes > MAX_SHARED_BYTES:
                self._opt_in(kernel, args, shared_bytes)
            with compile_errors(kernel), _registers_for(kernel, block):
                kernel[grid, block, self._stream, shared_bytes](*args)

    @contextmanager
    def _compiling(self, kernel: Kernel) -> Iterator[None]:
        """Count the time in this context as compilation if the kernel was compiled: the launch itself does not wait."""
        known, start = len(kernel.overloads), time.perf_counter()
        if not known:
            self._keep_on_disk(kernel)
        yield
        if len(kernel.overloads) > known:
            self.compile_s += time.perf_counter() - start

    def _opt_in(self, kernel: Kernel, args: tuple[Any, ...], shared_bytes: int) -> None:
        """Allow a kernel more than 48 KiB of dynamic shared memory, for which numba-cuda has no function.

        Source: CUDA C++ Programming Guide, "Shared Memory" of compute capability 7.x and later.
        """
        # Numba's simulator lacks `binding`; any attribute of `driver` initialises it, even one that it does not have
        from numba.cuda.cudadrv.driver import binding, driver

        types = tuple(kernel.typeof_pyval(argument) for argument in args)
        allowed = self._allowed_bytes.setdefault(kernel, {})
        if allowed.get(types, 0) >= shared_bytes:
            return
        function = kernel.compile(types)._codelibrary.get_cufunc()  # noqa: SLF001
        attribute = binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        driver.cuKernelSetAttribute(attribute, shared_bytes, function.handle, cuda.get_current_device().id)
        allowed[types] = shared_bytes

    def _keep_on_disk(self, kernel: Kernel) -> None:
        from convbench.devices.kernel_cache import keep_on_disk  # imports a module that Numba's simulator lacks

        keep_on_disk(kernel)

    @cached_property
    def max_shared_bytes(self) -> int:
        return int(cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)

    def synchronize(self) -> None:
        cuda.synchronize()

    def call(self, phase: Phase, work: Callable[[], None]) -> None:
        self.host_calls += 1
        super().call(phase, work)

    def elapsed_us(self, work: Callable[[], None]) -> float:
        start, stop = cuda.event(), cuda.event()
        with self.gate.closed():
            start.record()
            work()
            stop.record()
        stop.synchronize()
        self.gate.check()
        return float(start.elapsed_time(stop)) * 1000  # CUDA gives milliseconds

    def stopwatch(self, work: Callable[[], None], cache: Cache) -> Stopwatch:
        return CudaStopwatch(self, work, cache)

    def captured(self, work: Callable[[], None], runs: int) -> Callable[[], None]:
        """A function that queues `runs` runs of `work` as one CUDA graph.

        `work` only launches kernels and has run before, so that nothing is compiled while the graph is built.
        """
        core = CoreDevice(cuda.get_current_device().id)
        core.set_current()  # the same primary context as Numba's
        stream = core.create_stream()
        builder = stream.create_graph_builder().begin_building()
        self._stream = builder
        try:
            for _ in range(runs):
                work()
        finally:
            self._stream = 0
            builder.end_building()
        graph = builder.complete()
        graph.upload(stream)
        stream.sync()
        return lambda: graph.launch(core.default_stream)

    @property
    def cache_bytes(self) -> int | None:
        return int(cuda.get_current_device().L2_CACHE_SIZE)

    def flush(self) -> None:
        if self._flushed is None:
            self._flushed = self.empty((-(-(self.flush_bytes or 0) // 4),), np.float32)
        self.launch("pack", write_all, -(-self._flushed.size // FLUSH_THREADS), FLUSH_THREADS, self._flushed)

    def reading(self) -> Reading | None:
        return None if self._nvml is None else self._nvml.reading()

    def describe(self) -> dict[str, Any]:
        gpu = cuda.get_current_device()
        name = gpu.name.decode() if isinstance(gpu.name, bytes) else str(gpu.name)
        return {
            "name": name,
            "uuid": getattr(gpu, "uuid", None),  # Numba's simulator has none
            "clock": self.clock,
            "is_gpu": self.is_gpu,
            "compute_capability": ".".join(map(str, gpu.compute_capability)),
            "multiprocessors": gpu.MULTIPROCESSOR_COUNT,
            "sm_clock_mhz": gpu.CLOCK_RATE / 1000,  # the highest clock; CUDA gives kHz
            "memory_clock_mhz": gpu.MEMORY_CLOCK_RATE / 1000,
            "memory_bus_bits": gpu.GLOBAL_MEMORY_BUS_WIDTH,
            "l2_bytes": gpu.L2_CACHE_SIZE,
            "memory_bytes": cuda.current_context().get_memory_info().total,
            "cuda_driver": ".".join(map(str, _driver_version())),
            "driver": None if self._nvml is None else self._nvml.driver,
            "clocks": "read from NVML" if self._nvml is not None else self._no_clocks,
        }


@contextmanager
def _registers_for(kernel: Kernel, block: tuple[int, int, int]) -> Iterator[None]:
    """Turn the driver's refusal of a block that needs too many registers into a ConfigError."""
    try:
        yield
    except Exception as error:
        if "LAUNCH_OUT_OF_RESOURCES" not in str(error):
            raise
        made = kernel.overloads.values()
        raise ConfigError(
            f"block {block} cannot be launched: its threads take {max(one.regs_per_thread for one in made)} registers "
            f"each, so that a block can have at most {min(one.max_threads_per_block for one in made)} threads"
        ) from error


@contextmanager
def _out_of_memory() -> Iterator[None]:
    """Turn the driver's error for too little memory into an OutOfDeviceMemoryError."""
    try:
        yield
    except CudaAPIError as error:
        if "OUT_OF_MEMORY" in str(error):
            raise OutOfDeviceMemoryError(_one_line(error)) from error
        raise


def _nvml_of(gpu: Any) -> tuple[Nvml | None, str | None]:
    """The reader of a GPU's clocks and None; or None and the reason why the clocks cannot be read."""
    try:
        return Nvml(gpu.uuid), None
    except DeviceError as error:
        return None, str(error)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _driver_version() -> tuple[int, int]:
    """The newest CUDA version that the installed driver supports."""
    from numba.cuda.cudadrv.driver import driver  # any attribute of it initialises the driver

    major, minor = driver.get_version()
    return int(major), int(minor)
