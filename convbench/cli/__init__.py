"""The command line: one module for each command, and `main`, which the program `convbench` runs.

Words enter; text, files and an exit status leave. A command imports what it needs when it runs, so that
`--help` answers at once. This is why imports stand inside functions here.
"""

from convbench.cli.app import main

__all__ = ["main"]
