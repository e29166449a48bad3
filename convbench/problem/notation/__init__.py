"""Problems as text: our own one-word form, oneDNN benchdnn descriptors and MIOpenDriver command lines.

The three are told apart by themselves: MIOpen's flags start with a dash (or with the driver's name), a benchdnn
descriptor has an `ic` field and its command line starts with `--`, and ours has its first fields run together and its
options after dashes.
"""

import re

from convbench.errors import NotationError
from convbench.problem.notation import benchdnn, miopen, own
from convbench.problem.problem import ConvProblem


def parse(text: str) -> ConvProblem:
    """The problem that a text in any of the three forms describes.

    Raises
    ------
    NotationError
        when the text is malformed; it names the position.
    ProblemError
        when the text is well formed and the problem impossible.
    """
    stripped = text.strip()
    if not stripped:
        raise NotationError(text, 0, "an empty text is no problem; write one like n1c64h56w56-k64r3s3-pad1")
    if long := re.search(r"[0-9]{16,}", stripped):
        raise NotationError(stripped, long.start(), "a number of more than 15 digits")
    if miopen.looks_like(stripped):
        return miopen.parse(stripped)
    if benchdnn.looks_like(stripped):
        return benchdnn.parse(stripped)
    return own.parse(stripped)
