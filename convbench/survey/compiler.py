"""A GPU on which kernels are compiled and nothing runs: plans are made ahead of their time while another is timed.

Numba's dispatchers keep what they compiled, by the types of the arguments, for the life of the process. Arrays have
their shape and type here, but no memory of their own: no kernel, copy or library call reaches the GPU.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from convbench.devices import Array, Host, Kernel, Phase
from convbench.devices import cuda as gpu


class CompilingDevice(gpu.CudaDevice):
    """The current CUDA device, for a plan to compile on."""

    def __init__(self) -> None:
        super().__init__()
        self._memory = cuda.device_array(1, np.uint8).gpu_data  # of all arrays, for none is read or written

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        itemsize = np.dtype(dtype).itemsize
        strides = tuple(itemsize * int(np.prod(shape[axis + 1 :], dtype=object)) for axis in range(len(shape)))
        return cuda.devicearray.DeviceNDArray(tuple(shape), strides, np.dtype(dtype), gpu_data=self._memory)

    def check_room(self, wanted: int) -> None:
        pass

    def upload(self, host: Host) -> Array:
        return self.empty(host.shape, host.dtype)

    def download(self, array: Array) -> Host:
        return np.zeros(array.shape, array.dtype)

    def write(self, array: Array, host: Host) -> None:
        pass

    def _launch(
        self,
        kernel: Kernel,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        args: tuple[Any, ...],
        shared_bytes: int,
    ) -> None:
        with self._compiling(kernel):
            kernel.compile(tuple(kernel.typeof_pyval(argument) for argument in args))

    def synchronize(self) -> None:
        pass

    def call(self, phase: Phase, work: Callable[[], None]) -> None:
        pass
