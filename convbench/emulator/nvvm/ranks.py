"""The order in which LLVM puts the operands of a sum, which decides the product that is fused.

Two passes of LLVM, and so of NVVM, swap the operands of commutative instructions, those on floats too. Reassociation
puts the operand of lower rank first, and then instruction combining puts an instruction before a conversion or a
negation, and both before an argument. The passes of checked code leave reassociation out.

Source: LLVM 7, the base of NVVM: `lib/Transforms/Scalar/Reassociate.cpp` (`BuildRankMap`, `getRank`,
`canonicalizeOperands`) and `lib/Transforms/InstCombine/InstCombineInternal.h` (`getComplexity`).
"""

import re
from collections import defaultdict

from convbench.emulator.graphs import post_order

_NAME = r'%(?:"[^"]+"|[\w.$-]+)'
_NAMES = re.compile(_NAME)
_RESULT = re.compile(rf"^  (?P<result>{_NAME}) = (?:(?:no|must)?tail )?(?P<opcode>\w+) ")
_LABEL = re.compile(r'^("[^"]+"|[\w.$-]+):')
_TARGET = re.compile(r'label %("[^"]+"|[\w.$-]+)')
# LLVM does not move these, so each has a rank of its own
_FIXED = {"load", "phi", "alloca", "udiv", "sdiv", "urem", "srem", "atomicrmw", "cmpxchg", "invoke"}
_PURE_CALL = re.compile(r"@(?:llvm\.(?!nvvm|mem|coro|assume|trap)|emu\.(?:half|bfloat16)\.)")
_CASTS = {
    "trunc", "zext", "sext", "fptrunc", "fpext", "fptoui", "fptosi", "uitofp", "sitofp", "ptrtoint", "inttoptr",
    "bitcast", "addrspacecast", "fneg",
}  # fmt: skip
_PER_BLOCK = 16  # bits


class Ranks:
    """The places of the values of one function among the operands of a sum.

    Parameters
    ----------
    define : the line before the body
    blocks : for each line of the body, the number of its block on a GPU, where no check of the emulator ends a block
    """

    def __init__(self, define: str, body: list[str], blocks: list[int]) -> None:
        arguments = _NAMES.findall(define)
        self._rank = {name: 3 + number for number, name in enumerate(arguments)}
        self._complexity = dict.fromkeys(arguments, 3)
        instructions = _instructions(body)
        latest: dict[int, int] = {}  # by block on a GPU
        for name in _in_reverse_post_order(body):
            for line, result, opcode, operands, is_fixed in instructions.get(name, ()):
                block = blocks[line]
                latest.setdefault(block, (3 + len(arguments) + len(latest)) << _PER_BLOCK)
                self._complexity[result] = 4 if opcode in _CASTS else 5
                if is_fixed:
                    latest[block] += 1
                    self._rank[result] = latest[block]
                else:
                    below = max((self._rank.get(name, 0) for name in operands), default=0)
                    self._rank[result] = below + (opcode != "fneg")

    def ordered(self, a: str, b: str) -> tuple[str, str]:
        """The operands of a sum as LLVM orders them."""
        one, other = (self._complexity.get(name, 0) for name in (a, b))
        if one != other:
            return (a, b) if one > other else (b, a)
        return (b, a) if self._rank.get(b, 0) < self._rank.get(a, 0) else (a, b)


def _instructions(body: list[str]) -> dict[str, list[tuple[int, str, str, list[str], bool]]]:
    """By block: line, result, opcode and operands of each instruction, and whether LLVM never moves it."""
    found = defaultdict(list)
    block = ""
    for number, line in enumerate(body):
        if label := _LABEL.match(line):
            block = label[1]
        elif match := _RESULT.match(line):
            opcode = match["opcode"]
            is_fixed = opcode in _FIXED or (opcode == "call" and not _PURE_CALL.search(line))
            found[block].append((number, match["result"], opcode, _NAMES.findall(line, match.end()), is_fixed))
    return found


def _in_reverse_post_order(body: list[str]) -> list[str]:
    """The blocks as they may run: each before those that it leads to, but for the jumps back in loops."""
    targets: dict[str, list[str]] = defaultdict(list)
    block = ""
    entry: str | None = None
    for line in body:
        if label := _LABEL.match(line):
            block = label[1]
        if entry is None:
            entry = block
        if "label %" in line:
            targets[block] += _TARGET.findall(line)
    return post_order(entry or "", targets)[::-1]
