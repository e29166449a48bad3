"""Habits of kernels that are valid: in a program they are notes of checked mode, and an option makes each a fault."""

from convbench.emulator.errors import KernelFault, Remark
from convbench.emulator.state import FaultKind


def early_return(fault: KernelFault) -> KernelFault | None:
    """The note on a fault that is threads which return before a barrier; None for any other fault."""
    if fault.kind != FaultKind.EARLY_EXIT:
        return None
    what = "threads return before a barrier, which waits for the others, as hardware does since Volta"
    return KernelFault(
        f"{fault.kernel}: {what}; --strict-return makes it a fault",
        kind=fault.kind, kernel=fault.kernel, file=fault.file, line=fault.line,
        block=fault.block, thread=fault.thread, array=fault.array,
    )  # fmt: skip


def note_of(remark: Remark) -> KernelFault:
    """The note on a remark of checked mode, such as an index that counts from the end."""
    what = remark.message.replace(f" ({remark.file}:{remark.line})", "", 1)
    if remark.kind == FaultKind.NEGATIVE_INDEX:
        what += "; --strict-index makes it a fault"
    return KernelFault(
        what, kind=remark.kind, kernel=remark.kernel, file=remark.file, line=remark.line,
        block=remark.block, thread=remark.thread, array=remark.array,
    )  # fmt: skip
