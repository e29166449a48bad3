"""Markdown tables for the terminal and for pages, in which no text can act as markup or as a control character."""

import re
from collections.abc import Iterable, Sequence

from tabulate import tabulate

# characters that would move a terminal's cursor, or reverse the text (Unicode's bidirectional controls)
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# beginnings of what Markdown reads as markup: HTML, an autolink, the address of a link or a picture
MARKUP = re.compile(r"<(?=[A-Za-z/!?])|(?<=\])\(")


def markdown_table(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table whose cells are shown unchanged: no number is reformatted, and no text can break a row."""
    cells = [[inert(cell).replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(cells, headers=list(header), tablefmt="pipe", disable_numparse=True)


def markdown_list(items: Iterable[object]) -> str:
    """A list whose items are shown unchanged."""
    return "\n".join(f"- {inert(item)}" for item in items)


def inert(text: object) -> str:
    """A text on one line that Markdown and a terminal only display: it has no HTML, link or control character."""
    line = " ".join(CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(text)).split())
    return MARKUP.sub(lambda found: "\\" + found.group(), line)
