"""What is known of a launch before its code is made for several threads: its integers, and the shape of its blocks.

LLVM folds them, so that most branches and bounds are gone before the lanes are looked at.
"""

import re
from collections.abc import Sequence

from convbench.emulator.support import registers

WORDS = "@emu.scalars.words"
_AXES = "xyz"
_SCALARS = re.compile(r"^(\s+%\S+ = )(?:tail )?call [^@]*@emu\.scalars\(\).*$", re.MULTILINE)
_REGISTER = re.compile(
    rf"^(?P<head>\s+%\S+ = )(?P<call>(?:tail )?call [^@]*@emu\.{re.escape(registers.PREFIX)}"
    r"(?P<name>n?tid)\.(?P<axis>[xyz])\(\)[^,\n]*)[^\n]*$",
    re.MULTILINE,
)
MOST_LINES = 8000  # of a kernel, whose code for several threads would take too long to compile
FEWEST_SUMS = 8  # of a thread, with which it is faster alone
_SUM = re.compile(r"^\s+%\S+ = phi (?:[a-z]+ )*(?:float|double) ")
_NEVER = re.compile(r"@emu\.(?:grid|give|take|place|ptx\.yield|ptx\.wgmma)|\b(?:atomicrmw|cmpxchg|fence)\b")


def can_widen(body: list[str]) -> bool:
    """Whether it may pay to run several threads of a kernel at once, and nothing surely prevents it.

    It does not pay for a very long kernel, or for one with many sums in registers: LLVM puts the sums of one thread
    side by side, and those of several threads would not fit in the registers of the processor.
    """
    sums, most = 0, 0
    for line in body:
        if not line.startswith(" "):
            sums = 0
        elif _SUM.match(line):
            sums += 1
            most = max(most, sums)
    return len(body) <= MOST_LINES and most < FEWEST_SUMS and not any(_NEVER.search(line) for line in body)


def with_constants(text: str, block: tuple[int, int, int], scalars: Sequence[int]) -> str:
    """The code with the words of its arguments, and the shape of its blocks."""

    def known(match: re.Match[str]) -> str:
        extent = block[_AXES.index(match["axis"])]
        if match["name"] == "ntid":
            return f"{match['head']}add i32 {extent}, 0"
        return f"{match['head']}{match['call']}, !range !{{i32 0, i32 {extent}}}"

    words = ", ".join(f"i64 {word}" for word in scalars)
    found = _SCALARS.sub(rf"\1getelementptr i8, ptr {WORDS}, i64 0", text)
    return _REGISTER.sub(known, found) + f"\n{WORDS} = internal constant [{len(scalars)} x i64] [{words}]\n"


def without_constants(text: str) -> str:
    """The code without the list of words, which `weave` adds again."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(f"{WORDS} ="))
