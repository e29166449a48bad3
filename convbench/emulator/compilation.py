"""Why a kernel does not compile, in one line: file, line, and the part of Numba's message that matters.

Numba lists every overload that it has tried, which can be pages. It names the line in most messages. Where it does not,
the frames of its traceback hold the place that it was typing: numba-cuda raises exceptions of Numba's host compiler in
some places, and does not add the line to them.
"""

import re
from typing import Any

MOST_CHARACTERS = 300

_STEP = re.compile(r"^Failed in \w+ mode pipeline.*$", re.MULTILINE)
_SIGNATURE = re.compile(r"No implementation of function .*? found for signature:\s*>>> (.+)")
_PLACE = re.compile(r"\bat (\S+) \((\d+)\)")


def why_not(kernel: Any, error: BaseException) -> str:
    """One line for an exception that compiling `kernel`, a `numba.cuda.jit` dispatcher or not, has raised."""
    if not hasattr(getattr(kernel, "py_func", kernel), "__code__"):
        return reason_of(error)  # it is no function, and has no place
    file, line = place_of(kernel, error)
    return f"{file}:{line}: {reason_of(error)}"


def place_of(kernel: Any, error: BaseException) -> tuple[str, int]:
    """File and line that Numba was compiling; the kernel's own first line if nothing tells."""
    found = _innermost(error)
    if found is None and (told := _PLACE.search(str(error))):
        found = told[1], int(told[2])
    if found is None:
        code = getattr(kernel, "py_func", kernel).__code__  # a plain function is its own
        found = code.co_filename, code.co_firstlineno
    return found


def reason_of(error: BaseException) -> str:
    """The first sentence of Numba's message that says something about the kernel."""
    text = _STEP.sub("", str(error)).strip().removesuffix("Raised from None").strip()
    if signature := _SIGNATURE.search(text):
        text = f"Numba has no implementation of {signature[1].strip()}"
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return first if len(first) <= MOST_CHARACTERS else f"{first[:MOST_CHARACTERS]} …"


def _innermost(error: BaseException) -> tuple[str, int] | None:
    """The place that the innermost frame of Numba was at work on, of those that know one."""
    found: tuple[str, int] | None = None
    frame = error.__traceback__
    while frame is not None:
        names = frame.tb_frame.f_locals
        for place in (names.get("loc"), *(getattr(names.get(name), "loc", None) for name in ("self", "inst"))):
            file, line = getattr(place, "filename", None), getattr(place, "line", None)
            if isinstance(file, str) and isinstance(line, int):
                found = file, line
        if found is not None and isinstance(line := getattr(names.get("inst"), "lineno", None), int):
            found = found[0], line  # an instruction of Python's bytecode knows no file
        frame = frame.tb_next
    return found
