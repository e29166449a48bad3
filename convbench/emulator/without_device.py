"""Make numba-cuda compile for a compute capability, without a device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ClassVar

from convbench.emulator.errors import UnsupportedError
from convbench.emulator.patching import patched


@contextmanager
def compiling_for(capability: tuple[int, int, str], more: Sequence[tuple[Any, str, Any]] = ()) -> Iterator[None]:
    """Tell numba-cuda a capability, which it would ask of the current device or its context.

    `more` has further attributes to replace meanwhile, as in `patched`. The caller holds the lock of `front_end`.
    """
    # here, because other versions of numba-cuda may lack these, and Numba's simulator does
    from numba.cuda import dispatcher
    from numba.cuda.codegen import CUDACodeLibrary
    from numba.cuda.cudadrv import nvrtc

    device = SimpleNamespace(compute_capability=capability[:2])
    own = (
        (dispatcher, "get_current_device", lambda: device),
        (CUDACodeLibrary, "_ensure_cc", lambda _, cc: capability if cc is None else cc),
        (nvrtc, "Program", CudaSource),
    )
    with patched([*own, *more]):
        yield


class CudaSource:
    """CUDA C++ for NVRTC, in the place of cuda.core's `Program`, which asks the driver whether it could load PTX.

    The result is kept: numba-cuda links the same source with every kernel that makes arrays, and it takes seconds.
    """

    _compiled: ClassVar[dict[tuple[Any, ...], Any]] = {}

    def __init__(self, source: str, kind: str, *, options: Any) -> None:
        self._source, self._kind, self._options = source, kind, options

    def compile(self, target: str, *, logs: Any) -> Any:
        """Compile to "ptx" or "ltoir". Raises UnsupportedError, with NVRTC's words, for source that is wrong."""
        key = self._source, target, *self._options.as_bytes("nvrtc")
        if key not in self._compiled:
            self._compiled[key] = self._compile(target, logs)
        return self._compiled[key]

    def _compile(self, target: str, logs: Any) -> Any:
        # here, because they are parts of the CUDA packages, which need not be installed
        from cuda.bindings import nvrtc
        from cuda.core import ObjectCode, Program

        if target != "ptx":
            return Program(self._source, self._kind, options=self._options).compile(target, logs=logs)
        options = self._options.as_bytes("nvrtc")
        _, program = nvrtc.nvrtcCreateProgram(self._source.encode(), str(self._options.name).encode(), 0, [], [])
        (failed,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        if failed:
            log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
            nvrtc.nvrtcGetProgramLog(program, log)
            raise UnsupportedError(f"NVRTC cannot compile {self._options.name}: {log.decode().strip(chr(0))}")
        text = b" " * nvrtc.nvrtcGetPTXSize(program)[1]
        nvrtc.nvrtcGetPTX(program, text)
        nvrtc.nvrtcDestroyProgram(program)
        return ObjectCode.from_ptx(text.rstrip(b"\0"), name=self._options.name)
