"""Reads problems from text: in the project's one-word form, or in a form of another program.

The forms are benchdnn's descriptors, command lines of MIOpenDriver and of the CUTLASS profiler, and oneDNN's log.

A text enters; a `ConvProblem` leaves, or a NotationError with the position of the mistake. The form is recognised from
the text. A MIOpenDriver line has the driver's name, or starts with a base argument (`convfp16`, say) or a flag. A line
of oneDNN's log has `onednn_verbose`. A line of the CUTLASS profiler has its name, or its options `--conv_kind=` or
`--operation=conv2d`. A oneDNN benchdnn descriptor has a field `ic` or `oc`, and its command line has the name
`benchdnn` or starts with `--`. Any other text is read in the project's own form, `n1c64h56w56-k64r3s3-pad1`.

A text also says how often its problem occurs and in which directions it is computed; `read` gives these too. A number
in front, as `uniq -c` writes it, is how often the line occurs. A line of a file may have several problems, and
benchdnn's knobs hold for the lines below them: `LineReader` reads these.
"""

import re
from dataclasses import replace

from convbench.errors import ConvbenchError, NotationError
from convbench.problem.notation import benchdnn, cutlass, miopen, own, verbose
from convbench.problem.notation.reading import OtherOperationError, Reading
from convbench.problem.problem import ConvProblem

__all__ = ["LineReader", "OtherOperationError", "Reading", "parse", "read"]


def parse(text: str) -> ConvProblem:
    """The problem that a text in any of the forms describes.

    Raises
    ------
    NotationError
        the text is malformed; the message has the position.
    ProblemError
        the text is well formed, but the problem is impossible.
    """
    return read(text).problem


def read(text: str) -> Reading:
    """The one problem that a text describes, with its count and its directions; raises as `parse`."""
    count, text = _counted(text)
    if verbose.looks_like(text):
        found = verbose.read(text)
    elif cutlass.looks_like(text):
        found = cutlass.read_one(text)
    elif miopen.looks_like(text):
        found = miopen.read(text)
    elif benchdnn.looks_like(text):
        found = benchdnn.read_one(text)
    else:
        found = Reading(problem=own.parse(text))
    return replace(found, count=found.count * count)


class LineReader:
    """Reads the lines of a file in their order. It remembers the knobs of benchdnn, which hold below their line."""

    def __init__(self) -> None:
        self._settings = benchdnn.Settings()

    def read(self, text: str) -> list[Reading | ConvbenchError]:
        """The problems of a line, and a reason for each that it has and that cannot be read.

        Raises
        ------
        OtherOperationError
            the line belongs to a log and describes no convolution.
        ConvbenchError
            the line cannot be read at all.
        """
        count, text = _counted(text)
        found: list[Reading | ConvbenchError]
        if verbose.looks_like(text):
            found = [verbose.read(text)]
        elif cutlass.looks_like(text):
            found = cutlass.read(text)
        elif miopen.looks_like(text):
            found = [miopen.read(text)]
        elif benchdnn.looks_like(text):
            found, self._settings = benchdnn.read(text, self._settings)
        else:
            found = [Reading(problem=own.parse(text))]
        return [replace(each, count=each.count * count) if isinstance(each, Reading) else each for each in found]


def _counted(text: str) -> tuple[int, str]:
    """The count in front of a line, else 1; and the command alone, without quotes and environment assignments."""
    text = text.strip()
    counted = re.match(r"([1-9][0-9]{0,14})\s+", text)
    if counted:
        text = text[counted.end() :]
    if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
        text = text[1:-1].strip()
    text = re.sub(r"^(?:[A-Za-z_][A-Za-z0-9_]*=\S*\s+)+", "", text)  # the environment of a command
    if not text:
        raise NotationError(text, 0, "the text is empty; write a problem like n1c64h56w56-k64r3s3-pad1")
    log = verbose.looks_like(text) or cutlass.looks_like(text)
    log = log or (benchdnn.looks_like(text) and not miopen.looks_like(text))
    if not log and (long := re.search(r"[0-9]{16,}", text)):  # a log has such numbers in names and times
        raise NotationError(text, long.start(), "this number has more than 15 digits")
    return int(counted[1]) if counted else 1, text
