"""A Sphinx extension: docstrings that are written to be read in a terminal, made into reStructuredText.

The docstrings of this project have NumPy's sections, and otherwise plain text: bars are absolute values, an indented
block is a formula or code, names stand between single backticks, the entries of a section are `name : what it is`, a
paragraph may follow a section, and the fields of a dataclass have their description in a comment behind them.
"""

import inspect
import re
from collections.abc import Iterable
from dataclasses import is_dataclass
from typing import Any

import numpy.typing as npt
from sphinx.application import Sphinx
from sphinx.util.typing import stringify_annotation

from convbench import emulator
from convbench.devices import device
from convbench.layer import automatic, functional, initializers
from convbench.problem import operands, problem
from convbench.records import record, timing
from convbench.reference import data
from convbench.reference import definition as reference

TITLES = "Parameters", "Attributes", "Raises"

# what has a name in the source, and would stand in signatures at full length
ALIASES = {
    "Choice": automatic.Choice, "Kind": data.Kind, "Phase": device.Phase, "Host": device.Host, "Cache": timing.Cache,
    "Direction": problem.Direction, "Dtype": problem.Dtype, "Float64": reference.Float64, "Values": operands.Values,
    "Gradient": functional.Gradient, "Initializer": initializers.Initializer, "Stop": timing.Stop,
    "Outcome": record.Outcome, "Order": emulator.Order, "DTypeLike": npt.DTypeLike, "ArrayLike": npt.ArrayLike,
}  # fmt: skip


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _docstring, priority=400)  # before napoleon, whose priority is 500
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True}


def _docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    fields = list(_field_comments(thing)) if isinstance(thing, type) and is_dataclass(thing) else []
    if fields and "Parameters" not in lines:
        lines += ["", "Parameters", "----------", *fields]
    # in the first line of a property napoleon would take what is before a colon for a type: a comment goes there
    lines[:] = [*([".. a property", ""] if what == "property" else []), *to_rst(lines)]


def _signature(
    app: Sphinx, what: str, name: str, thing: object, options: object, given: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    return _short(given), _short(returned)


def _short(signature: str | None) -> str | None:
    """A signature with the names of types, and of functions that are defaults."""
    if signature is None:
        return None
    for name, alias in ALIASES.items():
        for mode in ("smart", "fully-qualified-except-typing"):
            signature = signature.replace(stringify_annotation(alias, mode), name)
    return re.sub(r"<function (\w+)>", r"\1", signature)


def _field_comments(thing: type) -> Iterable[str]:
    """`name : comment` of every field of a dataclass that has a comment behind it."""
    for line in inspect.getsource(thing).splitlines():
        if match := re.fullmatch(r" {4}(\w+): [^#]*# (.*)", line):
            yield f"{match[1]} : {match[2]}"


def to_rst(lines: list[str]) -> list[str]:
    """The lines of a plain docstring as reStructuredText: its prose first, then its sections."""
    prose: list[str] = []
    sections: list[str] = []
    title = None  # of the section, which ends at an empty line
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line in TITLES and following and set(following) == {"-"}:
            title = line
            sections += ["", line]
        elif title is None:
            prose += _of_prose(line, after=prose)
        elif not line.strip():
            title = None
        elif set(line) == {"-"}:
            sections.append(line)
        else:
            sections += _of_entry(line, title)
    return [*prose, *sections, ""]


def _of_prose(line: str, after: list[str]) -> list[str]:
    """A line outside sections; the first of an indented block gets what makes it a literal block."""
    if not line.startswith(" "):
        return [_escaped(line)]
    return ["::", "", line] if after and not after[-1].strip() and not _in_literal(after) else [line]


def _in_literal(lines: list[str]) -> bool:
    """Whether the last text was part of an indented block already."""
    return next((line.startswith(" ") for line in reversed(lines) if line.strip()), False)


def _of_entry(line: str, title: str) -> list[str]:
    """A line of a section: `name : what it is` as a name with its description below, other lines as they are."""
    if line.startswith(" "):
        return [f"    {_escaped(line.strip())}"]
    name, colon, words = line.partition(" : ")
    if not colon and title == "Raises" and not re.fullmatch(r"([A-Z]\w+(, )?)+", line):
        name, _, words = line.partition(", ")
    names = name.split(", ") if title == "Attributes" else [name]  # napoleon divides parameters itself
    return [entry for name in names for entry in (name, *([f"    {_escaped(words)}"] if words else []))]


def _escaped(line: str) -> str:
    """What would be markup of reStructuredText, and is none of ours; names become code, and links where they can."""
    pieces = re.split(r"(`[^`]+`)", line)
    return "".join(_name(piece) if piece.startswith("`") else re.sub(r"([|*_])", r"\\\1", piece) for piece in pieces)


def _name(piece: str) -> str:
    if re.fullmatch(r"`[A-Z]\w+`", piece):
        return f":py:obj:`~.{piece[1:]}"  # wherever it is
    return f":py:obj:{piece}" if re.fullmatch(r"`convbench[.\w]+`", piece) else f"`{piece}`"
