"""Mark the short loops that NVVM unrolls, in LLVM IR that is otherwise finished.

A local array is kept in registers only after the loops over it are unrolled. LLVM decides by the number of
instructions. The emulator's code has more of them than NVVM's, for example those that make a NaN canonical.
"""

import re

_MOST_TURNS = 16  # an edge of a thread's tile
_LABEL = re.compile(r'^("[^"]+"|[\w.$-]+):')
_EXIT = re.compile(r"^  (?P<result>%[^ ]+) = icmp (?:samesign )?(?:eq|ne) i(?:32|64) [^ ]+, (?P<turns>\d+)\b")
_BRANCH = re.compile(r'^  br i1 (?P<result>%[^ ]+), label %(?P<a>"[^"]+"|[\w.$-]+), label %(?P<b>"[^"]+"|[\w.$-]+)')
_METADATA = re.compile(r"^!(\d+) = ", re.MULTILINE)


def marked(text: str) -> str:
    """The module, whose loops of one block and at most 16 turns ask to be unrolled completely."""
    lines, label = text.split("\n"), ""
    exits: dict[str, int] = {}
    node = max(map(int, _METADATA.findall(text)), default=-1) + 1
    loops = 0
    for number, line in enumerate(lines):
        if found := _LABEL.match(line):
            label, exits = found[1], {}
        elif found := _EXIT.match(line):
            exits[found["result"]] = int(found["turns"])
        elif (found := _BRANCH.match(line)) and label in (found["a"], found["b"]):
            is_short = 0 < exits.get(found["result"], 0) <= _MOST_TURNS
            if is_short and "!llvm.loop" not in line:
                loops += 1
                lines[number] += f", !llvm.loop !{node + loops}"
    if not loops:
        return text
    nodes = [f"!{node + loop} = distinct !{{!{node + loop}, !{node}}}" for loop in range(1, loops + 1)]
    return "\n".join([*lines, f'!{node} = !{{!"llvm.loop.unroll.full"}}', *nodes, ""])
