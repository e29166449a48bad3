"""Count the instructions of a region by their purpose, and its accesses to memory by their width."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from convbench.inspection.sass import Instruction

Kind = Literal[
    "FFMA", "FADD and FMUL", "tensor", "other arithmetic", "shared memory", "global memory", "local memory",
    "constants", "barriers", "moves", "control", "integer and address",
]  # fmt: skip

_KINDS: dict[Kind, re.Pattern[str]] = {
    "FFMA": re.compile(r"FFMA(2|32I)?"),
    "FADD and FMUL": re.compile(r"(FADD|FMUL)(2|32I)?"),
    "tensor": re.compile(r"[HIDQB]G?MMA"),
    "other arithmetic": re.compile(r"D(FMA|ADD|MUL|SETP|MNMX)|H(FMA|ADD|MUL|SET|SETP|MNMX)2|MUFU|F[A-Z]+|[FI]2[FI]P?"),
    "shared memory": re.compile(r"LDS|STS|LDSM|STSM|ATOMS"),
    "global memory": re.compile(r"LD|ST|LDG|STG|LDGSTS|RED|REDG|ATOM|ATOMG|UBLKCP|UTMALDG|UTMASTG"),
    "local memory": re.compile(r"LDL|STL"),
    "constants": re.compile(r"LDC|LDCU|ULDC"),
    "barriers": re.compile(r"BAR|DEPBAR|LDGDEPBAR|WARPGROUP|WARPSYNC|MEMBAR|FENCE|SYNCS|ERRBAR|CCTL|ARRIVES"),
    "control": re.compile(r"BRA|BRX|JMP|BSSY|BSYNC|BREAK|EXIT|CALL|RET|YIELD|BMOV|NANOSLEEP"),
}  # fmt: skip


def kind_of(instruction: Instruction) -> Kind:
    """The purpose of an instruction. What fits no other kind computes indices, addresses and conditions."""
    if instruction.is_move:
        return "moves"
    return next((kind for kind, words in _KINDS.items() if words.fullmatch(instruction.base)), "integer and address")


@dataclass(frozen=True)
class Mix:
    """The instructions of a region, counted."""

    instructions: Sequence[Instruction]

    @property
    def total(self) -> int:
        return len(self.instructions)

    @cached_property
    def counts(self) -> dict[Kind, int]:
        """Number of instructions by kind, the most frequent kinds first."""
        return dict(Counter(map(kind_of, self.instructions)).most_common())

    def share(self, *kinds: Kind) -> float:
        """Share of these kinds among all instructions, 0 to 1."""
        return sum(self.counts.get(kind, 0) for kind in kinds) / self.total if self.total else 0.0

    @cached_property
    def accesses(self) -> dict[str, dict[int, int]]:
        """Number of accesses by instruction and bytes: {"LDS": {16: 32}} is 32 loads of 16 bytes each."""
        found: dict[str, dict[int, int]] = {}
        for each in self.instructions:
            if each.bytes:
                widths = found.setdefault(each.base, {})
                widths[each.bytes] = widths.get(each.bytes, 0) + 1
        return {name: dict(sorted(widths.items())) for name, widths in sorted(found.items())}

    @property
    def multiply_adds(self) -> float:
        """Multiply-adds of one thread."""
        return sum(each.multiply_adds for each in self.instructions)

    @property
    def shared_bytes(self) -> int:
        """Bytes that one thread moves to or from shared memory."""
        return sum(each.bytes for each in self.instructions if each.base in ("LDS", "STS", "LDSM", "STSM", "LDGSTS"))

    @property
    def ffma_per_wide_load(self) -> float | None:
        """FFMA for each 16 bytes that a thread loads from shared memory; None if it loads none. FFMA2 counts as two."""
        loaded = sum(each.bytes for each in self.instructions if each.base == "LDS")
        made = sum(each.multiply_adds for each in self.instructions if kind_of(each) == "FFMA")
        return made / (loaded / 16) if loaded else None
