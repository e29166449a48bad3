"""A device that compiles kernels for the GPU and runs nothing.

A process of a survey makes its plans on it to compile their kernels ahead, while another process times on the GPU.
Numba's dispatchers keep compiled kernels, by the types of their arguments, for the life of the process. Arrays of this
device have a shape and a type, but no memory of their own: no kernel, copy or library call reaches the GPU.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cuda

from convbench.devices import Array, Host, Kernel, Phase
from convbench.devices import cuda as gpu


class CompilingDevice(gpu.CudaDevice):
    """The current CUDA device, on which plans only compile their kernels."""

    def __init__(self) -> None:
        super().__init__()
        self._memory = cuda.device_array(1, np.uint8).gpu_data  # all arrays share it, because none is read or written

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
