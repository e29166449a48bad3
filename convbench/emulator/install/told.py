"""What a person wants to know of a fault: the line with a mark, the array, the other access, how to repeat the launch.

The fault's own message stays one line, for programs. What is told here follows it, as notes of the exception, which
Python, pytest and unittest print behind the message.
"""

import ast
import linecache
import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from convbench.emulator.errors import EmulatorError, KernelFault
from convbench.emulator.state import FaultKind

RACES = {
    FaultKind.RACE_READ: ("reads", "writes"),
    FaultKind.RACE_WRITE: ("writes", "writes"),
    FaultKind.RACE_OVERWRITE: ("writes", "reads"),
}
_ATOMIC = "atomic"


@dataclass(frozen=True)
class Line:
    """A line of source."""

    file: str
    number: int

    def text(self) -> str:
        """The line as it stands in the file, without its end; "" if it cannot be read."""
        return linecache.getline(self.file, self.number).rstrip()


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel."""

    kernel: str
    number: int
    grid: tuple[int, ...]
    block: tuple[int, ...]
    function: Any = None  # the Python function of the kernel
    arguments: dict[str, Any] = field(default_factory=dict)  # where there is something to tell

    def defined(self) -> str:
        """File and line at which the kernel begins, for a fault that has no line of its own."""
        code = getattr(self.function, "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else "unknown line"

    def array(self, name: str) -> str:
        """An array that the source names, with its dtype and shape."""
        value = self._argument(name)
        if value is not None:
            return f"argument {name}: {value.dtype}, shape {value.shape}"
        made = _made(self.function, array_of(name))
        return f"{name} = {made}" if made else f"{name}: an array that the kernel makes"

    def described(self, name: str) -> dict[str, Any]:
        """An array that the source names, for JSON."""
        value = self._argument(name)
        if value is None:
            return {"name": name}
        return {"name": name, "dtype": str(value.dtype), "shape": list(value.shape)}

    def _argument(self, name: str) -> Any:
        """The array that an argument is, or that is an item of a tuple; None if there is none of this name."""
        base, *items = re.findall(r"[^\[\]]+", name) or [""]
        value = self.arguments.get(base)
        for item in items:
            value = value[int(item)] if isinstance(value, tuple) and item.isdigit() else None
        return value if isinstance(value, np.ndarray) else None

    def repeat(self) -> str:
        """The command that checks this launch alone, or the test that made it."""
        test, _, _ = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")
        if test and "pytest" in sys.modules:
            return f"pytest --cuda=checked {shlex.quote(test)}"
        return f"convbench run --only {self.kernel}:{self.number} {_program()}"


def explain(error: EmulatorError, launch: Launch) -> None:
    """Add notes to an error of a launch."""
    if getattr(error, "launch", None) is not None:
        return
    error.launch = launch  # type: ignore[attr-defined]  # for reports
    for note in _notes(error, launch):
        error.add_note(note)


def _notes(error: EmulatorError, launch: Launch) -> Iterator[str]:
    yield ""
    if isinstance(error, KernelFault):
        line = Line(error.file, error.line)
        if line.text():
            yield f"  {_short(error.file)}:{error.line}, block {error.block}, thread {error.thread}"
            yield from _marked(line, error.array, _verb(error))
        else:
            yield f"  line unknown (checked mode knows most lines), block {error.block}, thread {error.thread}"
        if error.array:
            yield f"  {launch.array(error.array)}"
        others = other_accesses(error, launch)
        if others:
            alone = "the other access:" if len(others) == 1 else "the other access is one of these:"
            yield f"  {alone}"
            for other in others:
                yield from _marked(other, error.array, RACES[FaultKind(error.kind)][1])
    yield f"  launch {launch.number} of {launch.kernel}, grid {launch.grid}, block {launch.block}"
    yield f"  to repeat it alone: {launch.repeat()}"


def _verb(error: KernelFault) -> str:
    kind = FaultKind(error.kind)
    if kind in RACES:
        return RACES[kind][0]
    if kind == FaultKind.WRITE_OUTSIDE:
        return "writes"
    return "reads" if kind in (FaultKind.READ_OUTSIDE, FaultKind.UNWRITTEN) else ""


def _marked(line: Line, array: str, verb: str) -> Iterator[str]:
    text = line.text()
    yield f"  {line.number:>5} | {text}"
    marks = [" "] * len(text)
    for begin, end in _columns(line, array, verb):
        marks[begin:end] = "^" * (end - begin)
    yield f"        | {''.join(marks).rstrip()}"


def _columns(line: Line, array: str, verb: str) -> list[tuple[int, int]]:
    """Where a line accesses an array; the whole statement if it is not clear where."""
    text = line.text()
    names = _names(line, array, verb)
    found = [access for access in _accesses(line.file) if access.line == line.number and access.array in names]
    fitting = [access for access in found if access.verb == verb] or found
    whole = len(text) - len(text.lstrip()), len(text.split("#")[0].rstrip()) or len(text)
    return [(access.begin, access.end) for access in fitting] or [whole]


def _names(line: Line, array: str, verb: str) -> set[str]:
    """The names by which a line accesses an array: its own, or those of variables that may stand for it."""
    here = [access for access in _accesses(line.file) if access.line == line.number]
    if any(access.array == array_of(array) for access in here):
        return {array_of(array)}
    return {access.array for access in here if access.verb == verb or not verb}


@dataclass(frozen=True)
class _Access:
    array: str
    verb: str
    line: int
    begin: int
    end: int


@lru_cache(maxsize=8)
def _accesses(file: str) -> list[_Access]:
    """Each subscript of a name in a file. An augmented assignment reads and writes."""
    return list(_walk(_tree(file)))


def _tree(file: str) -> ast.AST:
    """The source of a file; an empty module if it cannot be read."""
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return ast.Module([], [])


def _walk(tree: ast.AST) -> Iterator[_Access]:
    augmented = {id(node.target) for node in ast.walk(tree) if isinstance(node, ast.AugAssign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.end_lineno == node.lineno:
            stores = isinstance(node.ctx, ast.Store)
            verbs = ["writes", "reads"] if id(node) in augmented else ["writes" if stores else "reads"]
            for verb in verbs:
                yield _Access(node.value.id, verb, node.lineno, node.col_offset, node.end_col_offset or 0)
        elif isinstance(node, ast.Call) and _ATOMIC in ast.unparse(node.func) and node.args:
            target = node.args[0]
            if isinstance(target, ast.Name):
                for verb in ("writes", "reads"):
                    yield _Access(target.id, verb, node.lineno, node.col_offset, node.end_col_offset or 0)


def other_accesses(error: KernelFault, launch: Launch) -> list[Line]:
    """The lines of the kernel that can have made the other access of a race."""
    kind = FaultKind(error.kind)
    if kind not in RACES or not error.array or launch.function is None:
        return []
    (own, wanted), code = RACES[kind], launch.function.__code__
    names = {array_of(error.array), *_names(Line(error.file, error.line), error.array, own)}
    lines = {number for _, _, number in code.co_lines() if number}
    if error.file != code.co_filename or error.line not in lines:
        return []  # in a device function, whose parameters have other names
    return [
        Line(code.co_filename, number)
        for number in sorted(
            {
                access.line
                for access in _accesses(code.co_filename)
                if access.array in names and access.verb == wanted and access.line in lines
            }
        )
    ]


def _made(function: Any, name: str) -> str:
    """The expression with which a kernel makes a shared or local array; "" if it is not found."""
    if function is None:
        return ""
    code = function.__code__
    lines = {number for _, _, number in code.co_lines() if number}
    for node in ast.walk(_tree(code.co_filename)):
        if isinstance(node, ast.Assign) and node.lineno in lines and isinstance(node.value, ast.Call):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if name in names and ast.unparse(node.value.func).endswith("array"):
                return ast.unparse(node.value)
    return ""


def array_of(array: str) -> str:
    """The name of an array without the index that a fault tells."""
    return array.partition("[")[0]


def _short(file: str) -> str:
    """The path from the current folder, where it is inside it."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file


def _program() -> str:
    """The words with which this program was started."""
    main = getattr(sys.modules.get("__main__"), "__spec__", None)
    words = ["-m", main.name.removesuffix(".__main__")] if main is not None else sys.argv[:1]
    return shlex.join([*words, *sys.argv[1:]])
