"""Compiled kernels on disk: numba-cuda's own cache, with a key that tells specialised kernels apart.

numba-cuda's key has the byte code of a kernel and what it closes over, which is not enough (constants that were
unrolled into it, `launch_bounds`, device functions of other files) and at times too much (intrinsics get a new number
in each process). Ours is `emulator.identity`, beside numba-cuda's words for the signature, the compiler and the GPU.
"""

from typing import Any

from numba.cuda.dispatcher import CUDACache

from convbench.emulator import identity


def keep_on_disk(kernel: Any) -> None:
    """Have a dispatcher look for compiled kernels on disk before it compiles, and leave them there.

    Where is numba-cuda's choice: `NUMBA_CACHE_DIR`, or beside the source file, or the user's cache. A kernel that
    depends on what cannot be told, or whose source lies nowhere, is compiled in every process.
    """
    if isinstance(kernel._cache, CUDACache):  # noqa: SLF001  (numba-cuda takes a cache of another kind in no other way)
        return
    digest = identity.identity(kernel)
    if digest is None:
        return
    try:
        kernel._cache = _KernelCache(kernel.py_func, digest)  # noqa: SLF001
    except RuntimeError:  # no place to keep it: numba-cuda says so where it was asked by `cache=True`
        return


class _KernelCache(CUDACache):
    def __init__(self, function: Any, digest: str) -> None:
        self._digest = digest
        super().__init__(function)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        *others, _ = super()._index_key(sig, codegen)
        return (*others, self._digest)
