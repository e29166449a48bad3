"""Markdown on a terminal by Rich; as it is for a pipe."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.errors import ConvbenchError

if TYPE_CHECKING:
    from convbench.record import Record


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
    """Render records to a Markdown file, with a PNG beside it if asked; raises ConvbenchError when it cannot."""
    from convbench.report import to_markdown

    image = page.with_suffix(".png") if picture else None
    if image is not None:
        from convbench.pictures import save_picture

        save_picture(records, image)
    text = to_markdown(records, title=f"convbench: {page.stem}", picture=None if image is None else image.name)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConvbenchError(f"the report cannot be written to {page}: {error.strerror}") from error
    return page
