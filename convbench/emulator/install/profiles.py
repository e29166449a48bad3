"""`--profile`: what the warps of each kernel of a program do, told when the program ends.

The first launch of each kernel is counted, or the one that `--only` names. Its memory is put back before it runs.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from convbench.emulator import CONFLICTED, UNCOALESCED, Profile
from convbench.emulator.errors import EmulatorError
from convbench.emulator.install.options import Options
from convbench.emulator.install.told import Launch
from convbench.emulator.profiler import source_line
from convbench.emulator.profiler.counters import Counters

_LEAST = 0.01  # share of the instructions from which a line without accesses is shown
_WIDEST = 60  # letters of a line of source
_HEAD = ["line", "instructions", "lanes", "wavefronts", "ideal", "sectors", "ideal", "source"]


class Profiles:
    """The profiles of a program."""

    def __init__(self) -> None:
        self._found: list[tuple[Launch, Profile | str]] = []
        self._kernels: set[Any] = set()
        self._lock = threading.Lock()

    def wants(self, kernel: Any, launch: Launch, options: Options) -> bool:
        """Whether to count this launch: the first of its kernel, or the one that was asked for."""
        if not options.profile:
            return False
        if options.only is not None:
            return (launch.kernel, launch.number) == (options.only.kernel, options.only.number)
        with self._lock:
            is_new = kernel not in self._kernels
            self._kernels.add(kernel)
        return is_new

    def count(self, launch: Launch, memory: Sequence[npt.NDArray[Any]], profile: Callable[[], Profile]) -> None:
        """Count a launch, and put back what it has written. A fault is told by the launch itself."""
        before = [array.copy() for array in memory]
        found: Profile | str
        try:
            found = profile()
        except EmulatorError as error:
            found = str(error)
        finally:
            for array, content in zip(memory, before, strict=True):
                array[...] = content
        with self._lock:
            self._found.append((launch, found))

    @property
    def found(self) -> list[tuple[Launch, Profile | str]]:
        """Each launch, with its profile or the reason why there is none."""
        return list(self._found)

    def summary(self) -> str:
        """A table for each kernel."""
        return "\n\n".join(_table(launch, found) for launch, found in self._found)


def to_json(launch: Launch, found: Profile | str) -> dict[str, Any]:
    """A profile as JSON has it."""
    told: dict[str, Any] = {
        "kernel": launch.kernel, "launch": launch.number, "grid": list(launch.grid), "block_size": list(launch.block)
    }  # fmt: skip
    if isinstance(found, str):
        return {**told, "refused": found}
    lines = [
        {"file": file, "line": line, "marks": _marks(found, file, line), **counters.by_name()}
        for (file, line), counters in found.by_line.items()
    ]
    return {**told, "counted_blocks": found.counted_blocks, "total": found.total.by_name(), "lines": lines}


def _table(launch: Launch, found: Profile | str) -> str:
    grid, block = (" × ".join(map(str, shape)) for shape in (launch.grid, launch.block))
    head = f"profile of {launch.kernel}, launch {launch.number}, grid {grid}, block {block}"
    if isinstance(found, str):
        return f"{head}: none: {found}"
    total = found.total
    rows = [_HEAD]
    for (file, line), c in found.by_line.items():
        accesses = c.shared_requests + c.global_requests + c.local_requests
        if accesses or c.instructions >= _LEAST * total.instructions:
            rows.append(_row(found, file, line, c))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    lines = [
        "  ".join([*(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
    counted = f"{total.instructions:,.0f} warp instructions with {total.lanes_active:.1f} active lanes; {found.sampled}"
    more = [f"not counted: the accesses of {', '.join(found.uncounted)}"] if found.uncounted else []
    return "\n".join([f"{head}: {counted}", *more, *(line.rstrip() for line in lines)])


def _row(found: Profile, file: str, line: int, c: Counters) -> list[str]:
    text = source_line(file, line).strip() or "(not known)"
    text = text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
    marks = _marks(found, file, line)
    told = f"{text}  <- {', '.join(marks)}" if marks else text
    shared = [f"{c.wavefronts:,.0f}", f"{c.ideal_wavefronts:,.0f}"] if c.shared_requests else ["", ""]
    moved = [f"{c.sectors:,.0f}", f"{c.ideal_sectors:,.0f}"] if c.global_requests else ["", ""]
    return [str(line or ""), f"{c.instructions:,.0f}", f"{c.lanes_active:.1f}", *shared, *moved, told]


def _marks(found: Profile, file: str, line: int) -> list[str]:
    """What is wrong with the accesses of a line."""
    marks = {mark for i in found.instructions if (i.file, i.line) == (file, line) for mark in i.marks}
    way = found.by_line[file, line].conflict
    shown = {CONFLICTED: f"{way}-way {CONFLICTED}", UNCOALESCED: UNCOALESCED}
    return [shown[mark] for mark in sorted(marks)]


PROFILES = Profiles()
