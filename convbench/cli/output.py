"""Markdown on a terminal by Rich, as it is for a pipe; and files that are written whole or not at all."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.errors import ConvbenchError

if TYPE_CHECKING:
    from convbench.records import Record


def print_markdown(text: str) -> None:
    """Rendered for a person; plain for a file, and where the terminal is so narrow that words would be cut off."""
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        console = Console()
        with console.capture() as capture:
            console.print(Markdown(text))
        if "…" not in capture.get():
            text = capture.get()
    print(text)


def write_page(records: "list[Record]", page: Path, *, picture: bool = False) -> Path:
    """Render records to a Markdown file, with PNGs beside it if asked; raises ConvbenchError when it cannot."""
    write_files(markdown_files(records, page, picture=picture))
    return page


def markdown_files(records: "list[Record]", page: Path, *, picture: bool) -> dict[Path, bytes]:
    """What a page of Markdown consists of: itself, and the pictures that it shows."""
    from convbench.report import to_markdown

    title = f"convbench: {page.stem}"
    if not picture:
        return {page: encoded(to_markdown(records, title=title))}
    from convbench.report import figures, pictures

    shown = pictures.beside(page.stem, figures.figures(records))
    if not shown:
        raise ConvbenchError("there is nothing to draw, for nothing passed")
    files = {page.with_name(file): pictures.to_png(figure) for figure, file in shown.values()}
    return {**files, page: encoded(to_markdown(records, title=title, pictures=shown))}


def encoded(text: str) -> bytes:
    """UTF-8; what has no place in it, half of a surrogate pair, is replaced."""
    return text.encode("utf-8", "replace")


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write all of them beside their places first, and only then move them there: a full disk leaves what was there.

    Raises ConvbenchError when one cannot be written.
    """
    written: dict[Path, Path] = {}
    place = Path()
    try:
        for place, content in files.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            goal = place.resolve()  # a link goes on pointing where it did
            if goal.is_dir():
                raise IsADirectoryError(0, "a folder is in its place")
            draft = goal.with_name(f".{goal.name}.{os.getpid()}.part")
            written[draft] = goal
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a disk may say only now that it is full
        for draft, goal in written.items():
            place = goal
            draft.replace(goal)
    except OSError as error:
        raise ConvbenchError(f"the report cannot be written to {place}: {error.strerror}") from error
    finally:
        for draft in written:
            with suppress(OSError):  # those that were moved are no longer there, and the others only take room
                draft.unlink(missing_ok=True)
