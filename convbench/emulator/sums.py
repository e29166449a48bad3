"""Find sums of warpgroups that a kernel uses before it waits for them, in numba-cuda's code (`ptx.pending` for PTX).

Until the wait, each accumulator holds a NaN that stands for its sum (`warpgroup`). The NaN may be moved, kept in local
arrays, and given to the next product or to the wait. Any other use of it is a fault.
"""

import re

from convbench.emulator.analysis import ACCESS, OWN, RESULT, UNKNOWN, Root, accessed_pointer
from convbench.emulator.checks.taint import operands
from convbench.emulator.collectives.warpgroup import MARK

_MOVING = ("phi", "select", "freeze")
_ASIDE = ("insertvalue", "extractvalue", "getelementptr", "load")  # operations that look at no float
_SIGNED_MARK = MARK - (1 << 32)


class Sums:
    """The values of a kernel that may be sums under way: floats from local arrays and from the blocks of operands."""

    def __init__(self, body: list[str], roots: dict[str, Root]) -> None:
        self._roots = roots
        self.values: set[str] = set()
        for line in body:
            access = ACCESS.match(line)
            is_float = access and access["operation"] == "load" and access["rest"].startswith("float,")
            if access and is_float and self._is_own(access):
                self.values.add(RESULT.match(line)["value"])  # type: ignore[index]
        before = -1
        while before != len(self.values):
            before = len(self.values)
            for line in body:
                match = RESULT.match(line)
                moves = match and match["operation"] in _MOVING and " float " in line
                if match and moves and self.values & set(operands(line)):
                    self.values.add(match["value"])

    def _is_own(self, access: re.Match[str]) -> bool:
        pointer = accessed_pointer(access)
        root = OWN if pointer is None else self._roots.get(pointer, UNKNOWN)
        return root == OWN or root[0] == "local"

    def used(self, line: str) -> list[str]:
        """The values that an instruction uses other than to move them."""
        match, access = RESULT.match(line), ACCESS.match(line)
        if match and match["operation"] in (*_MOVING, *_ASIDE):
            return []
        if access and access["operation"] == "store" and self._is_own(access):
            return []
        return [value for value in dict.fromkeys(operands(line)) if value in self.values]


def is_under_way(value: str, name: str) -> str:
    """IR that sets %<name>.bad if a float stands for a sum under way."""
    return (
        f"  %{name}.bits = bitcast float {value} to i32\n"
        f"  %{name}.high = and i32 %{name}.bits, {_SIGNED_MARK}\n"
        f"  %{name}.bad = icmp eq i32 %{name}.high, {_SIGNED_MARK}"
    )
