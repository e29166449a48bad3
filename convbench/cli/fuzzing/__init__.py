"""The command `fuzz`, and what it prints of a campaign."""

from convbench.cli.fuzzing.fuzz import fuzz

__all__ = ["fuzz"]
