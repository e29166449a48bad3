"""The record: what came of one (problem, direction, algorithm, config, device), and the file that keeps it.

A file is JSON Lines, appended to and never rewritten: one record a line, written whole and flushed. A line that was
torn by a crash stays where it is; reading reports it and goes on.
"""

import errno
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from convbench.errors import RecordsError
from convbench.problem import ConvProblem, Direction
from convbench.problem.notation import own
from convbench.records.timing import STRICT, Timing

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 2
BEGINNING = '{"problem":'  # of every record's line

Outcome = Literal["passed", "wrong", "refused", "out_of_memory", "crashed", "timed_out"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
FAILURES: tuple[Outcome, ...] = ("wrong", "crashed", "out_of_memory", "timed_out")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One result. Timings exist only if it passed; a reason exists only if it did not."""

    problem: str  # the text of a ConvProblem
    direction: Direction
    algorithm: str
    family: str
    precision: str  # of the multiplications: float32, tf32, float16, …
    config: dict[str, Any]
    device: dict[str, Any]  # `Device.describe()`
    outcome: Outcome
    reason: str | None = None
    workload: str
    layer: str
    count: int
    seed: int
    exact: bool = False  # matched bit for bit on integers
    fraction: float | None = None  # of the error bound, in the worst element
    workspace_bytes: int | None = None
    timing: Timing | None = None
    environment: dict[str, Any]
    when: str  # UTC, ISO 8601
    schema: int = field(default=SCHEMA)

    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if lacking := {"name", "clock", "is_gpu"} - self.device.keys():
            raise ValueError(f"its device does not say {', '.join(sorted(lacking))}")
        if not (isinstance(self.device["name"], str) and isinstance(self.device["clock"], str)):
            raise ValueError(f"its device has a name and a clock that are texts, not {self.device}")
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome {self.outcome!r} is none of {', '.join(OUTCOMES)}")
        if (self.timing is not None) != (self.outcome == "passed"):
            raise ValueError(f"a record has a timing if and only if it passed; this one is {self.outcome}")
        if (self.reason is None) != (self.outcome == "passed"):
            raise ValueError(f"a record has a reason if and only if it did not pass; this one is {self.outcome}")

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two records the same measurement."""
        return key_of(self.problem, self.direction, self.algorithm, self.config, self.device)

    @property
    def parsed_problem(self) -> ConvProblem:
        return own.parse(self.problem)

    @property
    def tflops(self) -> float | None:
        """Of the direct method's FLOPs, whatever the algorithm saves, per median time."""
        return None if self.timing is None else self.parsed_problem.flops / self.timing.median_us / 1e6

    def to_json(self) -> str:
        """One line, without its end."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """The record of a line; raises ValueError with what is wrong with it."""
        data = json.loads(line)
        if not isinstance(data, dict) or "schema" not in data:
            raise ValueError("it is JSON, but no record of convbench")
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is {data['schema']}; this version of convbench reads {SCHEMA}")
        record = _lines_of_records().validate_json(line)
        own.parse(record.problem)  # a record of an impossible problem is no record
        return record


def key_of(
    problem: str, direction: str, algorithm: str, config: dict[str, Any], device: dict[str, Any]
) -> tuple[str, ...]:
    """The key of a record with these fields, whether or not there is one yet."""
    return problem, direction, algorithm, json.dumps(config, sort_keys=True, default=_plain), device["name"]


@cache
def _lines_of_records() -> "TypeAdapter[Record]":
    """What checks the fields of a line, their names and their types."""
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


def _plain(value: Any) -> Any:
    """What JSON has for a value that it does not know: a NumPy number's number, or the text."""
    return value.item() if hasattr(value, "item") else str(value)


@dataclass(frozen=True)
class BadLine:
    """A line that is no record."""

    path: Path
    number: int
    reason: str
    torn: bool  # the beginning of a record: what a crash leaves

    def __str__(self) -> str:
        return f"{self.path}, line {self.number}: {self.reason}; the line is skipped"


def read_records(path: Path) -> tuple[list[Record], list[BadLine]]:
    """Every record of a file in order, and every line that is none.

    Raises RecordsError when the file cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise RecordsError(f"records cannot be read from {path}: {error.strerror}") from error
    records, bad = [], []
    *lines, rest = text.split("\n")
    for number, line in enumerate([*lines, rest] if rest else lines, start=1):
        if not line.strip():
            continue  # left where writing went on after a torn line
        try:
            records.append(Record.from_json(line))
        except Exception as error:  # noqa: BLE001  (any content at all may stand in a foreign file)
            torn = number > len(lines) or _is_torn(line)
            place = "a torn last line" if number > len(lines) else "a torn line"
            bad.append(BadLine(path, number, place if torn else f"no record ({error})", torn))
    return records, bad


def _is_torn(line: str) -> bool:
    """Whether a line is the beginning of a record: what a crash left, and another run went on behind."""
    try:
        json.loads(line)
    except ValueError:
        return line.startswith(BEGINNING) or BEGINNING.startswith(line)
    return False


class RecordsFile:
    """A file that records are appended to, each whole and at once on disk."""

    def __init__(self, path: Path) -> None:
        """Open for appending; raises RecordsError when the folder or the file cannot be written."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab+", buffering=0)  # what cannot be written is not tried again by close()
            if self._file.tell():
                self._file.seek(-1, os.SEEK_END)
                if self._file.read(1) != b"\n":
                    self._write(b"\n")  # the torn line keeps its place, and the next record gets its own
        except OSError as error:
            raise RecordsError(f"records cannot be written to {path}: {error.strerror}") from error

    def append(self, record: Record) -> None:
        """Write one line and wait until it is on disk."""
        try:
            self._write(record.to_json().encode() + b"\n")
        except OSError as error:
            raise RecordsError(f"a record cannot be written to {self.path}: {error.strerror}") from error

    def _write(self, line: bytes) -> None:
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def latest(records: Iterable[Record]) -> list[Record]:
    """The last record of each measurement of each layer, in the order in which they first came."""
    found: dict[tuple[str, ...], Record] = {}
    for record in records:
        found[record.workload, record.layer, *record.key] = record
    return list(found.values())
