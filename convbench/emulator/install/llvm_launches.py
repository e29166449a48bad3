"""Make numba-cuda launch on the emulator. Its dispatcher, choice of signature and compilation stay unchanged.

In PTX mode (CONVBENCH_CODE=ptx) its launches stay unchanged too, down to the calls of the driver (`modules`). In LLVM
mode a launch gives the kernel itself to the emulator.
"""

import os
from functools import wraps
from typing import Any

from cuda.core._utils.cuda_utils import CUDAError
from numba.cuda import args as hints
from numba.cuda import codegen, dispatcher
from numba.cuda.cudadrv import driver

from convbench.emulator import CompilationError, Emulator, LaunchError, UnsupportedError
from convbench.emulator.install import host_driver, modules
from convbench.emulator.limits import MAX_THREADS

CODE = os.environ.get("CONVBENCH_CODE", "llvm")

_original_init = dispatcher._Kernel.__init__


class _Function:
    """A stand-in for a function on a device, without any properties of its machine code."""

    max_threads_per_block = maxthreads = MAX_THREADS

    @property
    def kernel(self) -> "_Function":
        return self

    attributes = attrs = kernel

    def __getattr__(self, name: str) -> Any:
        raise UnsupportedError(f"{name} of a function: its machine code is not a GPU's")


@wraps(_original_init)
def _init(kernel: Any, py_func: Any, argument_types: Any, **options: Any) -> None:
    kernel.targetoptions = options
    write_ptx = codegen.CUDACodeLibrary.get_asm_str
    codegen.CUDACodeLibrary.get_asm_str = lambda library: ""  # it is only searched for libraries to link
    try:
        _original_init(kernel, py_func, argument_types, **options)
    finally:
        codegen.CUDACodeLibrary.get_asm_str = write_ptx


def _value(argument: Any) -> Any:
    if isinstance(argument, hints.In):
        value = host_driver.on_host(argument.value)
        return value.copy() if value is argument.value else value  # what the kernel writes there is lost
    return host_driver.on_host(argument.value if isinstance(argument, hints.ArgHint) else argument)


def _launch(kernel: Any, args: Any, griddim: Any, blockdim: Any, stream: Any = 0, sharedmem: int = 0) -> None:
    after: list[Any] = []
    values = []
    for kind, value in zip(kernel.argument_types, args, strict=True):
        for extension in reversed(kernel.extensions):
            kind, value = extension.prepare_args(kind, value, stream=stream, retr=after)
        values.append(_value(value))
    try:
        types = tuple(kernel.argument_types)
        Emulator().launch(kernel, griddim, blockdim, *values, shared_bytes=sharedmem, types=types)
    except LaunchError as refused:
        raise CUDAError(f"CUDA_ERROR_INVALID_VALUE: {refused}") from refused  # in the driver's words
    except CompilationError as refused:
        if isinstance(
            refused.__cause__, TypeError
        ):  # an argument that its declared type cannot take, as numba-cuda says
            raise refused.__cause__ from None
        raise
    for done in after:
        done()


def _refuse_module(context: Any, *_: Any) -> Any:
    raise UnsupportedError("machine code for a GPU cannot be loaded")


def install() -> None:
    """Make every kernel of this process run on the emulator."""
    host_driver.install()
    driver._to_core_stream = lambda stream: stream or driver.Stream(driver.binding.CUstream(0))
    if CODE == "ptx":
        modules.install()
        return
    dispatcher._Kernel.__init__ = _init
    dispatcher._Kernel.bind = lambda kernel: None
    dispatcher._Kernel.launch = _launch
    codegen.CUDACodeLibrary.get_cufunc = lambda library: _Function()
    driver.Context.create_module_image = _refuse_module
