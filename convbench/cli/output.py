"""Print Markdown, rendered by Rich on a terminal and plain elsewhere, and write files completely or not at all."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.errors import ConvbenchError, visible

if TYPE_CHECKING:
    from convbench.records import Record


EXTRA = "altair", "vl_convert", "jinja2"  # modules that pictures and the HTML page need


def print_markdown(text: str) -> None:
    """Print Markdown: rendered on a terminal; plain elsewhere, and where a narrow terminal would cut words off."""
    text = visible(text)
    if sys.stdout is not None and sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        console = Console()
        with console.capture() as capture:
            console.print(Markdown(text))
        if "…" not in capture.get():
            console.file.write(capture.get() + "\n")
            return
    print(text)


def write_pages(records: "list[Record]", path: Path, *, html: bool) -> list[Path]:
    """Render records beside their file: a Markdown page and, if asked, an HTML page and the pictures of both.

    Returns the pages. Raises ConvbenchError if they cannot be written.
    """
    page = path.with_suffix(".md")
    files = markdown_files(records, page, picture=html and any(record.timing for record in records))
    pages = [page]
    if html:
        from convbench.report import to_html

        pages.append(path.with_suffix(".html"))
        files[pages[-1]] = encoded(to_html(records, title=f"convbench: {path.stem}"))
    write_files(files)
    return pages


def require_extra() -> None:
    """Raise ConvbenchError unless the packages that draw pictures and HTML pages are installed."""
    if not all(map(find_spec, EXTRA)):
        raise ConvbenchError('pictures and HTML pages need the extra `report`: pip install "convbench[report]"')


def markdown_files(records: "list[Record]", page: Path, *, picture: bool) -> dict[Path, bytes]:
    """The files of a Markdown page: the page itself, and the pictures that it shows."""
    from convbench.report import to_markdown

    title = f"convbench: {page.stem}"
    if not picture:
        return {page: encoded(to_markdown(records, title=title))}
    from convbench.report import figures, pictures

    shown = pictures.beside(page.stem, figures.figures(records))
    if not shown:
        raise ConvbenchError("there is nothing to draw, because nothing passed")
    files = {page.with_name(file): pictures.to_png(figure) for figure, file in shown.values()}
    return {**files, page: encoded(to_markdown(records, title=title, pictures=shown))}


def encoded(text: str) -> bytes:
    """The text in UTF-8. Half of a surrogate pair, which UTF-8 cannot hold, is replaced."""
    return text.encode("utf-8", "replace")


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write several files, or none of them if one cannot be written.

    Each file is first written beside its place. Only when all are complete are they moved there, so that a full disk
    leaves the old files as they were. Raises ConvbenchError when a file cannot be written.
    """
    written: dict[Path, Path] = {}
    place = Path()
    try:
        for place, content in files.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            goal = place.resolve()  # write to the target of a link, and keep the link
            if goal.is_dir():
                raise IsADirectoryError(0, "a folder is in its place")
            draft = goal.with_name(f".{goal.name}.{os.getpid()}.part")
            written[draft] = goal
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # a full disk may be reported only now
        for draft, goal in written.items():
            place = goal
            draft.replace(goal)
    except OSError as error:
        raise ConvbenchError(f"the report cannot be written to {place}: {error.strerror}") from error
    finally:
        for draft in written:
            with suppress(OSError):  # those that were moved no longer exist, and the others are of no use
                draft.unlink(missing_ok=True)
