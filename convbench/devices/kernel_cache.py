"""Keeps compiled kernels on disk, in numba-cuda's own cache with a key that distinguishes specialised kernels.

numba-cuda's own key contains a kernel's byte code and the values it closes over. That is not enough: it lacks constants
that were unrolled into the kernel, `launch_bounds`, and device functions of other files. It is sometimes too much,
because intrinsics get a new number in each process. The key here is `emulator.identity` instead, together with
numba-cuda's entries for the signature, the compiler and the GPU.
"""

from typing import Any

from numba.cuda.dispatcher import CUDACache

from convbench.emulator import identity


def keep_on_disk(kernel: Any) -> None:
    """Make a dispatcher look for the compiled kernel on disk before it compiles, and store it there afterwards.

    numba-cuda chooses the folder: `NUMBA_CACHE_DIR`, or beside the source file, or the user's cache. A kernel is
    compiled in every process if its identity is unknown or its source is not in a file.
    """
    if isinstance(kernel._cache, CUDACache):  # noqa: SLF001  (numba-cuda takes a cache of another kind in no other way)
        return
    digest = identity.identity(kernel)
    if digest is None:
        return
    try:
        kernel._cache = _KernelCache(kernel.py_func, digest)  # noqa: SLF001
    except RuntimeError:  # there is no folder to store it; numba-cuda raises this, as it does for `cache=True`
        return


class _KernelCache(CUDACache):
    def __init__(self, function: Any, digest: str) -> None:
        self._digest = digest
        super().__init__(function)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        *others, _ = super()._index_key(sig, codegen)
        return (*others, self._digest)
