"""Modules of PTX in the place of cubins: numba-cuda links, loads, pickles and launches them as it does with a GPU.

numba-cuda's linker gives PTX here. A module is loaded by the emulator, its variables have addresses, and its kernels
are launched with the words that numba-cuda prepares. Attributes of a kernel are those of the cubin that nvJitLink's own
assembler makes of the same PTX.
"""

import ctypes
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from cuda.core import Linker, LinkerOptions, ObjectCode
from cuda.core._utils.cuda_utils import CUDAError
from cuda.core.utils import StridedMemoryView
from numba import cuda
from numba.cuda import dispatcher
from numba.cuda.core import config
from numba.cuda.core.errors import NumbaPerformanceWarning
from numba.cuda.cudadrv import devicearray, devices, driver, nvrtc
from numba.cuda.cudadrv.libs import get_cudalib
from numba.cuda.memory_management import nrt

from convbench.emulator import Emulator, LaunchError, LoadedModule, profile
from convbench.emulator.cubin import Cubin, Properties
from convbench.emulator.install import host_driver, host_memory, settings
from convbench.emulator.install.profiles import PROFILES
from convbench.emulator.install.told import Launch
from convbench.emulator.ptx.kernel import PtxKernel
from convbench.emulator.ptx.numba_code import SUFFIX_SINCE, linked_texts
from convbench.emulator.ptx.parser import parse
from convbench.emulator.ptx.syntax import Module
from convbench.emulator.ready import Again
from convbench.emulator.without_device import CudaSource

COPIES = "Host array used in CUDA kernel will incur copy overhead to/from device."  # numba-cuda's words

_loaded: "weakref.WeakValueDictionary[int, Code]" = weakref.WeakValueDictionary()


@dataclass(eq=False)
class Code:
    """A linked module. It can be pickled, and is loaded when its handle is first needed."""

    texts: tuple[str, ...]
    arch: str
    max_registers: int | None = None

    def __reduce__(self) -> Any:
        return Code, (self.texts, self.arch, self.max_registers)

    @property
    def code(self) -> bytes:
        return "\n".join(self.texts).encode()

    @property
    def handle(self) -> int:
        _loaded[id(self)] = self
        return id(self)

    @cached_property
    def parsed(self) -> Module:
        return parse(*self.texts)

    @cached_property
    def module(self) -> LoadedModule:
        return LoadedModule(self.parsed, Emulator(code="ptx"))

    @cached_property
    def cubin(self) -> Cubin:
        options = LinkerOptions(arch=self.arch, max_register_count=self.max_registers)
        codes = [ObjectCode.from_ptx(text.encode()) for text in self.texts]
        if "cudaCGSynchronize" in self.code.decode():
            codes.append(ObjectCode.from_library(get_cudalib("cudadevrt", static=True)))
        linker = Linker(*codes, options=options)
        return Cubin(bytes(linker.link("cubin").code))

    def get_kernel(self, name: str) -> "Kernel":
        return Kernel(self, name)


@dataclass(eq=False)
class Kernel:
    """A kernel of a module."""

    of: Code
    name: str
    named: dict[tuple[str, ...], PtxKernel] = field(default_factory=dict)

    def with_names(self, names: tuple[str, ...]) -> PtxKernel:
        """The kernel, with its own name and those of its parameters."""
        if names not in self.named:
            self.named[names] = PtxKernel(self.of.parsed, self.name, names[1:], "".join(names[:1]))
        return self.named[names]

    @property
    def handle(self) -> "Kernel":
        return self

    @cached_property
    def properties(self) -> Properties:
        return self.of.cubin.properties(self.name)

    @property
    def attributes(self) -> SimpleNamespace:
        found = self.properties
        return SimpleNamespace(
            num_regs=found.registers,
            const_size_bytes=found.constants,
            local_size_bytes=found.local,
            shared_size_bytes=found.shared,
            max_threads_per_block=found.most_threads,
        )


class Function(driver.CudaPythonFunction):
    """A function whose attributes are asked for only when they are needed, because they take an assembler."""

    def __init__(self, module: Any, kernel: Kernel, name: str) -> None:
        self.module, self.kernel, self.handle, self.name = module, kernel, kernel.handle, name

    @property
    def attrs(self) -> Any:
        found = self.kernel.properties
        return driver.FuncAttr(found.registers, found.shared, found.local, found.constants, found.most_threads)


def _complete(linker: Any) -> Code:
    """`_Linker.complete`: the linked PTX."""
    linked = Code(tuple(linked_texts(linker)), linker.arch, linker.max_registers)
    linker.linker, linker._complete, linker._info_log = True, True, ""
    return linked


_launching = threading.local()


@contextmanager
def launching(
    names: tuple[str, ...], *, checked: bool, again: Again | None = None, counted: Launch | None = None
) -> Iterator[None]:
    """The launch of this thread: names of the kernel and its parameters in PTX; whether it is checked, or counted."""
    _launching.names, _launching.checked, _launching.again, _launching.counted = names, checked, again, counted
    try:
        yield
    finally:
        _launching.names, _launching.checked, _launching.again, _launching.counted = (), False, None, None


def _launch(stream: Any, config: Any, kernel: Kernel, *args: Any) -> None:
    """`cuda.core.launch`."""
    del stream  # every launch has ended when it returns
    names, checked = getattr(_launching, "names", ()), getattr(_launching, "checked", False)
    options, memory = settings.options(), host_memory.MEMORY.arrays()
    emulator = options.emulator("ptx", checked=checked, may_return=not options.strict_return)
    emulator.again = getattr(_launching, "again", None)
    launched = kernel.with_names(names), tuple(config.grid), tuple(config.block), *map(_argument, args)
    counted = getattr(_launching, "counted", None)
    if counted is not None:
        capability = options.compute_capability
        count = partial(
            profile, *launched, shared_bytes=config.shmem_size, compute_capability=capability, memory=memory
        )
        PROFILES.count(counted, [*memory, *kernel.of.module.variables()], count)
    try:
        emulator.launch(*launched, shared_bytes=config.shmem_size, memory=memory)
    except LaunchError as refused:
        raise CUDAError(f"CUDA_ERROR_INVALID_VALUE: {refused}") from refused  # in the driver's words


def _argument(value: Any) -> Any:
    """A number, or the memory of the device that begins at this address."""
    if isinstance(value, ctypes._SimpleCData):
        value = value.value
    value = 0 if value is None else value
    return host_memory.MEMORY.beginning_at(value) if isinstance(value, int) else value


def _find_global(handle: int, name: bytes) -> tuple[Any, int]:
    """`cuLibraryGetGlobal`."""
    try:
        found = _loaded[int(handle)].module.variable(name.decode())
    except KeyError as error:
        raise driver.CudaAPIError(driver.binding.CUresult.CUDA_ERROR_NOT_FOUND, str(error)) from None
    return driver.binding.CUdeviceptr(found.ctypes.data), found.size


def _occupancy(kernel: Kernel, threads: int, dynamic_bytes: int, *_: Any) -> int:
    """`cuOccupancyMaxActiveBlocksPerMultiprocessor`."""
    return kernel.properties.blocks_per_multiprocessor(threads, dynamic_bytes)


def _strided_view(obj: Any, stream: Any = 0, copy: bool = True, user_explicit: bool = False) -> tuple[Any, bool]:
    """`devicearray._to_strided_memory_view`, with this driver's memory in the place of cuda.core's buffers."""
    if driver.is_device_memory(obj):
        return obj._strided_memory_view_shim, False
    if not isinstance(obj, np.ndarray) and hasattr(obj, "__cuda_array_interface__"):
        external = obj.__cuda_array_interface__.get("stream")
        if external is not None and config.CUDA_ARRAY_INTERFACE_SYNC:
            devices.get_context().create_external_stream(external).synchronize()
        return _view(cuda.as_cuda_array(obj, sync=False)), False
    host = np.asanyarray(obj)
    warns = config.CUDA_WARN_ON_IMPLICIT_COPY and not config.DISABLE_PERFORMANCE_WARNINGS
    if warns and copy and not user_explicit and isinstance(obj, np.ndarray):
        warnings.warn(NumbaPerformanceWarning(COPIES), stacklevel=2)
    if not (host.flags.c_contiguous or host.flags.f_contiguous):
        # cuda.core's own words: numba-cuda allocates as many bytes as the array has elements
        layout = StridedMemoryView.from_any_interface(host, stream_ptr=-1)._layout
        needed = layout.required_size_in_bytes()  # an error for strides that are negative
        raise ValueError(
            f"Buffer size is too small for the layout. Expected at least {needed} bytes, got {host.nbytes} bytes."
        )
    made = devicearray.DeviceNDArray(host.shape, host.strides, host.dtype)
    if copy and host.nbytes:
        driver.driver.cuMemcpyHtoDAsync(made.device_ctypes_pointer.value, host.ctypes.data, host.nbytes, stream)
    return _view(made), True


def _host_view(obj: Any, *, stream_ptr: Any) -> SimpleNamespace:
    """`devicearray._make_strided_memory_view`, of which a launch asks for the address alone."""
    del stream_ptr
    return SimpleNamespace(ptr=obj.__array_interface__["data"][0], owner=obj)


def _view(array: Any) -> SimpleNamespace:
    """What a launch needs to know of a device array, which stays alive with it."""
    shim = array._strided_memory_view_shim
    names = "ptr", "shape", "dtype", "size", "_layout"
    return SimpleNamespace(**{name: getattr(shim, name) for name in names}, owner=array)


def install() -> None:
    """Make numba-cuda link, load and launch modules of PTX."""
    for name, function in {
        "cuLibraryGetGlobal": _find_global,
        "cuLibraryUnload": lambda handle: None,
        "cuKernelSetAttribute": lambda *_: None,
        "cuKernelSetCacheConfig": lambda *_: None,
        "cuOccupancyMaxActiveBlocksPerMultiprocessor": _occupancy,
        "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags": _occupancy,
    }.items():
        host_driver.provide(name, function)
    nvrtc.Program = CudaSource
    driver._Linker.complete = _complete
    driver.Function = driver.CudaPythonFunction = Function
    driver.Context.create_module_ptx = _create_module_ptx
    devicearray._make_strided_memory_view = _host_view
    devicearray._to_strided_memory_view = _strided_view
    for module in (dispatcher, nrt):
        module.launch, module.LaunchConfig = _launch, SimpleNamespace


def _create_module_ptx(context: Any, ptx: str | bytes) -> Any:
    text = ptx if isinstance(ptx, str) else ptx.decode()
    capability = settings.options().compute_capability
    suffix = "a" if capability >= SUFFIX_SINCE else ""
    return context.create_module_image(Code((text,), f"sm_{capability[0]}{capability[1]}{suffix}"))
