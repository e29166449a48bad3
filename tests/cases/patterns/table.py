"""The table of patterns, and what a row of it says."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convbench.emulator import Emulator, FaultKind

MARK = "# here"
RACES = frozenset({FaultKind.RACE_READ, FaultKind.RACE_WRITE, FaultKind.RACE_OVERWRITE})
UNWRITTEN = frozenset({FaultKind.UNWRITTEN})
OUTSIDE = frozenset({FaultKind.INDEX, FaultKind.READ_OUTSIDE, FaultKind.WRITE_OUTSIDE})
STUCK = frozenset({FaultKind.SPINNING, FaultKind.STEPS})
ORDER = frozenset({None})  # no line: the result depends on the order of threads
Arguments = Callable[[], tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One row: a factory of the kernel, right or with the mistake, its launch, and the kinds of fault to expect."""

    make: Callable[[bool], Any]
    kinds: frozenset[FaultKind | None]
    grid: int | tuple[int, ...]
    block: int | tuple[int, ...]
    args: Arguments
    shared_bytes: int = 0
    beside: tuple[Callable[..., Any], ...] = ()  # device functions with marked lines
    blind: str = ""  # a code ("ptx") in which nothing shows the mistake

    def lines(self) -> set[int]:
        """The lines of which one must be reported."""
        found = set()
        for function in (self.make, *self.beside):
            lines, first = inspect.getsourcelines(function)
            found |= {number for number, text in enumerate(lines, first) if text.rstrip().endswith(MARK)}
        return found

    def launch(self, emulator: Emulator, *, bug: bool) -> tuple[Any, ...]:
        """Run the kernel. Returns its arguments."""
        args = self.args()
        emulator.launch(self.make(bug), self.grid, self.block, *args, shared_bytes=self.shared_bytes)
        return args


TABLE: dict[str, Pattern] = {}


def pattern(
    kinds: frozenset[Any], grid: int | tuple[int, ...], block: int | tuple[int, ...], args: Arguments, **row: Any
) -> Callable[[Callable[[bool], Any]], Callable[[bool], Any]]:
    """Put a factory into the table, under its name."""

    def enter(make: Callable[[bool], Any]) -> Callable[[bool], Any]:
        TABLE[make.__name__] = Pattern(make=make, kinds=kinds, grid=grid, block=block, args=args, **row)
        return make

    return enter


def numbers(*sizes: int, dtype: Any = np.int32) -> Arguments:
    """Arguments: numbers in the first array, zeros in the others."""

    def made() -> tuple[Any, ...]:
        first, *others = sizes
        start = (np.arange(first) * 7 % 23).astype(dtype)
        return start, *(np.zeros(size, dtype) for size in others)

    return made
