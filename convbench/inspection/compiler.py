"""Compile a launch to machine code without a device, with numba-cuda's own front end, NVVM and linker.

numba-cuda has no public function that returns what its dispatcher would load on a GPU. So this module uses its
internals; no other module does so for machine code. It makes the dispatcher's own kernel object, which honours
`launch_bounds`, `max_registers`, `fastmath`, `lto` and linked code, and tells it the compute capability.

A kernel object serves all architectures, and device functions are compiled into the public contexts, where a GPU of
another architecture finds them later. This does no harm: the front end asks for the capability in two places only,
atomics and tanh, and its answer is the same for all capabilities from 7.5 on, which are all that this package knows.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from numba import cuda
from numba.cuda.core import config
from packaging.specifiers import SpecifierSet

from convbench.emulator import front_end, shortcuts, without_device
from convbench.errors import DeviceError, KernelError
from convbench.inspection.architecture import Architecture
from convbench.inspection.resources import Resources, read_log

NUMBA_CUDA = SpecifierSet(">=0.30.4,<0.31")
SUFFIX_SINCE = (9, 0)  # from here on numba-cuda compiles for sm_90a and so on, because wgmma needs it

KEPT = 32  # kernels that the front end has compiled, for the next architecture
BRIEF = 600  # characters of an error that are kept: a linker repeats itself for every line


@dataclass(frozen=True)
class Compiled:
    """A kernel in the form that the driver would load."""

    name: str  # of the kernel's function in Python
    entry: str  # name of the kernel in the cubin
    architecture: str  # with its suffix, as sm_90a
    cubin: bytes
    resources: Resources


def compile_kernel(kernel: Any, types: tuple[Any, ...], architecture: Architecture) -> Compiled:
    """Compile `kernel`, a `numba.cuda.jit` dispatcher, for arguments of these Numba types.

    Raises
    ------
    DeviceError
        the installed numba-cuda is not a version that this module was written for, or its compiler is missing.
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
    suffix = "a" if architecture.compute_capability >= SUFFIX_SINCE else ""
    capability = (*architecture.compute_capability, suffix)
    patching = front_end._lock  # noqa: SLF001  (the emulator patches numba-cuda while a kernel compiles, as is done here)
    with patching, shortcuts.taken(), without_device.compiling_for(capability, _telling()):
        made = _kernel_object(kernel, types)
        library = made._codelibrary  # noqa: SLF001  (numba-cuda has no public name for it)
        cubin, log = bytes(library.get_cubin().code), library.get_linkerinfo(capability)
    entry = str(made.entry_name)
    return Compiled(str(kernel.py_func.__name__), entry, architecture.name + suffix, cubin, read_log(log, entry))


@lru_cache(KEPT)
def _kernel_object(kernel: Any, types: tuple[Any, ...]) -> Any:
    # here, because other versions of numba-cuda may lack it, and Numba's simulator does: check_version comes first
    from numba.cuda.dispatcher import _Kernel

    return _Kernel(kernel.py_func, types, **kernel.targetoptions)


def _fault(architecture: Architecture) -> str | None:
    """The reason why not even an empty kernel compiles; None if it does."""

    def nothing() -> None:
        pass

    try:
        _built(cuda.jit(nothing), (), architecture)
    except Exception as error:  # noqa: BLE001  (any error is the reason)
        return _brief(error)
    return None


def check_version() -> None:
    """Raise DeviceError if numba-cuda is a version whose internals are not known here, or if it only simulates."""
    found = version("numba-cuda")
    if not NUMBA_CUDA.contains(found, prereleases=True):
        raise DeviceError(
            f"numba-cuda {found} is installed; `inspect` needs numba-cuda{NUMBA_CUDA}, whose internals it uses"
        )
    if config.ENABLE_CUDASIM:
        raise DeviceError("NUMBA_ENABLE_CUDASIM is set, so Numba only simulates; unset it to compile kernels")


def _telling() -> list[tuple[Any, str, Any]]:
    """What to replace so that the linker tells registers and spills, and no PTX is made."""
    # here, because other versions of numba-cuda may lack these, and Numba's simulator does
    from numba.cuda.codegen import CUDACodeLibrary
    from numba.cuda.cudadrv.driver import _Linker

    quiet = _Linker._get_linker_options  # noqa: SLF001

    def verbose(linker: Any, ptx: Any) -> Any:
        options = quiet(linker, ptx)
        options.verbose = True  # so that ptxas reports registers and spills
        return options

    return [
        # it is only searched for calls of functions to link, and making PTX takes as long as compiling the kernel
        (CUDACodeLibrary, "get_asm_str", CUDACodeLibrary.get_llvm_str),
        (_Linker, "_get_linker_options", verbose),
    ]


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= BRIEF else text[:BRIEF] + ' …'}"
