"""Markdown tables, for the terminal and for pages."""

from collections.abc import Iterable, Sequence

from tabulate import tabulate


def markdown_table(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table whose cells are shown as they are: no number is reformatted, and no text can break a row."""
    cells = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in row] for row in rows]
    return tabulate(cells, headers=list(header), tablefmt="pipe", disable_numparse=True)
