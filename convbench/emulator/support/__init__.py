"""Functions that kernels call and only a GPU has, written for the CPU as LLVM IR.

The modules of a kernel enter. One module leaves, with the functions that they call; it is linked to the kernel, and
everything is inlined. Some functions have no body. They are markers, which `weave` replaces after the inlining:

    ptr  @emu.thread()                            the row of the CUDA thread that runs
    ptr  @emu.worker()                            the header of the worker that runs its block
    void @emu.suspend()                           here the thread waits for others
    void @emu.turns(number)                       here it notes the turns of its loops (`loops`), before a barrier
    void @emu.grid()                              here it waits for all threads of the grid
    void @emu.give(value)                         here the thread gives a value to a shuffle
    i32  @emu.take(value)                         here it takes one
    void @emu.fault(kind, site, a, b, c)          here the kernel ends with a fault
    void @emu.note(kind, site, a, b, c)           here it notes a remark (`notes`)
"""

import re
from functools import cache

from convbench.emulator.support import (
    arithmetic,
    atomics,
    collectives,
    conversions,
    copies,
    half_conversions,
    half_precision,
    indices,
    inline_ptx,
    mathematics,
    ptx,
    ptx_atomics,
    sixteen_bits,
    tensor,
)

MARKERS = """
declare ptr @emu.thread() memory(none) nounwind willreturn
declare ptr @emu.worker() memory(none) nounwind willreturn
declare void @emu.suspend() nounwind willreturn
declare void @emu.turns(i64) nounwind willreturn
declare void @emu.grid() nounwind willreturn
declare void @emu.give(i32) nounwind willreturn
declare i32 @emu.take(i32) nounwind willreturn
declare void @emu.note(i64, i64, i64, i64, i64) cold nounwind willreturn
declare void @emu.fault(i64, i64, i64, i64, i64) cold noreturn nounwind
"""


_DEFINITION = re.compile(r"^define [^@]*@([\w.$]+)\(.*?^}$", re.MULTILINE | re.DOTALL)
_REFERENCE = re.compile(r'@"?([\w.$]+)"?\(')


def module(kernel: list[str], *, checked: bool) -> str:
    """The text of a module with the functions that these modules of a kernel call."""
    bodies, others = _definitions(checked)
    wanted = [name for text in kernel for name in _REFERENCE.findall(text)]
    found: dict[str, str] = {}
    while wanted:
        name = wanted.pop()
        if name in bodies and name not in found:
            found[name] = bodies[name]
            wanted += _REFERENCE.findall(bodies[name])
    return "\n".join([MARKERS, *others, *found.values()])


@cache
def _definitions(checked: bool) -> tuple[dict[str, str], list[str]]:
    """The text of every function by its name, and every other line once."""
    parts = (
        arithmetic,
        collectives,
        atomics,
        indices,
        inline_ptx,
        mathematics,
        conversions,
        sixteen_bits,
        half_precision,
        half_conversions,
        ptx,
        ptx_atomics,
    )
    by_mode = (part.definitions(checked=checked) for part in (copies, tensor))
    text = "\n".join([*(part.definitions() for part in parts), *by_mode])
    bodies = {match[1]: match[0] for match in _DEFINITION.finditer(text)}
    return bodies, list(dict.fromkeys(_DEFINITION.sub("", text).split("\n")))
