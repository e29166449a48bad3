"""The three kinds of code that a launch can run: numba-cuda's before NVVM, the PTX of a Numba kernel, and anyone's PTX.

A kernel and its arguments enter. What leaves knows the words of the arguments, the key by which machine code is kept,
and how to link the kernel.
"""

import threading
import warnings
from collections.abc import Sequence
from functools import cache
from types import FunctionType
from typing import Any, Literal, Protocol

import numpy.typing as npt

from convbench.emulator import disk
from convbench.emulator.arguments import Arguments, also, marshal, raw_pointer, types_of
from convbench.emulator.building import Linked, link, link_ptx
from convbench.emulator.declared import check_options
from convbench.emulator.errors import CompilationError, UnsupportedError
from convbench.emulator.machine import Machine
from convbench.emulator.ptx.kernel import PtxKernel
from convbench.emulator.ptx.numba_code import compiler_fault, ptx_of
from convbench.emulator.ptx.parser import parse

Code = Literal["llvm", "ptx"]
Bounds = int | tuple[int, ...] | None

_INVALID = "ERROR_INVALID_IR"  # of NVVM

_machine_lock = threading.Lock()
_machines: list[Machine] = []


def machine() -> Machine:
    """LLVM for the processor of this machine, made once."""
    with _machine_lock:
        if not _machines:
            _machines.append(Machine())
        return _machines[0]


@cache
def default_code() -> Code:
    """The code that fast mode runs: PTX, or numba-cuda's own where NVIDIA's compiler is missing, with one warning."""
    if (fault := compiler_fault()) is None:
        return "ptx"
    warnings.warn(
        f"the emulator runs numba-cuda's code before NVVM, with values that differ from a GPU's: {fault}: "
        'pip install "convbench[cu13]" (or [cu12]) for the code that a GPU gets',
        stacklevel=3,
    )
    return "llvm"


class Source(Protocol):
    """What a launch needs to know of a kernel and its arguments, wherever the code comes from."""

    name: str
    arguments: Arguments
    bounds: Bounds  # the most threads of a block that the kernel promised
    has_raw_pointer: bool

    def key(self, *, checked: bool) -> tuple[Any, ...]:
        """What the machine code depends on, but for the shape of a block."""

    def linked(self, key: tuple[Any, ...], *, checked: bool, counted: bool = False) -> Linked:
        """Link it, or take it from the disk; `counted` for a profile, which needs PTX."""


class _NumbaSource:
    """A Numba kernel in numba-cuda's code before NVVM."""

    looks_up_pointers = False  # whether code without checks finds the array that a pointer leads into

    def __init__(
        self,
        kernel: Any,
        args: tuple[Any, ...],
        types: tuple[Any, ...],
        capability: tuple[int, int],
        *,
        checked: bool,
        strict: bool,
    ) -> None:
        self.kernel, self.types, self.capability = kernel, types, capability
        self.strict = strict  # whether a negative index is out of bounds in checked mode
        self.name = kernel.py_func.__name__
        self.bounds = kernel.targetoptions.get("launch_bounds")
        pointer = raw_pointer(kernel, types)
        if pointer is not None and not checked and not self.looks_up_pointers:
            raise UnsupportedError(
                f"{self.name}: argument {pointer} is a raw pointer, which is followed in checked mode only: "
                "fast mode could not tell where it leads. PTX can: Emulator(code='ptx')"
            )
        self.has_raw_pointer = pointer is not None
        self.arguments = marshal(kernel, types, args)

    def key(self, *, checked: bool) -> tuple[Any, ...]:
        return self.kernel, self.types, self.capability, checked, checked and self.strict

    def linked(self, key: tuple[Any, ...], *, checked: bool, counted: bool = False) -> Linked:
        return disk.linked(self.kernel, key[1:], machine(), lambda: self._link(checked=checked, counted=counted))

    def _link(self, *, checked: bool, counted: bool) -> Linked:
        del counted  # only PTX is
        strict = checked and self.strict
        return link(self.kernel, self.types, machine(), self.capability, checked=checked, strict=strict)


class _LoweredSource(_NumbaSource):
    """A Numba kernel in the PTX that a GPU gets."""

    looks_up_pointers = True

    def key(self, *, checked: bool) -> tuple[Any, ...]:
        return *super().key(checked=checked), "ptx", self.arguments.pointers

    def linked(self, key: tuple[Any, ...], *, checked: bool, counted: bool = False) -> Linked:
        if self.kernel.targetoptions.get("debug"):  # its exceptions are objects of this process
            return self._link(checked=checked, counted=counted)
        return super().linked(key, checked=checked, counted=counted)

    def _link(self, *, checked: bool, counted: bool) -> Linked:
        try:
            strict = checked and self.strict
            texts, entry, shared, raises = ptx_of(
                self.kernel, self.types, self.capability, checked=checked, strict=strict
            )
        except CompilationError as error:
            if _INVALID in str(error):  # NVVM does not say why; what reads the same code for the host may know
                super()._link(checked=checked, counted=False)
            raise
        pointers = self.arguments.pointers
        linked = link_ptx(
            parse(*texts), entry, self.name, pointers, machine(), checked=checked, counted=counted, shared=shared
        )
        linked.raises = raises
        return linked


class _PtxSource:
    """A kernel of a PTX module that somebody loaded."""

    has_raw_pointer = False

    def __init__(self, kernel: PtxKernel, args: tuple[Any, ...], memory: Sequence[npt.NDArray[Any]]) -> None:
        self.kernel, self.name = kernel, kernel.name
        self.bounds: Bounds = kernel.most_threads
        self.arguments = kernel.marshal(args, memory)

    def key(self, *, checked: bool) -> tuple[Any, ...]:
        return self.kernel, self.arguments.pointers, checked

    def linked(self, key: tuple[Any, ...], *, checked: bool, counted: bool = False) -> Linked:
        del key
        module, pointers = self.kernel.module, self.arguments.pointers
        return link_ptx(module, self.kernel.entry, self.name, pointers, machine(), checked=checked, counted=counted)


def source_of(
    kernel: Any,
    args: tuple[Any, ...],
    types: tuple[Any, ...] | None,
    memory: Sequence[npt.NDArray[Any]],
    compute_capability: tuple[int, int],
    code: Code,
    *,
    checked: bool,
    strict: bool = False,
) -> Source:
    """The source of a kernel and its arguments. Raises CompilationError and UnsupportedError, before anything runs."""
    if isinstance(kernel, PtxKernel):
        if code != "ptx":
            raise UnsupportedError(f"{kernel.name} is PTX: launch it with Emulator(code='ptx')")
        if types is not None:
            raise CompilationError(
                f"{kernel.name} is PTX, which has the types of its parameters already: pass no `types`"
            )
        return _PtxSource(kernel, args, memory)
    _check_kernel(kernel)
    if len(memory) and code != "ptx":
        raise CompilationError(f"{kernel.py_func.__name__}: only code='ptx' and kernels of load_ptx take `memory`")
    types = types_of(kernel, args) if types is None else types
    kind = _LoweredSource if code == "ptx" else _NumbaSource
    source = kind(kernel, args, types, compute_capability, checked=checked, strict=strict)
    source.arguments.arrays += also(memory)
    return source


def _check_kernel(kernel: Any) -> None:
    """Check that this is a kernel. Raises CompilationError, which says how to make one."""
    from numba.cuda.dispatcher import CUDADispatcher, _Kernel  # Numba's simulator lacks the second

    name = getattr(kernel, "__name__", None) or getattr(type(kernel), "__name__", "?")
    if not isinstance(kernel, CUDADispatcher | _Kernel):  # the second is one that is compiled for certain types
        what = "a plain function" if isinstance(kernel, FunctionType) else f"of type {type(kernel).__name__}"
        raise CompilationError(f"{name} is {what} and no kernel: decorate the function with @numba.cuda.jit")
    if kernel.targetoptions.get("device"):
        raise CompilationError(
            f"{name} is a device function, which only kernels can call: decorate it with @numba.cuda.jit, without "
            "device=True"
        )
    check_options(kernel)
