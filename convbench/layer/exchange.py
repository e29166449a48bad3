"""Read arrays of other libraries without a copy, and return results as arrays of the same library.

On the host, these are NumPy's arrays, PyTorch's tensors, and all arrays that export DLPack. On a GPU, they are all
arrays that export DLPack or `__cuda_array_interface__`: those of PyTorch, CuPy, JAX and Numba.

A result is an array of the library of `x`, made by that library's own `asarray` (Python array API standard, "Array
object": `__array_namespace__`). If the library has none, it is a NumPy array or, on a GPU, a Numba device array.

Libraries queue their work on streams of their own. The module waits for all work on the GPU before it reads an array
and before it returns a result, so that the values are right whatever streams the libraries use.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any

import ml_dtypes  # noqa: F401  (adds bfloat16 to NumPy)
import numpy as np
from numba import cuda

from convbench import devices
from convbench.algorithm import packing
from convbench.devices import Array, Device
from convbench.errors import ConvbenchError, DeviceError, TensorError
from convbench.problem import DTYPES

GPUS_IN_DLPACK = (2, 13)  # kDLCUDA and kDLCUDAManaged in dlpack.h


class Place(ABC):
    """The memory in which the arrays of one call are, and the device that computes with them."""

    def __init__(self, device: Device) -> None:
        self.device = device

    @abstractmethod
    def view(self, array: Any) -> Array:
        """An array of any library as a NumPy array or a device array in the same memory."""

    @abstractmethod
    def restrided(self, view: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        """The same memory with another shape and other strides; strides are in bytes."""

    @abstractmethod
    def enter(self, view: Array) -> Array:
        """The elements of a view as a contiguous array on the device."""

    @abstractmethod
    def leave(self, array: Array) -> Array:
        """Wait for all launches so far, and give a device array as a view in this place."""

    @abstractmethod
    def returned(self, view: Array, like: Any) -> Any:
        """A view as an array of the library of `like`."""

    def transposed(self, view: Array, axes: tuple[int, ...]) -> Array:
        """The same memory with its axes in another order."""
        shape, strides = (tuple(sizes[axis] for axis in axes) for sizes in (view.shape, view.strides))
        return self.restrided(view, shape, strides)


class HostPlace(Place):
    """The host's memory: arrays are copied to the device, and results are copied back."""

    def view(self, array: Any) -> Array:
        if is_torch(array):
            from convbench.layer import torch_tensors  # it imports PyTorch, an optional package

            return torch_tensors.as_numpy(array)
        return array if isinstance(array, np.ndarray) else np.from_dlpack(array)

    def restrided(self, view: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        return np.lib.stride_tricks.as_strided(view, shape, strides)

    def enter(self, view: Array) -> Array:
        return self.device.upload(np.ascontiguousarray(view, view.dtype.newbyteorder("=")))

    def leave(self, array: Array) -> Array:
        self.device.synchronize()
        return self.device.download(array)

    def returned(self, view: Array, like: Any) -> Any:
        if is_torch(like):
            from convbench.layer import torch_tensors  # it imports PyTorch, an optional package

            return torch_tensors.of_numpy(view)
        return view if isinstance(like, np.ndarray) else _as_library_of(like, view)


class GpuPlace(Place):
    """The memory of the GPU that Numba works on: arrays are used where they are, without a copy to the host."""

    def view(self, array: Any) -> Array:
        # cuda.core needs cuda.bindings, which only the extras for a GPU install
        from cuda.core.utils import StridedMemoryView

        self.device.synchronize()
        if is_torch(array):
            array = array.detach()
        seen = StridedMemoryView.from_any_interface(array, stream_ptr=-1)  # no stream: all work is finished
        if seen.device_id != (ours := cuda.get_current_device().id):
            raise TensorError(f"it is on GPU {seen.device_id}; Numba works on GPU {ours} (numba.cuda.select_device)")
        strides = None if seen.strides is None else tuple(step * seen.dtype.itemsize for step in seen.strides)
        described = {
            "shape": seen.shape, "strides": strides, "typestr": seen.dtype, "data": (seen.ptr, seen.readonly),
            "version": 3,
        }  # fmt: skip
        return cuda.from_cuda_array_interface(described, owner=seen, sync=False)

    def restrided(self, view: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
        from numba.cuda.cudadrv.devicearray import DeviceNDArray  # Numba lacks it if NUMBA_ENABLE_CUDASIM is set

        return DeviceNDArray(shape, strides, view.dtype, gpu_data=view.gpu_data)

    def enter(self, view: Array) -> Array:
        strides = contiguous_strides(view.shape, view.dtype.itemsize)
        if is_contiguous(view.shape, view.strides, view.dtype.itemsize):
            return self.restrided(view, view.shape, strides)
        packed, ones = self.device.empty(view.shape, view.dtype), (1,) * (4 - len(view.shape))
        source, target = (
            self.restrided(array, ones + array.shape, (0,) * len(ones) + array.strides) for array in (view, packed)
        )
        packing.launch_copy(self.device, "pack", source, target)
        return packed

    def leave(self, array: Array) -> Array:
        self.device.synchronize()
        return array

    def returned(self, view: Array, like: Any) -> Any:
        if is_torch(like):
            from convbench.layer import torch_tensors  # it imports PyTorch, an optional package

            return torch_tensors.of_gpu(view, like.device)
        return _as_library_of(like, view)


def place_of(arrays: Mapping[str, Any], device: Device | str | None = None) -> Place:
    """The place of some arrays, with a device that computes there.

    Parameters
    ----------
    arrays : the arrays, by the names that error messages use
    device : a device or its name; None: the GPU for arrays on a GPU, and the default of `devices.select` for others

    Raises
    ------
    TensorError
        some are on a GPU and some are not, or some are no arrays.
    DeviceError
        the device cannot be used, or works on other memory than the arrays are in.
    """
    for name, array in arrays.items():
        if not (isinstance(array, np.ndarray) or hasattr(array, "__dlpack__") or _is_on_gpu(array)):
            raise TensorError(
                f"{name} is a {type(array).__name__}; it must be a NumPy array, or one that exports DLPack or "
                "__cuda_array_interface__"
            )
    there = {name: "on a GPU" if _is_on_gpu(array) else "on the host" for name, array in arrays.items()}
    if len(set(there.values())) > 1:
        told = ", ".join(f"{name} is {where}" for name, where in there.items())
        raise TensorError(f"{told}: they must be in one memory")
    if "on a GPU" not in there.values():
        return HostPlace(device_of(device))
    first = next(iter(there))
    try:
        usable = device_of(device or "cuda")
    except DeviceError as error:
        raise DeviceError(f"{first} is on a GPU: {error}") from error
    if usable.name != "cuda":
        raise DeviceError(f"{first} is on a GPU, and device {usable.name} works on the host's memory")
    return GpuPlace(usable)


def views_of(place: Place, arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Views of arrays of one dtype, one of DTYPES. Raises TensorError, with the array's name and dtype, otherwise."""
    views = {}
    for name, array in arrays.items():
        try:
            views[name] = place.view(array)
        except (ConvbenchError, BufferError, RuntimeError, TypeError, ValueError) as error:
            raise TensorError(f"{name}, a {type(array).__name__}, cannot be read: {error}") from error
    dtypes = {name: view.dtype.name for name, view in views.items()}
    first, dtype = next(iter(dtypes.items()))
    for name, other in dtypes.items():
        if other not in DTYPES:
            raise TensorError(f"{name} is of dtype {other}; it must be one of {', '.join(DTYPES)}")
        if other != dtype:
            raise TensorError(f"{first} is of dtype {dtype} and {name} of {other}: they must be of one dtype")
    return views


def is_torch(array: Any) -> bool:
    """Whether an array is a tensor of PyTorch. PyTorch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def tracks_gradients(array: Any) -> bool:
    """Whether PyTorch tracks gradients of an array, and so expects to differentiate what is computed from it."""
    return is_torch(array) and array.requires_grad and sys.modules["torch"].is_grad_enabled()


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Whether the elements lie in memory as in a C-contiguous array; strides of axes of size 1 do not matter."""
    wanted = contiguous_strides(shape, itemsize)
    return all(size == 1 or a == b for size, a, b in zip(shape, strides, wanted, strict=True))


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides of a C-contiguous array, in bytes."""
    strides = [itemsize]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides))


def _is_on_gpu(array: Any) -> bool:
    if is_torch(array):
        return bool(array.is_cuda)  # __dlpack_device__ raises for devices that DLPack does not know
    if hasattr(array, "__dlpack_device__"):
        return int(array.__dlpack_device__()[0]) in GPUS_IN_DLPACK
    return hasattr(array, "__cuda_array_interface__")


def device_of(device: Device | str | None) -> Device:
    """A device, given by itself or by its name. Raises what `devices.select` raises."""
    return device if isinstance(device, Device) else _selected(device)


@cache
def _selected(name: str | None) -> Device:
    """The device of a name, one object for all calls: a second one would have to compile every kernel again."""
    return devices.select(name)


def _as_library_of(like: Any, view: Array) -> Any:
    if hasattr(like, "__array_namespace__"):
        return like.__array_namespace__().asarray(view)
    library = sys.modules[type(like).__module__.partition(".")[0]]
    return library.asarray(view) if hasattr(library, "asarray") else view
