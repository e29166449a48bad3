"""The command line: one module for each command, and `main`, which the program `convbench` runs.

The words of a command line enter. Text on the terminal, files and an exit status leave. Each command imports what it
needs when it runs, so that `--help` answers at once: this is why imports stand inside functions in this folder.
"""

from convbench.cli.app import main

__all__ = ["main"]
