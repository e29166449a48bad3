"""Every reader of text that comes from outside: how to call it, the errors that it documents, and texts that it reads.

The tests damage the texts a little, and `nox -s parsers` feeds a coverage-guided fuzzer with them.
"""

from cases.parsers.code import CODE
from cases.parsers.parser import Parser
from cases.parsers.problems import PROBLEMS
from cases.parsers.results import RESULTS

__all__ = ["PARSERS", "Parser"]

PARSERS: dict[str, Parser] = {parser.name: parser for parser in (*PROBLEMS, *RESULTS, *CODE)}
