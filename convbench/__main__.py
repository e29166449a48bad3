"""Runs the command line: `python -m convbench` is the same as `convbench`."""

from convbench.cli import main

main()
