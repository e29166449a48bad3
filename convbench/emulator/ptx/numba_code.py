"""Get the PTX that a launch of a Numba kernel links on a GPU, without a driver or a GPU.

A launch goes through LTO wherever nvJitLink is installed: numba-cuda gives it NVVM's intermediate code, and nvJitLink
writes the PTX that ptxas assembles. This module asks for that text. Without nvJitLink, NVVM's own PTX is what runs.

numba-cuda has no public function for this, so its internals are used, as in `front_end`.
"""

import re
import warnings
from typing import Any

from convbench.emulator import front_end, shortcuts
from convbench.emulator.compilation import why_not
from convbench.emulator.errors import CompilationError, UnsupportedError
from convbench.emulator.without_device import compiling_for

# numba-cuda marks its debug information as one to warn about if another module has another version, and NVRTC as an
# error. nvJitLink refuses to link the two, for example a kernel with lines that uses bfloat16.
_FLAG = re.compile(r'!\{ i32 2, (!"Debug Info Version")')

SUFFIX_SINCE = (9, 0)  # from here on numba-cuda compiles for sm_90a and so on, because wgmma needs it


def ptx_of(kernel: Any, types: tuple[Any, ...], compute_capability: tuple[int, int]) -> tuple[str, str]:
    """The PTX of a `numba.cuda.jit` dispatcher for arguments of these Numba types, and the name of its entry.

    Raises
    ------
    CompilationError
        numba-cuda fails in a way of its own.
    UnsupportedError
        the kernel needs `debug=True`.
    numba.core.errors.NumbaError
        numba-cuda cannot compile the kernel, not even for a GPU.
    """
    front_end.check_versions()
    # here, because other versions of numba-cuda may have moved these, and Numba's simulator lacks the compiler
    from numba.cuda.core.errors import NumbaDebugInfoWarning, NumbaError
    from numba.cuda.dispatcher import _Kernel

    name = kernel.py_func.__name__
    options = {**kernel.targetoptions, "lineinfo": True}
    if options.get("debug"):
        raise UnsupportedError(f"{name}: debug=True is not emulated; the checked mode sees more")
    capability = (*compute_capability, "a" if compute_capability >= SUFFIX_SINCE else "")
    lock = front_end._lock  # noqa: SLF001  (numba-cuda is patched under it)
    with lock, shortcuts.taken(), compiling_for(capability, _with_lines()), warnings.catch_warnings():
        # the source of a kernel typed at a prompt cannot be found, which is no reason for a warning
        warnings.simplefilter("ignore", NumbaDebugInfoWarning)
        try:
            # one that is compiled already knows what a launch of it links
            made = kernel if isinstance(kernel, _Kernel) else _Kernel(kernel.py_func, types, **options)
            library = made._codelibrary  # noqa: SLF001  (numba-cuda has no public name for it)
            text = library.get_lto_ptx(capability) if library._lto else library.get_asm_str(capability)  # noqa: SLF001
        except NumbaError:
            raise
        except Exception as error:
            raise CompilationError(f"{name}: numba-cuda fails to compile it: {why_not(kernel, error)}") from error
    return (text if isinstance(text, str) else text.decode()), str(made.entry_name)


def compiler_fault() -> str | None:
    """The reason why no PTX can be made, in one line; None if NVVM is there."""
    try:
        from numba.cuda.cudadrv.nvvm import NVVM  # here, because Numba's simulator lacks it

        NVVM()
    except Exception as error:  # noqa: BLE001  (any error is the reason)
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None


def _with_lines() -> list[tuple[Any, str, Any]]:
    """What to replace so that nvJitLink links code with lines (see `_FLAG`)."""
    from numba.cuda.cudadrv import nvvm  # here, because Numba's simulator lacks it

    compile_ir = nvvm.compile_ir

    def compile_lines(modules: Any, **options: Any) -> Any:
        texts = [modules] if isinstance(modules, str) else modules
        return compile_ir([_FLAG.sub(r"!{ i32 1, \1", text) for text in texts], **options)

    return [(nvvm, "compile_ir", compile_lines)]
