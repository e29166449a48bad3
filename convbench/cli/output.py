"""Markdown on a terminal by Rich; as it is for a pipe."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from convbench.errors import ConvbenchError

if TYPE_CHECKING:
    from convbench.record import Record


def print_markdown(text: str) -> None:
    """Rendered for a person, plain for a file."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        print(text)


def write_page(records: "list[Record]", page: Path) -> Path:
    """Render records to a Markdown file; raises ConvbenchError when it cannot be written."""
    from convbench.report import to_markdown

    text = to_markdown(records, title=f"convbench: {page.stem}")
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConvbenchError(f"the report cannot be written to {page}: {error.strerror}") from error
    return page
