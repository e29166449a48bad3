"""Make numba-cuda compile for a compute capability, without a device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from convbench.emulator.patching import patched


@contextmanager
def compiling_for(capability: tuple[int, int, str], more: Sequence[tuple[Any, str, Any]] = ()) -> Iterator[None]:
    """Tell numba-cuda a capability, which it would ask of the current device or its context.

    `more` has further attributes to replace meanwhile, as in `patched`. The caller holds the lock of `front_end`.
    """
    # here, because other versions of numba-cuda may lack these, and Numba's simulator does
    from numba.cuda import dispatcher
    from numba.cuda.codegen import CUDACodeLibrary

    device = SimpleNamespace(compute_capability=capability[:2])
    own = (
        (dispatcher, "get_current_device", lambda: device),
        (CUDACodeLibrary, "_ensure_cc", lambda _, cc: capability if cc is None else cc),
    )
    with patched([*own, *more]):
        yield
