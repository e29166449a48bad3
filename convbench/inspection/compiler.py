"""A launch as machine code, with no device present: numba-cuda's own front end, its own NVVM and its own linker.

numba-cuda offers no public way from a kernel to what its dispatcher would load on a GPU, so this module, and no other,
reaches into it: it makes the dispatcher's own kernel object, which honours `launch_bounds`, `max_registers`,
`fastmath`, `lto` and linked code, and says for which compute capability. Device functions are compiled into the public
contexts, where a GPU of another architecture finds them: numba-cuda asks for the capability in two places, atomics and
tanh, and means the same by all from 7.5 on, which are all that are known here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from packaging.specifiers import SpecifierSet

from convbench.emulator import front_end
from convbench.errors import DeviceError, KernelError
from convbench.inspection.architecture import Architecture
from convbench.inspection.resources import Resources, read_log

NUMBA_CUDA = SpecifierSet(">=0.30.4,<0.31")
SUFFIX_SINCE = (9, 0)  # numba-cuda compiles for sm_90a, and so on: wgmma needs it

BRIEF = 600  # characters of an error: a linker says the same of every line


@dataclass(frozen=True)
class Compiled:
    """A kernel as the driver would load it."""

    name: str  # of the kernel's function in Python
    entry: str  # of the kernel in the cubin
    architecture: str  # with its suffix
    cubin: bytes
    resources: Resources


def compile_kernel(kernel: Any, types: tuple[Any, ...], architecture: Architecture) -> Compiled:
    """`kernel`, a `numba.cuda.jit` dispatcher, for arguments of these Numba types.

    Raises
    ------
    DeviceError
        the installed numba-cuda is none that this was written for, or its compiler is missing.
    KernelError
        numba-cuda cannot compile the kernel for this architecture.
    """
    check_version()
    try:
        return _built(kernel, types, architecture)
    except Exception as error:
        if fault := _fault(architecture):
            raise DeviceError(
                f'the compiler, or its linker, does not work: {fault}: pip install "convbench[cu13]" (or [cu12])'
            ) from error
        name = kernel.py_func.__name__
        raise KernelError(f"{name} does not compile for {architecture.name}: {_brief(error)}") from error


def _built(kernel: Any, types: tuple[Any, ...], architecture: Architecture) -> Compiled:
    from numba.cuda.dispatcher import _Kernel

    suffix = "a" if architecture.compute_capability >= SUFFIX_SINCE else ""
    capability = (*architecture.compute_capability, suffix)
    patching = front_end._lock  # noqa: SLF001  (numba-cuda is patched while a kernel compiles, there as here)
    with patching, _current_device(capability):
        made = _Kernel(kernel.py_func, types, **kernel.targetoptions)
        library = made._codelibrary  # noqa: SLF001  (numba-cuda has no other way)
        cubin, log = bytes(library.get_cubin().code), library.get_linkerinfo(capability)
    entry = str(made.entry_name)
    return Compiled(str(kernel.py_func.__name__), entry, architecture.name + suffix, cubin, read_log(log, entry))


def _fault(architecture: Architecture) -> str | None:
    """Why nothing at all compiles; None where something does."""
    from numba import cuda

    def nothing() -> None:
        pass

    try:
        _built(cuda.jit(nothing), (), architecture)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is the reason)
        return _brief(error)
    return None


def check_version() -> None:
    """Raise DeviceError where numba-cuda is not one whose internals are known here, or where it only simulates."""
    found = version("numba-cuda")
    if not NUMBA_CUDA.contains(found, prereleases=True):
        raise DeviceError(
            f"numba-cuda {found} is installed; `inspect` needs numba-cuda{NUMBA_CUDA}, whose internals it uses"
        )
    from numba.cuda.core import config

    if config.ENABLE_CUDASIM:
        raise DeviceError("NUMBA_ENABLE_CUDASIM is set, so that Numba only simulates; unset it to compile kernels")


@contextmanager
def _current_device(capability: tuple[int, int, str]) -> Iterator[None]:
    """numba-cuda asks the current device, or its context, which compute capability to compile for."""
    from numba.cuda import dispatcher
    from numba.cuda.codegen import CUDACodeLibrary
    from numba.cuda.cudadrv.driver import _Linker

    quiet = _Linker._get_linker_options  # noqa: SLF001

    def verbose(linker: Any, ptx: Any) -> Any:
        options = quiet(linker, ptx)
        options.verbose = True  # ptxas says what it spilled
        return options

    device = SimpleNamespace(compute_capability=capability[:2])
    patches: list[tuple[Any, str, Any]] = [
        (dispatcher, "get_current_device", lambda: device),
        (CUDACodeLibrary, "_ensure_cc", lambda _, cc: capability if cc is None else cc),
        # it is searched for calls of functions to link, and as PTX takes as long to make as the kernel
        (CUDACodeLibrary, "get_asm_str", CUDACodeLibrary.get_llvm_str),
        (_Linker, "_get_linker_options", verbose),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    for owner, name, value in patches:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= BRIEF else text[:BRIEF] + ' …'}"
