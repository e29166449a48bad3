"""The exceptions that the emulator raises, and its remarks on kernels without a fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class EmulatorError(Exception):
    """Base class of all exceptions of the emulator. Each can be sent to another process, for example from a pool."""

    def __reduce__(self) -> tuple[Any, ...]:
        # the launch holds the kernel and its arrays, which stay here; the notes already tell them
        return _again, (type(self), self.args, {name: own for name, own in vars(self).items() if name != "launch"})


def _again(kind: type[EmulatorError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> EmulatorError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(attributes)
    return error


class VersionError(EmulatorError):
    """The installed numba-cuda, Numba, llvmlite or NumPy is not a version that the emulator was written for."""


class UnsupportedError(EmulatorError):
    """The kernel, or one of its arguments, uses something for which the emulator has no counterpart."""


class CompilationError(UnsupportedError):
    """numba-cuda cannot compile the kernel. The message names file, line and reason."""


class LaunchError(EmulatorError):
    """The hardware would refuse this launch: too many threads, blocks, or bytes of shared memory."""


class KernelFault(EmulatorError):  # noqa: N818  (a fault is what a debugger calls it)
    """A kernel made an error. The message names kernel, file, line, block, thread and array.

    Attributes
    ----------
    kind : the kind of error, a `FaultKind`
    kernel : name of the kernel
    file, line : place in the source of the kernel or of a device function; "" and 0 if it is not known
    block, thread : blockIdx and threadIdx, (x, y, z)
    array : name of the argument, or of the shared or local array; "" if there is none
    others : further faults of the same launch, if it was to go on (`keep_going`)
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
        self.others: tuple[KernelFault, ...] = ()


def raise_first(faults: Sequence[KernelFault]) -> None:
    """Raise the first of some faults, with the others that differ in kind or line. Without faults, do nothing."""
    distinct = {(fault.kind, fault.file, fault.line): fault for fault in reversed(faults)}
    if faults:
        chosen = list(reversed(distinct.values()))
        faults[0].others = tuple(fault for fault in chosen if fault is not faults[0])
        raise faults[0]


@dataclass(frozen=True)
class Remark:
    """A remark on a kernel: Numba defines what the line does, and the author perhaps meant something else."""

    message: str
    kind: int  # a `FaultKind`
    kernel: str
    file: str
    line: int
    block: tuple[int, int, int]
    thread: tuple[int, int, int]
    array: str


class OrderDependenceError(EmulatorError):
    """A result depends on the order in which threads and blocks run, which hardware does not promise."""
