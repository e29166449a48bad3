"""The type of a planted bug: a factory of the kernel with and without the bug, its launch, and the expected report.

The line that must be reported ends in the comment `# planted`, in the factory's source or in a function beside it.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convbench.emulator import Emulator, FaultKind

Position = tuple[int, int, int]
MARK = "# planted"


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One row of the table. `block` and `thread` are None if more than one can be reported."""

    make: Callable[[bool], Any]  # makes the kernel, with the bug if the argument is True
    kind: FaultKind
    array: str
    grid: int | tuple[int, ...]
    block_dim: int | tuple[int, ...]
    args: Callable[[], tuple[Any, ...]]
    shared_bytes: int = 0
    block: Position | None = None
    thread: Position | None = None
    beside: Callable[..., Any] | None = None  # the device function with the marked line, if not the factory
    forgotten: tuple[int, ...] = ()  # numbers of the arguments that count as never written
    types: tuple[Any, ...] | None = None  # types of the arguments, if not those that numba-cuda finds
    strict_index: bool = False  # whether it is a fault only if no index may be negative
    others: frozenset[FaultKind] = field(default_factory=frozenset)  # kinds that other orders may report

    def line(self) -> int:
        """The line that ends in `# planted`."""
        lines, first = inspect.getsourcelines(self.beside or self.make)
        (found,) = (number for number, text in enumerate(lines, first) if text.rstrip().endswith(MARK))
        return found

    def launch(self, emulator: Emulator, *, bug: bool) -> None:
        """Run the kernel, with the bug or without."""
        args = self.args()
        for number in self.forgotten:
            emulator.forget(args[number])
        emulator.launch(
            self.make(bug), self.grid, self.block_dim, *args, shared_bytes=self.shared_bytes, types=self.types
        )


TABLE: dict[str, Planted] = {}
RACES = frozenset({FaultKind.RACE_READ, FaultKind.RACE_WRITE, FaultKind.RACE_OVERWRITE})


def planted(
    kind: FaultKind, array: str, grid: int | tuple[int, ...], block_dim: int | tuple[int, ...], **row: Any
) -> Callable[[Callable[[bool], Any]], Callable[[bool], Any]]:
    """Put a factory into the table, under its name."""

    def enter(make: Callable[[bool], Any]) -> Callable[[bool], Any]:
        others = row.pop("others", RACES if kind in RACES else frozenset({kind}))
        TABLE[make.__name__] = Planted(
            make=make, kind=kind, array=array, grid=grid, block_dim=block_dim, others=others, **row
        )
        return make

    return enter


def floats(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Distinct small numbers."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def pair(*shape: int) -> Callable[[], tuple[Any, ...]]:
    """Arguments (x, y): numbers to read, zeros to write."""
    return lambda: (floats(*shape), np.zeros(shape, np.float32))
