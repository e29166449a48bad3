"""Every reader of text that comes from outside: how to call it, the errors that it documents, and texts that it reads.

The tests damage the texts a little, and `nox -s parsers` feeds a coverage-guided fuzzer with them.
"""

from importlib import import_module

from cases.parsers.parser import Parser

__all__ = ["GROUPS", "Parser", "group", "parsers"]

GROUPS = "problems", "results", "code"  # the modules of readers


def group(name: str) -> dict[str, Parser]:
    """The readers of one module by name. Only what they need is imported."""
    found: tuple[Parser, ...] = import_module(f"cases.parsers.{name}").PARSERS
    return {parser.name: parser for parser in found}


def parsers() -> dict[str, Parser]:
    """All readers by name."""
    return {name: parser for one in GROUPS for name, parser in group(one).items()}
