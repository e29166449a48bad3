"""A Sphinx extension: `.. command:: verify` writes the description of a command, taken from the program itself.

The words are those of `convbench verify --help`: what the command does, its arguments and options, its examples.
"""

import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from convbench.cli import app
from convbench.cli.examples import EXAMPLES

# what stands for a value, by its type in Python
VALUES = {"str": "TEXT", "path": "PATH", "Path": "PATH", "int": "NUMBER", "float": "NUMBER"}


class Command(SphinxDirective):
    """The description of the command that is named."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Called by Sphinx."""
        return self.parse_text_to_nodes("\n".join(_lines(self.arguments[0])))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("command", Command)
    return {"parallel_read_safe": True}


def _lines(name: str) -> Iterator[str]:
    """The description as reStructuredText."""
    command = typer.main.get_command(app.app).commands[name]
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(re.sub(r"{(\w+)}", r"\1", piece) for piece in command.collect_usage_pieces(context))
    yield from _escaped(command.help or "").splitlines()
    yield from ("", ".. code-block:: text", "", f"   convbench {name} {usage}", "")
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 30 70", "")
    yield from ("   * - argument or option", "     - meaning")
    for parameter in command.params:
        record = parameter.get_help_record(context)
        assert record is not None, f"{name}: {parameter.name} is hidden"
        yield from (f"   * - ``{_with_value(record[0])}``", f"     - {_escaped(record[1])}")
    yield from ("", "Examples:", "", ".. code-block:: bash", "")
    for example, meaning in EXAMPLES[name]:
        yield from (f"   # {meaning}", f"   {example}")
    yield ""


def _with_value(name: str) -> str:
    """`--batch NUMBER` from `--batch <int>`; an argument's name alone stands for its value."""
    name = re.sub(r"<(?:list\[)?(\w+)(?: range)?\]?>", lambda match: VALUES.get(match[1], match[1]), name)
    return name if name.startswith("-") else name.split()[0]


def _escaped(text: str) -> str:
    """Plain text with names between backticks, such as --help has it, as reStructuredText; options become code."""
    return re.sub(
        r"([\\*|_])|`([^`]+)`|(--[a-z][a-z-]*)",
        lambda match: f"\\{match[1]}" if match[1] else f"``{match[2] or match[3]}``",
        text,
    )
