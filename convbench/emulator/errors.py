"""What the emulator raises."""


class EmulatorError(Exception):
    """Base of everything that the emulator raises on purpose."""


class VersionError(EmulatorError):
    """The installed numba-cuda, Numba or NumPy is not one that the emulator knows the internals of."""


class UnsupportedError(EmulatorError):
    """The kernel, or one of its arguments, uses something that the emulator has no counterpart of."""


class LaunchError(EmulatorError):
    """The hardware would refuse this launch: too many threads, blocks, or bytes of shared memory."""


class KernelFault(EmulatorError):  # noqa: N818  (a fault is what a debugger calls it)
    """A kernel did what it must not do. The message names kernel, file, line, block, thread and array.

    Attributes
    ----------
    kind : what it did, a `FaultKind`
    kernel : name of the kernel
    file, line : where, in the source of the kernel or of a device function; "" and 0 where nobody knows
    block, thread : blockIdx and threadIdx, (x, y, z)
    array : the argument's or the shared array's name, or ""
    """

    def __init__(
        self,
        message: str,
        *,
        kind: int,
        kernel: str,
        file: str,
        line: int,
        block: tuple[int, int, int],
        thread: tuple[int, int, int],
        array: str = "",
    ) -> None:
        super().__init__(message)
        self.kind, self.kernel, self.file, self.line = kind, kernel, file, line
        self.block, self.thread, self.array = block, thread, array


class OrderDependenceError(EmulatorError):
    """A result differs with the order in which threads and blocks ran, which hardware does not promise."""
