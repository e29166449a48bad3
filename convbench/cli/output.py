"""Markdown on a terminal by Rich; as it is for a pipe."""

import sys


def print_markdown(text: str) -> None:
    """Rendered for a person, plain for a file."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        print(text)
