"""The command `merge`, and how it tells what kind of results a file has."""

from convbench.cli.merging.merge import merge

__all__ = ["merge"]
