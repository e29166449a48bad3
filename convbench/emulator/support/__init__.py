"""What a kernel calls and only a GPU has, written for the CPU: LLVM IR that is linked to every kernel and inlined.

Some functions are left without a body, as markers for `weave` to replace once everything is inlined:

    ptr  @emu.thread()                            the row of the CUDA thread that runs
    ptr  @emu.worker()                            the header of the worker that runs its block
    void @emu.suspend()                           here the thread waits for others
    void @emu.fault(kind, site, a, b, c)          here the kernel ends, for it did what it must not
"""

from convbench.emulator.support import atomics, collectives, indices, inline_ptx, mathematics

MARKERS = """
declare ptr @emu.thread() memory(none) nounwind willreturn
declare ptr @emu.worker() memory(none) nounwind willreturn
declare void @emu.suspend() nounwind willreturn
declare void @emu.fault(i64, i64, i64, i64, i64) cold noreturn nounwind
"""


def module() -> str:
    """The text of the module."""
    parts = (collectives, atomics, indices, inline_ptx, mathematics)
    return MARKERS + "\n".join(part.definitions() for part in parts)
