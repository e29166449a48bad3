"""Get the PTX that a launch of a Numba kernel links on a GPU, without a driver or a GPU.

A launch goes through LTO wherever nvJitLink is installed: numba-cuda gives it NVVM's intermediate code, and nvJitLink
writes the PTX that ptxas assembles. This module asks for that text. Without nvJitLink, NVVM's own PTX is what runs.

numba-cuda has no public function for this, so its internals are used, as in `front_end`.
"""

import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convbench.emulator import front_end, shortcuts
from convbench.emulator.checks import unset
from convbench.emulator.checks.index_checks import without_wrap
from convbench.emulator.compilation import why_not
from convbench.emulator.errors import CompilationError, UnsupportedError
from convbench.emulator.ptx.storage import Storage
from convbench.emulator.retarget import Array, shared_arrays
from convbench.emulator.without_device import compiling_for

# numba-cuda marks its debug information as one to warn about if another module has another version, and NVRTC as an
# error. nvJitLink refuses to link the two, for example a kernel with lines that uses bfloat16.
_FLAG = re.compile(r'!\{ i32 2, (!"Debug Info Version")')

# device functions of checked kernels, which no GPU must get, without and with `strict`
_CHECKED: tuple[front_end.Overloads, front_end.Overloads] = OrderedDict(), OrderedDict()

_HELPERS: dict[Any, Any] = {}  # functions that numba-cuda compiles for its own use, with lines

SUFFIX_SINCE = (9, 0)  # from here on numba-cuda compiles for sm_90a and so on, because wgmma needs it


class Ptx(NamedTuple):
    """The PTX of a kernel: modules to link, the name of the entry, and what to call after each run."""

    texts: list[str]
    entry: str
    shared: dict[str, Array]  # the shared arrays, by their symbols
    raises: Callable[[Storage], None] | None  # raises the exception that the kernel raised, if it has `debug=True`


def ptx_of(
    kernel: Any,
    types: tuple[Any, ...],
    compute_capability: tuple[int, int],
    *,
    checked: bool = False,
    strict: bool = False,
) -> Ptx:
    """The PTX of a `numba.cuda.jit` dispatcher for arguments of these Numba types.

    With `checked`, it has an instruction of its own where a variable is read that no path has set (`unset`). With
    `strict` too, a negative index does not count from the end, so that the access is outside its array.

    Raises
    ------
    CompilationError
        numba-cuda fails in a way of its own.
    UnsupportedError
        the kernel links machine code.
    numba.core.errors.NumbaError
        numba-cuda cannot compile the kernel, not even for a GPU.
    """
    front_end.check_versions()
    # here, because other versions of numba-cuda may have moved these, and Numba's simulator lacks the compiler
    from numba.cuda.core.errors import NumbaDebugInfoWarning, NumbaError
    from numba.cuda.cudadrv import driver
    from numba.cuda.dispatcher import _Kernel

    name = kernel.py_func.__name__
    options = dict(kernel.targetoptions)
    options["lineinfo"] = not options.get("debug")  # which has lines of its own
    capability = (*compute_capability, "a" if compute_capability >= SUFFIX_SINCE else "")
    lock = front_end._lock  # noqa: SLF001  (numba-cuda is patched under it)
    more = [
        *with_lines(),
        *without_assembly(),
        *(unset.patches(unset.assemble) if checked else ()),
        *(without_wrap() if strict else ()),
    ]
    apart = front_end.kept_apart(_CHECKED[strict]) if checked else nullcontext()
    with lock, shortcuts.taken(), compiling_for(capability, more), apart, warnings.catch_warnings():
        # the source of a kernel typed at a prompt cannot be found, which is no reason for a warning
        warnings.simplefilter("ignore", NumbaDebugInfoWarning)
        try:
            # one that is compiled already knows what a launch of it links
            made = kernel if isinstance(kernel, _Kernel) else _Kernel(kernel.py_func, types, **options)
            library = made._codelibrary  # noqa: SLF001  (numba-cuda has no public name for it)
            linker = driver._Linker(max_registers=library._max_registers, cc=capability, lto=library._lto)  # noqa: SLF001
            library._link_all(linker, capability)  # noqa: SLF001
            texts = linked_texts(linker)
        except (NumbaError, UnsupportedError):
            raise
        except Exception as error:
            raise CompilationError(f"{name}: numba-cuda fails to compile it: {why_not(kernel, error)}") from error
    entry = str(made.entry_name)
    shared = shared_arrays(list(library.llvm_strs))
    return Ptx(texts, entry, shared, partial(_raise, made, entry) if made.debug else None)


def linked_texts(linker: Any) -> list[str]:
    """The PTX of all that was given to a linker of numba-cuda.

    nvJitLink makes PTX of intermediate code. PTX stays as it is. Raises UnsupportedError for machine code.
    """
    given = linker._object_codes  # noqa: SLF001  (numba-cuda has no public name for it)
    texts = [_text(code.code) for code in given if code.code_type == "ptx"]
    linker._object_codes = [code for code in given if code.code_type == "ltoir"]  # noqa: SLF001
    foreign = [code.name for code in given if code.code_type not in ("ptx", "ltoir")]
    # the library of the device runtime has grid synchronisation and launches from kernels
    if refused := [name for name in foreign if "cudadevrt" not in name]:
        raise UnsupportedError(f"machine code for a GPU cannot be linked, only PTX and LTO-IR: {', '.join(refused)}")
    if linker._object_codes:  # noqa: SLF001
        texts.insert(0, _text(linker.get_linked_ptx()))
    return texts


def _text(code: Any) -> str:
    return code if isinstance(code, str) else bytes(code).decode()


def _raise(made: Any, entry: str, variables: Storage) -> None:
    """Raise the exception that a kernel with `debug=True` has raised, with the words that a launch on a GPU has.

    The kernel notes the number of the first exception and its thread in variables of the module.
    """
    noted = variables.bytes_of(f"{entry}__errcode__").view(np.int32)
    code, noted[0] = int(noted[0]), 0
    if code == 0:
        return

    def place(of: str) -> list[int]:
        return [int(variables.bytes_of(f"{entry}__{of}{axis}__").view(np.int32)[0]) for axis in "zyx"]

    kind, arguments, location = made.call_helper.get_exception(code)
    told = f"tid={place('tid')} ctaid={place('ctaid')}"
    if location is not None:
        function, file, line = location
        told = f"In function {function!r}, file {Path(file).absolute()}, line {line}, {told}"
    if arguments:
        raise kind(f"{told}: {arguments[0]}", *arguments[1:])
    raise kind(told)


def compiler_fault() -> str | None:
    """The reason why no PTX can be made, in one line; None if NVVM is there."""
    try:
        from numba.cuda.cudadrv.nvvm import NVVM  # here, because Numba's simulator lacks it

        NVVM()
    except Exception as error:  # noqa: BLE001  (any error is the reason)
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None


def without_assembly() -> list[tuple[Any, str, Any]]:
    """What to replace so that NVVM does not write a kernel's PTX before nvJitLink does.

    numba-cuda looks in NVVM's PTX for the names of functions of its own, which it then links. If the code before NVVM
    has none of these names, the PTX has none either.
    """
    # here, because other versions of numba-cuda may have moved these, and Numba's simulator lacks them
    from numba.cuda.codegen import CUDACodeLibrary
    from numba.cuda.dispatcher import _Kernel, reshape_funcs

    assembled, own = CUDACodeLibrary.get_asm_str, (*reshape_funcs, *_Kernel.NRT_functions)

    def get_asm_str(library: Any, cc: Any = None) -> Any:
        if library._lto and not any(name in text for text in library.llvm_strs for name in own):  # noqa: SLF001
            return ""
        return assembled(library, cc)

    return [(CUDACodeLibrary, "get_asm_str", get_asm_str)]


def with_lines() -> list[tuple[Any, str, Any]]:
    """What to replace so that nvJitLink links code with lines (see `_FLAG`)."""
    # here, because Numba's simulator lacks them
    from numba.cuda.cudadrv import nvvm
    from numba.cuda.descriptor import cuda_target

    compile_ir = nvvm.compile_ir

    def compile_lines(modules: Any, **options: Any) -> Any:
        texts = [modules] if isinstance(modules, str) else modules
        return compile_ir([_FLAG.sub(r"!{ i32 1, \1", text) for text in texts], **options)

    # helpers with lines are kept apart: an ordinary compilation that found one could not be linked with NVRTC's code
    return [(nvvm, "compile_ir", compile_lines), (cuda_target.target_context, "cached_internal_func", _HELPERS)]
