"""`python -m convbench` is the command `convbench`."""

from convbench.cli import main

main()
