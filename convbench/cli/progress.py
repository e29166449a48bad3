"""A progress bar with an estimate of the time left. It is shown on a terminal only."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from convbench.devices import Device

T = TypeVar("T")


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
