"""Markdown tables for the terminal and for pages, in which no text can act as markup or as a control character.

Control characters become escapes, and a text has at most 1,000 characters.
"""

import re
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from convbench.errors import shortened, visible

MOST_OF_CELL = 1_000  # characters; at the end of a text it is told how many were cut off
# beginnings of what Markdown reads as markup: HTML, an autolink, the address of a link or a picture
MARKUP = re.compile(r"<(?=[A-Za-z/!?])|(?<=\])\(")


def markdown_table(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table whose cells are shown unchanged: no number is reformatted, and no text can break a row."""
    heads, *cells = [[inert(cell).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    return tabulate(cells, headers=heads, tablefmt="pipe", disable_numparse=True)


def markdown_list(items: Iterable[object]) -> str:
    """A list whose items are shown unchanged."""
    return "\n".join(f"- {inert(item)}" for item in items)


def inert(text: object) -> str:
    """A text on one line that Markdown and a terminal only display: it has no HTML, link or control character."""
    line = shortened(" ".join(str(text).split()), MOST_OF_CELL)
    return MARKUP.sub(lambda found: "\\" + found.group(), line)


def finalized(value: object) -> object:
    """What a template of HTML shows of a value: a text without control characters. Markup stays as it is."""
    return visible(value) if type(value) is str else value
