"""Reads problems from text: in the project's one-word form, as benchdnn descriptors or as MIOpenDriver command lines.

A text enters; a `ConvProblem` leaves, or a NotationError with the position of the mistake. The form is recognised from
the text. A MIOpenDriver line starts with the driver's name, a base argument (`convfp16`, say) or a flag. A oneDNN
benchdnn descriptor has a field `ic` or `oc`, and its command line starts with `benchdnn` or `--`. Any other text is
read in the project's own form, `n1c64h56w56-k64r3s3-pad1`.
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
        the text is malformed; the message has the position.
    ProblemError
        the text is well formed, but the problem is impossible.
    """
    stripped = text.strip()
    if not stripped:
        raise NotationError(text, 0, "the text is empty; write a problem like n1c64h56w56-k64r3s3-pad1")
    if long := re.search(r"[0-9]{16,}", stripped):
        raise NotationError(stripped, long.start(), "this number has more than 15 digits")
    if miopen.looks_like(stripped):
        return miopen.parse(stripped)
    if benchdnn.looks_like(stripped):
        return benchdnn.parse(stripped)
    return own.parse(stripped)
