"""Reads workloads from text files, with a problem in any notation on each line, and from CSV files.

The message of a mistake has the file and the line.
"""

import csv
import io
import re
from collections.abc import Callable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem
from convbench.problem.notation import parse
from convbench.workload.layer import Layer
from convbench.workload.workload import Workload

T = TypeVar("T")
R = TypeVar("R")

COLUMNS = (
    "source", "name", "N", "C", "H", "W", "K", "R", "S", "pad_t", "pad_l", "pad_b", "pad_r",
    "stride_h", "stride_w", "dil_h", "dil_w", "groups", "OH", "OW",
)  # fmt: skip


def read_text(name: str, path: Path | Traversable) -> Workload:
    """The workload of a text file with a problem on each line; `#` starts a comment. Raises ConvbenchError."""
    layers = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if text := _uncommented(line):
            problem = _at(path, number, parse, text)
            layers.append(Layer(name=str(problem), problem=problem))
    return _workload(name, path, str(path), layers)


def read_csv(name: str, path: Path | Traversable) -> Workload:
    """The workload of a CSV file with a problem in each row. Raises ConvbenchError.

    The file has COLUMNS, and may have `bias` (0 or 1) and `count`.
    """
    layers, sources = [], []
    try:
        reader = csv.DictReader(io.StringIO(_text(path)))
        if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
            raise ConvbenchError(f"{path}: the header lacks {', '.join(missing)}")
        for number, row in enumerate(reader, start=1):
            row["name"] = row["name"] or f"row {number}"
            layers.append(_at(path, reader.line_num, _layer, row))
            sources.append(row["source"])
    except csv.Error as error:
        raise ConvbenchError(f"{path} is no CSV: {error}") from error
    return _workload(name, path, ", ".join(dict.fromkeys(sources)), layers)


def _uncommented(line: str) -> str:
    """The part of a line before a #, except for a # in quotes, which belongs to a benchdnn name."""
    before = re.match(r'(?:[^#"]|"[^"]*"?)*', line)
    assert before is not None  # the pattern matches the empty text
    return before[0].strip()


def _layer(row: dict[str, str]) -> Layer:
    if None in row:  # the key under which DictReader puts fields without a column
        raise ConvbenchError("it has more fields than the header")
    problem, count = _problem(row), _count(row)
    if (problem.p, problem.q) != (int(row["OH"]), int(row["OW"])):
        raise ConvbenchError(f"OH × OW is {row['OH']} × {row['OW']}, but {problem} has {problem.p} × {problem.q}")
    return Layer(name=row["name"], problem=problem, count=count)


def _problem(row: dict[str, str]) -> ConvProblem:
    try:
        number = {column: int(row[column]) for column in COLUMNS[2:]}
        bias = bool(int(row.get("bias") or 0))
    except (TypeError, ValueError) as error:
        raise ConvbenchError(f"a field is no whole number: {error}") from error
    return ConvProblem(
        n=number["N"], c=number["C"], h=number["H"], w=number["W"], k=number["K"], r=number["R"], s=number["S"],
        padding=((number["pad_t"], number["pad_b"]), (number["pad_l"], number["pad_r"])),
        stride=(number["stride_h"], number["stride_w"]), dilation=(number["dil_h"], number["dil_w"]),
        groups=number["groups"], bias=bias,
    )  # fmt: skip


def _count(row: dict[str, str]) -> int:
    text = row.get("count") or "1"
    if not (text.isdecimal() and int(text) >= 1):
        raise ConvbenchError(f"count is {text!r}; it must be a whole number, at least 1")
    return int(text)


def _workload(name: str, path: Path | Traversable, source: str, layers: list[Layer]) -> Workload:
    if not layers:
        raise ConvbenchError(f"{path}: no problem in it")
    return Workload(name=name, source=source, layers=tuple(layers))


def _at(path: Path | Traversable, number: int, read: Callable[[T], R], given: T) -> R:
    try:
        return read(given)
    except ConvbenchError as error:
        raise ConvbenchError(f"{path}, line {number}: {error}") from error


def _text(path: Path | Traversable) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConvbenchError(f"{path} cannot be read: {error}") from error
