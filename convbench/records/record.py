"""Defines `Record`, the result of one (problem, direction, algorithm, config, device), and reads files of records.

A file is JSON Lines with one record on each line. A line that a crash has cut off stays in the file; reading reports it
and continues.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from convbench.errors import RecordsError
from convbench.problem import ConvProblem, Direction
from convbench.problem.notation import own
from convbench.records.prediction import Predicted
from convbench.records.timing import STRICT, Timing

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 2
BEGINNING = '{"problem":'  # the line of every record begins so

Outcome = Literal["passed", "wrong", "refused", "out_of_memory", "crashed", "timed_out"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
FAILURES: tuple[Outcome, ...] = ("wrong", "crashed", "out_of_memory", "timed_out")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One result. It has a reason if and only if it did not pass, and a timing only if it passed."""

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
    exact: bool = False  # whether it matched bit for bit on integers
    fraction: float | None = None  # the error in the worst element, as a fraction of its bound
    rms_error_ulp: float | None = None  # on random numbers (`convbench.measurement.true_error`); None in old records
    worst_error_ulp: float | None = None
    workspace_bytes: int | None = None
    timing: Timing | None = None
    output: str | None = None  # the end of what its code printed; None if it printed nothing, or if nobody kept it
    predicted: Predicted | None = None  # never measured; None if none was asked for, and in old records
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
        errors = self.rms_error_ulp, self.worst_error_ulp
        if (errors[0] is None) != (errors[1] is None) or any(error is not None and error < 0 for error in errors):
            raise ValueError(f"a record has both errors or none, and none is negative, not {errors}")
        if self.timing is not None and self.outcome != "passed":
            raise ValueError(f"a record has a timing only if it passed; this one is {self.outcome}")
        if self.predicted is not None and self.outcome != "passed":
            raise ValueError(f"a record has a prediction only if it passed; this one is {self.outcome}")
        if (self.reason is None) != (self.outcome == "passed"):
            raise ValueError(f"a record has a reason if and only if it did not pass; this one is {self.outcome}")

    @property
    def key(self) -> tuple[str, ...]:
        """The key of the measurement: two records with the same key are of the same measurement."""
        return key_of(self.problem, self.direction, self.algorithm, self.config, self.device)

    @property
    def parsed_problem(self) -> ConvProblem:
        return own.parse(self.problem)

    @property
    def tflops(self) -> float | None:
        """TFLOP/s: the FLOPs of the direct method over the median time, for every algorithm."""
        return None if self.timing is None else self.parsed_problem.flops / self.timing.median_us / 1e6

    def to_json(self) -> str:
        """The line of this record, without the line break."""
        return as_json(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """The record of a line; raises ValueError if the line is not a record of this version."""
        try:
            data = json.loads(line)
        except RecursionError as error:
            raise ValueError("its values are nested too deep") from error
        if not isinstance(data, dict) or "schema" not in data:
            raise ValueError("it is JSON, but no record of convbench")
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is {data['schema']}; this version of convbench reads {SCHEMA}")
        record = _lines_of_records().validate_json(line)
        own.parse(record.problem)  # raises ProblemError for a problem that is impossible
        return record


def as_json(value: Any) -> str:
    """A value as records write it: NumPy's numbers as numbers, other objects as texts. Raises ValueError for NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def key_of(
    problem: str, direction: str, algorithm: str, config: dict[str, Any], device: dict[str, Any]
) -> tuple[str, ...]:
    """The key of a record with these fields, whether or not there is one yet."""
    return problem, direction, algorithm, json.dumps(config, sort_keys=True, default=_plain), device["name"]


@cache
def _lines_of_records() -> "TypeAdapter[Record]":
    """The reader of lines, which checks the names and the types of all fields."""
    from pydantic import TypeAdapter  # takes long to import, and only reading records needs it

    return TypeAdapter(Record)


def _plain(value: Any) -> Any:
    """A value that JSON can hold, for one that it cannot: the number of a NumPy number, else the text."""
    return value.item() if hasattr(value, "item") else str(value)


@dataclass(frozen=True)
class BadLine:
    """A line of a records file that is not a record."""

    path: Path
    number: int
    reason: str
    torn: bool  # whether it is the beginning of a record, which a crash leaves

    def __str__(self) -> str:
        return f"{self.path}, line {self.number}: {self.reason}; the line is skipped"


def read_records(path: Path) -> tuple[list[Record], list[BadLine]]:
    """All records of a file in order, and all lines that are not records.

    Raises RecordsError if the file cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise RecordsError(f"records cannot be read from {path}: {error.strerror}") from error
    records, bad = [], []
    *lines, rest = text.split("\n")
    for number, line in enumerate([*lines, rest] if rest else lines, start=1):
        if not line.strip():
            continue  # an empty line may be left after a torn one
        try:
            records.append(Record.from_json(line))
        except Exception as error:  # noqa: BLE001  (a foreign file may have any content)
            torn = number > len(lines) or _is_torn(line)
            place = "a torn last line" if number > len(lines) else "a torn line"
            bad.append(BadLine(path, number, place if torn else f"no record ({error})", torn))
    return records, bad


def _is_torn(line: str) -> bool:
    """Whether a line is only the beginning of a record, because a crash cut it off."""
    try:
        json.loads(line)
    except RecursionError:  # it is nested too deep for a record
        return False
    except ValueError:
        return line.startswith(BEGINNING) or BEGINNING.startswith(line)
    return False


def latest(records: Iterable[Record]) -> list[Record]:
    """The last record of each measurement of each layer, in the order in which the measurements first occur.

    One that passed without being timed does not take the place of one that was timed.
    """
    found: dict[tuple[str, ...], Record] = {}
    for record in records:
        key = record.workload, record.layer, *record.key
        is_verified_alone = record.outcome == "passed" and record.timing is None
        if is_verified_alone and key in found and found[key].timing is not None:
            continue  # it says nothing that the timed one does not say
        found[key] = record
    return list(found.values())
