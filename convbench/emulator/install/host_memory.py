"""The memory of the device, which is memory of the host: allocations by address, and NumPy's view of arrays in it."""

import ctypes
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.cuda.cudadrv import devicearray
from numba.cuda.cudadrv import driver as cuda_driver

from convbench.emulator import UnsupportedError
from convbench.emulator.install import settings
from convbench.emulator.ready import NO_OTHERS, Others

GRANULE = 512
ALIGNMENT = 256  # of allocations: CUDA C++ Programming Guide, "Size and Alignment Requirement"
RESULT = cuda_driver.binding.CUresult


class HostMemory:
    """Allocations by address."""

    def __init__(self) -> None:
        self._blocks: dict[int, npt.NDArray[Any]] = {}  # by their addresses
        self._used = 0
        self._lock = threading.Lock()
        self.changes = 0  # how often memory was allocated or freed
        self._others = NO_OTHERS

    def allocate(self, size: int, *_: Any) -> int:
        # whole granules, as a driver gives them: test_dispatcher_cpointer_arguments writes behind the end of its array
        rounded = -(-size // GRANULE) * GRANULE
        with self._lock:
            if self._used + rounded > settings.options().memory:
                self._fail("cuMemAlloc", RESULT.CUDA_ERROR_OUT_OF_MEMORY, size)
            self._used += rounded
        raw = np.zeros(rounded + ALIGNMENT, np.int8)
        first = -raw.ctypes.data % ALIGNMENT
        block = raw[first : first + rounded]
        address = block.ctypes.data
        self._blocks[address] = block
        self.changes += 1
        return address

    def _fail(self, call: str, code: Any, size: int) -> None:
        free, total = self.info()
        raise cuda_driver.CudaAPIError(
            code,
            f"{call} of {size:,} bytes results in {code.name}: the emulated device has {total:,} bytes, of which "
            f"{free:,} are free: set --memory or CONVBENCH_MEMORY, for example to 16GiB",
        )

    def info(self) -> tuple[int, int]:
        """Free bytes and all bytes."""
        total = settings.options().memory
        return max(total - self._used, 0), total

    def device_pointer(self, size: int, *_: Any) -> Any:
        return cuda_driver.binding.CUdeviceptr(self.allocate(size))

    def free(self, pointer: Any) -> None:
        block = self._blocks.pop(int(pointer))
        self.changes += 1
        with self._lock:
            self._used -= len(block)

    def register(self, pointer: Any, size: int, *_: Any) -> None:
        """Let kernels use memory that the host has allocated."""
        self._blocks[int(pointer)] = np.ctypeslib.as_array((ctypes.c_byte * size).from_address(int(pointer)))
        self.changes += 1

    def unregister(self, pointer: Any) -> None:
        del self._blocks[int(pointer)]
        self.changes += 1

    def beginning_at(self, value: int) -> Any:
        """The memory that begins at an address; the value itself if none does."""
        return self._blocks.get(value, value)

    def arrays(self) -> list[Any]:
        """All memory that a kernel may touch."""
        return list(self._blocks.values())

    def bytes_at(self, address: int) -> int:
        """How many bytes the allocation has that begins at an address; 0 if none does."""
        block = self._blocks.get(address)
        return 0 if block is None else block.nbytes

    def others(self) -> Others:
        """All memory that a kernel may touch, for launches that are ready."""
        found, changes = self._others, self.changes
        if found.version != changes:
            spans = [(begin, block.nbytes) for begin, block in list(self._blocks.items())]
            self._others = found = Others(changes, np.array(spans, np.int64).reshape(-1, 2))
        return found

    def extent(self, pointer: Any) -> tuple[int, int]:
        """The start and the bytes of the allocation that holds an address."""
        for begin, block in list(self._blocks.items()):
            if begin <= int(pointer) < begin + len(block):
                return begin, len(block)
        raise UnsupportedError(f"0x{int(pointer):x} lies in no allocation of the device")


MEMORY = HostMemory()


def on_host(value: Any) -> Any:
    """A NumPy view of an array in this driver's memory; any other value unchanged."""
    if isinstance(value, np.ndarray | np.generic) or not hasattr(value, "__cuda_array_interface__"):
        return value
    interface = dict(value.__cuda_array_interface__, version=3)
    interface["strides"] = getattr(value, "strides", interface.get("strides"))  # it calls a broadcast array contiguous
    dtype = np.dtype(getattr(value, "dtype", interface["typestr"]))
    if dtype.kind == "V":
        interface["typestr"] = f"|V{dtype.itemsize}"
    if interface["data"][0] == 0:
        view = np.empty(interface["shape"], dtype)
    else:
        view = np.asarray(SimpleNamespace(__array_interface__=interface, owner=value)).view(dtype)
    return view[()] if isinstance(value, devicearray.DeviceRecord) else view
