"""A CUDA driver with one device in host memory, for numba-cuda's device arrays, streams and events.

numba-cuda calls the driver through one object, by the names of the driver API. Here that object gets the calls that can
be done on host memory, as attributes; every other is refused by its name. Streams and events finish at once, because
every launch has ended when it returns.
"""

import ctypes
import itertools
import os
import threading
import time
from types import SimpleNamespace
from typing import Any

from numba.cuda.cudadrv import driver as cuda_driver

from convbench.emulator import UnsupportedError
from convbench.emulator.install import settings
from convbench.emulator.install.host_memory import MEMORY, HostMemory
from convbench.emulator.limits import MAX_BLOCK, MAX_GRID, MAX_THREADS, Limits
from convbench.emulator.state import WARP

CONTEXT = cuda_driver.binding.CUcontext(1)
RESULT = cuda_driver.binding.CUresult

# those that do not depend on the compute capability; one that an emulator cannot know is refused by its name
_ATTRIBUTES = {
    "MAX_THREADS_PER_BLOCK": MAX_THREADS,
    "MAX_BLOCK_DIM_X": MAX_BLOCK[0],
    "MAX_BLOCK_DIM_Y": MAX_BLOCK[1],
    "MAX_BLOCK_DIM_Z": MAX_BLOCK[2],
    "MAX_GRID_DIM_X": MAX_GRID[0],
    "MAX_GRID_DIM_Y": MAX_GRID[1],
    "MAX_GRID_DIM_Z": MAX_GRID[2],
    "WARP_SIZE": WARP,
    "MULTIPROCESSOR_COUNT": 1,
    "CAN_MAP_HOST_MEMORY": 1,
    "UNIFIED_ADDRESSING": 1,
    "MANAGED_MEMORY": 1,
    "CONCURRENT_MANAGED_ACCESS": 1,
    "PAGEABLE_MEMORY_ACCESS": 1,
    "COOPERATIVE_LAUNCH": 1,
    "COMPUTE_MODE": 0,  # any number of threads and processes may use it
    "INTEGRATED": 0,
    "MAX_REGISTERS_PER_BLOCK": 65536,
    "MAX_REGISTERS_PER_MULTIPROCESSOR": 65536,
    "TOTAL_CONSTANT_MEMORY": 65536,
    "ASYNC_ENGINE_COUNT": 0,
    "CONCURRENT_KERNELS": 0,
    "KERNEL_EXEC_TIMEOUT": 0,
    "TCC_DRIVER": 0,
    "SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO": 1,  # of the host's processor
    "PCI_DOMAIN_ID": 0,
    "PCI_BUS_ID": 0,
    "PCI_DEVICE_ID": 0,
}


_COPIES = [f"cuMemcpy{way}{when}" for way in ("HtoD", "DtoH", "DtoD") for when in ("", "Async")]
_NOTHING = (
    *("cuCtxSynchronize", "cuProfilerStart", "cuProfilerStop"),
    *("cuInit", "cuDevicePrimaryCtxRelease", "cuDevicePrimaryCtxReset"),
    *("cuStreamSynchronize", "cuStreamDestroy", "cuStreamWaitEvent"),
    *("cuEventSynchronize", "cuEventQuery", "cuEventDestroy"),
)


class HostDevice:
    """A stand-in for `cuda.core.Device`."""

    device_id = 0
    name = "emulator"
    uuid = "00000000-0000-0000-0000-000000000000"
    context = SimpleNamespace(handle=CONTEXT)

    def __init__(self, number: int = 0) -> None:
        if number != 0:
            raise UnsupportedError(f"device {number}: the emulator has one device, number 0: use cuda.gpus[0]")

    @property
    def compute_capability(self) -> tuple[int, int]:
        """The capability that the options set."""
        return settings.options().compute_capability

    def set_current(self) -> None:
        """Make its context the current one of this thread."""
        CONTEXTS.push(CONTEXT)


class Contexts(threading.local):
    """The stack of contexts of a thread. The first use of the device puts its context there."""

    def __init__(self) -> None:
        self._stack = [CONTEXT]

    def push(self, context: Any) -> None:
        self._stack.append(context)

    def pop(self) -> Any:
        return self._stack.pop()

    def current(self) -> Any:
        return self._stack[-1] if self._stack else cuda_driver.binding.CUcontext(0)


CONTEXTS = Contexts()


class Events:
    """When each event was recorded."""

    def __init__(self) -> None:
        self._handles = itertools.count(1)
        self._recorded_s: dict[int, float] = {}

    def create(self, flags: int) -> int:
        return next(self._handles)

    def record(self, event: int, stream: Any) -> None:
        self._recorded_s[event] = time.perf_counter()

    def elapsed_ms(self, start: int, end: int) -> float:
        for event in (start, end):
            if event not in self._recorded_s:
                code = RESULT.CUDA_ERROR_INVALID_HANDLE
                raise cuda_driver.CudaAPIError(
                    code, f"cuEventElapsedTime results in {code.name}: event {event} was never recorded"
                )
        return (self._recorded_s[end] - self._recorded_s[start]) * 1e3

    def destroy(self, event: int) -> None:
        self._recorded_s.pop(int(event), None)


def _copy(to: Any, source: Any, size: int, *_: Any) -> None:
    ctypes.memmove(int(to), int(source), size)


def _fill(to: Any, byte: int, size: int, *_: Any) -> None:
    ctypes.memset(int(to), byte, size)


def _nothing(*_: Any) -> None:
    """All work has ended already."""


def _attribute(code: Any, device: int) -> int:
    name = code.name.removeprefix("CU_DEVICE_ATTRIBUTE_")
    capability = settings.options().compute_capability
    if name == "COMPUTE_CAPABILITY_MAJOR":
        return capability[0]
    if name == "COMPUTE_CAPABILITY_MINOR":
        return capability[1]
    if name in ("MAX_SHARED_MEMORY_PER_BLOCK", "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"):
        return Limits(capability).shared_bytes
    if name not in _ATTRIBUTES:
        raise UnsupportedError(
            f"the device attribute {name} says something of a GPU's hardware, which the emulator does not have: "
            "set what the program derives from it by hand"
        )
    return _ATTRIBUTES[name]


def _calls(memory: HostMemory, events: Events) -> dict[str, Any]:
    """The driver API on host memory, by its own names."""
    streams = itertools.count(16)  # the first ones name default streams
    return {
        **dict.fromkeys(_NOTHING, _nothing),
        **dict.fromkeys(_COPIES, _copy),
        **dict.fromkeys(("cuMemsetD8", "cuMemsetD8Async"), _fill),
        **dict.fromkeys(("cuMemAlloc", "cuMemAllocManaged"), memory.device_pointer),
        **dict.fromkeys(("cuMemFree", "cuMemFreeHost"), memory.free),
        "cuCtxGetCurrent": CONTEXTS.current,
        "cuCtxPushCurrent": CONTEXTS.push,
        "cuCtxPopCurrent": CONTEXTS.pop,
        "cuCtxGetDevice": lambda: 0,
        "cuDeviceGetCount": lambda: 1,
        "cuDeviceGetAttribute": _attribute,
        "cuDriverGetVersion": lambda: 13000,
        "cuMemHostAlloc": memory.allocate,
        "cuMemHostRegister": memory.register,
        "cuMemHostUnregister": memory.unregister,
        "cuMemHostGetDevicePointer": lambda pointer, flags: cuda_driver.binding.CUdeviceptr(pointer),
        "cuMemGetInfo": memory.info,
        "cuMemGetAddressRange": memory.extent,
        "cuPointerGetAttribute": lambda attribute, pointer: pointer,
        "cuDeviceCanAccessPeer": lambda device, peer: 0,
        "cuStreamCreate": lambda flags: cuda_driver.binding.CUstream(next(streams)),
        "cuEventCreate": events.create,
        "cuEventDestroy": events.destroy,
        "cuEventRecord": events.record,
        "cuEventElapsedTime": events.elapsed_ms,
    }


_OTHER_PROCESS = (
    "memory that another process opens by a handle: memory of the emulated device belongs to one process; copy it with "
    "copy_to_host(), and share it with multiprocessing.shared_memory"
)
_MISSING = {
    "cuIpcGetMemHandle": _OTHER_PROCESS,
    "cuIpcOpenMemHandle": _OTHER_PROCESS,
    "cuIpcCloseMemHandle": _OTHER_PROCESS,
    "cuCtxEnablePeerAccess": "access to the memory of another device: the emulator has one device",
}


def _refuse(self: Any, name: str) -> Any:
    what = _MISSING.get(name, "the emulator has the calls that numba-cuda makes: use functions of numba.cuda instead")
    raise UnsupportedError(f"{name} of the CUDA driver: {what}")


def provide(name: str, function: Any) -> None:
    """Add a call of the driver API. After a fork it fails, as it does on a GPU."""

    def call(*args: Any) -> Any:
        here = os.getpid()
        if cuda_driver.driver.pid is None:
            cuda_driver.driver.pid = here
        elif cuda_driver.driver.pid != here:
            raise cuda_driver.CudaDriverError(
                f"CUDA initialized before forking: process {cuda_driver.driver.pid} had used the device before it was "
                f"forked into process {here}: start processes with multiprocessing.get_context('spawn'), or use the "
                "device only after the fork"
            )
        return function(*args)

    setattr(cuda_driver.driver, name, call)


def install() -> None:
    """Make numba-cuda use this driver for the rest of the process."""
    driver = cuda_driver.driver
    driver.is_initialized, driver.initialization_error, driver.pid = True, None, None
    cuda_driver.Driver._cuda_python_wrap_fn = _refuse
    for name, function in _calls(MEMORY, Events()).items():
        provide(name, function)
    cuda_driver.ExperimentalDevice = HostDevice
    cuda_driver._logger = cuda_driver.make_logger()
