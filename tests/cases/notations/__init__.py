"""Tables of texts in the notations of other programs, and the problem that each text stands for.

Each module has the same names: READABLE (a text and its problem), MALFORMED (a text and the position of its error),
IMPOSSIBLE (texts of problems that cannot exist) and RANDOM (a strategy for texts that may be any of these).
"""
