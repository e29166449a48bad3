"""Kernels with declared signatures: `cuda.jit("void(float32[:], int32)")`.

numba-cuda compiles them when they are declared, and asks the device for its compute capability. Without a driver the
declaration would fail, so that no emulator could launch such a kernel. `allow` makes numba-cuda keep the declared types
there, and compile nothing: the emulator does that when it launches the kernel.
"""

import inspect
from functools import wraps
from typing import Any

from convbench.emulator.errors import CompilationError
from convbench.emulator.without_device import compiling_for

FRONT_END = (9, 0, "a")  # a capability for device functions, which become code when a kernel calls them


class Declared:
    """A declared signature of a kernel that has not been compiled."""

    objectmode, entry_point, launch_config_sensitive = False, None, False

    def __init__(self, types: tuple[Any, ...]) -> None:
        from numba.cuda import types as numba_types
        from numba.cuda.typing import signature

        self.signature = signature(numba_types.void, *types)


def allow() -> None:
    """Let kernels and device functions be declared with signatures where there is no driver."""
    from numba.cuda import config

    if config.ENABLE_CUDASIM:  # Numba's simulator compiles nothing, and lacks what follows
        return
    from numba.cuda.cudadrv.error import CudaSupportError
    from numba.cuda.dispatcher import CUDADispatcher

    compile_kernel, compile_device = CUDADispatcher.compile, CUDADispatcher.compile_device

    @wraps(compile_kernel)
    def declare(dispatcher: Any, given: Any) -> Any:
        try:
            return compile_kernel(dispatcher, given)
        except CudaSupportError:
            from numba.cuda.core import sigutils

            types, _ = sigutils.normalize_signature(given)
            made = Declared(tuple(types))
            dispatcher.add_overload(made, tuple(types))
            return made

    @wraps(compile_device)
    def declare_device(dispatcher: Any, args: Any, return_type: Any = None) -> Any:
        try:
            return compile_device(dispatcher, args, return_type)
        except CudaSupportError:
            with compiling_for(FRONT_END):
                return compile_device(dispatcher, args, return_type)

    CUDADispatcher.compile, CUDADispatcher.compile_device = declare, declare_device


def check_options(kernel: Any) -> None:
    """Raise CompilationError for an option that `cuda.jit` does not have: numba-cuda takes it, and fails at launch."""
    from numba.cuda.dispatcher import _Kernel

    parameters = inspect.signature(_Kernel.__init__).parameters
    known = [name for name in parameters if name not in ("self", "py_func", "argtypes")]
    for option in kernel.targetoptions:
        if option not in known:
            raise CompilationError(
                f"{kernel.py_func.__name__}: cuda.jit got an unexpected keyword argument {option!r}: "
                f"its options are {', '.join(known)}"
            )


def declared_types(kernel: Any, types: tuple[Any, ...]) -> tuple[Any, ...]:
    """The declared types that arguments of these types are converted to; the types themselves if none are declared.

    Raises CompilationError if no declared signature takes them.
    """
    if getattr(kernel, "_can_compile", True):
        return types
    signatures = [compiled.signature.args for compiled in kernel.overloads.values()]
    fitting = [declared for declared in signatures if len(declared) == len(types)]
    # numba-cuda registers conversions of arrays, for example from contiguous to any layout, when it first needs them
    install = kernel.typingctx.install_possible_conversions
    possible = [declared for declared in fitting if install(types, _addresses(declared))]
    if not possible:
        raise CompilationError(
            f"{kernel.py_func.__name__} is declared for {' or '.join(map(_shown, signatures))}, "
            f"and takes no {_shown(types)}"
        )
    number = kernel._tm.select_overload(  # noqa: SLF001  (numba-cuda has no public name for it)
        types, [_addresses(declared) for declared in possible], allow_unsafe=True, exact_match_required=False
    )
    return tuple(possible[number])


def _addresses(declared: tuple[Any, ...]) -> tuple[Any, ...]:
    """Declared types, with integers in the place of raw pointers, for which a launch passes addresses."""
    from numba.cuda import types as numba_types

    return tuple(numba_types.uint64 if isinstance(kind, numba_types.CPointer) else kind for kind in declared)


def _shown(types: Any) -> str:
    return f"({', '.join(map(str, types))})"
