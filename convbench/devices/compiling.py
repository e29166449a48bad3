"""What a device says when a kernel does not compile."""

from collections.abc import Iterator
from contextlib import contextmanager

from numba.core.errors import NumbaError as HostNumbaError
from numba.cuda.core.errors import NumbaError

from convbench.devices.device import Kernel
from convbench.emulator import compilation
from convbench.errors import CompileError


@contextmanager
def compile_errors(kernel: Kernel) -> Iterator[None]:
    """Raise CompileError, with the line and the reason, for what Numba raises when it cannot compile a kernel."""
    try:
        yield
    except (NumbaError, HostNumbaError) as error:
        raise CompileError(f"does not compile: {compilation.why_not(kernel, error)}") from error
