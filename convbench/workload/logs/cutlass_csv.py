"""Reads the CSV file that the CUTLASS profiler writes with `--output=FILE`: the problems of its rows of conv2d.

The profiler runs many kernels on a problem, and writes a row for each. A problem is one layer, whatever the number of
its rows. Source: CUTLASS 4.7, tools/profiler/src/performance_report.cpp (print_csv_header_ and print_result_csv_).
"""

import csv
import io
from collections import Counter
from importlib.resources.abc import Traversable
from pathlib import Path

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem, Direction
from convbench.problem.notation import cutlass
from convbench.workload import faults
from convbench.workload.layer import Layer, printable
from convbench.workload.workload import Workload

_HEADER = {"Problem", "Provider", "OperationKind", "Operation"}


def looks_like(text: str) -> bool:
    """Whether the text is a CSV file of the profiler. Columns of the user's own (tags) may stand in front."""
    return set(text.lstrip().partition("\n")[0].split(",")) >= _HEADER


def read(name: str, path: Path | Traversable, text: str) -> Workload:
    """The workload of a file's text. Raises ConvbenchError if it has no convolution."""
    layers: dict[tuple[ConvProblem, Direction], Layer] = {}
    unread, others = list[ConvbenchError](), Counter[str]()
    try:
        rows = csv.DictReader(io.StringIO(text.lstrip()))
        for row in rows:
            line = rows.line_num + text[: len(text) - len(text.lstrip())].count("\n")
            kind = str(row["OperationKind"])
            if kind.lower() != "conv2d":
                others[printable(kind[:40])] += 1
                continue
            given = {column: value for column, value in row.items() if isinstance(column, str) and value is not None}
            try:
                found = cutlass.of_arguments(given)
            except ConvbenchError as error:
                unread.append(faults.placed(path, line, error))
                continue
            for reading in found:
                if isinstance(reading, ConvbenchError):
                    unread.append(faults.placed(path, line, reading))
                    continue
                for direction in reading.directions:
                    layer = Layer(
                        name=reading.name, problem=reading.problem, direction=direction, place=faults.place([line])
                    )
                    layers.setdefault(layer.work, layer)
    except csv.Error as error:
        raise ConvbenchError(f"{path} is no CSV: {error}") from error
    notes = []
    if others:
        told = ", ".join(f"{count} × {what}" for what, count in others.most_common())
        notes.append(f"{path}: rows of other operations: {told}")
    return faults.assemble(name, path, str(path), list(layers.values()), unread, notes, directed=True)
