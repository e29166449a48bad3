"""Progress on standard error: a bar on a terminal, and elsewhere a line for each finished layer."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from convbench.devices import Device
    from convbench.records import Record

T = TypeVar("T")

QUIET_S = 0.5  # a run that has taken no longer than this needs no word about its progress


@contextmanager
def progress(items: Iterable[T], what: str, total: int, device: "Device | None" = None) -> Iterator[Iterable[T]]:
    """Show a bar while the items that this yields are iterated; with a device, also the time spent compiling."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class CompileColumn(ProgressColumn):
        def render(self, task: object) -> Text:
            return Text("" if device is None else f"({device.compile_s:.0f} s compiling)")

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), CompileColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar.track(items, total=total, description=what)


class Layers:
    """Prints a line when all records of a layer are there, unless standard error is a terminal, which has the bar."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self._start = total, 0, time.monotonic()
        self._records: list[Record] = []

    def add(self, record: "Record") -> None:
        """Take a record. The first one of another layer ends the layer before it."""
        if self._records and (self._records[0].problem, self._records[0].direction) != (
            record.problem, record.direction,
        ):  # fmt: skip
            self._print()
        self._records.append(record)

    def end(self) -> None:
        """Print the line of the last layer."""
        if self._records:
            self._print()

    def _print(self) -> None:
        from convbench.records import caption
        from convbench.report import duration

        records, self._records = self._records, []
        self.done += 1
        seconds = time.monotonic() - self._start
        if sys.stderr is None or sys.stderr.isatty() or seconds < QUIET_S:
            return
        counts = Counter(one.outcome.replace("_", " ") for one in records)
        told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        first, told_for = records[0], ""
        times = {one.algorithm: one.timing.series[0].median_us for one in records if one.timing is not None}
        predicted = {one.algorithm: one.predicted.us for one in records if one.predicted and one.predicted.us}
        if predicted and not first.device["is_gpu"]:  # how long the emulator takes tells nothing about a GPU
            gpu = next(one.predicted.gpu for one in records if one.predicted and one.predicted.us)
            times, told_for = predicted, f", {caption(gpu)}"
        best = min(times, key=lambda name: times[name], default=None)
        fastest = "" if best is None else f"; fastest {best}, {duration(times[best])}{told_for}"
        layer = first.layer if first.direction == "forward" else f"{first.layer} {first.direction}"
        print(
            f"convbench: {self.done} of {self.total}, {seconds:.0f} s: {layer}: {told}{fastest}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
