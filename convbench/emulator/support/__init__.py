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
from collections.abc import Callable
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


Library = Callable[[str], str | None]  # the IR of a function by its name, with what it calls; None if it has none

# functions that stay calls until sums of products are fused (`nvvm.fusion`), in code before NVVM
ROUNDINGS = tuple(f"emu.{kind}.{function}" for kind in ("half", "bfloat16") for function in ("rn", "wide"))
LATER = "emu-later"

_HELD_BACK = re.compile(rf'^attributes #\d+ = .*"{LATER}".*$', re.MULTILINE)
_DEFINITION = re.compile(r"^define [^@]*@([\w.$]+)\(.*?^}$", re.MULTILINE | re.DOTALL)
_DECLARATION = re.compile(r"declare [^@]*@([\w.$]+)\(")
_REFERENCE = re.compile(r'@"?([\w.$]+)"?\(')


def module(kernel: list[str], *, checked: bool, library: Library | None = None) -> str:
    """The text of a module with the functions that these modules of a kernel call.

    The functions of `library` come before those of this folder that have the same name. With a library, ROUNDINGS are
    not inlined before `inlined_later`.
    """
    own, own_lines = _definitions(checked)
    lines = dict.fromkeys(own_lines)
    bodies: dict[str, str] = {}
    found: dict[str, str] = {}
    wanted = [name for text in kernel for name in _REFERENCE.findall(text)]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        if name not in bodies and library is not None and (text := library(name)) is not None:
            functions, others = _taken_apart(text)
            bodies |= functions
            lines |= dict.fromkeys(others)
        body = bodies.get(name) or own.get(name)
        if body is not None:
            found[name] = body
            wanted += _REFERENCE.findall(body)
    if library is not None:
        found = {name: _held_back(body) if name in ROUNDINGS else body for name, body in found.items()}
    outside = (line for line in lines if not ((name := _DECLARATION.match(line)) and name[1] in found))
    return "\n".join([MARKERS, *outside, *found.values()])


def definition(name: str) -> str:
    """The text of one function of this folder, which calls no other."""
    return f"\n{_definitions(False)[0][name]}\n"


def _held_back(body: str) -> str:
    return body.replace("alwaysinline", f'noinline "{LATER}"', 1)


def inlined_later(text: str) -> str:
    """The text of a module in which the functions that were held back are inlined, too."""
    return _HELD_BACK.sub(lambda group: group[0].replace("noinline", "alwaysinline").replace(f'"{LATER}"', ""), text)


def _taken_apart(text: str) -> tuple[dict[str, str], list[str]]:
    """The text of every function by its name, and every other line once."""
    bodies = {match[1]: match[0] for match in _DEFINITION.finditer(text)}
    return bodies, list(dict.fromkeys(_DEFINITION.sub("", text).split("\n")))


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
    return _taken_apart("\n".join([*(part.definitions() for part in parts), *by_mode]))
