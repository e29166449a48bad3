"""The workload: named problems, with how often each occurs and where they come from.

Inside the package are CSV files of real networks (their `source` column says where each row is from). A text file with
one problem a line, in any notation, is a workload as well; `#` starts a comment.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

from convbench.errors import ConvbenchError, UnknownNameError
from convbench.notation import parse
from convbench.problem import ConvProblem

T = TypeVar("T")
R = TypeVar("R")

COLUMNS = (
    "source", "name", "N", "C", "H", "W", "K", "R", "S", "pad_t", "pad_l", "pad_b", "pad_r",
    "stride_h", "stride_w", "dil_h", "dil_w", "groups", "OH", "OW",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A problem by its name in a network."""

    name: str
    problem: ConvProblem
    count: int = 1  # how often the network has this layer


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Layers under one name."""

    name: str
    source: str
    layers: tuple[Layer, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers, each as often as it occurs."""
        return sum(layer.count * layer.problem.macs for layer in self.layers)

    def distinct(self) -> "Workload":
        """The same work with each problem once, under all its names, as often as all of them occur."""
        same: dict[ConvProblem, list[Layer]] = {}
        for layer in self.layers:
            same.setdefault(layer.problem, []).append(layer)
        layers = tuple(
            Layer(
                name=", ".join(dict.fromkeys(layer.name for layer in group)),
                problem=problem,
                count=sum(layer.count for layer in group),
            )
            for problem, group in same.items()
        )
        return replace(self, layers=layers)

    def with_batch(self, n: int) -> "Workload":
        """The same layers at another batch size."""
        layers = tuple(replace(layer, problem=replace(layer.problem, n=n)) for layer in self.layers)
        return replace(self, name=f"{self.name}-n{n}", layers=layers)


def names() -> list[str]:
    """The workloads inside the package, sorted."""
    return sorted(entry.name.removesuffix(".csv") for entry in _folder().iterdir() if entry.name.endswith(".csv"))


def load(name_or_path: str) -> Workload:
    """A workload of the package by its name, or a file by its path (`.csv` with our columns, else a text file).

    Raises
    ------
    UnknownNameError
        neither a name nor a file; the message lists the names.
    ConvbenchError
        a line that is no problem, with file and line.
    """
    if name_or_path in names():
        return _read_csv(name_or_path, _folder() / f"{name_or_path}.csv")
    path = Path(name_or_path)
    if not path.is_file():
        raise UnknownNameError(f"workload {name_or_path!r} is no file and no name; there are {', '.join(names())}")
    return (_read_csv if path.suffix == ".csv" else _read_text)(path.stem, path)


def from_texts(texts: list[str]) -> Workload:
    """A workload of problems given one by one, each under its own text."""
    problems = [parse(text) for text in texts]
    layers = tuple(Layer(name=str(problem), problem=problem) for problem in problems)
    return Workload(name="problems", source="given one by one", layers=layers)


def _read_text(name: str, path: Path | Traversable) -> Workload:
    layers = []
    for number, line in enumerate(_lines(path), start=1):
        text = line.partition("#")[0].strip()
        if text:
            problem = _at(path, number, parse, text)
            layers.append(Layer(name=str(problem), problem=problem))
    return _workload(name, path, str(path), layers)


def _read_csv(name: str, path: Path | Traversable) -> Workload:
    try:
        rows = list(reader := csv.DictReader(_lines(path)))
    except csv.Error as error:
        raise ConvbenchError(f"{path} is no CSV: {error}") from error
    if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
        raise ConvbenchError(f"{path}: the header lacks {', '.join(missing)}")
    layers, sources = [], []
    for number, row in enumerate(rows, start=2):  # no field of ours holds a line break
        problem, count = _at(path, number, _problem, row), _at(path, number, _count, row)
        if (problem.p, problem.q) != (int(row["OH"]), int(row["OW"])):
            raise ConvbenchError(
                f"{path}, line {number}: OH × OW is {row['OH']} × {row['OW']}, "
                f"but {problem} has {problem.p} × {problem.q}"
            )
        layers.append(Layer(name=row["name"] or f"row {number - 1}", problem=problem, count=count))
        sources.append(row["source"])
    return _workload(name, path, ", ".join(dict.fromkeys(sources)), layers)


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


def _lines(path: Path | Traversable) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConvbenchError(f"{path} cannot be read: {error}") from error


def _folder() -> Traversable:
    return files("convbench") / "workloads"
