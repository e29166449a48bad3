"""Reads workloads from text files, with a problem in any notation on each line, and from CSV files.

A line or row that cannot be read is left out: `skipped` of the workload has its number and the reason. A file without
any problem is an error.
"""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path

from convbench.errors import ConvbenchError
from convbench.problem import DIRECTIONS, ConvProblem, Direction
from convbench.problem.notation import LineReader, OtherOperationError, Reading
from convbench.workload import faults
from convbench.workload.layer import Layer, printable
from convbench.workload.workload import Workload

COLUMNS = (
    "source", "name", "N", "C", "H", "W", "K", "R", "S", "pad_t", "pad_l", "pad_b", "pad_r",
    "stride_h", "stride_w", "dil_h", "dil_w", "groups", "OH", "OW",
)  # fmt: skip
MOST_BYTES = 2 << 30  # of a compressed file, so that a small file cannot fill the memory


def read_text(name: str, path: Path | Traversable, content: str) -> Workload:
    """The workload of a text file or log with a problem on each line; `#` starts a comment. Raises ConvbenchError.

    Raises if no line of it is a problem.
    """
    reader, lines, unread = LineReader(), list[tuple[int, Reading]](), list[ConvbenchError]()
    others: Counter[str] = Counter()
    for number, line in _joined(content):
        try:
            found = reader.read(line)
        except OtherOperationError as error:
            others[printable(f"{error.reason:.40}")] += 1
            continue
        except ConvbenchError as error:
            found = [error]
        for each in found:
            if isinstance(each, Reading):
                lines.append((number, each))
            else:
                unread.append(faults.placed(path, number, each))
    read = [
        (
            Layer(
                name=reading.name, problem=reading.problem, count=reading.count, direction=direction,
                place=faults.place([number]),
            ),
            reading,
        )
        for number, reading in lines
        for direction in reading.directions or ("forward",)
    ]  # fmt: skip
    run = {layer.work for layer, reading in read if not (reading.search or reading.trial)}
    layers = list[Layer]()
    for layer, reading in read:
        if (reading.search or reading.trial) and layer.work in run:
            continue  # runs follow a search
        if reading.trial:
            run.add(layer.work)
        layers.append(layer)
    notes = []
    if others:
        told = ", ".join(f"{count} × {what}" for what, count in others.most_common())
        notes.append(f"{path}: lines of other operations: {told}")
    directed = any(reading.directions for _, reading in lines)
    return faults.assemble(name, path, str(path), layers, unread, notes, directed=directed)


def read_csv(name: str, path: Path | Traversable) -> Workload:
    """The workload of a CSV file with a problem in each row. Raises ConvbenchError.

    The file has COLUMNS, and may have `bias` (0 or 1), `count` and `direction`. Raises if the file cannot be read, if
    it lacks a column, or if no row of it is a problem.
    """
    layers, sources, unread, notes = list[Layer](), list[str](), list[ConvbenchError](), list[str]()
    try:
        reader = csv.DictReader(io.StringIO(text(path)))
        if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
            raise ConvbenchError(f"{path}: the header lacks {', '.join(missing)}")
        for number, row in enumerate(reader, start=1):
            row["name"] = row["name"] or f"row {number}"
            try:
                layer, cropped = _layer(row)
            except ConvbenchError as error:
                unread.append(faults.placed(path, reader.line_num, error))
                continue
            layers.append(replace(layer, place=faults.place([reader.line_num])))
            sources.append(row["source"])
            if cropped:
                notes.append(f"{path}, line {reader.line_num}: {cropped}")
    except csv.Error as error:
        raise ConvbenchError(f"{path} is no CSV: {error}") from error
    directed = "direction" in (reader.fieldnames or ())
    return faults.assemble(name, path, ", ".join(dict.fromkeys(sources)), layers, unread, notes, directed=directed)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """The lines without comments and their numbers; a line that ends in a backslash is one with the next."""
    start, before = 0, ""
    for number, line in enumerate(text.split("\n"), start=1):
        start = start if before else number
        before += _uncommented(line)
        if before.endswith("\\"):
            before = before[:-1].rstrip()  # as in benchdnn, which joins the words too
            continue
        if before:
            yield start, before
        before = ""
    if before:
        yield start, before


def _uncommented(line: str) -> str:
    """The part of a line before a #, except for a # in quotes, which belongs to a benchdnn name."""
    before = re.match(r'(?:[^#"]|"[^"]*"?)*', line)
    assert before is not None  # the pattern matches the empty text
    return before[0].strip()


def _layer(row: dict[str, str]) -> tuple[Layer, str]:
    """The layer of a row; and a sentence if its input is another than the row's, else an empty text."""
    if None in row:  # the key under which DictReader puts fields without a column
        raise ConvbenchError("it has more fields than the header")
    (problem, cropped), count = _problem(row), _count(row)
    if (problem.p, problem.q) != (int(row["OH"]), int(row["OW"])):
        raise ConvbenchError(f"OH × OW is {row['OH']} × {row['OW']}, but {problem} has {problem.p} × {problem.q}")
    return Layer(name=row["name"], problem=problem, count=count, direction=_direction(row)), cropped


def _problem(row: dict[str, str]) -> tuple[ConvProblem, str]:
    try:
        number = {column: int(row[column]) for column in COLUMNS[2:]}
        bias = bool(int(row.get("bias") or 0))
    except (TypeError, ValueError) as error:
        raise ConvbenchError(f"a field is no whole number: {error}") from error
    height = _without_negative(number, "H", "R", "pad_t", "pad_b", "stride_h", "dil_h", out="OH")
    width = _without_negative(number, "W", "S", "pad_l", "pad_r", "stride_w", "dil_w", out="OW")
    problem = ConvProblem(
        n=number["N"], c=number["C"], h=height[0], w=width[0], k=number["K"], r=number["R"], s=number["S"],
        padding=(height[1], width[1]),
        stride=(number["stride_h"], number["stride_w"]), dilation=(number["dil_h"], number["dil_w"]),
        groups=number["groups"], bias=bias,
    )  # fmt: skip
    if (problem.h, problem.w) == (number["H"], number["W"]):
        return problem, ""
    return problem, (
        f"{row['name']}: its padding is negative, so windows read {problem.h} × {problem.w} of the "
        f"{number['H']} × {number['W']} elements alone; it is read as the equal problem {problem}"
    )


def _without_negative(
    number: dict[str, int], size: str, taps: str, before: str, after: str, stride: str, dilation: str, *, out: str
) -> tuple[int, tuple[int, int]]:
    """The size and the padding of an equal axis whose padding is not negative.

    A negative padding means that no window reads so many elements. The input keeps those at the end if the output has
    the same size with them, because a stride may step over them; else they are cut off.
    """
    sides = (number[before], number[after])
    crops = (max(0, -sides[0]), max(0, -sides[1]))
    kept = number[size] - crops[0]
    window = number[dilation] * (number[taps] - 1) + 1
    start = max(0, sides[0])
    if crops[1] and (kept + start - window) // max(1, number[stride]) + 1 != number[out]:
        kept -= crops[1]
    return kept, (start, max(0, sides[1]))


def _count(row: dict[str, str]) -> int:
    text = row.get("count") or "1"
    if not (text.isdecimal() and int(text) >= 1):
        raise ConvbenchError(f"count is {text!r}; it must be a whole number, at least 1")
    return int(text)


def _direction(row: dict[str, str]) -> Direction:
    text = row.get("direction") or "forward"
    for known in DIRECTIONS:
        if text == known:
            return known
    raise ConvbenchError(f"direction is {text!r}; it must be one of {', '.join(DIRECTIONS)}")


def text(path: Path | Traversable) -> str:
    """The text of a file, which may be compressed with gzip. Raises ConvbenchError if it cannot be read."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = _decompressed(path, content)
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ConvbenchError(f"{path} cannot be read: {error}") from error


def _decompressed(path: Path | Traversable, content: bytes) -> bytes:
    with gzip.open(io.BytesIO(content)) as file:
        found = file.read(MOST_BYTES + 1)
    if len(found) > MOST_BYTES:
        raise ConvbenchError(f"{path} has more than {MOST_BYTES >> 30} GiB when it is decompressed")
    return found
