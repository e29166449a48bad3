"""Habits of kernels that are valid, and that checked mode reports all the same: in a program they are notes.

An option makes each of them a fault.
"""

import re
from typing import NamedTuple

from convbench.emulator.errors import KernelFault
from convbench.emulator.state import FaultKind

_OUTSIDE = re.compile(r"\bindex (-\d+) is out of bounds.* has (\d+) elements")


class Habit(NamedTuple):
    """A habit: the option that makes it a fault, and the note."""

    option: str
    note: KernelFault


def habit(fault: KernelFault) -> Habit | None:
    """The habit that a fault is; None if it is none."""
    if fault.kind == FaultKind.EARLY_EXIT:
        what = "threads return before a barrier, which waits for the others, as hardware does since Volta"
        return Habit("strict_return", _note(fault, f"{what}; --strict-return makes it a fault"))
    found = _OUTSIDE.search(str(fault)) if fault.kind == FaultKind.INDEX else None
    if found is not None and -int(found[2]) <= int(found[1]) < 0:
        of = f" of {fault.array}" if fault.array else ""
        what = f"index {found[1]}{of} counts from the end, as Numba defines it"
        return Habit("strict_index", _note(fault, f"{what}; --strict-index makes it a fault"))
    return None


def _note(fault: KernelFault, text: str) -> KernelFault:
    return KernelFault(
        f"{fault.kernel}: {text}",
        kind=fault.kind, kernel=fault.kernel, file=fault.file, line=fault.line,
        block=fault.block, thread=fault.thread, array=fault.array,
    )  # fmt: skip
