"""Selects layers with a condition in pandas' query syntax: `r == 3 and stride == (1, 1)`.

`convbench.workload.condition` defines the syntax, and this module the columns. Stride, dilation and padding are
compared in the forms that `ConvProblem` takes: `stride == 1` means `stride == (1, 1)`, and `padding == (1, 2)` means
`padding == ((1, 1), (2, 2))`.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from convbench.errors import ConvbenchError
from convbench.problem import ConvProblem, Direction
from convbench.workload.condition import ConditionError, Kind, Term, read
from convbench.workload.layer import Layer

MOST_VALUES = 8  # of a column that a message lists


@dataclass(frozen=True)
class Row:
    """The data on which a condition is evaluated: a layer, and how often its problem occurs."""

    layer: Layer
    count: int  # how often the workload has the problem in the layer's direction, under all of its names


_KINDS: dict[str, Kind] = {
    "stride": "pair", "dilation": "pair", "padding": "pair", "bias": "condition", "padding_mode": "text",
    "dtype": "text", "layout": "text", "filter_layout": "text",
}  # fmt: skip
_DERIVED = ("p", "q", "terms", "macs", "flops", "min_bytes", "arithmetic_intensity")
_SIDES: dict[str, Callable[[ConvProblem], int]] = {  # the names are those of the columns of a CSV file
    "stride_h": lambda problem: problem.stride[0],
    "stride_w": lambda problem: problem.stride[1],
    "dil_h": lambda problem: problem.dilation[0],
    "dil_w": lambda problem: problem.dilation[1],
    "pad_t": lambda problem: problem.padding[0][0],
    "pad_l": lambda problem: problem.padding[1][0],
    "pad_b": lambda problem: problem.padding[0][1],
    "pad_r": lambda problem: problem.padding[1][1],
}


def _field(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row.layer.problem, name)


def _side(read: Callable[[ConvProblem], int]) -> Callable[[Row], Any]:
    return lambda row: read(row.layer.problem)


COLUMNS: dict[str, Term] = {
    "name": Term("text", lambda row: row.layer.name),
    "count": Term("number", lambda row: row.count),
    **{
        name: Term(_KINDS.get(name, "number"), _field(name))
        for name in (*(field.name for field in fields(ConvProblem)), *_DERIVED)
    },
    **{name: Term("number", _side(read)) for name, read in _SIDES.items()},
    "direction": Term("text", lambda row: row.layer.direction),
}


def select(layers: "Sequence[Layer]", text: str) -> "tuple[Layer, ...]":
    """The layers for which a condition is true, in their order.

    A layer's columns are the fields and sizes of its problem, the parts of stride, dilation and padding under the names
    that they have in a CSV file, its `name`, its `direction`, and `count`: how often its problem occurs in this
    direction, under all of its names.

    Raises
    ------
    ConditionError
        the text is not a condition, or has a construct that is not allowed. No part of it has been run.
    ConvbenchError
        no layer fulfils the condition: the message has the values that occur; or it divides by zero for a layer.
    """
    condition = read(text, COLUMNS)
    often: Counter[tuple[ConvProblem, Direction]] = Counter()
    for layer in layers:
        often[layer.work] += layer.count
    rows = [Row(layer, often[layer.work]) for layer in layers]
    chosen = []
    for row in rows:
        try:
            if condition.value(row):
                chosen.append(row.layer)
        except ConditionError as error:
            raise ConvbenchError(f"layer {row.layer.name!r}, {row.layer.problem}: {error}") from error
    if not chosen:
        raise ConvbenchError(f"the filter {text!r} leaves none of the {len(rows)} layers{_values(text, rows)}")
    return tuple(chosen)


def _values(text: str, rows: list[Row]) -> str:
    """The values of each column that occurs in a text, one line per column, for the end of a message."""
    told = []
    for name in dict.fromkeys(re.findall(r"\w+", text)):
        if name in COLUMNS:
            values = sorted({COLUMNS[name].value(row) for row in rows})
            shown = ", ".join(map(repr, values[:MOST_VALUES])) + (", …" if len(values) > MOST_VALUES else "")
            told.append(f"\n    {name} is {shown}")
    return "".join(told)
